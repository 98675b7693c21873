# `make demo` and `make test` need make and Python 3.10 to 3.12: each makes .venv and installs what is needed by itself.

BIN := .venv/bin
INSTALLED := .venv/.installed
BENCHED := .venv/.benched
VLLM := .vllm
DEMO ?= .demo

.PHONY: help demo test lint bench vllm constraints clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo         recipe demo on the embedded world, offline; ends with where its report is'
	@echo 'make test         the linters, then all tests (TESTS=tests/filters ARGS=-x for some)'
	@echo 'make lint         the linters alone'
	@echo 'make bench        speed and memory, measured against the projects it is compared with'
	@echo 'make vllm         vLLM for CPUs in .vllm, an environment of its own, which some tests start'
	@echo 'make constraints  the newest versions that go together, into constraints.txt'
	@echo 'make clean        removes what builds, demos and benchmarks left, and both environments'

demo: $(INSTALLED)
	@$(BIN)/python -m beam_jobs demo $(DEMO)

# Tests that start vLLM say that it is missing where it cannot be had, and are skipped.
test: lint
	@$(MAKE) --no-print-directory vllm >/dev/null || true
	@$(BIN)/python -m pytest $(ARGS) $(TESTS)

lint: $(INSTALLED)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary

bench: $(BENCHED)
	@for script in bench/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

vllm: $(VLLM)/.installed
	@echo $(VLLM)/bin/python

constraints: $(INSTALLED)
	@$(BIN)/python -m pip install --quiet uv
	@{ echo '# Versions that are known to work together, for Python 3.10 to 3.12. Made by `make constraints`.'; \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --extra dev --extra bench --extra gcp --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links setup.py; } > constraints.new
	@mv constraints.new constraints.txt

clean:
	rm -rf .venv $(VLLM) $(DEMO) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
	find beam_jobs captioners filters schemas tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): setup.py constraints.txt
	@sh deploy/make_venv.sh .venv
	@touch $@

# A peer that brings Spark along, which nothing but its own benchmark needs.
$(BENCHED): $(INSTALLED)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[bench]'
	@touch $@

$(VLLM)/.installed: deploy/vllm-lock.txt | $(INSTALLED)
	@sh deploy/make_vllm.sh $(VLLM)
	@touch $@
