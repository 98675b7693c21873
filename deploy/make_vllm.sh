#!/bin/sh
# Makes an environment for vLLM on a CPU, which cannot share one with Beam: it wants another protobuf and another torch.
# Usage: make_vllm.sh FOLDER. PYTHON names an interpreter of 3.11 or newer; else the first fitting one is taken. The last
# line that it prints is the Python to give to the engine: --captioner '*={engine: vllm, python: ...}'.
# On a machine with a GPU: an environment of your own with `pip install vllm`.
set -eu

venv=$1
lock=$(dirname "$0")/vllm-lock.txt
fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'

find_python() {
    for name in ${PYTHON:-.venv/bin/python python3.11 python3.12 python3.13 python3 python}; do
        if command -v "$name" >/dev/null && "$name" -c "$fits" >/dev/null 2>&1; then
            command -v "$name"
            return
        fi
    done
    found=$(python3 --version 2>/dev/null || echo 'no python3')
    echo "vLLM needs Python 3.11, 3.12 or 3.13 (found: ${PYTHON:-$found}); name one: make vllm PYTHON=/path/to/python3.11" >&2
    return 1
}

find_uv() {
    for name in ${UV:-.venv/bin/uv uv}; do
        if command -v "$name" >/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo 'uv is missing: make .venv first (make lint), or pip install uv' >&2
    return 1
}

python=$(find_python)
uv=$(find_uv)
echo "making $venv with vLLM; the first time this fetches some 3 GB" >&2
if ! "$venv/bin/python" -c "$fits" >/dev/null 2>&1; then
    "$uv" venv --quiet --python "$python" "$venv"
fi
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --requirement "$lock"
if ! said=$("$venv/bin/python" -c 'import ctypes, vllm; ctypes.CDLL("libnuma.so.1")' 2>&1); then
    echo "vLLM was installed in $venv and cannot be used (Debian: apt-get install libnuma1): $(printf '%s\n' "$said" | tail -n 1)" >&2
    exit 1
fi
echo "$venv/bin/python"
