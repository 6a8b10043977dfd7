//! Shared parts of the benchmark programs: keys and values that certify themselves, distributions,
//! traces, a client's side of the text protocol, servers as child processes, and readings of
//! processor time and memory.

pub mod attacks;
pub mod buffer;
pub mod chase;
pub mod client;
pub mod compare;
pub mod hist;
pub mod inprocess;
pub mod lab;
pub mod launch;
pub mod load;
pub mod lru;
pub mod pressure;
pub mod process;
pub mod ratio;
pub mod replay;
pub mod rng;
pub mod stalls;
pub mod stress;
pub mod trace;
pub mod value;
pub mod wire;
pub mod zipf;
