# One word a job; each brings what it needs, so that in a fresh clone `make demo` or `make test` is the only command.
# Only python3 (3.11 or newer; PYTHON=… names another) and a package index are needed.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# Larger sets, for tests marked `data`, may lie in a folder beside the clone; those tests skip without them.
export ASSAY_TEST_DATA ?= $(abspath $(wildcard ../shared/data))

.PHONY: setup fmt check test test-all docs demo up bench browser weights
.DELETE_ON_ERROR:

setup: $(READY)  ## .venv from the lock, with Assay installed from this tree

$(READY): pyproject.toml requirements/dev.lock scripts/setup
	@PYTHON="$(PYTHON)" scripts/setup
	@touch $@

fmt: setup  ## format, mend what the linter can mend, write docs/reference and the catalogues of the pages
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python scripts/reference.py
	$(BIN)/python scripts/words.py

check: setup  ## format, lint, strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: setup browser weights  ## everything but the slow and the side-by-side suites
	$(BIN)/pytest -rs -n 2 --dist loadfile -m "not slow and not peers"

test-all: setup browser weights  ## those too
	$(BIN)/pytest

docs: setup  ## the documentation as a site in site/, strictly
	@scripts/site

demo: setup  ## the whole loop on a real local model, then out; `make up` shows the result
	$(BIN)/assay demo --no-serve

up: setup  ## the server on http://127.0.0.1:8700
	$(BIN)/assay up

bench: setup  ## the gateway beside a bare proxy, as JSON and a picture
	$(BIN)/python benchmarks/gateway.py

# The tests that need these say so and skip without them: a refused download must not fail the rest.
browser: setup
	@[ ! -x scripts/browser ] || scripts/browser || echo "No browser: tests marked browser will skip."
	@scripts/axe || echo "No axe-core: tests for accessibility will skip."

weights: setup
	@$(BIN)/assay models pull smollm2-135m || echo "No weights: tests marked local_model will skip."
	@$(BIN)/assay models pull minilm || echo "No weights: tests marked local_encoder will skip."
