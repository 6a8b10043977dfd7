//! The other side of the wire, for authors of clients: requests are written to the caller's
//! buffer, replies are borrowed from what was read.
//!
//! | | requests | replies |
//! |---|---|---|
//! | classic text | [`text`] | [`reply::parse`] |
//! | meta | [`meta::Line`] | [`reply::parse`], the same: both may be mixed on one connection |
//! | binary | [`binary::Frame`] | [`binary::parse`] |
//!
//! As on the server's side nothing here does I/O, and the bytes of values are never looked at: the
//! head of a request is written, then the caller appends the value; a reply says how many bytes of
//! value follow it. Requests may be written one behind the other without waiting; replies come in
//! their order.
//!
//! New clients should speak meta: it has everything that the others have in one form, it can leave
//! replies out without losing track of them (flag `q`, then `mn`), and keys may be any bytes.
//!
//! ```
//! use memproto::client::meta::Line;
//! use memproto::client::reply::{self, MetaStatus, Reply, Step};
//! use memproto::{Scan, number};
//!
//! let mut out = Vec::new();
//! Line::set(&mut out, b"apple", 3)?.number(b'T', 60).end();
//! out.extend_from_slice(b"red\r\n");
//! Line::get(&mut out, b"two words")?.flag(b't').flag(b'v').end();
//! assert_eq!(out, b"ms apple 3 T60\r\nred\r\nmg dHdvIHdvcmRz b t v\r\n");
//!
//! let read = b"HD\r\nVA 4 b t59\r\nmany\r\n";
//! let mut scan = Scan::new();
//! let Step::Reply { consumed, reply } = reply::parse(read, &mut scan) else { panic!() };
//! assert!(matches!(reply, Reply::Meta(meta) if meta.status == MetaStatus::Done));
//! let Step::Reply { reply: Reply::Meta(meta), .. } = reply::parse(&read[consumed..], &mut scan)
//! else {
//!     panic!()
//! };
//! assert_eq!(meta.status, MetaStatus::Value(4));
//! assert_eq!(meta.flag(b't').and_then(number::parse_u64), Some(59));
//! # Ok::<(), memproto::client::InvalidKey>(())
//! ```

pub mod binary;
pub mod meta;
pub mod reply;
pub mod text;

use thiserror::Error;

use crate::key::is_plain;
use crate::limits::MAX_KEY;

/// Why a key can't be sent. Nothing was written.
///
/// ```
/// use memproto::client::{InvalidKey, text};
///
/// let mut out = Vec::new();
/// assert_eq!(text::delete(&mut out, b"two words"), Err(InvalidKey::NotPlain));
/// assert!(out.is_empty());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// It has no bytes.
    #[error("a key can't be empty")]
    Empty,
    /// It is longer than the protocol allows, or becomes so in base64.
    #[error("a key can't have {0} bytes in this protocol")]
    TooLong(usize),
    /// It has a space or a control character, which would end it, or the line.
    #[error("a key with a space or a control character needs the meta or the binary protocol")]
    NotPlain,
}

/// A key of a length that all protocols allow.
fn check_length(key: &[u8]) -> Result<(), InvalidKey> {
    match key.len() {
        0 => Err(InvalidKey::Empty),
        1..=MAX_KEY => Ok(()),
        len => Err(InvalidKey::TooLong(len)),
    }
}

/// A key that can stand on a line as it is.
fn check_plain(key: &[u8]) -> Result<(), InvalidKey> {
    check_length(key)?;
    if is_plain(key) { Ok(()) } else { Err(InvalidKey::NotPlain) }
}
