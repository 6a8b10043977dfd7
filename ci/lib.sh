# Functions for the scripts in this folder, to be sourced: paths, and servers that stop at exit.
# shellcheck shell=bash
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# What the scripts install and build outside of the workspace. It is kept, so that a second run is
# faster.
tools=$root/target/ci
mkdir -p "$tools"
# cargo finds its programs by this.
PATH=$PATH:$tools/python/bin

scratch=$(mktemp -d)
# Servers that drop root privileges also write here.
chmod 1777 "$scratch"
pids=()

cleanup() {
    local pid
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$scratch"
}
trap cleanup EXIT

have() { command -v "$1" >/dev/null 2>&1; }

skip() {
    echo "SKIPPED: $*"
    exit 0
}

fail() {
    echo "FAILED: $*"
    exit 1
}

# Sets `memserver` to the server to test: $MEMSERVER, or a release build of this checkout.
find_memserver() {
    memserver=${MEMSERVER:-}
    if [ -z "$memserver" ]; then
        (cd "$root" && cargo build --release --bin memserver)
        memserver=$root/target/release/memserver
    fi
    "$memserver" -V
}

# start_server NAME COMMAND...: starts a server on a free loopback port; sets `port` and `pid`. Its
# output goes to $scratch/NAME.log.
start_server() {
    local name=$1 ports=$scratch/$1.port
    shift
    rm -f "$ports"
    MEMCACHED_PORT_FILENAME=$ports "$@" -p -1 -l 127.0.0.1 >"$scratch/$name.log" 2>&1 &
    pid=$!
    pids+=("$pid")
    for _ in $(seq 100); do
        port=$(sed -n 's/^TCP INET: //p' "$ports" 2>/dev/null | head -n 1) || true
        [ -n "$port" ] && return
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    cat "$scratch/$name.log"
    fail "$name did not start"
}

# Stops the server that was started last and sets `status` to its exit status.
stop_server() {
    kill "$pid"
    status=0
    wait "$pid" || status=$?
}

# debian_rust VERSION LLVM [PACKAGE]: prepares the compiler of this version from Debian's packages, unpacked
# beside the workspace so that rustup's stays the one in use. Sets `rust_home`; false if it can't be had.
debian_rust() {
    local version=$1 llvm=$2 packages=() package exact
    rust_home=$tools/rust-$version/usr
    [ -x "$rust_home/bin/rustc" ] && return
    have apt-get && have dpkg || return 1
    for package in rustc-web libstd-rust-web-dev "${@:3}"; do
        exact=$(apt-cache madison "$package" 2>/dev/null |
            awk -v wanted="$version" '$3 ~ "^"wanted"[.]" {print $3; exit}')
        [ -n "$exact" ] || return 1
        packages+=("$package=$exact")
    done
    mkdir -p "$tools/rust-$version/debs"
    (cd "$tools/rust-$version/debs" &&
        apt-get download -qq "${packages[@]}" "libstd-rust-web-$version" "libllvm$llvm" &&
        for package in *.deb; do dpkg -x "$package" ..; done) >/dev/null 2>&1 || return 1
    rm -r "$tools/rust-$version/debs"
    [ -x "$rust_home/bin/rustc" ]
}

# with_rust COMMAND...: runs cargo with the compiler that `debian_rust` prepared.
with_rust() {
    env "LD_LIBRARY_PATH=$rust_home/lib/x86_64-linux-gnu" "RUSTC=$rust_home/bin/rustc" "$@"
}
