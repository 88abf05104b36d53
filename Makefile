# Everything from a bare machine with Python >= 3.11 and git: the environment is made on first use.
PYTHON ?= python3
BIN := .venv/bin
PARAMS ?= smoke

.DEFAULT_GOAL := help
.PHONY: help demo repro test lint format docs clean

help:
	@echo "make demo              the whole pipeline on an embedded synthetic corpus, offline"
	@echo "make test              linters, types, layers, tests"
	@echo "make repro PARAMS=x    the pipeline on params/x.yaml (put in force as params.yaml)"
	@echo "make lint | format     linters alone | mend the format"
	@echo "make docs              the generated pages under docs/"

.venv/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "openus needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..."; exit 1; }
	@echo "setting up .venv (a few minutes the first time) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: .venv/.ready
	@$(MAKE) --no-print-directory repro PARAMS=smoke
	@echo
	@cat results/counts.md
	@echo
	@echo "shards            $(CURDIR)/corpus/shards"
	@echo "manifest          $(CURDIR)/corpus/manifest.parquet"
	@echo "contact sheet     $(CURDIR)/results/contact_sheet.png"
	@echo "reconstruction    $(CURDIR)/results/reconstruction.png"
	@echo "encoder           $(CURDIR)/results/pretrain/encoder"
	@echo "evaluation table  $(CURDIR)/results/report.md"

repro: .venv/.ready
	@test -f params/$(PARAMS).yaml || { echo "there is no params/$(PARAMS).yaml"; exit 2; }
	@cmp -s params/$(PARAMS).yaml params.yaml || cp params/$(PARAMS).yaml params.yaml
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/.ready
	$(BIN)/python -m docs.generate

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

clean:
	rm -rf .venv data staging corpus results .pytest_cache .mypy_cache .ruff_cache .hypothesis
