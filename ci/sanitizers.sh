#!/usr/bin/env bash
# The engine's tests of memory and threads under AddressSanitizer and ThreadSanitizer.
#
# Mapped memory is copied by instructions that no sanitizer looks into, and the ends of what lies in it are
# not known to them. So most is found with memory from the allocator, which is copied by ordinary code. With
# mapped memory the rest is seen at work: handles, tables of the flash tier, stacks.
#
#     ci/sanitizers.sh             both
#     ci/sanitizers.sh address     only AddressSanitizer
#     ci/sanitizers.sh threads     only ThreadSanitizer, for which the standard library is built as well
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"

case ${1:-} in
    '' | address | threads) wanted=${1:-both} ;;
    *) sed -n '5,/^# shell/s/^# \{0,1\}//p' "$0" | head -n 5 >&2 && exit 64 ;;
esac
have rustup && rustup toolchain list | grep -q '^nightly' || skip 'there is no nightly toolchain'
target=$(rustc +nightly --version --verbose | sed -n 's/^host: //p')
sysroot=$(rustc +nightly --print sysroot)
compgen -G "$sysroot/lib/rustlib/$target/lib/*_rt.asan.a" >/dev/null ||
    skip 'the nightly toolchain has no sanitizers'

# Not optimised, most of the time would go into checks that the optimiser finds needless.
export CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=line-tables-only
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_init_order=1
# What a panic of somebody else's code has left is forgotten on purpose: to drop it may panic again.
echo 'leak:__rust_start_panic' >"$scratch/leaks"
export LSAN_OPTIONS=suppressions=$scratch/leaks:print_suppressions=0

tests=(--lib --test api --test full --test listener --test loads --test typed --test typed_races
    --test typed_tags --test weak)
# The models take long by recounting, which no sanitizer makes more exact.
skipped=(--skip tests::model --skip an_oracle_sees_the_same --skip it_is_a_map)

# tested FOLDER ARGUMENT...: the tests, built in this folder with more arguments for cargo.
tested() {
    local folder=$1
    shift
    cargo +nightly test --quiet --target "$target" --target-dir "$tools/$folder" -p memcore "$@" \
        "${tests[@]}" -- "${skipped[@]}"
}

# A build with an error that a sanitizer has to notice. It has a folder of its own: to cargo it is the same
# crate.
mkdir -p "$scratch/broken/src"
cp Cargo.lock "$scratch/broken"
sed '/^members/,/^\]/d; /^default-members/d; /^\[workspace\]/a members = ["memcore"]' Cargo.toml \
    >"$scratch/broken/Cargo.toml"
cat >>"$scratch/broken/Cargo.toml" <<'END'
[package]
name = "broken"
edition = "2024"
[dependencies]
memcore.workspace = true
END
cat >"$scratch/broken/src/main.rs" <<'END'
use std::sync::Barrier;
use memcore::{Attrs, Cache, Count};

fn main() {
    let cache = Cache::new(4 << 20).unwrap();
    for key in 0..100_000_u32 {
        cache.set(key.to_le_bytes(), &[7; 100], Attrs::new()).unwrap();
    }
    cache.set("number", b"1000000", Attrs::new()).unwrap();
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            (0..100_000).for_each(|_| _ = cache.get("number"));
        });
        start.wait();
        (0..100_000).for_each(|_| _ = cache.count("number", &Count::increment(1)));
    });
}
END

# run_it FOLDER ARGUMENT...: whether the program ends well; what it says is in $scratch/log.
run_it() {
    local folder=$1
    shift
    (cd "$scratch/broken" && cargo +nightly run --quiet --target "$target" -p broken \
        --target-dir "$tools/$folder" "$@") >"$scratch/log" 2>&1
}

# noticed WHAT BY FILE SED FOLDER ARGUMENT...: that a change of this file leads to such a complaint, and that
# without it there is none.
noticed() {
    local what=$1 by=$2 file=$3 change=$4
    shift 4
    rm -rf "$scratch/broken/memcore"
    cp -r memcore "$scratch/broken"
    run_it "$@" || { tail -n 40 "$scratch/log" && fail 'the program that is to be broken does not run'; }
    sed -i "$change" "$scratch/broken/$file"
    ! cmp -s "$file" "$scratch/broken/$file" || fail 'the place that is to be broken is not there'
    ! run_it "$@" || fail "$what: not noticed"
    grep -q "$by" "$scratch/log" ||
        { tail -n 40 "$scratch/log" && fail "$what: noticed by something else"; }
    echo "$what: noticed"
}

if [ "$wanted" != threads ]; then
    export RUSTFLAGS='-Zsanitizer=address --cfg memcore_fallback'
    noticed 'tables that end too early' 'AddressSanitizer: heap-buffer-overflow' \
        memcore/src/memory/region.rs 's/Layout::array::<T>(len)/Layout::array::<T>(len - len \/ 4)/' \
        sanitizers-broken
    echo '-- AddressSanitizer, memory from the allocator'
    tested sanitizers
    echo '-- AddressSanitizer, mapped memory'
    RUSTFLAGS=-Zsanitizer=address tested sanitizers-mapped --features flash \
        --test memory_limit --test restart
fi

[ "$wanted" != address ] || exit 0
# The standard library has to tell of its locks as well.
[ -f "$sysroot/lib/rustlib/src/rust/library/Cargo.lock" ] ||
    rustup component add --toolchain nightly rust-src >/dev/null 2>&1 ||
    skip 'ThreadSanitizer: there are no sources of a standard library'
export RUSTFLAGS='-Zsanitizer=thread --cfg memcore_fallback'
noticed 'bytes that are written while others read them' 'ThreadSanitizer: data race' \
    memcore/src/memory/bytes.rs \
    's/cell\.store(\(.*\), Relaxed);/unsafe { cell.as_ptr().write(\1) };/' \
    sanitizers-threads -Zbuild-std
echo '-- ThreadSanitizer'
tested sanitizers-threads -Zbuild-std
