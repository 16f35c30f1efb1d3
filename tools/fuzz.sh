#!/bin/sh
# Fuzzes the readers and writes docs/measured/fuzz.md. FUZZ_RUNS is how often each target runs (10 million), FUZZ_TARGETS which of them,
# FUZZ_SEED the seed (the time). What libFuzzer finds worth keeping goes to target/fuzz/corpus; fuzz/corpus holds the seeds.
set -eu
cd "$(dirname "$0")/.."
tools/install.sh fuzz
root=$PWD
runs=${FUZZ_RUNS:-10000000}
seed=${FUZZ_SEED:-$(date +%s)}
targets=${FUZZ_TARGETS:-$(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' fuzz/Cargo.toml)}
out=target/fuzz
mkdir -p "$out/logs" docs/measured

# Sanitizers look for what safe Rust rules out; without them a second holds more runs.
cd fuzz
for target in $targets; do
    RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER=$root/tools/fuzz-rustc.sh CARGO_TARGET_DIR=$root/$out \
        "$root/target/tools/bin/cargo-fuzz" build --sanitizer none --no-trace-compares --fuzz-dir . "$target"
done
cd ..

dirty=
[ -z "$(git status --porcelain --untracked-files=no -- . ':!docs/measured')" ] || dirty=' with changes'
cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)
report=$out/report.md
{
    printf '# Readers under fuzzing\n\n'
    printf 'By `make prove-fuzz`, commit %s%s, %s cores of %s. libFuzzer, no sanitizer, debug assertions on, seed %s. ' \
        "$(git rev-parse --short HEAD)" "$dirty" "$(getconf _NPROCESSORS_ONLN)" "${cpu:-an unnamed processor}" "$seed"
    printf 'Each run reads the bytes as a manifest; a good one must read the same again, a bad one must say what is wrong. '
    printf 'Seeds: fuzz/corpus. Inputs up to 512 bytes; those of xlsx are the parts of a workbook, packed before they are read. The targets ran side by side.\n\n'
    printf '| target | runs | crashes | runs a second | edges and features covered | peak memory |\n|---|---|---|---|---|---|\n'
} >"$report"
# Side by side: one target uses one core.
pids=
trap 'kill $pids 2>/dev/null || :' EXIT INT TERM
for target in $targets; do
    program=$(find "$out" -path "*/release/$target" -type f | head -n 1)
    mkdir -p "$out/corpus/$target" "$out/artifacts/$target"
    echo "fuzz: $target, $runs runs, seed $seed (log in $out/logs/$target.log)"
    "$program" -runs="$runs" -seed="$seed" -max_len=512 -timeout=60 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$out/artifacts/$target/" "$out/corpus/$target" "fuzz/corpus/$target" >"$out/logs/$target.log" 2>&1 &
    pids="$pids $!"
done
set -- $pids
for target in $targets; do
    log=$out/logs/$target.log
    wait "$1" || {
        tail -n 40 "$log"
        echo "fuzz: $target failed; the input is in $out/artifacts/$target" >&2
        exit 1
    }
    shift
    stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -n 1; }
    done=$(stat number_of_executed_units)
    [ "$done" -ge "$runs" ] || { echo "fuzz: $target ran only $done times" >&2; exit 1; }
    covered=$(sed -n 's/.* cov: \([0-9]*\) ft: \([0-9]*\) .*/\1, \2/p' "$log" | tail -n 1)
    printf '| %s | %s | 0 | %s | %s | %s MiB |\n' "$target" "$done" "$(stat average_exec_per_sec)" "$covered" "$(stat peak_rss_mb)" >>"$report"
    tail -n 1 "$report"
done
trap - EXIT INT TERM
cp "$report" docs/measured/fuzz.md
