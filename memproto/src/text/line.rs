//! One line of the text framing and the data block it announces, as every command sees them.

use super::BLOCK_END;
use crate::bytes::number::parse_i32;
use crate::bytes::{Scan, ends_in_noreply, split_word};
use crate::error::{CloseReason, ParseError};
use crate::limits::{Limits, MAX_KEY, MAX_LEADING_SPACES, MAX_TEXT_VALUE};
use crate::request::Request;
use crate::status::Step;

/// One whole line behind its command word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    /// Bytes of the line with its terminator.
    pub(crate) consumed: usize,
    /// The bytes behind the command word, no space in front.
    pub(crate) args: &'a [u8],
}

impl<'a> Line<'a> {
    #[inline]
    pub(crate) const fn accept(self, request: Request<'a>) -> Step<'a> {
        Step::Request { consumed: self.consumed, request }
    }

    pub(crate) const fn reject(self, error: ParseError) -> Step<'a> {
        self.reject_block(error, 0, false)
    }

    pub(crate) const fn reject_block(
        self,
        error: ParseError,
        swallow: u32,
        noreply: bool,
    ) -> Step<'a> {
        Step::Reject { consumed: self.consumed, error, swallow, noreply }
    }

    /// Whether the line ends in `noreply`, for commands that have no key in front of it.
    pub(crate) fn noreply(self) -> bool {
        ends_in_noreply(self.args)
    }
}

/// No line feed in the whole of `buf`: wait, unless the line is too long already.
#[cold]
pub(super) fn partial<'a>(buf: &[u8], scan: &mut Scan, limits: &Limits) -> Step<'a> {
    // Which command it is matters only once the lower limit is reached.
    if buf.len() >= limits.line && buf.len() >= limit(buf, limits) {
        scan.seen = 0;
        return Step::Close(CloseReason::LineTooLong);
    }
    scan.seen = buf.len();
    Step::Partial
}

/// Whether `buf`, the beginning of a line whose end has not come, asks for a key that is too long:
/// the line will be answered with [`ParseError::BadLineFormat`], whatever follows, so nothing of it
/// needs to be kept. `before` is what [`parse`](super::parse) was given when it found no end: what
/// was looked at before that is not looked at again.
///
/// ```
/// use memproto::{Scan, text::has_long_key};
///
/// let line = [b"get a ", &[b'x'; 251][..]].concat();
/// assert!(has_long_key(&line, &Scan::new()) && !has_long_key(&line[..256], &Scan::new()));
/// ```
#[must_use]
#[cold]
pub fn has_long_key(buf: &[u8], before: &Scan) -> bool {
    let unseen = buf.get(before.seen.saturating_sub(MAX_KEY + 1)..).unwrap_or_default();
    // A carriage return may belong to the end of the line.
    let unseen = unseen.strip_suffix(b"\r").unwrap_or(unseen);
    if !has_long_word(unseen) {
        return false;
    }
    if buf.starts_with(b"get ") || buf.starts_with(b"gets ") {
        return true;
    }
    let touching = buf.strip_prefix(b"gat ").or_else(|| buf.strip_prefix(b"gats "));
    // A time that is not a number has an error of its own.
    touching.and_then(split_word).is_some_and(|(exptime, keys)| {
        parse_i32(exptime).is_some() && has_long_word(keys.strip_suffix(b"\r").unwrap_or(keys))
    })
}

fn has_long_word(bytes: &[u8]) -> bool {
    bytes.len() > MAX_KEY && bytes.split(|&byte| byte == b' ').any(|word| word.len() > MAX_KEY)
}

/// The longest line that may begin like `buf`.
#[cold]
pub(super) fn limit(buf: &[u8], limits: &Limits) -> usize {
    let mut line = buf;
    for _ in 0..MAX_LEADING_SPACES {
        line = line.strip_prefix(b" ").unwrap_or(line);
    }
    let retrieval = [&b"get "[..], b"gets ", b"gat ", b"gats "].iter().any(|w| line.starts_with(w));
    // A server sets the two limits independently; a retrieval never gets the lower one.
    if retrieval { limits.get_line.max(limits.line) } else { limits.line }
}

/// The length of a data block, without its terminator.
pub(crate) fn parse_len(word: &[u8]) -> Option<u32> {
    // A signed number, as in memcached: `-1` is a malformed line, not a huge value.
    let len = u32::try_from(parse_i32(word)?).ok()?;
    (len <= MAX_TEXT_VALUE).then_some(len)
}

/// The bytes of a data block, with its terminator.
pub(crate) const fn block_len(len: u32) -> u32 {
    // `MAX_TEXT_VALUE` leaves room for the terminator, so this can't saturate.
    len.saturating_add(BLOCK_END.len() as u32)
}
