//! Shared parts of the benchmark programs: keys and values that certify themselves, distributions,
//! a client's side of the text protocol, and readings of processor time and memory.

pub mod buffer;
pub mod hist;
pub mod json;
pub mod load;
pub mod process;
pub mod rng;
pub mod value;
pub mod wire;
pub mod zipf;
