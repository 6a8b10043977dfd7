//! A command line, in every spelling.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| memserver::fuzzing::argv(input));
