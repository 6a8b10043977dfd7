#!/usr/bin/env bash
# Builds the files of the image for arm64 on another processor, and runs the program under an
# emulator: it serves, over TLS too. Needs Debian's cross compiler and qemu-user.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"
target=aarch64-unknown-linux-gnu
have aarch64-linux-gnu-gcc && have qemu-aarch64 || skip 'there is no cross compiler or no emulator'
# The standard library for this processor is built with the program.
debian_rust 1.96 22 rust-web-src || skip 'there are no sources of a standard library'
export RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_unwind,panic_abort
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
binary=$(FEATURES=tls with_rust sh ci/build.sh "$tools/arm64" $target | tail -n 1)
file=$(readelf --file-header "$binary")
grep -q 'Machine:.*AArch64' <<<"$file" || fail 'the binary is for another processor'
! readelf --dynamic "$binary" | grep -q NEEDED || fail 'the binary is not static'
rm -rf "$tools/arm64/rootfs"
sh ci/rootfs.sh "$binary" "$tools/arm64/rootfs"
(cd "$tools/arm64/rootfs" && find . ! -type d -printf '%m %8s %p %l\n' | sort -k 3)
bytes=$(find "$tools/arm64/rootfs" -type f -printf '%s\n' | awk '{ all += $1 } END { print all }')
echo "$bytes bytes"
[ "$bytes" -le $((6 << 20)) ] || fail 'the image has more than 6 MiB'

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=arm64 \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$scratch/key.pem" -out "$scratch/cert.pem" 2>/dev/null
start_server arm64 qemu-aarch64 "$binary" -Z -t 1 \
    -o "ssl_chain_cert=$scratch/cert.pem,ssl_key=$scratch/key.pem"
answer=$(printf 'set a 0 0 1\r\nx\r\nget a\r\nquit\r\n' |
    timeout 60 openssl s_client -quiet -verify_quiet -connect "127.0.0.1:$port" 2>/dev/null | tr -d '\r')
stop_server
[ "$answer" = $'STORED\nVALUE a 0 1\nx\nEND' ] || fail "it answered: $answer"
echo 'it serves over TLS'
