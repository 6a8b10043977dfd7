#!/usr/bin/env bash
# The three crates as a registry would get them; the libraries are built from what is packaged.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
cargo package --quiet --allow-dirty --target-dir "$tools/package" -p memcore
cargo package --quiet --allow-dirty --target-dir "$tools/package" -p memproto
cargo package --quiet --allow-dirty --target-dir "$tools/package" --no-verify \
    --workspace --exclude bench --exclude examples
