//! A memcached-compatible cache server.

mod batch;
mod config;
mod conn;
mod counters;
mod exec;
#[doc(hidden)]
pub mod fuzzing;
mod log;
mod output;
mod session;
mod shared;
mod socket;
mod stats;
mod trace;
mod turn;
mod worker;
