//! A stream of binary frames, cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| memproto::fuzzing::binary_frame(input));
