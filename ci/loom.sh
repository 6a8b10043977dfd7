#!/usr/bin/env bash
# Models of the engine's lock-free parts: every interleaving that loom can find.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
grep -rqs 'loom::model' memcore/src || skip 'there are no loom models'
# A target folder of its own: the flag would rebuild everything else each time.
RUSTFLAGS='--cfg loom' cargo test -p memcore --release --lib --target-dir "$tools/loom" models
