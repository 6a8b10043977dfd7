//! Bytes that come back from flash, and what is kept of it over a restart.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| memcore::flash::fuzz_flash(input));
