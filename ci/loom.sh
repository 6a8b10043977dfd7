#!/usr/bin/env bash
# Checks models of the engine's lock-free parts in every interleaving that loom finds.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
grep -rqs 'loom::model' memcore/src || skip 'there are no loom models'
# The models run for seconds; what is left out here takes minutes.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
# Uses its own target folder: the flag would otherwise cause full rebuilds.
RUSTFLAGS='--cfg loom' cargo test -p memcore --release --lib --target-dir "$tools/loom" models
