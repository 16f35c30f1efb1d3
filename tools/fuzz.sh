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
commit="$(git rev-parse --short HEAD)$dirty"
cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)
rows=$out/rows.md
# What was measured of other targets stays.
sed -n '/^| [a-z]* | [0-9]/p' docs/measured/fuzz.md 2>/dev/null >"$rows" || :
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
    grep -v "^| $target |" "$rows" >"$rows.new" || :
    mv "$rows.new" "$rows"
    printf '| %s | %s | 0 | %s | %s | %s MiB | %s, %s |\n' "$target" "$done" "$(stat average_exec_per_sec)" "$covered" "$(stat peak_rss_mb)" "$seed" "$commit" >>"$rows"
    tail -n 1 "$rows"
done
trap - EXIT INT TERM
{
    printf '# Readers under fuzzing\n\n'
    printf 'By `make prove-fuzz`, or `make prove-fuzz-NAME` for one target, %s cores of %s. libFuzzer, no sanitizer, debug assertions and overflow checks on. ' \
        "$(getconf _NPROCESSORS_ONLN)" "${cpu:-an unnamed processor}"
    printf 'Inputs up to 512 bytes, seeds in fuzz/corpus; those of xlsx are the parts of a workbook, packed before they are read. The targets of a call run side by side. What is judged:\n\n'
    printf -- '- csv, jsonl, xlsx: a manifest that is good reads the same again; a bad one says what is wrong, in lines that name the file.\n'
    printf -- '- scan: the body of an answer, in any pieces, gives the image and the JSON that serde_json and other base64 decoders find in it.\n'
    printf -- '- refusals: an error body is what serde_json reads, without secrets or control characters; a 429 is read to the digit; what may be billed is never called free.\n'
    printf -- '- keys: the canonical JSON of a spec is that of the standard, reads back as itself, and knows no order of fields and no defaults told.\n'
    printf -- '- catalogue: a file is refused with a reason, or laid once or twice gives the same; what is reserved covers what is expected and charged.\n'
    printf -- '- settings: amounts, names and the limits of a lane are read exactly or refused.\n\n'
    printf '| target | runs | crashes | runs a second | edges and features covered | peak memory | seed, commit |\n|---|---|---|---|---|---|---|\n'
    sort "$rows"
} >docs/measured/fuzz.md
