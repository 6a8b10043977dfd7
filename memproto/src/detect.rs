//! Chooses the protocol of a connection from its first byte; the connection keeps it until it
//! ends.

/// The two framings a connection can speak; meta commands travel inside the text framing.
///
/// ```
/// assert_eq!(memproto::detect(0x80), memproto::Protocol::Binary);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// 24-byte headers, see [`crate::binary`].
    Binary,
    /// Lines, classic and meta, see [`crate::text`].
    Text,
}

/// The protocol of a connection whose first byte is `first`.
///
/// ```
/// use memproto::{Protocol, detect};
/// assert_eq!(detect(0x80), Protocol::Binary);
/// assert_eq!(detect(b'g'), Protocol::Text);
/// ```
#[must_use]
pub const fn detect(first: u8) -> Protocol {
    if first == crate::binary::REQUEST_MAGIC { Protocol::Binary } else { Protocol::Text }
}
