#!/bin/sh
# Stands before rustc: coverage is counted in the crates that read what strangers write, and the targets; elsewhere it only costs time.
case " $* " in
    *' --crate-name pictor_'* | *'/targets/'*) exec "$@" ;;
esac
for word in "$@"; do
    shift
    [ "$word" = -Cpasses=sancov-module ] || set -- "$@" "$word"
done
exec "$@"
