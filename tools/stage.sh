#!/bin/sh
# What the stages share, for a script with `binary` and `stage` set: they end what they have started, with or without an error.
children=
trap 'for child in $children; do kill "$child" 2>/dev/null || :; done; for child in $children; do wait "$child" || :; done' EXIT
trap 'exit 0' INT TERM
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
redis=$(port)
api=$(port)
mkdir -p "$stage/redis"

# start_redis [OPTION...]
start_redis() {
    server=$(command -v redis-server || command -v valkey-server)
    "$server" --bind 127.0.0.1 --port "$redis" --save '' --dir "$stage/redis" "$@" >"$stage/redis/log" 2>&1 &
    children="$children $!"
}
