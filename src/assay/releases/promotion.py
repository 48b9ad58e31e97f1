"""From a comparison to a release: the candidate serves because a verdict says so, and the decision says which."""

from sqlalchemy import Connection

from assay.access import ENVIRONMENT
from assay.errors import BadRequest, Conflict
from assay.evals import get_comparison, get_run, objection_to
from assay.kit.clock import SYSTEM, Clock
from assay.releases.releasing import Grounds, release
from assay.releases.types import Release


def promote(
    tx: Connection,
    project: str,
    comparison_id: str,
    *,
    environment: str = ENVIRONMENT,
    actor: str,
    note: str | None = None,
    force: bool = False,
    clock: Clock = SYSTEM,
) -> Release:
    """Release the candidate of a comparison alone, with its verdicts as grounds.

    At least one verdict must be `better` and none `worse`; `force` releases against that and needs a note. Raises `Conflict`
    that says why not, `NotFound`, `BadRequest`.
    """
    comparison = get_comparison(tx, project, comparison_id)
    run = get_run(tx, project, comparison.candidate)
    if run.task is None or run.variant_hash is None:
        raise Conflict(
            "The candidate is a run over outputs made elsewhere: there is no variant to release",
            hint="Make a variant of the task and run it.",
        )
    objection = objection_to(comparison.verdicts)
    if force and not (note or "").strip():
        raise BadRequest("A forced release needs a note that says why", param="note")
    if objection is not None and not force:
        raise Conflict(objection, hint='Get more evidence, or send {"force": true, "note": "why"}.')
    grounds = Grounds(
        verdicts=comparison.verdicts,
        comparison_id=comparison.id,
        run_ids=(comparison.baseline, comparison.candidate),
        note=f"Forced: {note}" if objection is not None else note,
    )
    return release(
        tx, project, run.task, environment, {run.variant: 1.0}, actor=actor, grounds=grounds, clock=clock
    )
