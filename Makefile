# The whole developer interface. CI calls the same targets.
#
#   make demo    show Tutti at work on this machine
#   make test    lint, types, import walls, tests
#   make bench   measure
#   make nemesis kill workers at every gap of the hand-over, 200 seeded times
#   make mutate  change governance on purpose and see whether a test notices (hours)
#   make env     only build .venv (the others do it when needed)
#   make lock    resolve the dependencies again
#   make clean   remove what the targets above made
#
# Another interpreter: make env PYTHON=/path/to/python3.12

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test bench nemesis mutate env lock clean FORCE

BIN := .venv/bin
STAMP := .venv/.ready
PYTHON ?=
# Doubly quiet: errors still show, the chatter about indexes and versions does not.
PIP := $(BIN)/python -m pip -qq --no-input
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The stamp names the checkout it was made for. A copied or moved checkout, or an interpreter that
# has since been removed, therefore counts as no environment at all.
MADE_FOR := $(shell test -x $(BIN)/python && cat $(STAMP) 2>/dev/null)
ifneq ($(MADE_FOR),$(CURDIR))
$(STAMP): FORCE
endif

help:
	@sed -n 's/^#   //p' Makefile

demo: $(STAMP)
	@$(BIN)/tutti demo

bench: $(STAMP)
	@$(BIN)/python -m benchmarks

nemesis: $(STAMP)
	@$(BIN)/python -m tests.nemesis

mutate: $(STAMP)
	@$(BIN)/mutmut run

test: $(STAMP)
	@echo "== ruff check: lint"
	@$(BIN)/ruff check .
	@echo "== ruff format: layout"
	@$(BIN)/ruff format --check .
	@echo "== mypy: types"
	@$(BIN)/mypy
	@echo "== lint-imports: who may import whom"
	@$(BIN)/lint-imports --no-logo
	@echo "== pytest: behaviour"
	@$(BIN)/python -m pytest -n 2 --dist loadfile  # much of the time is waiting: two at a time halves it

env: $(STAMP)
	@:

# Which interpreter: PYTHON if given, else the first candidate that is new enough and can make
# environments. Trying each one matters: a version manager's shim may exist and still not run.
define find_python
	probe='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))'; \
	python=; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",python3 python3.14 python3.13 python3.12 python3.11); do \
		if "$$candidate" -c "$$probe" >/dev/null 2>&1; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "Tutti needs Python 3.11 to 3.14 with the venv module$(if $(PYTHON),; $(PYTHON) is not one,): install one or name it, as in make env PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi
endef

# The stamp is removed first and written last, so an interrupted set-up leaves no environment that
# counts. When only pyproject.toml changed, the packages are still the locked ones: the install of the
# lock is then skipped and only the checkout itself is registered again.
$(STAMP): requirements.lock pyproject.toml
	@set -e; \
	whole=yes; \
	if [ "$(MADE_FOR)" = "$(CURDIR)" ] && cmp -s requirements.lock .venv/.locked; then whole=no; fi; \
	rm -f $(STAMP); \
	if [ $$whole = yes ]; then \
		$(find_python); \
		echo "Setting up .venv with $$("$$python" --version) (once, about half a minute)"; \
		rm -rf .venv; \
		"$$python" -m venv .venv; \
		echo "  installing the locked packages"; \
		$(PIP) install --require-hashes --no-deps --only-binary :all: -r requirements.lock; \
		cp requirements.lock .venv/.locked; \
	fi; \
	echo "  registering this checkout"; \
	$(PIP) install --no-deps --no-build-isolation -e .; \
	echo "$(CURDIR)" > $(STAMP)

# The resolver lives in an environment of its own that is thrown away: it is no part of the project.
# --universal writes one file for every supported Python and platform; index addresses stay out of it.
# Delete requirements.lock first to move every package to its newest version.
lock:
	@set -e; \
	$(find_python); \
	tool=$$(mktemp -d); \
	trap 'rm -rf "$$tool"' EXIT INT TERM; \
	echo "Resolving requirements.lock"; \
	"$$python" -m venv "$$tool"; \
	"$$tool/bin/python" -m pip -qq install uv; \
	"$$tool/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-config --custom-compile-command "make lock" \
		--group dev --output-file requirements.lock pyproject.toml

# The local stack's data in .tutti stays: it may be wanted, and `tutti` is the one to delete it.
clean:
	@rm -rf .venv build dist mutants *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
