#!/bin/sh
# Puts what draws pictures of terminals into target/tools/pictures.
set -eu
cd "$(dirname "$0")/.."
venv=target/tools/pictures
stamp=$venv/$(cksum <tools/pictures.txt | tr ' ' -)
[ ! -f "$stamp" ] || exit 0
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip --disable-pip-version-check install --quiet --only-binary=:all: -r tools/pictures.txt
touch "$stamp"
