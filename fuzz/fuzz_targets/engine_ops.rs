//! Operations on the engine, compared with its oracle.
#![no_main]

#[path = "../../memcore/src/tests/common/model.rs"]
mod model;
#[path = "../../memcore/src/tests/common/ops.rs"]
mod ops;
#[path = "../../memcore/src/tests/common/pair.rs"]
mod pair;

libfuzzer_sys::fuzz_target!(|input: &[u8]| ops::engine_ops(input));
