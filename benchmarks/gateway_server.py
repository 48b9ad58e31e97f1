"""The gateway as `benchmarks/gateway.py` measures it: `full` as `assay up` runs it, `all` with every kind of limit in force, too, and
`bare` with key check and routing only.

python benchmarks/gateway_server.py {all|full|bare} PORT UPSTREAM_URL DATA_DIRECTORY KEY
"""

import sys
from decimal import Decimal
from pathlib import Path

import assay.app
import assay.calls.caller
from assay.access import PROJECT
from assay.access.limits import create_limit
from assay.access.types import Allowance, Per, Period
from assay.errors import AssayError
from assay.server import Started, run
from assay.settings import load
from assay.wire.spans import Event, Span, SpanKind

CONFIG = """\
[providers.upstream]
type = "openai"
base_url = "{url}"
[models.m]
route = [{{ provider = "upstream", model = "m" }}]
price = {{ input_usd_per_mtok = 0.15, output_usd_per_mtok = 0.60 }}
"""


class Nowhere:
    """A sink that keeps nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        """Takes what `CallSink` takes."""

    def admit(self) -> None:
        """Every call."""

    def append(self, events: list[Event]) -> bool:
        """Dropped."""
        return True

    async def keep(self, events: list[Event]) -> bool:
        """Dropped."""
        return True


class Unpriced(assay.calls.caller.Ledger):
    """An account that ends without price and messages."""

    def settle(self, error: AssayError | None = None, *, cancelled: bool = False) -> list[Event]:
        """A span of what routing alone knows."""
        self.span = Span(
            trace_id=self.trace_id,
            span_id=self.span_id,
            project=self.call.context.project,
            name=self.call.request.model,
            kind=SpanKind.MODEL,
            start_ns=self.start_ns,
            end_ns=self.start_ns,
            model=self.call.request.model,
            attempts=self.attempts,
        )
        return [self.span]


def main() -> None:
    """Serve until killed."""
    kind, port, url, data, key = sys.argv[1:]
    Path(data).mkdir(parents=True, exist_ok=True)
    config = Path(data) / "assay.toml"
    config.write_text(CONFIG.format(url=url))
    if kind == "bare":
        assay.app.CallSink = Nowhere  # type: ignore[misc,assignment]
        assay.calls.caller.Ledger = Unpriced  # type: ignore[misc]
    settings = load(chosen={"port": int(port), "data": data, "admin_key": key, "log_level": "warning"})
    run(settings, config, on_ready=lambda started: ready(started, limited=kind == "all"))


def ready(started: Started, *, limited: bool) -> None:
    """Say where it is. A project has every kind of limit, far away."""
    if limited:
        allowance = Allowance(
            requests_per_minute=10**9,
            tokens_per_minute=10**12,
            concurrent=10**6,
            usd=Decimal(10**9),
            period=Period.MONTH,
        )
        with started.app.records.write() as tx:
            create_limit(tx, PROJECT, per=Per.PROJECT, allowance=allowance)
    print(started.url, flush=True)


main()
