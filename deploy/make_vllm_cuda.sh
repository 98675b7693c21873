#!/bin/sh
# Makes an environment for vLLM on GPUs, of the version that make_vllm.sh makes for CPUs. It cannot share one with Beam.
# Usage: make_vllm_cuda.sh FOLDER [check]. With `check` it only asks whether all versions go together and are to be had.
# PYTHON names an interpreter; uv must be on the PATH, or UV names it.
set -eu

venv=$1
uv=${UV:-uv}
vllm=0.32.0
"$uv" venv --quiet --python "${PYTHON:-python3}" "$venv"
if [ "${2:-}" = check ]; then
    "$uv" pip install --quiet --dry-run --python "$venv/bin/python" "vllm==$vllm"
    exit
fi
"$uv" pip install --quiet --python "$venv/bin/python" "vllm==$vllm"
"$venv/bin/python" -c 'import importlib.metadata; print("vllm", importlib.metadata.version("vllm"))'
