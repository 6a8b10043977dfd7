#!/usr/bin/env bash
# The lowest version of Rust that the libraries name, tried: with the compiler of that version,
# which is Debian 13's, from Debian's packages.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"

named=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' memcore/Cargo.toml memproto/Cargo.toml | sort -u)
[ "$named" = 1.85 ] || fail "memcore and memproto name $named; this script tries 1.85"
debian_rust 1.85 19 || skip 'the compiler of Rust 1.85 is not to be had here'
with_rust cargo check --quiet --target-dir "$tools/msrv" -p memcore -p memproto
echo "memcore and memproto build with $(with_rust "$rust_home/bin/rustc" --version)"
