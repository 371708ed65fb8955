# Every target creates .venv and installs what it needs by itself, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export SUPPORTBOT_ROOT ?= $(CURDIR)/.supportbot
PORT ?= 3000

.PHONY: retrain test check ui pocket clean help

help:  ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(VENV)/.run-installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[all]"
	@touch $@

$(VENV)/.dev-installed: $(VENV)/.run-installed
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[all,dev]"
	@touch $@

retrain: $(VENV)/.run-installed  ## the whole graph for the running month
	@$(BIN)/supportbot retrain $(ARGS)

ui: $(VENV)/.run-installed  ## dagster dev on the same storage
	@$(BIN)/supportbot ui --port $(PORT)

check: $(VENV)/.dev-installed  ## format, lint, types, one-way arrows
	$(BIN)/ruff format --check supportbot_dagster tests
	$(BIN)/ruff check supportbot_dagster tests
	$(BIN)/mypy
	$(BIN)/lint-imports

# Two files of tests at a time. One thread each: threads that wait for one another on busy cores take
# many times as long.
test: check  ## check, then every test
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

pocket: $(VENV)/.run-installed  ## train the embedded base anew (minutes on a GPU, a night on two cores)
	$(BIN)/python -m supportbot_dagster.training.pocket

clean:  ## remove the environment; data stays in .supportbot
	rm -rf $(VENV)
