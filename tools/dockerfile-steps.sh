#!/bin/sh
# Runs the steps of the stage `build` of deploy/Dockerfile without Docker, in a temporary directory, as the Dockerfile has them.
# Usage: tools/dockerfile-steps.sh [--print] [FILE]: FILE gets the binary; with --print the steps are only shown.
# It wants the toolchain that FROM names, and cannot show what the image of FROM has. WORKDIRs become directories below the temporary one.
set -eu
cd "$(dirname "$0")/.."
print=
[ "${1:-}" != --print ] || { print=yes; shift; }
into=${1:-}
work=$(mktemp -d "${TMPDIR:-/tmp}/dockerfile.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# One instruction a line, of the stage `build` alone, without comments and without mounts of a cache.
awk '
    /^[[:space:]]*#/ { next }
    { line = line $0 }
    /\\$/ { sub(/\\$/, "", line); next }
    line != "" {
        if (line ~ /^FROM /) stage = (line ~ / AS build$/)
        else if (stage) { gsub(/--mount=[^ ]+ */, "", line); gsub(/  +/, " ", line); print line }
        line = ""
    }
' deploy/Dockerfile >"$work/steps"
grep -q '^RUN ' "$work/steps" || { echo 'dockerfile-steps: deploy/Dockerfile has no stage called build with a RUN' >&2; exit 1; }
if [ -n "$print" ]; then
    cat "$work/steps"
    exit 0
fi

root=$work/root
here=$root
mkdir "$root"
while read -r instruction rest <&3; do
    printf '== %s %s\n' "$instruction" "$rest"
    case $instruction in
        WORKDIR) here=$root$rest; mkdir -p "$here" ;;
        # What git knows, as it is now: .dockerignore leaves out no file that git tracks.
        COPY)
            [ "$rest" = '. .' ] || { echo "dockerfile-steps: cannot do COPY $rest" >&2; exit 1; }
            git ls-files -z | tar --null --files-from - --create --file - | tar --extract --file - --directory "$here" ;;
        ENV) for pair in $rest; do export "${pair?}"; done ;;
        RUN) (cd "$here" && unset CARGO_TARGET_DIR && sh -ec "$rest") ;;
        *) echo "dockerfile-steps: cannot do $instruction" >&2; exit 1 ;;
    esac
done 3<"$work/steps"

binary=$root/src/out/pictor
"$binary" --version
ldd "$binary"
[ -z "$into" ] || install -D -m 755 "$binary" "$into"
