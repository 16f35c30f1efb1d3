#!/bin/sh
# Makes the pictures of the README from a real demo: docs/img/demo.svg, a terminal recording, and docs/img/contact-sheet.png.
# Usage: tools/pictures.sh BINARY
set -eu
cd "$(dirname "$0")/.."
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
venv=target/tools/pictures
stamp=$venv/$(cksum <tools/pictures.txt | tr ' ' -)
if [ ! -f "$stamp" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --only-binary=:all: -r tools/pictures.txt
    touch "$stamp"
fi
# The recording shows this name and no other path.
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$stage/bin" "$stage/shop" docs/img
ln -s "$binary" "$stage/bin/pictor"
PATH=$PATH:$PWD/target/tools/bin
export PATH
"$venv/bin/python" tools/recording.py "$stage" docs/img/demo.svg
"$venv/bin/python" tools/contact-sheet.py "$stage/shop/.pictor/demo/images/results.csv" "$stage/shop" docs/img/contact-sheet.png
ls -l docs/img
