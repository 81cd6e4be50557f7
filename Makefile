# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-lowest test-cluster fuzz lint clean

demo: $(VENV)/.core
	$(BIN)/fastscnn-opt demo

test: $(VENV)/.test
	$(BIN)/pytest -n auto --dist loadfile

# The same tests with the lowest version of every dependency that pyproject.toml allows.
test-lowest: .venv-lowest/lowest.txt
	PIP_CONSTRAINT=$(CURDIR)/$< $(MAKE) test VENV=.venv-lowest

# The tests that need Ray, which is not in the environment of the others because they start a cluster and take minutes.
test-cluster:
	$(MAKE) .venv-cluster/.test VENV=.venv-cluster
	.venv-cluster/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test,cluster]'
	.venv-cluster/bin/pytest tests/cluster
	.venv-cluster/bin/python tests/cluster/kill_cluster.py --rounds 3 --drivers 3

# Looks for faults that `make test` cannot see: other examples of every property in each run, and damaged files.
fuzz: $(VENV)/.test
	HYPOTHESIS_PROFILE=random $(BIN)/pytest -n auto -m hypothesis
	$(BIN)/python tests/fuzz/run.py --seed $$(date +%s)
	$(BIN)/python tests/fuzz/run_folders.py --edits 60 --damages 6 --seed $$(date +%s)
	$(BIN)/python tests/fuzz/run_commands.py --mutants 60 --graphs 97 --seed $$(date +%s)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict --site-dir build/site

$(VENV)/.core: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

$(VENV)/.test: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[test]'
	touch $@ $(VENV)/.core

.venv-lowest/lowest.txt: pyproject.toml
	mkdir -p $(@D)
	grep -Eo '"[a-z0-9-]+>=[0-9.]+' $< | sed 's/"//; s/>=/==/' | sort -u > $@

clean:
	rm -rf $(VENV) .venv-lowest .venv-cluster build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
