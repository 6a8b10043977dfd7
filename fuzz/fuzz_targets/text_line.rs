//! A stream of classic and meta commands, cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| memproto::fuzzing::text_line(input));
