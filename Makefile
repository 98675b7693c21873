# `make demo` and `make test` need make and Python 3.10 to 3.12: each makes .venv and installs what is needed by itself.

BIN := .venv/bin
INSTALLED := .venv/.installed
DEMO ?= .demo

.PHONY: help demo test lint bench constraints clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo         recipe base on the embedded world, offline; ends with where its report is'
	@echo 'make test         the linters, then all tests (TESTS=tests/filters ARGS=-x for some)'
	@echo 'make lint         the linters alone'
	@echo 'make bench        speed and memory, measured against the projects it is compared with'
	@echo 'make constraints  the newest versions that go together, into constraints.txt'
	@echo 'make clean        removes what builds, demos and benchmarks left, and .venv'

demo: $(INSTALLED)
	@$(BIN)/python -m beam_jobs demo $(DEMO)

test: lint
	@$(BIN)/python -m pytest $(ARGS) $(TESTS)

lint: $(INSTALLED)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary

bench: $(INSTALLED)
	@for script in bench/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

constraints: $(INSTALLED)
	@$(BIN)/python -m pip install --quiet uv
	@{ echo '# Versions that are known to work together, for Python 3.10 to 3.12. Made by `make constraints`.'; \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --extra dev --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links setup.py; } > constraints.new
	@mv constraints.new constraints.txt

clean:
	rm -rf .venv $(DEMO) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
	find beam_jobs captioners filters schemas tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): setup.py constraints.txt
	@sh deploy/make_venv.sh .venv
	@touch $@
