#!/usr/bin/env bash
# Compares hit ratios at the same limit: of the server, of the cache in process, of memcached if it
# is installed, and of an exact LRU that pays memcached's memory per item. Uses a trace in the
# folder MEMCORE_TRACES, or a synthetic one. Fails if the server has fewer hits than memcached.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
find_memserver
cargo build --quiet --release -p bench --bin replay

command='-u nobody -p {port} -m {mib} -t 1'
servers=(--server "memserver=$memserver $command")
! have memcached || servers+=(--server "memcached=$(command -v memcached) -U 0 $command")
load=(--synthetic --keys 200000 --requests 1000000 --mib 16)
trace=${MEMCORE_TRACES:-}/web07.mct.zst
if [ -n "${MEMCORE_TRACES:-}" ] && [ -f "$trace" ]; then
    load=(--trace "$trace" --percent 10 --least-mib 16)
else
    echo 'MEMCORE_TRACES names no folder with web07.mct.zst; using a synthetic trace'
fi
target/release/replay "${load[@]}" "${servers[@]}" | tee "$scratch/ratios"

# hits ENGINE: prints its hit ratio.
hits() { sed -n "s/.*\"engine\":\"$1\",\"hit_ratio\":\([0-9.]*\).*/\1/p" "$scratch/ratios"; }
ours=$(hits memserver)
theirs=$(hits memcached)
[ -n "$ours" ] || fail 'the server has no hit ratio'
[ -n "$theirs" ] || skip "memcached is not installed; the server's hit ratio is $ours"
awk "BEGIN { exit !($ours >= $theirs) }" || fail "hit ratio $ours, memcached has $theirs"
