#!/bin/sh
# Runs one proof at full size: the ignored test prove::NAME of tests/it, which writes docs/measured/NAME.md.
# A name that several share up to a dash, such as chaos, runs them all; they write one file together.
# Usage: tools/prove.sh NAME
set -eu
cd "$(dirname "$0")/.."
name=$1
module=prove::$(printf '%s' "$name" | tr - _)
mkdir -p docs/measured
cargo test --package pictor --test it --locked --no-run
known=$(cargo test --quiet --package pictor --test it --locked -- --ignored --list "$module" | sed -n 's/: test$//p')
if [ -z "$known" ]; then
    echo "prove: there is no proof called $name; these exist:" >&2
    cargo test --quiet --package pictor --test it --locked -- --ignored --list prove:: | sed -n 's/^prove::\(.*\): test$/  \1/p' >&2
    exit 1
fi
PICTOR_PROVE=full cargo test --package pictor --test it --locked -- --ignored --nocapture --test-threads 1 "$module"
written=docs/measured/$name.md
[ -e "$written" ] || written=docs/measured/${name%%-*}.md
ls -l "$written"
