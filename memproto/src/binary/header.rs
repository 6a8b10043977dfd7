//! The 24 bytes in front of every frame.

/// A request header, fields in wire order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// [`super::REQUEST_MAGIC`].
    pub magic: u8,
    /// The command, perhaps unknown.
    pub opcode: u8,
    /// Bytes of the key.
    pub key_len: u16,
    /// Bytes of the extras.
    pub extras_len: u8,
    /// Ignored.
    pub data_type: u8,
    /// Ignored in requests, the status in replies.
    pub vbucket: u16,
    /// Bytes of extras, key and value together.
    pub body_len: u32,
    /// Echoed unchanged.
    pub opaque: u32,
    /// The version to compare, 0 for none.
    pub cas: u64,
}
