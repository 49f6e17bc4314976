# Every target does its own set-up: a virtual environment in .venv with the pinned packages, re-used afterwards.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python -m youku

# What `make pairs`, `train`, `submission`, `score`, `report` and `rehearsal` work on; override on the command line.
# ARGS goes to the first target that is named, PREDICT_ARGS, SCORE_ARGS and REPORT_ARGS to those verbs wherever they run.
ARGS ?=
PREDICT_ARGS ?=
SCORE_ARGS ?=
REPORT_ARGS ?=
RECIPE ?= 1h
NAME ?= $(RECIPE)
# ground truth is there for the rehearsal alone, so that is what is scored; what is sent is made for the test clips
TEST_SET ?= $(if $(filter score report rehearsal,$(MAKECMDGOALS)),val,round1-test)
LOW ?= data/clips/$(if $(filter val round1-val,$(TEST_SET)),val,test)
HIGH ?= $(LOW)
INTO ?= train
WEIGHTS ?= runs/$(NAME)
# a tweak of predict is in the name, so that it lies beside the plain one: 1h-val-ensemble
SUBMISSION ?= $(NAME)-$(TEST_SET)$(shell printf %s '$(subst ','\'',$(OF_PREDICT))' | sed 's/[^A-Za-z0-9.]\{1,\}/-/g; s/^-*/-/; s/-*$$//')
PREDICTIONS ?= runs/$(NAME)/predictions/$(SUBMISSION)
OF_PREDICT = $(strip $(PREDICT_ARGS) $(call args,submission) $(call args,rehearsal))
args = $(if $(filter $(1),$(firstword $(filter-out setup,$(MAKECMDGOALS)))),$(ARGS))

.DEFAULT_GOAL := help
.PHONY: help setup download pairs train submission score report rehearsal notebooks demo bench benchmarks lint test test-kernels browser doctor clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-13s %s\n", $$1, $$2}'

$(VENV)/.ready: requirements.txt pyproject.toml $(wildcard youku/video/kernels.c)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "youku needs Python 3.11 or newer; $(PYTHON) is older: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet -r requirements.txt -e '.[dev]'
	@touch $@

setup: $(VENV)/.ready ## create .venv and install the pinned packages

download: setup ## fetch, unpack and verify the contest's clips (ARGS="--round 1 --split val")
	$(RUN) download $(call args,download)

pairs: setup ## contest-shaped pairs of your own video: FROM=holiday.mp4, INTO=val for those that are held out
	@test -n '$(FROM)' || { echo "expected FROM=your_video.mp4 (or a folder of videos), INTO=train or INTO=val"; exit 2; }
	@case '$(INTO)' in train | val) ;; *) echo 'INTO=$(INTO): expected INTO=train or INTO=val'; exit 2;; esac
	$(RUN) degrade '$(FROM)' data/clips/$(INTO) --preset youku $(if $(findstring --split-every,$(ARGS)),,--split-every 100) $(call args,pairs)

train: setup ## train RECIPE on data/clips/train into runs/NAME (ARGS="--amp")
	$(RUN) train $(if $(wildcard runs/$(NAME)/last.pt),--resume runs/$(NAME),--recipe $(RECIPE) --name $(NAME)) $(call args,train)

submission: setup ## predict what is missing for TEST_SET with runs/NAME, check every rule, pack the zip
	$(RUN) predict $(LOW) $(PREDICTIONS) --weights $(WEIGHTS) --frames scored --test-set $(TEST_SET) $(OF_PREDICT)
	$(RUN) submit $(PREDICTIONS) --name $(SUBMISSION) --low $(LOW) --test-set $(TEST_SET)

score: setup ## score the rehearsal's submission against data/clips/val (SCORE_ARGS="--all")
	$(RUN) score submissions/$(SUBMISSION)/$(SUBMISSION).zip --low $(LOW) --high $(HIGH) --test-set $(TEST_SET) \
	  $(call args,score) $(SCORE_ARGS)

report: setup ## write the scored submission's report.html and the leaderboard
	$(RUN) report submissions/$(SUBMISSION) $(call args,report) $(REPORT_ARGS)
	$(RUN) report --leaderboard

rehearsal: submission score report ## all three on the clips of data/clips/val (PREDICT_ARGS="--ensemble" beside it)

notebooks: setup ## install jupyterlab and open the notebooks
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet -e '.[notebooks]'
	$(VENV)/bin/python -m jupyter lab notebooks $(if $(filter 0,$(shell id -u)),--allow-root) $(ARGS)

demo: setup ## the whole way on stand-in clips, under three minutes, no download
	$(RUN) demo $(ARGS)

doctor: setup ## check this machine
	$(RUN) doctor

bench: setup ## how fast this machine is, in two minutes
	$(RUN) bench $(ARGS)

benchmarks: setup ## run every script of benchmarks/ and show which figures moved since the last run
	$(VENV)/bin/python benchmarks/moved.py $(ARGS)

lint: setup ## style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

browser: # the report's tests need Chromium; installed where that needs no question, skipped with a reason elsewhere
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    apt-get update -qq && apt-get install -y -qq chromium >/dev/null; fi || true

test: lint browser ## style, types and all tests
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2 $(ARGS)

# Arithmetic differs from processor to processor: what holds on one instruction set must hold on all, and with one thread
# as with two. Two workers of one thread, or one worker of two: two of two would wait for each other on two cores.
test-kernels: setup browser ## all tests on the kernels of older processors, with one and with two threads
	@for kernels in "ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41" "ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2"; do \
	  for threads in 1 2; do \
	    echo "== $$kernels OMP_NUM_THREADS=$$threads"; \
	    env $$kernels OMP_NUM_THREADS=$$threads $(VENV)/bin/python -m pytest -n $$((2 / $$threads)) $(ARGS) || exit 1; \
	  done; \
	done

clean: ## remove the environment and caches (never data, runs or submissions)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
