#!/bin/sh
# Loads every scorer's model of the recipes once, so that what is fetched for it lies in the image ($HF_HOME).
# Usage: cache_models.sh FOLDER RECIPE ...  FOLDER is an environment with pairmill.
set -eu

venv=$1
shift
"$venv/bin/python" - "$@" <<'PROGRAM'
import sys

from beam_jobs.recipes import load_recipe
from filters.loading import load_model
from filters.registry import make_scorers

for name in sys.argv[1:]:
    scorers = make_scorers(load_recipe(name).score)
    beside = {scorer.label: scorer for scorer in scorers}
    for scorer in scorers:
        load_model(scorer, "cpu", beside)
        print(f"{name}: {scorer.label}", flush=True)
PROGRAM
