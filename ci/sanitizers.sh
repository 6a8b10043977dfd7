#!/usr/bin/env bash
# The engine's tests of memory and threads under AddressSanitizer, with memory from the allocator, whose ends
# the sanitizer knows and which is copied by ordinary code. Mapped memory is copied by instructions that no
# sanitizer looks into.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root"

have rustup && rustup toolchain list | grep -q '^nightly' || skip 'there is no nightly toolchain'
target=$(rustc +nightly --version --verbose | sed -n 's/^host: //p')
libraries=$(rustc +nightly --print sysroot)/lib/rustlib/$target/lib
compgen -G "$libraries/*_rt.asan.a" >/dev/null || skip 'the nightly toolchain has no sanitizers'

# Not optimised, most of the time would go into checks that the optimiser finds needless.
export CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=line-tables-only
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_init_order=1
# What a panic of somebody else's code has left is forgotten on purpose: to drop it may panic again.
echo 'leak:__rust_start_panic' >"$scratch/leaks"
export LSAN_OPTIONS=suppressions=$scratch/leaks:print_suppressions=0

export RUSTFLAGS='-Zsanitizer=address --cfg memcore_fallback'

# A build whose tables end too early has to be noticed. It has a folder of its own: to cargo it is the same
# crate.
mkdir -p "$scratch/broken/src"
cp -r memcore Cargo.lock "$scratch/broken"
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
fn main() {
    let cache = memcore::Cache::new(4 << 20).unwrap();
    for key in 0..100_000_u32 {
        cache.set(key.to_le_bytes(), &[7; 100], memcore::Attrs::new()).unwrap();
    }
}
END
# run_it: whether the program ends well; what it says is in $scratch/log.
run_it() {
    (cd "$scratch/broken" && cargo +nightly run --quiet --target "$target" -p broken \
        --target-dir "$tools/sanitizers-broken") >"$scratch/log" 2>&1
}
run_it || { tail -n 40 "$scratch/log" && fail 'the program that is to be broken does not run'; }
source=$scratch/broken/memcore/src/memory/region.rs
sed -i 's/Layout::array::<T>(len)/Layout::array::<T>(len - len \/ 4)/' "$source"
! cmp -s memcore/src/memory/region.rs "$source" || fail 'the place that is to be broken is not there'
! run_it || fail 'tables that end too early were not noticed'
grep -q 'AddressSanitizer: heap-buffer-overflow' "$scratch/log" ||
    { tail -n 40 "$scratch/log" && fail 'tables that end too early were noticed by something else'; }
echo 'tables that end too early are noticed'

# The models take long by recounting, which no sanitizer makes more exact.
cargo +nightly test --quiet --target "$target" --target-dir "$tools/sanitizers" -p memcore \
    --lib --test api --test full --test listener --test loads --test typed --test typed_tags \
    --test weak -- --skip tests::model --skip an_oracle_sees_the_same --skip it_is_a_map
