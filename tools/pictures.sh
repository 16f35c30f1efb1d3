#!/bin/sh
# Makes the pictures of the README from a real demo: docs/img/demo.svg, a terminal recording, and docs/img/contact-sheet.png;
# and those of the live screen.
# Usage: tools/pictures.sh BINARY
set -eu
cd "$(dirname "$0")/.."
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
venv=target/tools/pictures
tools/picture-tools.sh
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
tools/watch-pictures.sh "$binary"
ls -l docs/img
