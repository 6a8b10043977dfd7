//! The first request of a connection that has to authenticate in text: `set` with any words,
//! and `user password` as its data block. It must never know which passwords are right.

use crate::Scan;

/// The result of [`parse_auth`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthStep {
    /// No whole line yet.
    Partial,
    /// The block with the credentials follows: `len` bytes and CRLF.
    Block {
        /// Bytes used by the line.
        consumed: usize,
        /// Bytes of the block without its CRLF.
        len: u32,
    },
    /// Answer `error`, a whole line without terminator; nothing is swallowed.
    Reject {
        /// Bytes used.
        consumed: usize,
        /// `CLIENT_ERROR unauthenticated` or `CLIENT_ERROR auth token too long`.
        error: &'static str,
    },
    /// Too short or too long a line: close without a reply.
    Close,
}

/// Looks at the front of `buf` for the announcement of credentials.
#[must_use]
pub fn parse_auth(buf: &[u8], scan: &mut Scan) -> AuthStep {
    let _ = (buf, scan);
    todo!()
}

/// Splits a credentials block, its CRLF included, into user and password.
///
/// # Errors
/// The reply line without terminator.
pub fn parse_credentials(block: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let _ = block;
    todo!()
}
