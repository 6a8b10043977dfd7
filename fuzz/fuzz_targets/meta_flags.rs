//! One meta line.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| memproto::fuzzing::meta_flags(input));
