#!/usr/bin/env bash
# The features of memcore: each builds alone and without warnings, and all of them together pass
# their tests.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"

features=$(sed -n '/^\[features\]/,/^\[package/s/^\([a-z]*\) = .*/\1/p' memcore/Cargo.toml)
[ -n "$features" ] || fail 'memcore has no features'
for feature in $features; do
    RUSTFLAGS=-Dwarnings cargo check --quiet --target-dir target/features -p memcore --lib --features "$feature"
    echo "memcore builds with $feature"
done
cargo test --quiet -p memcore --all-features --doc
cargo test --quiet -p memcore --all-features --test typed --test loads --test typed_tags --test observe
