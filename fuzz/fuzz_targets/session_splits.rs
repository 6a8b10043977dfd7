//! A whole dialogue, cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| memserver::fuzzing::session_splits(input));
