#!/usr/bin/env bash
# Runs every fuzz target on its corpus for SECONDS_EACH seconds (default 10). Inputs that fail are
# kept in fuzz/artifacts; other new inputs go to target/ci, not into the committed corpus.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$root/fuzz"
have cargo-fuzz || skip 'cargo-fuzz is not installed'
rustup toolchain list | grep -q '^nightly' || skip 'the nightly toolchain is not installed'
seconds=${SECONDS_EACH:-10}
total=0
cargo +nightly fuzz build
for target in $(cargo +nightly fuzz list); do
    found=$tools/corpus/$target
    mkdir -p "$found"
    dictionary=()
    [ ! -f "dictionaries/$target.dict" ] || dictionary=("-dict=dictionaries/$target.dict")
    cargo +nightly fuzz run "$target" "$found" "corpus/$target" -- -max_total_time="$seconds" \
        -rss_limit_mb=1024 -timeout=20 -print_final_stats=1 "${dictionary[@]}" \
        >"$scratch/log" 2>&1 || {
        tail -n 40 "$scratch/log"
        fail "$target"
    }
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch/log")
    total=$((total + runs))
    echo "$target: $runs executions, no failure"
done
echo "fuzz: $total executions"
