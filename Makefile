# `make quickstart` and `make test` need git, make and Python 3.11 or later; both make their own virtual environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart test docs results lint format clean

$(BIN)/python:
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), 'Python 3.11 or later is needed: make PYTHON=...'"
	$(PYTHON) -m venv $(VENV)

# Each target installs the extra that it needs, once.
$(BIN)/.installed-%: pyproject.toml setup.cfg constraints.txt | $(BIN)/python
	@echo "installing into $(VENV): some minutes"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$*]"
	touch $@

quickstart: $(BIN)/.installed-quickstart
	$(BIN)/python examples/quickstart.py

test: $(BIN)/.installed-dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

docs: $(BIN)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

results: $(BIN)/.installed-dev
	$(BIN)/python results/render.py

lint: $(BIN)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(BIN)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) site build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
