//! Binary replies, appended to the caller's buffer. It must never know how a result came about.

use super::RESPONSE_MAGIC;
use super::header::Header;
use super::request::Status;

pub use super::request::ReplyTo;

/// Bytes behind a reply header.
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
#[inline]
pub fn header(out: &mut Vec<u8>, to: ReplyTo, status: Status, lengths: Lengths, cas: u64) {
    let front = u32::from(lengths.key) + u32::from(lengths.extras);
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
#[inline]
pub fn done(out: &mut Vec<u8>, to: ReplyTo, cas: u64) {
    header(out, to, Status::Ok, Lengths::default(), cas);
}

/// An error with its text.
pub fn error(out: &mut Vec<u8>, to: ReplyTo, status: Status) {
    message(out, to, status, status.text().as_bytes());
}

/// A status with any body: version, SASL mechanisms, a SASL challenge.
pub fn message(out: &mut Vec<u8>, to: ReplyTo, status: Status, body: &[u8]) {
    header(out, to, status, Lengths { value: body.len() as u32, ..Lengths::default() }, 0);
    out.extend_from_slice(body);
}

/// The front of a hit of the get family; the value follows. `key` is empty unless the command
/// returns it.
#[inline]
pub fn value(out: &mut Vec<u8>, to: ReplyTo, key: &[u8], flags: u32, len: u32, cas: u64) {
    header(out, to, Status::Ok, Lengths { extras: 4, key: key.len() as u16, value: len }, cas);
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(key);
}

/// A miss of getk and gatk, which carries the key and no text.
pub fn miss_with_key(out: &mut Vec<u8>, to: ReplyTo, key: &[u8]) {
    let lengths = Lengths { key: key.len() as u16, ..Lengths::default() };
    header(out, to, Status::NotFound, lengths, 0);
    out.extend_from_slice(key);
}

/// A touched item: its client flags as extras.
pub fn touched(out: &mut Vec<u8>, to: ReplyTo, flags: u32, cas: u64) {
    value(out, to, &[], flags, 0, cas);
}

/// The new value of a counter.
pub fn number(out: &mut Vec<u8>, to: ReplyTo, value: u64, cas: u64) {
    header(out, to, Status::Ok, Lengths { value: 8, ..Lengths::default() }, cas);
    out.extend_from_slice(&value.to_be_bytes());
}

/// One statistic; [`done`] ends the list.
pub fn stat(out: &mut Vec<u8>, to: ReplyTo, name: &[u8], value: &[u8]) {
    let lengths = Lengths { extras: 0, key: name.len() as u16, value: value.len() as u32 };
    header(out, to, Status::Ok, lengths, 0);
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}
