//! Replies of the classic text commands, appended to the caller's buffer.

use crate::bytes::number::push_u64;

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
pub const VERSION: &[u8] = concat!("VERSION ", memcached_version!(), "\r\n").as_bytes();
/// incr, decr: the value is not a number.
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
///
/// ```
/// let mut out = Vec::new();
/// memproto::text::write::value(&mut out, b"apple", 7, 3);
/// assert_eq!(out, b"VALUE apple 7 3\r\n");
/// ```
#[inline]
pub fn value(out: &mut Vec<u8>, key: &[u8], flags: u32, len: usize) {
    value_line(out, key, flags, len);
    out.extend_from_slice(b"\r\n");
}

/// `VALUE <key> <flags> <len> <cas>`.
///
/// ```
/// let mut out = Vec::new();
/// memproto::text::write::value_cas(&mut out, b"apple", 0, 3, 42);
/// assert_eq!(out, b"VALUE apple 0 3 42\r\n");
/// ```
#[inline]
pub fn value_cas(out: &mut Vec<u8>, key: &[u8], flags: u32, len: usize, cas: u64) {
    value_line(out, key, flags, len);
    out.push(b' ');
    number(out, cas);
}

#[inline]
fn value_line(out: &mut Vec<u8>, key: &[u8], flags: u32, len: usize) {
    debug_assert!(!key.is_empty());
    out.extend_from_slice(b"VALUE ");
    out.extend_from_slice(key);
    match flags {
        // Most clients have none or few.
        0..10 => out.extend_from_slice(&[b' ', b'0' + flags as u8, b' ']),
        _ => {
            out.push(b' ');
            push_u64(out, flags.into());
            out.push(b' ');
        }
    }
    push_u64(out, len as u64);
}

/// The new value of incr and decr.
///
/// ```
/// let mut out = Vec::new();
/// memproto::text::write::number(&mut out, 10);
/// assert_eq!(out, b"10\r\n");
/// ```
#[inline]
pub fn number(out: &mut Vec<u8>, value: u64) {
    push_u64(out, value);
    out.extend_from_slice(b"\r\n");
}

/// `STAT <name> <value>`.
///
/// ```
/// let mut out = Vec::new();
/// memproto::text::write::stat(&mut out, b"libevent", b"none");
/// assert_eq!(out, b"STAT libevent none\r\n");
/// ```
pub fn stat(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(b"STAT ");
    out.extend_from_slice(name);
    out.push(b' ');
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// `STAT <name> <number>`.
///
/// ```
/// let mut out = Vec::new();
/// memproto::text::write::stat_u64(&mut out, b"curr_items", 3);
/// assert_eq!(out, b"STAT curr_items 3\r\n");
/// ```
pub fn stat_u64(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(b"STAT ");
    out.extend_from_slice(name);
    out.push(b' ');
    number(out, value);
}
