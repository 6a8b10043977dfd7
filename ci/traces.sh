#!/usr/bin/env bash
# Hit ratios in process beside an LRU that is charged what memcached takes for an item: on the
# traces in $MEMCORE_TRACES, or on a synthetic one.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
traces=${MEMCORE_TRACES:-$root/../shared/traces}
cargo build --quiet --release -p bench --bin replay
replay=$root/target/release/replay
if [ -f "$traces/web07.mct.zst" ]; then
    "$replay" --trace "$traces/web07.mct.zst" --copies 25 --mib 16
else
    echo "no traces in $traces, a synthetic one instead"
    "$replay" --synthetic --keys 200000 --requests 1000000 --mib 16
fi
