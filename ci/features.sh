#!/usr/bin/env bash
# The features of memcore: each builds alone and with all others, without warnings, and all of them
# together pass their tests. Those of memserver: it builds without TLS and without datagrams.
#
#     ci/features.sh --all   each two features of memcore as well, the other library for TLS, which
#                            passes the tests of TLS, and what the guide says of other caches
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
# Its own folder: programs with other features must not take the place of those that other steps run.
export CARGO_TARGET_DIR=$root/target/features

all=
[ "${1:-}" != --all ] || all=yes
if have cargo-hack; then
    # Of each two of them, none hides what the other one lacks.
    sets=(--each-feature)
    [ -z "$all" ] || sets=(--feature-powerset --depth 2)
    RUSTFLAGS=-Dwarnings cargo hack check --quiet -p memcore --lib "${sets[@]}"
    echo "memcore builds: cargo hack ${sets[*]}"
else
    features=$(sed -n '/^\[features\]/,/^\[package/s/^\([a-z]*\) = .*/\1/p' memcore/Cargo.toml)
    [ -n "$features" ] || fail 'memcore has no features'
    for feature in $features; do
        RUSTFLAGS=-Dwarnings cargo check --quiet -p memcore --lib --features "$feature"
        echo "memcore builds with $feature"
    done
fi
cargo test --quiet -p memcore --all-features --doc
cargo test --quiet -p memcore --all-features --test typed --test loads --test typed_tags --test observe

for features in '' tls udp; do
    RUSTFLAGS=-Dwarnings cargo check --quiet -p memserver --no-default-features \
        --features "$features"
    echo "memserver builds with ${features:-nothing}"
done
cargo test --quiet -p memserver --no-default-features --features tls --test startup datagrams
[ -n "$all" ] || exit 0
cargo test --quiet -p memserver --no-default-features --features udp,aws-lc-rs --test tls
cargo test --quiet -p bench --features rivals --test coming_from
