# Every target sets up what it needs: python3, make and a package index are enough.
PYTHON ?= python3
VENV ?= .venv
IMAGENET ?= imagenet
BIN := $(VENV)/bin

.PHONY: demo test check bench clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,rtx,report,ssh,web,mqtt,dev]'
	touch $@

demo: $(VENV)/.installed  ## the whole story on this machine: data, training, INT8, engines, live loop, report
	$(BIN)/edgekit demo --out demo

test: $(VENV)/.installed  ## every test that this machine can run; the others say why they were skipped
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.installed  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed  ## the figures quoted in README: make bench IMAGENET=DIR
	$(BIN)/python -m benchmarks $(IMAGENET)

clean:
	rm -rf $(VENV) demo build .mypy_cache .ruff_cache .pytest_cache
