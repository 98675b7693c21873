#!/bin/sh
# Installs pairmill itself into an environment that install_worker.sh made.
# Usage: install_package.sh FOLDER. Run it where setup.py and the packages lie.
set -eu

venv=$1
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps .
"$venv/bin/pairmill" --help >/dev/null
