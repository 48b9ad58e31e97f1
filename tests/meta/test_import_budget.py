"""`import assay` belongs into other people's applications, so it must be quick and bring nothing along."""

import statistics
import subprocess
import sys

SERVER = {
    "litestar",
    "sqlalchemy",
    "duckdb",
    "dbos",
    "uvicorn",
    "numpy",
    "scipy",
    "alembic",
    "jinja2",
    "aiohappyeyeballs",
}
MEASURE = """
import sys, time
before = set(sys.modules)
start = time.perf_counter()
import {module}
print(time.perf_counter() - start, *{{name.partition(".")[0] for name in set(sys.modules) - before}})
"""


def imports(module: str) -> tuple[float, set[str]]:
    """Seconds that importing it takes in a fresh interpreter, and the packages that came along."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURE.format(module=module)], capture_output=True, text=True, check=True
    )
    seconds, *names = run.stdout.split()
    return float(seconds), set(names)


def test_import_assay_takes_at_most_150_ms() -> None:
    assert statistics.median(imports("assay")[0] for _ in range(5)) <= 0.15


def test_import_assay_and_its_client_bring_nothing_of_the_server() -> None:
    assert not imports("assay")[1] & SERVER
    assert not imports("assay.sdk.client")[1] & SERVER


def test_the_gateway_brings_neither_statistics_nor_stores() -> None:
    assert not imports("assay.gateway")[1] & {"numpy", "scipy", "dbos", "duckdb"}
