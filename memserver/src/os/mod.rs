//! What only the operating system can do or tell.

use std::io;

pub(crate) mod cgroup;
pub(crate) mod cpu;
pub(crate) mod daemon;
pub(crate) mod files;
pub(crate) mod json;
pub(crate) mod last_resort;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod random;
pub(crate) mod sandbox;
pub(crate) mod service;
pub(crate) mod signals;
pub(crate) mod time;
pub(crate) mod user;

/// The system's words for an error, without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = match error.kind() {
        io::ErrorKind::AddrInUse => "Address already in use".to_owned(),
        _ => error.to_string(),
    };
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
