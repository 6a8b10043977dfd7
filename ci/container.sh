#!/usr/bin/env bash
# Builds the image and tests what its users rely on. Every row starts real containers with a
# read-only root, no capabilities, no new privileges, 1 GiB of memory and two processors. Needs
# podman, buildah and runc; reports it if they are missing or can't run here.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
. "$root/ci/container/image.sh"

image=localhost/memserver:ci
busybox=localhost/busybox:ci
hardened=(--network none --read-only --read-only-tmpfs=false --cap-drop=ALL
    --security-opt no-new-privileges --memory 1g --memory-swap 1g --cpus 2 --pids-limit 256)
# The defaults of podman may exceed what this machine allows.
descriptors=$(ulimit -Hn)
[ "$descriptors" != unlimited ] && [ "$descriptors" -le 20000 ] || descriptors=20000
limits=(--ulimit "nofile=$descriptors:$descriptors" --ulimit nproc=4096:4096)
passed=0 failed=0

# podman's storage contains only containers of this script.
end_containers() { podman rm --all --force --time 2 >/dev/null 2>&1 || true; }
trap 'end_containers; cleanup' EXIT

# start NAME [--with PODMAN_FLAGS... --] FLAGS...: starts a server in a network of its own, on its
# default port; sets `name` and `pid`.
start() {
    local extra=() of=$image
    name=memserver-ci-$$-$1
    shift
    if [ "${1:-}" = --with ]; then
        shift
        while [ "$1" != -- ]; do extra+=("$1") && shift; done
        shift
    fi
    [ -z "${derived:-}" ] || of=$derived
    podman run --detach --name "$name" "${hardened[@]}" "${limits[@]}" "${extra[@]}" "$of" "$@" \
        >/dev/null
    pid=$(podman inspect --format '{{.State.Pid}}' "$name")
    for _ in $(seq 50); do
        inside nc -z 127.0.0.1 11211 2>/dev/null && return
        sleep 0.1
    done
    podman logs "$name"
    return 1
}

# Runs a program of this machine in the server's network.
inside() { nsenter --target "$pid" --net "$@"; }
# Sends a text and prints the reply.
ask() { printf "$1" | inside nc -N 127.0.0.1 11211; }
# Runs a shell command of a monitoring script in a container beside the server.
beside() {
    podman run --rm --network "ns:/proc/$pid/ns/net" --add-host memcached-sessions:127.0.0.1 \
        "${limits[@]}" "$busybox" sh -c "$1"
}

expect() {
    local got=${2//$'\r'/}
    [ "$got" = "$3" ] || { echo "$1: got '$got', expected '$3'" && return 1; }
}

# row ID TEXT FUNCTION: runs one row. Its output is its measurement, or shows why it failed.
row() {
    local output result
    set +e
    output=$(set -e; "$3" 2>&1)
    result=$?
    set -e
    end_containers
    if [ $result -eq 0 ]; then
        passed=$((passed + 1))
        echo "pass  $1  $2${output:+ ($output)}"
    else
        failed=$((failed + 1))
        echo "FAIL  $1  $2"
        echo "$output" | tail -n 15 | sed 's/^/        /'
    fi
}

inspect() { podman image inspect --format "$1" "$image"; }

# How many processes of the cgroup were killed for lack of memory, and its peak usage in MiB.
group_of() { sed -n "s/^[0-9]*:$1://p" "/proc/$pid/cgroup"; }
memory_events() {
    local legacy=/sys/fs/cgroup/memory$(group_of memory) unified=/sys/fs/cgroup$(group_of '')
    if [ -f "$legacy/memory.oom_control" ]; then
        kills=$(sed -n 's/^oom_kill //p' "$legacy/memory.oom_control")
        peak=$(cat "$legacy/memory.max_usage_in_bytes")
    else
        kills=$(sed -n 's/^oom_kill //p' "$unified/memory.events")
        peak=$(cat "$unified/memory.peak" 2>/dev/null || cat "$unified/memory.current")
    fi
    peak=$((peak >> 20))
}

three_lines() {
    beside 'echo "stats" | nc localhost 11211 | grep -E "version|limit_maxbytes|max_connections"'
}

no_arguments() {
    start plain
    expect user "$(awk '/^Uid|^Gid/ { print $2 }' "/proc/$pid/status" | xargs)" '11211 11211'
    expect command "$(tr '\0' ' ' <"/proc/$pid/cmdline")" 'memcached '
    local listening
    listening=$(awk '$4 == "0A" { print $2 }' "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6" | xargs)
    expect addresses "$listening" '00000000:2BCB 00000000000000000000000000000000:2BCB'
    expect reply "$(ask 'version\r\n')" 'VERSION 1.6.45'
    podman rm --force --time 2 "$name" >/dev/null
    start named memcached -m 64
    expect reply "$(ask 'version\r\n')" 'VERSION 1.6.45'
}

entry_and_arguments() {
    expect entrypoint "$(inspect '{{json .Config.Entrypoint}}')" '["memcached"]'
    expect command "$(inspect '{{json .Config.Cmd}}')" 'null'
    start arguments -m 256 -c 2048 -v
}

guide_stats() {
    start guide -m 256 -c 2048 -v
    expect lines "$(three_lines)" 'STAT version 1.6.45
STAT max_connections 2048
STAT limit_maxbytes 268435456'
}

health() {
    start healthy -m 16 -l 127.0.0.1 -v
    podman exec "$name" memcached healthcheck --set-get
    podman rm --force --time 2 "$name" >/dev/null
    start binary -B binary
    podman exec "$name" memcached healthcheck
    ! podman exec "$name" memcached healthcheck --addr 127.0.0.1:1 2>/dev/null
}

half_close() {
    start halves
    local began client ms
    for client in 'busybox nc' 'nc -N'; do
        began=$(date +%s%N)
        # shellcheck disable=SC2086
        expect "end of $client" "$(echo stats | inside $client 127.0.0.1 11211 | tail -n 1)" END
        ms=$((($(date +%s%N) - began) / 1000000))
        [ $ms -lt 100 ] || { echo "$client returned after $ms ms" && return 1; }
        echo -n "${separator:-}$client $ms ms"
        local separator=', '
    done
}

guide_set() {
    start writer
    expect reply "$(beside 'printf "set testkey 0 900 5\r\nhello\r\n" | nc localhost 11211')" STORED
}

guide_get() {
    start reader
    ask 'set testkey 0 900 5\r\nhello\r\n' >/dev/null
    expect reply "$(beside 'printf "get testkey\r\n" | nc localhost 11211')" 'VALUE testkey 0 5
hello
END'
}

session_store() {
    start few --with --ulimit nofile=1024:1024 -- -m 512 -c 4096 -I 10m
    # Not piped: grep ends at the first match, and what podman still writes would fail.
    podman logs "$name" >"$scratch/log" 2>&1
    grep -q 'WARNING: -c 4096 lowered to' "$scratch/log" || { cat "$scratch/log" && return 1; }
    podman rm --force --time 2 "$name" >/dev/null
    start sessions -m 512 -c 4096 -I 10m
    local most=$((10 * 1024 * 1024))
    store $((most - 512)) >"$scratch/reply"
    expect 'value below 10 MiB' "$(cat "$scratch/reply")" STORED
    store $most >"$scratch/reply"
    expect 'value of 10 MiB' "$(cat "$scratch/reply")" 'SERVER_ERROR object too large for cache'
}

# store BYTES: stores a value of that size.
store() {
    { printf 'set large 0 0 %d\r\n' "$1"; head -c "$1" /dev/zero; printf '\r\n'; } |
        inside nc -N 127.0.0.1 11211
}

other_container() {
    start neighbour -m 512 -c 4096 -I 10m
    local ask='echo "stats" | nc memcached-sessions 11211 | grep max_connections'
    expect line "$(beside "$ask")" 'STAT max_connections 4096'
}

full_cache() {
    start database -m 768 -c 8192 -I 5m
    inside python3 "$root/ci/container/load.py"
    memory_events
    expect 'processes killed for memory' "$kills" 0
    expect running "$(podman inspect --format '{{.State.Running}} {{.State.OOMKilled}}' "$name")" \
        'true false'
    echo "peak $peak MiB of 1024, resident $(awk '/^VmHWM/ { print int($2 / 1024) }' \
        "/proc/$pid/status") MiB, $(ls "/proc/$pid/task" | wc -l) threads"
    local began=$(date +%s%N)
    podman stop --time 10 "$name" >/dev/null
    expect 'exit status when full' "$(podman inspect --format '{{.State.ExitCode}}' "$name")" 0
    echo "stopped in $((($(date +%s%N) - began) / 1000000)) ms"
}

database_limit() {
    start limit -m 768 -c 8192 -I 5m
    expect line "$(ask 'stats\n' | grep limit_maxbytes)" 'STAT limit_maxbytes 805306368'
}

make_derived() {
    mkdir -p "$scratch/derived"
    cat >"$scratch/derived/Containerfile" <<END
FROM $busybox AS builder
RUN mkdir -p /build && \
    echo '{"cache_strategy":"lru","max_memory_mb":256,"max_connections":2048}' \
        >/build/cache-config.json && \
    chown -R 11211:11211 /build
FROM $image
COPY --from=builder --chown=memcached:memcached /build/cache-config.json /app/config/
CMD ["-m", "256", "-c", "2048", "-I", "5m", "-v"]
END
    buildah bud --isolation chroot --quiet --tag localhost/derived:ci "$scratch/derived"
}

multi_stage() {
    make_derived
    local mounted
    mounted=$(podman image mount localhost/derived:ci)
    expect owner "$(stat -c %u:%g "$mounted/app/config/cache-config.json")" 11211:11211
    podman image unmount localhost/derived:ci >/dev/null
}

config_file() {
    derived=localhost/derived:ci start config -m 64
    expect reply "$(ask 'version\r\n')" 'VERSION 1.6.45'
}

flags_in_command() {
    derived=localhost/derived:ci start command
    expect lines "$(three_lines)" 'STAT version 1.6.45
STAT max_connections 2048
STAT limit_maxbytes 268435456'
}

nothing_but_the_server() {
    local mounted files
    mounted=$(podman image mount "$image")
    files=$(cd "$mounted" && find . ! -type d | sort | xargs)
    readelf --program-headers "$mounted/usr/local/bin/memserver" >"$scratch/log"
    grep -q INTERP "$scratch/log" && {
        echo 'the binary needs a loader' && return 1
    }
    podman image unmount "$image" >/dev/null
    expect files "$files" \
        './etc/group ./etc/passwd ./opt/memcached/bin/memcached ./usr/local/bin/memserver'
    start shell
    ! podman exec "$name" sh -c id >/dev/null 2>&1 || { echo 'there is a shell' && return 1; }
    expect capabilities "$(sed -n 's/^CapEff:\t//p' "/proc/$pid/status")" 0000000000000000
}

low_port() {
    local status=0
    podman run --rm "${hardened[@]}" "${limits[@]}" \
        --sysctl net.ipv4.ip_unprivileged_port_start=1024 "$image" -p 80 \
        >"$scratch/low" 2>&1 || status=$?
    expect 'exit status' $status 71
    expect 'lines printed' "$(wc -l <"$scratch/low")" 1
    grep -q 1024 "$scratch/low" || { cat "$scratch/low" && return 1; }
    head -c -1 "$scratch/low"
}

configuration() {
    expect user "$(inspect '{{.Config.User}}')" 11211:11211
    expect ports "$(inspect '{{json .Config.ExposedPorts}}')" '{"11211/tcp":{}}'
    inspect '{{json .Config.Env}}' | grep -q '"MEMCACHED_VERSION=1.6.45"'
    inspect '{{json .Config.Env}}' | grep -q '"PATH=/opt/memcached/bin:'
    local label
    for label in title description licenses version source created base.name; do
        inspect '{{json .Config.Labels}}' | grep -q "org.opencontainers.image.$label" ||
            { echo "no label $label" && return 1; }
    done
    expect revision "$(inspect '{{index .Config.Labels "org.opencontainers.image.revision"}}')" \
        "$(revision)"
    expect version "$(inspect '{{index .Config.Labels "org.opencontainers.image.version"}}')" \
        "$(sed -n 's/^version = //p' "$root/Cargo.toml" | tr -d '"')"
    local size=$(inspect '{{.Size}}')
    [ "$size" -lt $((6 << 20)) ] || { echo "the image has $size bytes" && return 1; }
    echo "image of $size bytes"
}

stop() {
    start stopped
    local began=$(date +%s%N) ms
    podman stop --time 10 "$name" >/dev/null
    ms=$((($(date +%s%N) - began) / 1000000))
    expect 'exit status' "$(podman inspect --format '{{.State.ExitCode}}' "$name")" 0
    [ $ms -lt 2000 ] || { echo "took $ms ms" && return 1; }
    echo "$ms ms"
}

for tool in podman buildah runc nsenter busybox nc python3 readelf; do
    have "$tool" || skip "$tool is not installed; no image was built and no row was tested"
done
[ "$(id -u)" = 0 ] || skip 'this script starts containers as root, and this is not root'
make_busybox "$busybox" >"$scratch/log" 2>&1 || { cat "$scratch/log" && skip 'buildah does not run'; }
podman run --rm "${hardened[@]}" "${limits[@]}" "$busybox" id \
    >"$scratch/log" 2>&1 || { cat "$scratch/log" && skip 'podman does not run containers here'; }
build_image "$image" 2>&1 | tail -n 25
keep_binary "$image"

row S1 'no arguments: all addresses, user 11211, in the foreground' no_arguments
row S2 'flags are appended to the entry point' entry_and_arguments
row S3 'version, limit_maxbytes and max_connections, nothing else' guide_stats
row S20 'healthcheck finds the server and needs no shell' health
row S4 'a half-closed connection gets its reply and is closed' half_close
row S5 'set with printf and nc' guide_set
row S6 'get with printf and nc' guide_get
row S7 'session store: -m 512 -c 4096 -I 10m, few descriptors, values up to 10 MiB' session_store
row S8 'another container connects by name' other_container
row S9 'query cache: -m 768 -c 8192 -I 5m, full, 8,000 connections, never killed' full_cache
row S10 'limit_maxbytes of -m 768' database_limit
row S11 'multi-stage file: COPY --chown=memcached:memcached' multi_stage
row S12 'a configuration file that the server does not read does no harm' config_file
row S13 'flags in CMD' flags_in_command
row S14 'no shell, no package manager, a static binary, no capabilities' nothing_but_the_server
row S18 'port 80: one clear line and exit status 71' low_port
row S19 'entry point, user, port, labels, size' configuration
row S21 'stop: SIGTERM to process 1, exit status 0' stop

echo "container rows: $passed passed, $failed failed"
[ $failed -eq 0 ]
