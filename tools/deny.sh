#!/bin/sh
# Checks the dependencies against deny.toml: bans, licences and sources always; advisories where a database is to hand.
# ADVISORIES=fetch brings the database from the network; otherwise one beside the checkout or from an earlier run is used.
set -eu
cd "$(dirname "$0")/.."
tools/install.sh deny
deny=target/tools/bin/cargo-deny
snapshot=../shared/reference/advisory-db.tar.xz
# cargo-deny looks for a git checkout of this name, made from the database's address.
database=target/advisory-db/advisory-db-3157b0e258782691

if [ -f "$snapshot" ] && [ ! -d "$database/.git" ]; then
    rm -rf target/advisory-db target/advisory-db.part
    mkdir -p target/advisory-db.part/unpacked
    python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$snapshot" target/advisory-db.part/unpacked
    crates=$(find target/advisory-db.part/unpacked -maxdepth 2 -type d -name crates | head -n 1)
    root=${crates%/crates}
    git -C "$root" init --quiet
    git -C "$root" add --all
    git -C "$root" -c user.name=snapshot -c user.email=snapshot@localhost -c commit.gpgsign=false commit --quiet --message snapshot
    mkdir -p target/advisory-db
    mv "$root" "$database"
    rm -rf target/advisory-db.part
fi

cargo fetch --locked --quiet
"$deny" --offline check bans licenses sources
if [ "${ADVISORIES:-}" = fetch ]; then
    "$deny" check advisories
elif [ -d "$database/.git" ]; then
    "$deny" --offline check advisories
else
    echo 'deny: advisories were NOT checked, since there is no database here; ADVISORIES=fetch make deny brings one'
fi
