#!/bin/sh
# Makes the pictures of the live screen from real work against the simulator: docs/img/watch-*.svg. Part of make pictures.
# Usage: tools/watch-pictures.sh BINARY
set -eu
cd "$(dirname "$0")/.."
binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
tools/picture-tools.sh
python=$PWD/target/tools/pictures/bin/python
STAGE=$(mktemp -d)
export STAGE PATH="$PATH:$PWD/target/tools/bin"
scene=
trap '[ -z "$scene" ] || { kill "$scene" && wait "$scene" || :; }; rm -rf "$STAGE"' EXIT
trap 'exit 130' INT TERM
mkdir -p docs/img
tools/watch-stage.sh "$binary" "$STAGE" &
scene=$!
waited=0
until [ -e "$STAGE/ready" ]; do
    waited=$((waited + 1))
    [ "$waited" -lt 120 ] || { echo "watch-pictures: the stage is not ready" >&2; exit 1; }
    sleep 1
done
sleep 25
root=$PWD
# The settings are found in the directory, so that no path is seen.
cd "$STAGE"
ln -s "$binary" pictor
shot() { # SIZE KEYS NAME TITLE VARIABLE...
    size=$1 keys=$2 name=$3 title=$4
    shift 4
    env TZ=UTC LANG=C.UTF-8 TERM=xterm-256color "$@" "$python" "$root/tools/screenshot.py" "$size" "$keys" 3 "$root/docs/img/$name.svg" "$title" ./pictor watch
}
shot 80x24 - watch-80x24 'pictor watch on 80 columns: batches, lanes, workers and failures' COLORTERM=truecolor
shot 200x50 - watch-200x50 'pictor watch on 200 columns, with previews of the newest images' COLORTERM=truecolor
shot 80x24 '2j ' watch-no-colour 'pictor watch without colour asks before it pauses a batch' NO_COLOR=1
