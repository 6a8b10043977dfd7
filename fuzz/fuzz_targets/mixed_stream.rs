//! Two clients of one cache, compared with a reference.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| memserver::fuzzing::mixed_stream(input));
