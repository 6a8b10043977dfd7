#!/usr/bin/env bash
# The public interface of the libraries is what docs/api lists, so that no change of it goes
# unnoticed: a line that is new needs a line in CHANGELOG.md, and one that is gone a new version
# (docs/release.md).
#
#     ci/api.sh             compares
#     ci/api.sh --record    writes docs/api
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"

have cargo-public-api || skip 'cargo-public-api is not installed'
have rustup && rustup toolchain list | grep -q '^nightly' || skip 'there is no nightly toolchain'

# listing CRATE: items that others can name, without what is derived or implemented for all types.
listing() {
    CARGO_TARGET_DIR=$tools/api cargo +nightly public-api -p "$1" "${@:2}" -sss
}

for crate in memcore memproto; do
    features=()
    [ "$crate" != memcore ] || features=(--all-features)
    listing "$crate" "${features[@]}" >"$scratch/$crate" 2>"$scratch/log" ||
        { cat "$scratch/log" && fail "the interface of $crate can't be listed"; }
    [ "$(wc -l <"$scratch/$crate")" -gt 100 ] || fail "next to nothing is listed of $crate"
    if [ "${1:-}" = --record ]; then
        cp "$scratch/$crate" "docs/api/$crate.txt"
    elif ! diff -u "docs/api/$crate.txt" "$scratch/$crate"; then
        fail "the interface of $crate is not that of docs/api; if it should be: ci/api.sh --record"
    fi
done
echo 'the public interfaces are those of docs/api'
