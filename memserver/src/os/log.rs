//! Lines on standard error. It must never know when they are worth it, but for the last one:
//! callers look at the verbosity.

use std::fmt::Arguments;
use std::io::{self, Write};

/// Writes one line with one system call, so that lines of several threads stay whole. A closed
/// standard error is nothing to stop for.
pub(crate) fn line(text: Arguments<'_>) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Says how the server ends, whoever has asked for it.
pub(crate) fn log_shutdown(graceful: bool, verbosity: u8) {
    if graceful {
        line(format_args!("Gracefully stopping"));
    } else if verbosity > 0 {
        line(format_args!("Exiting normally"));
    }
}
