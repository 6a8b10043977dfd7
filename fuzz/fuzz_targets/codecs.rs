//! Keys and values of typed caches, from bytes that anybody may have written.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| memcore::typed::fuzz_codecs(input));
