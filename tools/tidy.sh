#!/bin/sh
# House rules that no compiler checks, over the files git tracks.
set -eu
cd "$(dirname "$0")/.."
bad=0
# Lists what it is given, under a heading, and remembers that the tree is not tidy.
report() {
    if [ -n "$2" ]; then
        printf 'tidy: %s\n%s\n' "$1" "$2" >&2
        bad=1
    fi
}

# git grep answers 1 where it finds nothing.
machine='/(work|root|home/[a-z]+|Users/[A-Za-z]+)/|/opt/wheel[s]|/tmp/bash_job[s]'
report 'a tracked file names a path of one machine' "$(git grep -nIE "$machine" -- . ':!tools/tidy.sh' || :)"
hosts='(pypi|pythonhosted|npmjs)\.(org|com)|(index|static)\.crates\.io|proxy\.golang\.org|deb\.debian\.org'
report 'a tracked file names a registry host' "$(git grep -nIE "$hosts" -- . ':!tools/tidy.sh' || :)"

sources=$(git ls-files '*.rs')
report 'a Rust file is longer than 600 lines' "$(for file in $sources; do awk 'END { if (NR > 600) print FILENAME ": " NR }' "$file"; done)"
report 'a Rust file does not open with what it is for (//!)' "$(for file in $sources; do head -n 1 "$file" | grep -q '^//!' || echo "$file"; done)"
report 'a script is not executable' "$(git ls-files -s 'tools/*.sh' .ci/run | sed -n 's/^100644.*	//p')"
exit $bad
