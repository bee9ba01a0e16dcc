# One command on a fresh machine: `make simulate` or `make test`. Each makes .venv, installs the pinned lock and
# then does its work; a second call installs nothing.
#
#   PYTHON=python3.12           interpreter for .venv (3.11 or 3.12; found by itself when left out)
#   TORCH_FLAGS="--index-url …" where pip looks for torch: choose a CPU or GPU build
#   ARGS="rounds=5 seed=3"      overrides for `make simulate`, options for pytest in `make test`

PYTHON ?=
VENV ?= .venv
TORCH_FLAGS ?=
ARGS ?=

BIN := $(VENV)/bin
# --no-compile: torch alone would be compiled for half a minute; Python compiles what it imports.
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet --no-compile
UV := $(BIN)/uv
SOURCES := fedmce server client simulations
CODE := $(SOURCES) tests benchmarks hatch_build.py
EXISTING = $(wildcard $(CODE))

# Flower neither reports home, nor looks for updates, nor installs an app's dependencies at run time.
export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1
export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION := 1
export HYDRA_FULL_ERROR := 0
# An environment that the caller works in must not leak into ours.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE VIRTUAL_ENV

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install install-dev install-oracle simulate study-quick deploy-demo faults test test-slow test-all format lint types floors static check bench ablation mutation lock clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-24s%s\n", $$1, $$2}'

# --- installation: one stamp per step, set last, so that an interrupted step is done again ---------------------

$(VENV)/.created:
	@for python in $(if $(PYTHON),$(PYTHON),python3.11 python3.12 python3 /usr/bin/python3.11 /usr/bin/python3.12); do \
	  if $$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then \
	    echo "install: new environment $(VENV) with $$python"; \
	    $$python -m venv --clear $(VENV) && touch $@; exit; \
	  fi; \
	done; \
	echo "install: no Python 3.11 or 3.12 with its venv module was found; install one (Debian: python3.11-venv)" \
	     "or name it: make PYTHON=/path/to/python3.11" >&2; exit 1

# An interrupted step may leave half a library that pip takes for whole, so its next try installs all of it anew.
step = @again=$$(test -e $@.begun && echo --ignore-installed); touch $@.begun && \
  $(PIP) $$again $(1) && rm $@.begun && touch $@
# The lock is the whole truth: nothing is resolved, nothing unlocked is downloaded, not even to build.
LOCKED := --require-hashes --no-deps --no-build-isolation

$(VENV)/.torch: requirements/torch.txt | $(VENV)/.created
	@echo "install: torch (the largest download: 0.2 to 3 GB, by build)"
	$(call step,$(TORCH_FLAGS) -r requirements/torch.txt)

$(VENV)/.lock: requirements/lock.txt $(VENV)/.torch
	@echo "install: libraries"
	$(call step,$(LOCKED) --use-pep517 -r requirements/lock.txt)

$(VENV)/.app: pyproject.toml hatch_build.py $(VENV)/.lock
	@echo "install: fedmce"
	$(call step,--no-deps --no-build-isolation --editable .)
	@$(BIN)/python -m pip check || { rm $@; exit 1; }
	-@$(BIN)/fedmce --help >/dev/null # a first start compiles what it imports: here, not under the user's eyes

$(VENV)/.dev: requirements/dev.txt $(VENV)/.app
	@echo "install: development tools"
	$(call step,$(LOCKED) --only-binary :all: -r requirements/dev.txt)

$(VENV)/.oracle: requirements/oracle.txt $(VENV)/.dev
	@echo "install: oracles (0.4 GB)"
	$(call step,$(LOCKED) --only-binary :all: -r requirements/oracle.txt)
	@$(BIN)/python -m pip check || { rm $@; exit 1; }

install: $(VENV)/.app  ## make .venv with everything a run needs
install-dev: $(VENV)/.dev  ## and what tests and checks need
install-oracle: $(VENV)/.oracle  ## and the large libraries that some tests compare with

# --- work -----------------------------------------------------------------------------------------------------

simulate: $(VENV)/.app  ## train the default federation and write its report; ARGS="overrides"
	@$(BIN)/fedmce run $(ARGS)

study-quick: $(VENV)/.app  ## the smallest study, on embedded data in minutes; ARGS="overrides"
	@$(BIN)/fedmce study study=quick $(ARGS)

deploy-demo: $(VENV)/.app  ## a federation of real processes on this machine: TLS, keys, proxy; ARGS="overrides"
	@rm -rf runs/deploy-demo && $(BIN)/fedmce deploy-demo --out runs/deploy-demo $(ARGS)

faults: $(VENV)/.oracle  ## the fault suite: every case of every group, real processes included; ARGS="options of pytest"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest $$($(BIN)/python -m tests.faults.cases --files) \
		-n auto --dist loadfile --no-loadscope-reorder $(ARGS)

test: $(VENV)/.dev  ## the quick tests, on all cores; ARGS="options of pytest"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not processes" -n auto --dist loadfile $(ARGS)

test-slow: $(VENV)/.oracle  ## the other tests: wheel, bundle, Flower's engine, journeys
	@$(BIN)/python -m pytest -m "slow and not processes" -n auto --dist loadfile $(ARGS)

test-all: $(VENV)/.oracle  ## all tests
	@$(BIN)/python -m pytest $(ARGS)

format: $(VENV)/.dev  ## rewrite the code in the project's format
	@$(BIN)/ruff format $(EXISTING)
	@$(BIN)/ruff check --fix $(EXISTING)

lint: $(VENV)/.dev  ## format and lint, changing nothing
	@$(BIN)/ruff format --check $(EXISTING)
	@$(BIN)/ruff check $(EXISTING)

types: $(VENV)/.dev  ## mypy --strict
	@$(BIN)/python -m mypy --strict $(SOURCES)

floors: $(VENV)/.dev  ## who may import whom
	@$(BIN)/lint-imports --no-cache

static: lint types floors  ## all checks that run no test

check: static test-all  ## static checks, then all tests (with the listings of wheel and bundle)

bench: $(VENV)/.dev  ## measure costs and errors into runs/bench.json (ARGS="steps memory" for some)
	@mkdir -p runs
	@$(BIN)/python -m benchmarks $(ARGS)

ablation: $(VENV)/.dev  ## run what is missing of docs/ablation.md and write it; ARGS="--data-dir data"
	@$(BIN)/python -m benchmarks.ablation --write docs/ablation.md $(ARGS)

mutation: $(VENV)/.oracle  ## try mutants of the method's code on its tests (an hour and more); ARGS="names of mutants"
	@$(BIN)/python -m pip install --quiet "mutmut==3.8.1" # for this alone: not among the locked tools
	@CI=1 OMP_NUM_THREADS=1 $(BIN)/mutmut run $(ARGS)

# uv comes with Flower. No index is named: checksums, not places, say what is installed.
COMPILE = $(UV) pip compile --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --quiet \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links --constraint requirements/torch.txt
ONLY_NEW = $$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/--no-emit-package \1/p' $(1)) --no-emit-package torch
lock: $(VENV)/.lock  ## resolve requirements/*.txt anew
	$(COMPILE) pyproject.toml requirements/build.in --no-emit-package torch --output-file requirements/lock.txt
	$(COMPILE) pyproject.toml --extra dev --constraint requirements/lock.txt \
	  $(call ONLY_NEW,requirements/lock.txt) --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --extra dev --extra oracle --constraint requirements/lock.txt --constraint requirements/dev.txt \
	  $(call ONLY_NEW,requirements/lock.txt requirements/dev.txt) --output-file requirements/oracle.txt

clean:  ## remove the environment, caches and builds; runs stay
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .flwr-home *.fab
