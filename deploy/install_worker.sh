#!/bin/sh
# Makes the environment of a worker: what pairmill and its extras stand on, in the pinned versions, without pairmill.
# Usage: install_worker.sh FOLDER EXTRA ...  Run it where setup.py and constraints.txt lie. PYTHON names an interpreter.
set -eu

venv=$1
shift
"${PYTHON:-python3}" -m venv "$venv"
python=$venv/bin/python
"$python" -m pip install --quiet --disable-pip-version-check uv
extras=
for extra in "$@"; do
    extras="$extras --extra $extra"
done
# shellcheck disable=SC2086 # one word an extra
"$venv/bin/uv" pip install --quiet --python "$python" --constraint constraints.txt --requirement setup.py $extras
