//! A snapshot, loaded by a cache and read by a reader.
#![no_main]

#[path = "../../memcore/src/tests/common/snapshots.rs"]
mod snapshots;

libfuzzer_sys::fuzz_target!(|input: &[u8]| snapshots::fuzz_snapshot(input));
