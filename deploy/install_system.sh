#!/bin/bash
# Installs those of the named Debian packages that are missing. Usage: install_system.sh PACKAGE ...  Needs root.
set -u

missing=()
for package in "$@"; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed' || missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit 0
for try in 1 2 3; do
    if apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; then
        exit 0
    fi
    echo "try $try to install ${missing[*]} failed" >&2
    sleep $((try * 10))
done
echo "could not install: ${missing[*]}" >&2
exit 1
