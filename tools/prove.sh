#!/bin/sh
# Runs one proof at full size: the ignored test prove::NAME of tests/it, or of the queue's tests, which writes docs/measured/NAME.md.
# A name that several share up to a dash, such as chaos, runs them all; they write one file together.
# Usage: tools/prove.sh NAME
set -eu
cd "$(dirname "$0")/.."
name=$1
test=$(printf '%s' "$name" | tr - _)
module=prove::$test
mkdir -p docs/measured
# The whole workspace and both of them, as `make test` has it: another selection would build dependencies once more.
where='--workspace --test it --test queue'
cargo test $where --locked --no-run
known=$(cargo test --quiet $where --locked -- --ignored --list "$module" | sed -n 's/: test$//p')
if [ -z "$known" ]; then
    echo "prove: there is no proof called $name; these exist:" >&2
    cargo test --quiet $where --locked -- --ignored --list prove:: | sed -n 's/^prove::\(.*\): test$/  \1/p' >&2
    exit 1
fi
if [ "$name" = upgrade ]; then
    PICTOR_OLDER=$(tools/older.sh)
    export PICTOR_OLDER
fi
if [ "$name" = derive ]; then tools/install.sh vips; fi
PICTOR_PROVE=full cargo test $where --locked -- --ignored --nocapture --test-threads 1 "$module"
written=docs/measured/$name.md
if [ -e "docs/$name.md" ]; then written=docs/$name.md; fi
[ -e "$written" ] || written=docs/measured/${name%%-*}.md
ls -l "$written"
