//! Requests of the meta protocol.

use super::{InvalidKey, check_length};
use crate::bytes::number::{push_i64, push_u64};
use crate::key::{is_plain, push_base64};
use crate::limits::{MAX_KEY, MAX_OPAQUE, MAX_TEXT_VALUE};

/// `mn`: the server answers everything before it, and then
/// [`MetaStatus::Noop`](super::reply::MetaStatus::Noop). It ends a run of quiet requests.
pub const NOOP: &[u8] = b"mn\r\n";

/// A line of `mg`, `ms`, `md`, `ma` or `me` that is being written. It is complete with
/// [`end`](Self::end); if it is dropped before, nothing of it is left.
///
/// A key that can't stand on a line is written in base64, and replies that repeat it (flag `k`)
/// have it in base64 as well.
///
/// ```
/// use memproto::client::meta::Line;
///
/// let mut out = Vec::new();
/// Line::get(&mut out, b"apple")?.flag(b'v').flag(b'c').number(b'R', 30).end();
/// Line::count(&mut out, b"visits")?.number(b'N', 0).number(b'J', 1).end();
/// Line::delete(&mut out, b"pear")?.flag(b'q').opaque(b"17").end();
/// drop(Line::get(&mut out, b"plum")?);
/// assert_eq!(out, b"mg apple v c R30\r\nma visits N0 J1\r\nmd pear q O17\r\n");
/// # Ok::<(), memproto::client::InvalidKey>(())
/// ```
#[derive(Debug)]
#[must_use = "a line is written by `end`"]
pub struct Line<'o> {
    out: &'o mut Vec<u8>,
    /// Where it begins.
    start: usize,
    is_complete: bool,
}

impl<'o> Line<'o> {
    /// `mg`.
    ///
    /// # Errors
    /// The key is empty or too long.
    pub fn get(out: &'o mut Vec<u8>, key: &[u8]) -> Result<Self, InvalidKey> {
        Self::new(out, b"mg ", key, None)
    }

    /// `ms` of a value of `len` bytes, which are to follow the line, and CRLF behind them.
    ///
    /// # Errors
    /// The key is empty or too long.
    pub fn set(out: &'o mut Vec<u8>, key: &[u8], len: u32) -> Result<Self, InvalidKey> {
        debug_assert!(len <= MAX_TEXT_VALUE, "{len} bytes");
        Self::new(out, b"ms ", key, Some(len))
    }

    /// `md`.
    ///
    /// # Errors
    /// The key is empty or too long.
    pub fn delete(out: &'o mut Vec<u8>, key: &[u8]) -> Result<Self, InvalidKey> {
        Self::new(out, b"md ", key, None)
    }

    /// `ma`.
    ///
    /// # Errors
    /// The key is empty or too long.
    pub fn count(out: &'o mut Vec<u8>, key: &[u8]) -> Result<Self, InvalidKey> {
        Self::new(out, b"ma ", key, None)
    }

    /// `me`: what the server knows about an item, as a
    /// [`Reply::Debug`](super::reply::Reply::Debug).
    ///
    /// # Errors
    /// The key is empty or too long.
    pub fn debug(out: &'o mut Vec<u8>, key: &[u8]) -> Result<Self, InvalidKey> {
        Self::new(out, b"me ", key, None)
    }

    fn new(
        out: &'o mut Vec<u8>,
        word: &[u8],
        key: &[u8],
        len: Option<u32>,
    ) -> Result<Self, InvalidKey> {
        check_length(key)?;
        let is_plain = is_plain(key);
        if !is_plain && key.len().div_ceil(3) * 4 > MAX_KEY {
            return Err(InvalidKey::TooLong(key.len()));
        }
        let start = out.len();
        out.extend_from_slice(word);
        if is_plain {
            out.extend_from_slice(key);
        } else {
            push_base64(out, key);
        }
        if let Some(len) = len {
            out.push(b' ');
            push_u64(out, len.into());
        }
        let line = Self { out, start, is_complete: false };
        Ok(if is_plain { line } else { line.flag(b'b') })
    }

    /// A flag without an argument, such as `v` or `q`.
    pub fn flag(self, letter: u8) -> Self {
        debug_assert!(letter.is_ascii_alphabetic(), "{letter} is not a letter");
        self.out.extend_from_slice(&[b' ', letter]);
        self
    }

    /// A flag with a number, such as `T60` or `C7`.
    pub fn number(self, letter: u8, number: u64) -> Self {
        let line = self.flag(letter);
        push_u64(line.out, number);
        line
    }

    /// A flag with a number that may be negative: `T-1` and `N-1` end an item at once.
    pub fn signed(self, letter: u8, number: i64) -> Self {
        let line = self.flag(letter);
        push_i64(line.out, number);
        line
    }

    /// A mode: `MI`, `MD` for `ma`; `ME`, `MA`, `MP`, `MR`, `MS` for `ms`.
    pub fn mode(self, mode: u8) -> Self {
        let line = self.flag(b'M');
        debug_assert!(mode.is_ascii_alphabetic(), "{mode} is not a letter");
        line.out.push(mode);
        line
    }

    /// Bytes that the reply repeats: at most 31, and no space or control character.
    pub fn opaque(self, opaque: &[u8]) -> Self {
        debug_assert!(opaque.len() < MAX_OPAQUE && is_plain(opaque), "{}", opaque.escape_ascii());
        let line = self.flag(b'O');
        line.out.extend_from_slice(opaque);
        line
    }

    /// Ends the line.
    pub fn end(mut self) {
        self.out.extend_from_slice(b"\r\n");
        self.is_complete = true;
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if !self.is_complete {
            self.out.truncate(self.start);
        }
    }
}
