#!/usr/bin/env bash
# The two libraries on other systems and processors. There is a standard library only for the
# machine's own target, so that of every other one is built from source.
#
#     ci/portability.sh            targets that differ most, and the tests that can be run here
#     ci/portability.sh --all      all targets, and the same tests
#     ci/portability.sh TARGET...  only checks these targets
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"

targets=(aarch64-apple-darwin x86_64-pc-windows-msvc i686-unknown-linux-gnu wasm32-wasip1)
tests=yes
case ${1:-} in
    '') ;;
    --all) targets+=(x86_64-apple-darwin x86_64-unknown-freebsd aarch64-unknown-linux-gnu) ;;
    *) targets=("$@") tests= ;;
esac

if [ -n "$tests" ]; then
    echo '-- memory from the allocator, on this machine'
    RUSTFLAGS='--cfg memcore_fallback' cargo test --quiet --target-dir "$tools/fallback" \
        -p memcore --lib --test api || fail 'memory from the allocator'
fi

# A compiler and the sources of its standard library: the nightly toolchain's, or Debian's, which
# has to be told that it may build a standard library.
if [ -f "$(rustc +nightly --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library/Cargo.lock" ]; then
    rust() { cargo +nightly "$@"; }
elif debian_rust 1.96 22 rust-web-src; then
    rust() { RUSTC_BOOTSTRAP=1 with_rust cargo "$@"; }
else
    skip 'there are no sources of a standard library'
fi
export CARGO_PROFILE_DEV_DEBUG=0
build_std=(-Zbuild-std=std,panic_unwind,panic_abort --target-dir "$tools/portability")

for target in "${targets[@]}"; do
    echo "-- $target"
    RUSTFLAGS=-Dwarnings rust check --quiet "${build_std[@]}" --target "$target" \
        -p memcore -p memproto || fail "$target"
done
[ -n "$tests" ] || exit 0

# emulated TARGET LINKER RUNNER: runs tests of memory, bytes and operations; an emulator is slow.
emulated() {
    local target=$1 linker=$2 runner=$3 name
    if ! have "$linker" || ! have "${runner%% *}"; then
        echo "NOT RUN: tests on $target, for lack of $linker or ${runner%% *}"
        return
    fi
    echo "-- tests on $target"
    name=$(tr 'a-z-' 'A-Z_' <<<"$target")
    export "CARGO_TARGET_${name}_LINKER=$linker" "CARGO_TARGET_${name}_RUNNER=$runner"
    # An emulator runs unoptimised code for many minutes, and these tests recount a whole cache after
    # each operation.
    export CARGO_PROFILE_DEV_OPT_LEVEL=2
    rust test --quiet "${build_std[@]}" --target "$target" -p memcore --lib --test api -- \
        --skip tests::model --skip tests::stress --skip tests::abuse || fail "tests on $target"
}
emulated aarch64-unknown-linux-gnu aarch64-linux-gnu-gcc 'qemu-aarch64 -L /usr/aarch64-linux-gnu'
