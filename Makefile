# `make run` sets up what is missing and runs everything. `make help` lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := setup
.PHONY: setup lock horovod jars emulation run label notebooks test prove cluster check ui clean help

# A folder or URI of images for `make run` and `make label`; by default the simulated camera's.
export SOURCE ?=

# Workers that run test files in parallel. Each has its own Spark session, about 2 GB.
WORKERS ?= 2
SIDE_BY_SIDE := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# `make test SEED=7` runs files and the tests in them in the random order that 7 gives.
SEED ?=
ORDER = $(if $(SEED),--random-order --random-order-seed=$(SEED))

# What a shell has set for other programs. The steps see to the rest: steps/environment.py.
unexport PYTHONHOME PYTHONINSPECT PYTHONSTARTUP
LOOPBACK := localhost,127.0.0.1,::1
export no_proxy := $(or $(no_proxy),$(NO_PROXY),$(LOOPBACK)),$(LOOPBACK)
export NO_PROXY := $(no_proxy)
# `mlflow run` and `mlflow ui` report to their makers unless this is set
export MLFLOW_DISABLE_TELEMETRY ?= true
# `mlflow run` says nothing of its own, but why it fails
export MLFLOW_LOGGING_LEVEL ?= WARNING
# MLflow asks for the user's name, which a user ID in a container may lack
export LOGNAME ?= $(shell id -un 2>/dev/null || id -u)

PYTHON := .venv/bin/python
PROJECT := PATH="$$PWD/.venv/bin:$$PATH" mlflow run . --env-manager local

setup: ## Build what is missing of .venv, .venv-edge, the Horovod wheel, Delta's jars and an archive of Spark's classes; GPU=1 for CUDA
	@setup/machine.sh
	@setup/environments.sh

lock: ## Make requirements.lock and requirements-gpu.lock from conda.yaml again
	@setup/lock.sh

horovod: ## Compile the Horovod wheel into the cache, if it is missing
	@setup/machine.sh
	@setup/horovod.sh

jars: ## Fetch Delta's jars into the cache, if they are missing
	@$(PYTHON) -m steps.lake.jars

emulation: ## Build what the device's tests need: an emulated Pi and a virtual camera
	@setup/machine.sh
	@setup/emulation.sh

run: setup ## Run the pipeline and score as a device: make run [SOURCE=folder-or-URI] [TEST=folder]
	@set -e; [[ -z $$MLFLOW_TRACKING_URI ]] || $(PYTHON) -m steps.pipeline.outages; \
	source_="$$SOURCE"; camera=test-set; \
	if [[ -z $$source_ ]]; then \
	    source_=data/landing; camera=simulated; \
	    .venv-edge/bin/python -m edge capture --camera simulated --to "$$source_"; \
	fi; \
	$(PROJECT) -P source="$$source_" $(if $(filter command,$(origin TEST)),-P test="$$TEST"); \
	$(PROJECT) -e device -P camera="$$camera"

label: setup ## Label images on a page in the browser: make label [SOURCE=folder-or-URI]
	@$(PROJECT) -e label $(if $(SOURCE),-P source="$$SOURCE")

notebooks: setup ## Run the notebooks, and show them in docs/notebooks.md
	@$(PYTHON) -m notebooks.render

test: setup ## Run the tests: make test [ARGS="-k name"]
	@$(PYTHON) -m pytest -m "not proof and not cluster" $(SIDE_BY_SIDE) $(ORDER) $(ARGS)

prove: export EMULATED ?= agent outbox update/test_crashing_models.py
prove: setup ## Run the long tests that kill and break things repeatedly; KILLS=50 for more
	@$(PYTHON) -m pytest -m "proof and not cluster" $(SIDE_BY_SIDE) $(ORDER) $(ARGS)

cluster: setup ## Run the pipeline on a cluster that is started on this machine
	@setup/cluster.sh
	@$(PYTHON) -m steps.lake.jars s3
	@$(PYTHON) -m pytest -m cluster tests/cluster $(ARGS)

check: setup ## Check lint, format and types, and run the fast tests
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports --no-logo
	@$(PYTHON) -m pytest -m "not slow and not proof and not cluster" $(SIDE_BY_SIDE) $(ORDER) $(ARGS)

ui: setup ## Serve MLflow's pages on this machine only
	@PATH="$$PWD/.venv/bin:$$PATH" mlflow ui --host 127.0.0.1

clean: ## Remove the environments; data, runs and the cache stay
	rm -rf .venv .venv-edge .venv-cluster

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10
