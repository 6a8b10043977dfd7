//! Sockets: listening, and the bytes of a connection.

pub(crate) mod conn_info;
pub(crate) mod inherited;
mod interface;
pub(crate) mod listener;
mod plain;
mod secured;
pub(crate) mod socket;
pub(crate) mod transport;
