//! Sockets: listening, and the bytes of a connection.

pub(crate) mod listener;
pub(crate) mod socket;
