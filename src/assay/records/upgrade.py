"""Bringing the schema to this release's: which revision there is, which is wanted, and the steps between.

Alembic takes a good part of a second to import, so it is imported only when there is a step to take.
"""

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from assay.errors import Unusable

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS = resources.files("assay.records") / "migrations"
_ADVISORY_LOCK = 7_230_173
"""Held on PostgreSQL while migrating, so that two replicas starting at once take turns."""


@cache
def revisions() -> tuple[str, ...]:
    """Every revision in the package, oldest first: files are named `NNNN_title.py` and NNNN is the revision."""
    names = [entry.name for entry in (_MIGRATIONS / "versions").iterdir()]
    return tuple(sorted(name[:4] for name in names if name.endswith(".py") and name[:4].isdigit()))


def current_revision(tx: Connection) -> str | None:
    """The revision that the database is stamped with; None for an empty one."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    revision: str | None = tx.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def is_current(tx: Connection) -> bool:
    """Whether nothing is to be done. Raises `Unusable` if a newer release has migrated this database."""
    current, head = current_revision(tx), revisions()[-1]
    if current is not None and current > head:
        raise Unusable(
            f"The records are at revision {current}; this release knows only up to {head}",
            hint="Install the release of Assay that wrote them, or a newer one.",
        )
    return current == head


def migrate(tx: Connection, revision: str = "head") -> None:
    """Take the steps up to `revision` inside the open transaction: all of them or, when one fails, none."""
    from alembic import command

    if tx.dialect.name == "postgresql":
        tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    command.upgrade(alembic_config(tx), revision)


def alembic_config(tx: Connection) -> "Config":
    """Alembic's configuration without an ini file: the packaged scripts, and this connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = tx
    return config
