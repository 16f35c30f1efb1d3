#!/bin/sh
# Sets up what the live screen is shown with: a Redis, an API with faults and limits, two workers, four batches.
# Usage: tools/watch-stage.sh BINARY DIR; it goes on until it is ended, and ends what it has started.
set -eu
binary=$1
stage=$2
. "$(dirname "$0")/stage.sh"
start_redis
cat >"$stage/pictor.toml" <<EOF
data_dir = "$stage/data"
[redis]
url = "redis://127.0.0.1:$redis"
namespace = "shop"
[store]
url = "$stage/images"
[budget]
per_day = "40"
[accounts.main]
base_url = "http://127.0.0.1:$api/v1"
api_key_env = "SIM_API_KEY"
[accounts.main.limits.dall-e-2]
images = 240
[accounts.main.limits.gpt-image]
images = 60
[accounts.spare]
base_url = "http://127.0.0.1:$api/v1"
api_key_env = "SIM_API_KEY"
[accounts.spare.limits.dall-e-2]
images = 30
EOF
export SIM_API_KEY=sim-key
cd "$stage"
pictor() { "$binary" --config "$stage/pictor.toml" "$@" >>"$stage/pictor.log" 2>&1; }
"$binary" simulate --listen "127.0.0.1:$api" --unlimited --latency 2500 --seed 7 >"$stage/api.log" 2>&1 &
children="$children $!"
until "$binary" --config "$stage/pictor.toml" status >/dev/null 2>&1; do sleep 0.2; done
rows() { # NAME MODEL SIZE FIRST COUNT EVERY FAULT
    echo 'id,prompt,model,size' >"$1.csv"
    awk -v m="$2" -v s="$3" -v f="$4" -v c="$5" -v e="$6" -v x="$7" 'BEGIN {
        for (i = f; i < f + c; i++) printf "sku-%d,%sa product photo of thing %d on linen,%s,%s\n", i, (i % e ? "" : "[[sim:" x "]] "), i, m, s }' >>"$1.csv"
}
rows nightly dall-e-2 512x512 1 900 17 moderation_blocked
rows lamps dall-e-2 256x256 2000 140 9 unknown_parameter
rows hero gpt-image-1 1024x1024 4001 60 9000 moderation_blocked
rows proofs dall-e-2 256x256 5001 80 9000 moderation_blocked
pictor submit nightly.csv --run-id nightly-2026-11-22 --tenant thumbnails
pictor submit lamps.csv --run-id spring-lamps --tenant homeware --cap 25
pictor submit hero.csv --run-id hero-shots --tenant marketing
pictor submit proofs.csv --run-id proofs --tenant homeware
pictor batch pause proofs --reason 'the colours are to be approved first'
pictor batch priority spring-lamps interactive --reason 'a customer waits'
for worker in 1 2; do
    PICTOR_WORKER__SPOOL="$stage/spool$worker" "$binary" --config "$stage/pictor.toml" worker --concurrency 24 >"$stage/worker$worker.log" 2>&1 &
    children="$children $!"
done
until "$binary" --config "$stage/pictor.toml" lane pause main.gpt-image --reason 'quota: asked the provider for more' >/dev/null 2>&1; do sleep 0.5; done
echo ready >"$stage/ready"
wait
