# Everything works from a bare clone and again on a warm one. `make` alone lists the targets.
# Variables: PYTHON=python3.11   TORCH_INDEX=https://download.pytorch.org/whl/cpu   MINUTES=60   FOLDER=...   ONLY=...

BIN := .venv/bin
READY := .venv/.ready
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
TORCH_INDEX ?=
TORCH ?= yes
MINUTES ?= 60
FOLDER ?= tests/magi/golden
PYTEST_ARGS ?= -n 2 --dist worksteal

# Every process would compile the code again, and the tests start many.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lowest check check-types check-rest fix bench bench-engine bench-causal bench-gpu \
	bench-cluster bench-contention bench-diffusers bench-server bench-router bench-signing bench-watermark kill-matrix money-bench \
	kill-engine cut-cable hostile fuzz licences open-servers wire frameworks containers adherence parity snapshots train clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## Make a video from a storyboard of four prompts: out/demo.mp4, .json, .png
	@mkdir -p out
	@$(BIN)/media-agent generate "a red circle moving right on a black background" \
		--shot "a green square moving down on a navy background@2" \
		--shot "a yellow triangle moving up and left on a gray background@2" \
		--shot "a blue circle on a white background@2" \
		--duration 8 --seed 7 --out out/demo.mp4 --sheet out/demo.png --overwrite

test: check ## Check, then run the tests (a quarter of an hour on two cores)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

test-all: ## Run the tests with each Python that this machine has: 3.11, 3.12, 3.13 (TORCH=no: without torch)
	@"$(PYTHON)" tools/every_python.py --torch-index "$(TORCH_INDEX)" $(if $(filter no,$(TORCH)),--without-torch) -- -m "not gpu" $(PYTEST_ARGS)

lowest: ## Install the lowest versions that pyproject.toml allows, and try them
	@"$(PYTHON)" tools/lowest.py

check: $(READY) ## Formatting, lint, types (of others' code too) and import contracts
	@$(MAKE) --no-print-directory --jobs=2 check-types check-rest

check-types:
	@$(BIN)/mypy

# Beside mypy, which takes one core: what is short, and compiling the tests once for all processes.
check-rest:
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python tools/check_from_outside.py
	@$(BIN)/python -m pytest --collect-only >.venv/collected.log || { cat .venv/collected.log; exit 1; }

fix: $(READY) ## Format the code and mend what the linter can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY) ## Measure magi/tiny on this machine into benchmarks/results/, against itself of before (half an hour)
	@$(BIN)/python benchmarks/engine.py --repeats 9 --before 0c380e81

bench-engine: $(READY) ## Memory and time over 600 chunks, against the published algorithm (half an hour)
	@$(BIN)/python -m benchmarks.endless.run

bench-causal: $(READY) ## Memory and time over 600 blocks of a causal Wan model of random weights, and 10 kills of small ones (ten minutes)
	@$(BIN)/python -m benchmarks.endless.run --causal
	@$(BIN)/python -m benchmarks.kill_engine --model wan-causal --kills 10 --chunks 60

bench-gpu: $(READY) ## MAGI-1 4.5B on this GPU: time, MFU and memory of a chunk, random weights (nine minutes; ARGS=--rehearse or ARGS=--count without one)
	@$(BIN)/python -m benchmarks.gpu.run $(ARGS)

bench-contention: $(READY) ## What a busy neighbour costs a video of magi/tiny (six minutes)
	@$(BIN)/python benchmarks/contention.py

bench-cluster: $(READY) ## Workers over Postgres: scaling, 10,000 jobs that wait, kills, an outage, a cut cable (half an hour; root)
	@$(BIN)/python benchmarks/cluster.py

bench-diffusers: $(READY) ## Time and memory of local models beside plain diffusers (five minutes)
	@$(BIN)/python benchmarks/local_models.py

bench-router: $(READY) ## The router that learns beside an oracle and simple rules, in simulated weeks of six offers (ten minutes; ARGS="--seeds 4")
	@$(BIN)/python -m benchmarks.router.run $(ARGS)

bench-signing: $(READY) ## What signing videos of 1 to 600 MB costs in time and memory (two minutes, 2 GB of disk)
	@$(BIN)/python benchmarks/signing.py

bench-server: $(READY) ## The server beside LiteLLM's proxy, on one mock upstream (installs it into .venv-litellm; five minutes)
	@$(BIN)/python -m benchmarks.server.run

bench-watermark: $(READY) ## Read watermarks after encoding, scaling and more, of clips in FOLDER, and look for them in 10,000 videos without (half an hour)
	@$(BIN)/python benchmarks/watermark.py $(FOLDER)

fuzz: $(READY) ## Odd replies, settings, requests, ledgers, states, images, videos and calls, MINUTES each (ONLY="media kept" chooses)
	@$(BIN)/python benchmarks/fuzz.py $(if $(filter file,$(origin MINUTES)),--minutes 5,--minutes $(MINUTES)) $(if $(ONLY),--only $(ONLY))

licences: $(READY) ## List the licence of all that an install brings, by extra; fail where one is not allowed
	@$(BIN)/python tools/licences.py

adherence: $(READY) ## Count how often magi/tiny shows what its prompt says
	@mkdir -p benchmarks/results
	@$(BIN)/python -m media_agent_magi.adherence --json benchmarks/results/adherence.json
	@$(BIN)/python -m media_agent_magi.adherence --switch --chunks 4 --json benchmarks/results/adherence-switched.json
	@$(BIN)/python -m media_agent_magi.adherence --from-truth --chunks 3 --json benchmarks/results/adherence-continued.json
	@$(BIN)/python -m media_agent_magi.adherence --restyle 0.6 --json benchmarks/results/adherence-restyled.json

kill-matrix: $(READY) ## Kill the process after each step of paid jobs, 108 cells and 50 at random; nothing may be paid twice (ARGS="--runner dbos": workers over Postgres)
	@$(BIN)/python -m benchmarks.kill_matrix $(ARGS)

money-bench: $(READY) ## 1,000 jobs through lost replies, 5xx, expired addresses and kills: paid twice, lost, unanswered; beside LiteLLM's Router, genblaze and fal-client (installs them into .venv-money-*; ten minutes)
	@$(BIN)/python -m benchmarks.money.run

kill-engine: $(READY) ## Kill videos of magi/tiny 20 times and resume them; every frame must be the same
	@$(BIN)/python -m benchmarks.kill_engine

cut-cable: $(READY) ## Cut the cable between a worker and Postgres for a minute (root, Linux); it stops before another one goes on
	@$(BIN)/python -m benchmarks.cut_cable

hostile: $(READY) ## 300 odd upstreams and 300 random kills from outside (an hour); no video lost, none paid twice
	@$(BIN)/python benchmarks/hostile/attack.py

open-servers: $(READY) ## Run the released routes of SGLang, vLLM-Omni and FastVideo without a GPU against the backend (five minutes)
	@$(BIN)/python benchmarks/open_servers/run.py

wire: $(READY) ## Record what the SDKs of providers send, for the tests (installs them into .venv-wire; two minutes)
	@$(BIN)/python -m benchmarks.wire.record

frameworks: $(READY) ## Run the agent tools in pydantic-ai, openai-agents and LangChain (installs them into .venv-frameworks; a minute)
	@$(BIN)/python tools/frameworks.py

containers: $(READY) ## Lint the images and the compose file, and run what they start in a bare environment (three minutes)
	@$(BIN)/python tools/containers.py

parity: $(READY) ## Compare the engine with the golden data in FOLDER
	@$(BIN)/python -m media_agent_magi.parity $(FOLDER)

snapshots: $(READY) ## Rewrite the committed JSON Schemas, CLI help, pages of providers, wire equality and hardware; review the diff
	@$(BIN)/python -m media_agent_schemas.export
	@$(BIN)/python tools/cli_help.py
	@$(BIN)/python tools/provider_page.py
	@$(BIN)/python tools/wire_page.py
	@$(BIN)/python tools/hardware_page.py
	@$(BIN)/python tools/server_page.py
	@$(BIN)/python tools/python_reference.py

train: $(READY) ## Train magi/tiny for MINUTES, from where runs/tiny stands
	@$(BIN)/python -m media_agent_magi.training --minutes $(MINUTES)

clean: ## Remove caches and out/, keep .venv
	@rm -rf out dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The stamp makes a warm run do nothing.
$(READY): pyproject.toml constraints.txt tools/setup_venv.py
	@if [ -z "$(PYTHON)" ]; then \
		echo "setup: no Python 3.11 or newer found; install one, or name it: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; fi
	@command -v "$(PYTHON)" >/dev/null || { echo "setup: there is no $(PYTHON) on this machine" >&2; exit 1; }
	@"$(PYTHON)" tools/setup_venv.py --torch-index "$(TORCH_INDEX)"
	@touch $@
