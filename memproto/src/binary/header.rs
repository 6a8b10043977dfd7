//! The 24 bytes in front of every frame, from and to their wire form.

use crate::limits::BINARY_HEADER;

/// A request or reply header, fields in wire order.
///
/// ```
/// use memproto::binary::{Header, REQUEST_MAGIC};
///
/// let header = Header { magic: REQUEST_MAGIC, opcode: 0x0a, ..Header::default() };
/// assert_eq!(Header::decode(&header.encode()), header);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// [`super::REQUEST_MAGIC`] or [`super::RESPONSE_MAGIC`].
    pub magic: u8,
    /// The command, perhaps unknown.
    pub opcode: u8,
    /// Bytes of the key.
    pub key_len: u16,
    /// Bytes of the extras.
    pub extras_len: u8,
    /// Ignored.
    pub data_type: u8,
    /// The vbucket of a request, which is ignored, or the status of a reply.
    pub status: u16,
    /// Bytes of extras, key and value together.
    pub body_len: u32,
    /// Echoed unchanged.
    pub opaque: u32,
    /// The version to compare, or the one stored; 0 for none.
    pub cas: u64,
}

impl Header {
    /// Reads the wire form.
    #[must_use]
    #[inline]
    pub const fn decode(bytes: &[u8; BINARY_HEADER]) -> Self {
        // Taken apart by a pattern instead of indices, which could be out of bounds and are denied
        // in this crate.
        let [
            magic,
            opcode,
            k0,
            k1,
            extras_len,
            data_type,
            s0,
            s1,
            b0,
            b1,
            b2,
            b3,
            o0,
            o1,
            o2,
            o3,
            c0,
            c1,
            c2,
            c3,
            c4,
            c5,
            c6,
            c7,
        ] = *bytes;
        Self {
            magic,
            opcode,
            key_len: u16::from_be_bytes([k0, k1]),
            extras_len,
            data_type,
            status: u16::from_be_bytes([s0, s1]),
            body_len: u32::from_be_bytes([b0, b1, b2, b3]),
            opaque: u32::from_be_bytes([o0, o1, o2, o3]),
            cas: u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7]),
        }
    }

    /// Writes the wire form.
    #[must_use]
    #[inline]
    pub const fn encode(&self) -> [u8; BINARY_HEADER] {
        let [k0, k1] = self.key_len.to_be_bytes();
        let [s0, s1] = self.status.to_be_bytes();
        let [b0, b1, b2, b3] = self.body_len.to_be_bytes();
        let [o0, o1, o2, o3] = self.opaque.to_be_bytes();
        let [c0, c1, c2, c3, c4, c5, c6, c7] = self.cas.to_be_bytes();
        [
            self.magic,
            self.opcode,
            k0,
            k1,
            self.extras_len,
            self.data_type,
            s0,
            s1,
            b0,
            b1,
            b2,
            b3,
            o0,
            o1,
            o2,
            o3,
            c0,
            c1,
            c2,
            c3,
            c4,
            c5,
            c6,
            c7,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_order() {
        let bytes: [u8; BINARY_HEADER] = std::array::from_fn(|i| i as u8 + 1);
        let header = Header {
            magic: 1,
            opcode: 2,
            key_len: 0x0304,
            extras_len: 5,
            data_type: 6,
            status: 0x0708,
            body_len: 0x090a_0b0c,
            opaque: 0x0d0e_0f10,
            cas: 0x1112_1314_1516_1718,
        };
        assert_eq!(Header::decode(&bytes), header);
        assert_eq!(header.encode(), bytes);
    }
}
