//! What a client is sent.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| memproto::fuzzing::client_replies(input));
