# make all ASSET=tiger [PROMPT="a tiger walking"]   everything that is stale, from the asset to the video and the page
# make all ASSET=path/to/my.glb PROMPT="..."        the same for a model of your own
# make prior [PRIOR=runs/prior]                     train the built-in video model; again goes on, PRIOR_FLAGS="--minutes 600" goes on longer
# make test | make docs | make bench | make clean   tests, this documentation as a site, benchmarks, forget the built environment (runs/ stays)
# Extra flags per stage: RIG_FLAGS=... DISTILL_FLAGS="--iterations 200" ... ; other places: RUNS=, VENV=, PYTHON=

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs
PRIOR ?= $(RUNS)/prior
TESTS ?= tests
WORKERS ?= 2
BIN := $(VENV)/bin
AKD := $(BIN)/akd
STAMP := $(VENV)/.installed
NODE := .node/node_modules/gltf-validator

quote = '$(subst ','\'',$(1))'
# a file rule cannot name a path with spaces: say so instead of building something else
ifneq ($(word 2,$(ASSET)),)
$(error ASSET="$(ASSET)": make cannot handle spaces in a path; rename the file, or run `akd` yourself)
endif
ASSET ?= tiger
NAME := $(shell $(PYTHON) akd_cli/slug.py --asset $(call quote,$(ASSET)))
# words of file names that name no animal
ODD := low high poly lowpoly res resolution model mesh static rigged final clean 0 1 2 3 4 5 6 7 8 9 v1 v2 v3
PROMPT ?= a $(strip $(filter-out $(ODD),$(subst -, ,$(NAME)))) walking
SLUG := $(shell $(PYTHON) akd_cli/slug.py $(call quote,$(PROMPT)))
# a path is a prerequisite, a built-in name is not
SOURCE := $(if $(or $(findstring /,$(ASSET)),$(findstring .,$(ASSET))),$(ASSET))

W := $(RUNS)/$(NAME)
# a change of them may make stages stale
CONFIG := $(wildcard akd.toml $(W)/akd.toml)
M := $(W)/motions/$(SLUG)
RUN = $(AKD) $(1) --workspace $(W)

.PHONY: all asset rig skin splat distill track render status prior install test lint docs bench clean
all: render
asset: $(W)/asset.h5
rig: $(W)/rig.h5
skin: $(W)/skin.h5
splat: $(W)/splat.h5
distill: $(M)/distill.h5
track: $(M)/track.h5
render: $(M)/index.html

# one rule a stage: make compares time stamps, akd compares contents and touches what is fresh already
$(W)/asset.h5 $(W)/asset.glb &: $(SOURCE) $(CONFIG) | $(STAMP)
	$(call RUN,asset) $(ASSET) $(ASSET_FLAGS)
$(W)/rig.h5 $(W)/rig.glb &: $(W)/asset.h5 $(CONFIG)
	$(call RUN,rig) $(RIG_FLAGS)
$(W)/skin.h5 $(W)/skin.glb &: $(W)/rig.h5 $(CONFIG)
	$(call RUN,skin) $(SKIN_FLAGS)
$(W)/splat.h5 $(W)/splat.ply &: $(W)/skin.h5 $(CONFIG)
	$(call RUN,splat) $(SPLAT_FLAGS)
$(M)/distill.h5 $(M)/distill.glb &: $(W)/splat.h5 $(CONFIG)
	$(call RUN,distill) --prompt $(call quote,$(PROMPT)) $(DISTILL_FLAGS)
$(M)/track.h5 $(M)/track.glb &: $(M)/distill.h5 $(CONFIG)
	$(call RUN,track) --motion $(SLUG) $(TRACK_FLAGS)
$(M)/render.json $(M)/render.mp4 $(M)/render.png $(M)/index.html &: $(M)/track.h5 $(CONFIG)
	$(call RUN,render) --motion $(SLUG) --html $(RENDER_FLAGS)

status: $(STAMP)
	$(call RUN,status)

# hours on a CPU; what was begun goes on from its last checkpoint
prior: $(STAMP)
	$(AKD) prior train --out $(PRIOR) $(PRIOR_FLAGS)

install: $(STAMP)
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

# the Khronos validator checks what we export; only the tests use it, and they say so where it is missing
$(NODE):
	npm install --silent --no-save --no-audit --no-fund --prefix .node gltf-validator@2.0.0-dev.3.10 \
	  || echo "the Khronos glTF validator could not be installed by npm: tests that need it will be skipped" >&2

test: $(STAMP) $(if $(wildcard $(NODE)),,$(NODE))
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(TESTS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# the documentation as a site that opens from disk: build/site/index.html
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# all benchmarks, one after another; refreshes docs/performance.md
bench: $(STAMP)
	$(BIN)/python -m tests.bench $(BENCH)

clean:
	rm -rf $(VENV) .node build *.egg-info .pytest_cache .ruff_cache .hypothesis
