//! Binary replies, appended to the caller's buffer.

use super::RESPONSE_MAGIC;
use super::header::Header;
use super::request::Status;

pub use super::request::ReplyTo;

/// Bytes behind a reply header.
///
/// ```
/// use memproto::binary::write::Lengths;
///
/// let lengths = Lengths { key: 5, ..Lengths::default() };
/// assert_eq!((lengths.extras, lengths.value), (0, 0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lengths {
    /// Bytes of the extras.
    pub extras: u8,
    /// Bytes of the key.
    pub key: u16,
    /// Bytes of the value.
    pub value: u32,
}

/// A reply header; extras, key and value follow.
///
/// ```
/// use memproto::binary::write::{self, Lengths, ReplyTo};
/// use memproto::binary::{Header, Status};
///
/// let to = ReplyTo { opcode: 0x0a, opaque: 7 };
/// let mut out = Vec::new();
/// write::header(&mut out, to, Status::Ok, Lengths::default(), 0);
/// let header = Header::decode(out.first_chunk().unwrap());
/// assert_eq!((header.magic, header.opcode, header.opaque), (0x81, 0x0a, 7));
/// ```
#[inline]
pub fn header(out: &mut Vec<u8>, to: ReplyTo, status: Status, lengths: Lengths, cas: u64) {
    let front = u32::from(lengths.key) + u32::from(lengths.extras);
    // Values are limited far below this by the item size; a reply that wraps would put the client
    // out of step for good.
    debug_assert!(lengths.value.checked_add(front).is_some(), "{lengths:?} does not fit a frame");
    let header = Header {
        magic: RESPONSE_MAGIC,
        opcode: to.opcode,
        key_len: lengths.key,
        extras_len: lengths.extras,
        data_type: 0,
        status: status as u16,
        body_len: lengths.value.saturating_add(front),
        opaque: to.opaque,
        cas,
    };
    out.extend_from_slice(&header.encode());
}

/// Success without a body: stored, deleted, flushed, noop, quit, and the end of statistics.
///
/// ```
/// use memproto::binary::write::{self, ReplyTo};
///
/// let to = ReplyTo { opcode: 0x01, opaque: 7 };
/// let mut out = Vec::new();
/// write::done(&mut out, to, 42);
/// assert_eq!(out.len(), 24);
/// ```
#[inline]
pub fn done(out: &mut Vec<u8>, to: ReplyTo, cas: u64) {
    header(out, to, Status::Ok, Lengths::default(), cas);
}

/// An error with its text.
///
/// ```
/// use memproto::binary::Status;
/// use memproto::binary::write::{self, ReplyTo};
///
/// let to = ReplyTo { opcode: 0x00, opaque: 7 };
/// let mut out = Vec::new();
/// write::error(&mut out, to, Status::NotFound);
/// assert_eq!(out[24..], *b"Not found");
/// ```
pub fn error(out: &mut Vec<u8>, to: ReplyTo, status: Status) {
    message(out, to, status, status.text().as_bytes());
}

/// The length of a key or name in a header.
#[inline]
fn key_len(key: &[u8]) -> u16 {
    debug_assert!(u16::try_from(key.len()).is_ok(), "a key of {} bytes", key.len());
    key.len() as u16
}

/// The length of a value in a header.
#[inline]
fn value_len(value: &[u8]) -> u32 {
    debug_assert!(u32::try_from(value.len()).is_ok(), "a value of {} bytes", value.len());
    value.len() as u32
}

/// A status with any body: version, SASL mechanisms, a SASL challenge.
///
/// ```
/// use memproto::binary::Status;
/// use memproto::binary::write::{self, ReplyTo};
///
/// let to = ReplyTo { opcode: 0x0b, opaque: 7 };
/// let mut out = Vec::new();
/// write::message(&mut out, to, Status::Ok, b"1.6.45");
/// assert_eq!(out[24..], *b"1.6.45");
/// ```
pub fn message(out: &mut Vec<u8>, to: ReplyTo, status: Status, body: &[u8]) {
    header(out, to, status, Lengths { value: value_len(body), ..Lengths::default() }, 0);
    out.extend_from_slice(body);
}

/// The front of a hit of the get family; the value follows. `key` is empty unless the command
/// returns it.
///
/// ```
/// use memproto::binary::write::{self, ReplyTo};
///
/// let to = ReplyTo { opcode: 0x0c, opaque: 7 };
/// let mut out = Vec::new();
/// write::value(&mut out, to, b"apple", 1, 3, 42);
/// assert_eq!(out[24..], *b"\0\0\0\x01apple");
/// ```
#[inline]
pub fn value(out: &mut Vec<u8>, to: ReplyTo, key: &[u8], flags: u32, len: u32, cas: u64) {
    header(out, to, Status::Ok, Lengths { extras: 4, key: key_len(key), value: len }, cas);
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(key);
}

/// A miss of getk and gatk, which carries the key and no text.
///
/// ```
/// use memproto::binary::write::{self, ReplyTo};
///
/// let to = ReplyTo { opcode: 0x0c, opaque: 7 };
/// let mut out = Vec::new();
/// write::miss_with_key(&mut out, to, b"apple");
/// assert_eq!(out[24..], *b"apple");
/// ```
pub fn miss_with_key(out: &mut Vec<u8>, to: ReplyTo, key: &[u8]) {
    let lengths = Lengths { key: key_len(key), ..Lengths::default() };
    header(out, to, Status::NotFound, lengths, 0);
    out.extend_from_slice(key);
}

/// A touched item: its client flags as extras.
///
/// ```
/// use memproto::binary::write::{self, ReplyTo};
///
/// let to = ReplyTo { opcode: 0x1c, opaque: 7 };
/// let mut out = Vec::new();
/// write::touched(&mut out, to, 1, 42);
/// assert_eq!(out[24..], *b"\0\0\0\x01");
/// ```
pub fn touched(out: &mut Vec<u8>, to: ReplyTo, flags: u32, cas: u64) {
    value(out, to, &[], flags, 0, cas);
}

/// The new value of a counter.
///
/// ```
/// use memproto::binary::write::{self, ReplyTo};
///
/// let to = ReplyTo { opcode: 0x05, opaque: 7 };
/// let mut out = Vec::new();
/// write::number(&mut out, to, 10, 42);
/// assert_eq!(out[24..], 10_u64.to_be_bytes());
/// ```
pub fn number(out: &mut Vec<u8>, to: ReplyTo, value: u64, cas: u64) {
    header(out, to, Status::Ok, Lengths { value: 8, ..Lengths::default() }, cas);
    out.extend_from_slice(&value.to_be_bytes());
}

/// One statistic; [`done`] ends the list.
///
/// ```
/// use memproto::binary::write::{self, ReplyTo};
///
/// let to = ReplyTo { opcode: 0x10, opaque: 7 };
/// let mut out = Vec::new();
/// write::stat(&mut out, to, b"curr_items", b"3");
/// assert_eq!(out[24..], *b"curr_items3");
/// ```
pub fn stat(out: &mut Vec<u8>, to: ReplyTo, name: &[u8], value: &[u8]) {
    let lengths = Lengths { extras: 0, key: key_len(name), value: value_len(value) };
    header(out, to, Status::Ok, lengths, 0);
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}
