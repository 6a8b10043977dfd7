//! Replies of the meta commands, appended to the caller's buffer. A reply is its head, then the
//! returned flags in request order, each behind a space, then [`end`].

use crate::bytes::number::{push_i64, push_u64};

/// mg miss, me miss.
pub const EN: &[u8] = b"EN\r\n";
/// mn.
pub const MN: &[u8] = b"MN\r\n";
/// Done, or a hit without its value.
pub const HD: &[u8] = b"HD";
/// Not stored.
pub const NS: &[u8] = b"NS";
/// The version differs.
pub const EX: &[u8] = b"EX";
/// No such key.
pub const NF: &[u8] = b"NF";

/// `VA <len>`: the returned flags, [`end`], the data and CRLF follow.
///
/// ```
/// let mut out = Vec::new();
/// memproto::meta::write::va(&mut out, 3);
/// memproto::meta::write::end(&mut out);
/// assert_eq!(out, b"VA 3\r\n");
/// ```
#[inline]
pub fn va(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(b"VA ");
    push_u64(out, len as u64);
}

/// Ends the line.
///
/// ```
/// let mut out = Vec::new();
/// out.extend_from_slice(memproto::meta::write::HD);
/// memproto::meta::write::end(&mut out);
/// assert_eq!(out, b"HD\r\n");
/// ```
#[inline]
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// ` <letter>`: W, X, Z, b.
///
/// ```
/// let mut out = Vec::new();
/// memproto::meta::write::flag(&mut out, b'W');
/// assert_eq!(out, b" W");
/// ```
#[inline]
pub fn flag(out: &mut Vec<u8>, letter: u8) {
    debug_assert!(letter.is_ascii_alphabetic());
    out.extend_from_slice(&[b' ', letter]);
}

/// ` <letter><bytes>`: k, O.
///
/// ```
/// let mut out = Vec::new();
/// memproto::meta::write::flag_bytes(&mut out, b'k', b"apple");
/// assert_eq!(out, b" kapple");
/// ```
#[inline]
pub fn flag_bytes(out: &mut Vec<u8>, letter: u8, bytes: &[u8]) {
    flag(out, letter);
    out.extend_from_slice(bytes);
}

/// ` <letter><number>`: c, f, h, l, s.
///
/// ```
/// let mut out = Vec::new();
/// memproto::meta::write::flag_u64(&mut out, b'c', 42);
/// assert_eq!(out, b" c42");
/// ```
#[inline]
pub fn flag_u64(out: &mut Vec<u8>, letter: u8, value: u64) {
    if value < 10 {
        out.extend_from_slice(&[b' ', letter, b'0' + value as u8]);
    } else {
        flag(out, letter);
        push_u64(out, value);
    }
}

/// ` <letter><number>`: t, where -1 means no expiry.
///
/// ```
/// let mut out = Vec::new();
/// memproto::meta::write::flag_i64(&mut out, b't', -1);
/// assert_eq!(out, b" t-1");
/// ```
#[inline]
pub fn flag_i64(out: &mut Vec<u8>, letter: u8, value: i64) {
    flag(out, letter);
    push_i64(out, value);
}
