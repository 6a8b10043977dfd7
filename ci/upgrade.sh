#!/usr/bin/env bash
# Runs the commands of docs/upgrade.md, with Debian's memcached as the old server.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
have memcached || skip 'memcached is not installed'
find_memserver

start_server old memcached -u nobody -m 64
OLD=$port OLD_PID=$pid
NEW=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
for number in $(seq 500); do
    printf 'set user:%d 7 3600 %d\r\n%s\r\n' "$number" 10 0123456789
done | nc -N 127.0.0.1 "$OLD" | sort | uniq -c

mkdir -p "$scratch/bin" "$scratch/work"
ln -s "$memserver" "$scratch/bin/memserver"
{
    echo 'set -eEuo pipefail'
    # A server that is started takes a moment.
    echo 'trap '\''echo "failed: $BASH_COMMAND"'\'' ERR'
    sed -n '/^```console$/,/^```$/ { s/^\$ //p }' docs/upgrade.md |
        sed 's/^memserver .* &$/& \nstarted=$!; sleep 1/; s/^memserver -/memserver -u nobody -/'
    echo 'ask "$NEW" stats | grep -E "^STAT (curr_items|cmd_flush) "'
    echo 'kill $started'
} >"$scratch/commands"
grep -c . "$scratch/commands"
(cd "$scratch/work" && PATH=$scratch/bin:$PATH OLD=$OLD NEW=$NEW OLD_PID=$OLD_PID \
    bash "$scratch/commands") 2>&1 | tee "$scratch/output"
[ "$(grep -c '^copied: 500 items' "$scratch/output")" = 3 ] || fail 'the items were not copied'
grep -q '^saved: 500 items' "$scratch/output" || fail 'the items were not saved'
grep -q '^loaded: 0 items, .*; 500 there already' "$scratch/output" ||
    fail 'what was there was not left alone'
grep -q '^STAT curr_items 500' "$scratch/output" || fail 'the new server does not have the items'
grep -q '^STAT cmd_flush 1' "$scratch/output" || fail 'the way back was not taken'
echo 'upgrade: 1 passed, 0 failed'
