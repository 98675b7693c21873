#!/bin/sh
# Makes a virtual environment and installs pairmill with its development tools in it, in the pinned versions.
# Usage: make_venv.sh FOLDER. PYTHON names an interpreter; else the first fitting one of the PATH is taken.
set -eu

venv=$1
fits='import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))'

find_python() {
    for name in ${PYTHON:-python3.11 python3.12 python3.10 python3 python}; do
        if command -v "$name" >/dev/null && "$name" -c "$fits" >/dev/null 2>&1; then
            command -v "$name"
            return
        fi
    done
    found=$(python3 --version 2>/dev/null || echo 'no python3')
    echo "pairmill needs Python 3.10, 3.11 or 3.12 (found: ${PYTHON:-$found}); name one: make PYTHON=/path/to/python3.11" >&2
    return 1
}

if ! "$venv/bin/python" -c "$fits" >/dev/null 2>&1; then
    python=$(find_python)
    echo "making $venv with $("$python" --version)" >&2
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv "$venv"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --without-pip "$venv"
        "$python" -m pip --python "$venv/bin/python" install --quiet pip
    else
        echo "$python has no pip and no ensurepip; on Debian: apt-get install python3-venv" >&2
        exit 1
    fi
fi
python=$venv/bin/python

echo "installing pairmill and its tools into $venv; the first time this fetches some 3 GB" >&2
if "$python" -m pip install --quiet --disable-pip-version-check uv &&
    "$venv/bin/uv" pip install --quiet --python "$python" --constraint constraints.txt --editable '.[dev]'; then
    exit 0
fi
echo "uv did not do it; installing with pip" >&2
exec "$python" -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
