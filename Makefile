.DEFAULT_GOAL := help
.PHONY: help setup demo rehearse rehearse-videos rehearse-search compare-networks compare-orders ablate reproduce-ckplus reproduce-oulu benchmark-ravdess benchmark-crema-d dashboard test test-slow torture bench bench-gpu lint prepare-ckplus prepare-oulu

PYTHON ?= python3
BIN := .venv/bin
# Where the corpora lie; conf/data reads them from the environment.
CKPLUS_ROOT ?=
OULU_ROOT ?=
RAVDESS_ROOT ?=
CREMA_D_ROOT ?=
export CKPLUS_ROOT OULU_ROOT RAVDESS_ROOT CREMA_D_ROOT
# The study that the dashboard shows, by its folder or by the URL of its database.
STUDY ?=
STORAGE ?=
export STUDY STORAGE

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: .venv/ready ## Make .venv with everything that fer3d, its tests and the synthetic twin need

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fer3d needs Python 3.11 or newer; make PYTHON=python3.11 setup")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[synthetic,dashboard,cluster,parquet,export,openvino,videomae,dev]'
	touch $@

demo: setup ## Synthetic twin of CK+ -> faces -> one trained fold -> predictions on a video, in about ten minutes on two cores
	$(BIN)/python -m fer3d.prepare
	$(BIN)/python -m fer3d.train +fold=3 save_checkpoint=true
	@set -e; fold=$$(ls -dt outputs/synthetic-kfold10-compact-*/fold_003 | head -n 1); \
	$(BIN)/python -m fer3d.twin.scene outputs/demo/people.mp4 --twin outputs/corpora/synthetic_ckplus \
	  --held-out-by $$fold/result.json; \
	$(BIN)/python -m fer3d.predict outputs/demo/people.mp4 --with $$fold/last.ckpt --out outputs/demo \
	  --window 0.6 --overlay --timeline outputs/demo/people.png --page; \
	echo; \
	echo "The faces that were found:  $$(ls -d outputs/clips/synthetic-*/contact_sheet.png)"; \
	echo "The fold's result:          $$fold/result.json"; \
	echo "Predictions on a video:     outputs/demo/people.png, and as a page outputs/demo/people.mp4.html"

rehearse: setup ## Everything that the paper reports, in small and on synthetic data: within half an hour on two cores
	$(BIN)/python -m fer3d.reproduce rehearsal

rehearse-videos: setup ## Train on own videos, and the benchmarks, on synthetic videos: a quarter of an hour on two cores
	$(BIN)/python -m fer3d.reproduce rehearsal_videos

compare-networks: setup ## All networks on the same folds, in small and on synthetic data, with three seeds: an hour on two cores
	$(BIN)/python -m fer3d.reproduce networks

compare-orders: setup ## What each of these networks loses with shuffled frames: 40 minutes more on two cores
	$(BIN)/python -m fer3d.reproduce orders

ablate: setup ## The paper's ten choices one at a time, in small and on synthetic data, with three seeds: an hour and a half on two cores
	$(BIN)/python -m fer3d.train search=ablation model=cnn3d cv=kfold10 hydra/sweeper/sampler=random \
	  hydra.sweeper.n_trials=30 hydra.sweeper.study_name=ablation \
	  hydra/launcher=joblib hydra.launcher.n_jobs=2 hydra.sweeper.n_jobs=2 logger=csv
	$(BIN)/python -m fer3d.reproduce ablation --study outputs/search/ablation

rehearse-search: setup ## A search in small on synthetic data, and its report: a quarter of an hour on two cores
	$(BIN)/python -m fer3d.train search=rehearsal hydra.sweeper.study_name=rehearsal \
	  hydra/launcher=joblib hydra.launcher.n_jobs=2 hydra.sweeper.n_jobs=2 logger=csv
	$(BIN)/python -m fer3d.report --study outputs/search/rehearsal

reproduce-ckplus: setup ## Everything that the paper reports on CK+: make reproduce-ckplus CKPLUS_ROOT=/data/ckplus
	@$(BIN)/python -m fer3d.reproduce ckplus

reproduce-oulu: setup ## The same on Oulu-CASIA: make reproduce-oulu OULU_ROOT=/data/oulu
	@$(BIN)/python -m fer3d.reproduce oulu

benchmark-ravdess: setup ## The literature's protocol on RAVDESS: make benchmark-ravdess RAVDESS_ROOT=/data/ravdess
	@$(BIN)/python -m fer3d.reproduce ravdess

benchmark-crema-d: setup ## The same on CREMA-D: make benchmark-crema-d CREMA_D_ROOT=/data/crema-d
	@$(BIN)/python -m fer3d.reproduce crema_d

dashboard: setup ## Look at a search in the browser: make dashboard STUDY=outputs/search/NAME (or STORAGE=URL)
	@study="$${STUDY:-$$(ls -d outputs/search/*/ 2>/dev/null | head -n 1)}"; \
	if [ -z "$$study$$STORAGE" ]; then \
	  echo "there is no study in outputs/search yet: make dashboard STUDY=outputs/search/NAME" >&2; exit 1; \
	fi; \
	exec $(BIN)/optuna-dashboard "$${STORAGE:-sqlite:///$${study%/}/study.db}"

# Without bytecode, which containers often turn off, every worker rewrites all assertions at every start.
test: export PYTHONDONTWRITEBYTECODE =
test: setup ## Run the tests
	$(BIN)/python -m pytest -n auto --dist loadfile

test-slow: setup ## Run the slow tests: the real thing at full size
	$(BIN)/python -m pytest -m slow

torture: setup ## Attack fer3d with damaged input, wrong settings and kills: 25 minutes on two cores
	$(BIN)/python -m torture

bench: setup ## Measure speed against baselines and targets, on a CPU: at most 20 minutes on two cores
	$(BIN)/python benchmarks/bench.py --json bench.json

bench-gpu: setup ## The same on a GPU: at most 8 minutes
	$(BIN)/python benchmarks/gpu.py --json bench-gpu.json

lint: setup ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

prepare-ckplus: setup ## Find and crop the faces of CK+: make prepare-ckplus CKPLUS_ROOT=/data/ckplus
	$(BIN)/python -m fer3d.prepare data=ckplus

prepare-oulu: setup ## Find and crop the faces of Oulu-CASIA: make prepare-oulu OULU_ROOT=/data/oulu
	$(BIN)/python -m fer3d.prepare data=oulu_casia
