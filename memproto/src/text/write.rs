//! Replies of the classic text commands, appended to the caller's buffer. It must never know
//! how a result came about.

use crate::number::{Backward, push_u64};

/// Storage: stored.
pub const STORED: &[u8] = b"STORED\r\n";
/// Storage: the condition of add, replace, append or prepend did not hold.
pub const NOT_STORED: &[u8] = b"NOT_STORED\r\n";
/// cas: the version differs.
pub const EXISTS: &[u8] = b"EXISTS\r\n";
/// No such key.
pub const NOT_FOUND: &[u8] = b"NOT_FOUND\r\n";
/// delete: done.
pub const DELETED: &[u8] = b"DELETED\r\n";
/// touch: done.
pub const TOUCHED: &[u8] = b"TOUCHED\r\n";
/// Administration: done.
pub const OK: &[u8] = b"OK\r\n";
/// Ends retrievals and statistics.
pub const END: &[u8] = b"END\r\n";
/// stats reset: done.
pub const RESET: &[u8] = b"RESET\r\n";
/// `version`: clients parse three bare numbers and switch features by them.
pub const VERSION: &[u8] = b"VERSION 1.6.45\r\n";
/// incr, decr: the value is no number.
pub const NON_NUMERIC: &[u8] = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
/// The value exceeds the item limit.
pub const TOO_LARGE: &[u8] = b"SERVER_ERROR object too large for cache\r\n";
/// No memory for the value.
pub const OUT_OF_MEMORY: &[u8] = b"SERVER_ERROR out of memory storing object\r\n";
/// flush_all is switched off.
pub const FLUSH_DISABLED: &[u8] = b"CLIENT_ERROR flush_all not allowed\r\n";
/// shutdown is not switched on.
pub const SHUTDOWN_DISABLED: &[u8] = b"SERVER_ERROR: shutdown not enabled\r\n";
/// The connection limit is reached; the connection is closed behind it.
pub const TOO_MANY_CONNECTIONS: &[u8] = b"ERROR Too many open connections\r\n";

/// `VALUE <key> <flags> <len>`; the data and CRLF follow.
#[inline]
pub fn value(out: &mut Vec<u8>, key: &[u8], flags: u32, len: usize) {
    let mut tail = Backward::new();
    tail.push(*b"\r\n");
    value_line(out, key, flags, len, tail);
}

/// `VALUE <key> <flags> <len> <cas>`.
#[inline]
pub fn value_cas(out: &mut Vec<u8>, key: &[u8], flags: u32, len: usize, cas: u64) {
    let mut tail = Backward::new();
    tail.push(*b"\r\n");
    tail.push_u64(cas);
    tail.push([b' ']);
    value_line(out, key, flags, len, tail);
}

/// Everything behind the key is put together on the stack first, so that the growing buffer is
/// asked for room three times and not nine.
#[inline]
fn value_line(out: &mut Vec<u8>, key: &[u8], flags: u32, len: usize, mut tail: Backward<64>) {
    tail.push_u64(len as u64);
    tail.push([b' ']);
    tail.push_u64(flags.into());
    tail.push([b' ']);
    out.extend_from_slice(b"VALUE ");
    out.extend_from_slice(key);
    out.extend_from_slice(tail.as_bytes());
}

/// The new value of incr and decr.
pub fn number(out: &mut Vec<u8>, value: u64) {
    push_u64(out, value);
    out.extend_from_slice(b"\r\n");
}

/// `STAT <name> <value>`.
pub fn stat(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(b"STAT ");
    out.extend_from_slice(name);
    out.push(b' ');
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// `STAT <name> <number>`.
pub fn stat_u64(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(b"STAT ");
    out.extend_from_slice(name);
    out.push(b' ');
    number(out, value);
}
