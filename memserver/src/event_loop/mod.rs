//! The threads that serve: accepting, one event loop per worker, upkeep, reading files again.

pub(crate) mod acceptor;
pub(crate) mod arena;
pub(crate) mod conn;
pub(crate) mod drain;
pub(crate) mod flash;
mod handshakes;
pub(crate) mod maintenance;
mod placement;
pub(crate) mod reloader;
#[cfg(test)]
mod steady_tests;
pub(crate) mod threads;
pub(crate) mod turn;
mod unfinished;
pub(crate) mod worker;
