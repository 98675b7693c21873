#!/bin/sh
# Loads every scorer's model of the recipes once, and fetches what their captioners ask, so that it lies in the image
# ($HF_HOME), and workers fetch nothing.
# Usage: cache_models.sh FOLDER RECIPE ...  FOLDER is an environment with pairmill.
set -eu

venv=$1
shift
"$venv/bin/python" - "$@" <<'PROGRAM'
import sys

from beam_jobs.recipes import load_recipe
from captioners.model_folders import find_model
from filters.loading import load_model
from filters.registry import make_scorers

for name in sys.argv[1:]:
    recipe = load_recipe(name)
    scorers = make_scorers(recipe.score)
    beside = {scorer.label: scorer for scorer in scorers}
    for scorer in scorers:
        load_model(scorer, "cpu", beside)
        print(f"{name}: {scorer.label}", flush=True)
    for captioner in recipe.recaption.captioners:
        place = find_model(captioner.engine.model)
        if captioner.engine.engine in ("transformers", "vllm") and not place.is_local:
            from huggingface_hub import snapshot_download

            snapshot_download(place.location)
            print(f"{name}: {captioner.label}", flush=True)
PROGRAM
