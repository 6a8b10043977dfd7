//! A file of users, of any kind.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| memserver::fuzzing::authfile(input));
