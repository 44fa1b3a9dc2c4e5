# Everything runs in .venv, which is made from the hashed lock when it is missing or out of date.
# To bring an environment of your own: make VENV=/path/to/it ...
PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2

SHELL := /bin/sh
export PATH := $(abspath $(VENV))/bin:$(PATH)
unexport PYTHONDONTWRITEBYTECODE
ifeq ($(VENV),.venv)
environment = @$(PYTHON) tools/bootstrap
else
environment = @:
export PYTHONPATH := $(CURDIR)
endif

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast open save check bench lock clean \
	dev check-text check-export check-style check-types check-layers check-project check-lessons

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run the reference project on real data, show its metrics
	$(environment) demo
	@dvc repro
	@echo
	@mlops-nb pipeline metrics
	@echo "Where to look:"
	@echo "  reports/             one executed notebook a stage"
	@echo "  metrics/ and plots/  all figures: dvc metrics show, dvc plots show"
	@echo "  the whole in Lab:    . $(VENV)/bin/activate && jupyter lab"

test: dev ## run every test, the fast ones first
	@pytest -n $(JOBS) --dist loadscope --cov=mlops_nb --cov-report=term:skip-covered $(PYTEST_ARGS)

test-fast: dev ## run the tests that take no kernel, pipeline or server
	@pytest -m "not slow" $(PYTEST_ARGS)

open: dev ## write the notebooks as text to .nbpy/
	@python tools/nbtext.py open

save: dev ## merge the edited texts into their notebooks; format, clean, export
	@python tools/nbtext.py save
	@ruff check -q --fix --exit-zero nbs; \
	{ ruff format -q nbs && nbdev-clean && nbdev-export; }; status=$$?; \
	python tools/nbtext.py open && exit $$status
	@ruff check -q nbs mlops_nb

check: check-text check-export check-style check-types check-layers check-project check-lessons ## find what does not agree; changes nothing
	@echo "check: all agree"

check-text: dev
	@python tools/nbtext.py check
check-export: dev
	@python tools/export_check.py
check-style: dev
	@ruff check -q . && ruff format -q --check .
check-types: dev
	@mypy --strict --no-error-summary
check-layers: dev
	@lint-imports --no-logo
check-project: dev
	@mlops-nb check
check-lessons: dev
	@nbdev-test

bench: dev ## compare with peers; writes benchmarks/RESULTS.md
	@python -m benchmarks

lock: dev ## compile requirements/*.txt from settings.ini (LOCK_ARGS=--upgrade for newer versions)
	@tools/lock $(LOCK_ARGS)

clean: ## remove caches and builds; keeps .venv, .nbpy/ and every run
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache .coverage .conformance
	@find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

dev:
	$(environment) dev
