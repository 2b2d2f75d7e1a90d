# Everything a developer or a reader of the paper runs. `make test` and `make demo` work on a fresh clone: each
# target that needs the environment first calls scripts/setup.sh, which returns at once when there is nothing to do.
# Kept to what GNU make 3.81 knows, the version that macOS ships.

SHELL := /bin/sh
PY := .venv/bin/python
SETUP := @sh scripts/setup.sh
UV := sh scripts/setup.sh uv
# Named, because outside a git checkout ruff does not read .gitignore and would descend into .tools and .venv-wheel.
SOURCES = $(wildcard src tests benchmarks notebooks scripts)
# Two test processes suit a laptop and a CI machine; `make test WORKERS=8` for more.
WORKERS ?= 2
# Further arguments for pytest: make test PYTEST_ARGS="-k lung"
PYTEST_ARGS ?=
# One file stays in one process, so that what a module compiles or fits once is not done again in the other.
PYTEST_FLAGS = -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

# The test processes are the parallelism; without this each would start a thread per core in every matrix product.
TEST_ENV = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: help setup demo test lint verify bench lock notebooks schemas wheel test-wheel clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv from requirements.lock (the other targets do so by themselves)
	$(SETUP)

demo: setup ## the paper's question on synthetic patients; the report goes to out/demo-krog-20-04
	@mkdir -p out
	.venv/bin/sitewise demo --out out/demo-krog-20-04

test: lint ## all checks: lint, then the tests
	@echo "== tests (pytest, $(WORKERS) processes)"
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(TEST_ENV) .venv/bin/pytest $(PYTEST_FLAGS)

lint: setup ## style, format, types and import layers, without the tests
	@echo "== style (ruff check)"
	@.venv/bin/ruff check $(SOURCES)
	@echo "== format (ruff format --check)"
	@.venv/bin/ruff format --check $(SOURCES)
	@echo "== types (mypy)"
	@.venv/bin/mypy
	@echo "== import layers (lint-imports)"
	@.venv/bin/lint-imports --no-logo

verify: setup ## long evidence: recovery, coverage, simulated and pseudo-papers, fast engine, checks (4 hours on 2 cores)
	$(PY) benchmarks/verify.py
	$(PY) benchmarks/fixed_truth.py
	$(PY) benchmarks/pseudo_papers.py
	$(PY) benchmarks/fast_accuracy.py
	$(PY) benchmarks/sbc_faults.py
	$(PY) benchmarks/check_faults.py
	$(PY) benchmarks/family_table.py
	$(PY) benchmarks/joint_priors.py
	$(PY) benchmarks/imputation.py
	$(PY) benchmarks/imputation_nuts.py
	$(PY) benchmarks/site_structure.py
	$(PY) benchmarks/shape_regression.py
	$(PY) benchmarks/trial_type_one_error.py
	$(PY) benchmarks/calibration_coverage.py

bench: setup ## measure time and accuracy
	$(PY) benchmarks/bench.py
	$(PY) benchmarks/bench_calibration.py
	$(PY) benchmarks/bench_fast.py
	$(PY) benchmarks/bench_trials.py

# Versions already in the lock are kept where they still fit; make lock UPGRADE=--upgrade for the newest.
lock: setup ## resolve the dependencies anew into requirements.lock
	@UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile pyproject.toml --all-extras --group dev --universal \
		--python-version 3.12 --generate-hashes --no-emit-index-url $(UPGRADE) -o requirements.lock --quiet

notebooks: setup ## run the notebooks at full size and keep their outputs (two minutes)
	$(PY) notebooks/run.py

schemas: setup ## write docs/*.schema.json from the records that read the files
	$(PY) scripts/schemas.py

wheel: setup ## build the source distribution, and from it the wheel, into dist/
	@rm -f dist/sitewise-*
	@$(UV) build --quiet --python $(PY) --out-dir dist
	@ls dist/sitewise-*

test-wheel: wheel ## install the wheel into .venv-wheel and run most tests against it
	@PATH="$(CURDIR)/.venv-wheel/bin:$$PATH" $(TEST_ENV) sh scripts/test-wheel.sh $(PYTEST_FLAGS)

clean: ## remove what builds, checks and runs leave behind; keeps the environments
	rm -rf build dist out .ruff_cache .mypy_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## clean, and remove the environments and the private tools
	rm -rf .venv .venv-wheel .tools
