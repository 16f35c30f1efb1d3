#!/bin/sh
# Builds the last version of Pictor that knows only the second layout, once, and prints where its binary is.
# Needs the history of this repository.
set -eu
cd "$(dirname "$0")/.."
commit=0526e06
place=${CARGO_TARGET_DIR:-target}/older
binary=$place/target/debug/pictor
if [ ! -x "$binary" ]; then
    rm -rf "$place/source"
    mkdir -p "$place/source"
    git archive "$commit" | tar -x -C "$place/source"
    cargo build --locked --bin pictor --manifest-path "$place/source/Cargo.toml" --target-dir "$place/target" >&2
fi
printf '%s\n' "$(cd "$(dirname "$binary")" && pwd)/pictor"
