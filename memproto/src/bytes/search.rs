//! Searches bytes for the ends of lines and words, and remembers how far a search has come.

/// How far the front of a buffer has been searched without success, so that no byte is searched
/// twice while a line or frame arrives in pieces.
///
/// It belongs to one connection. The caller may move the bytes, but not drop or change any
/// before a step consumes them; every step other than `Partial` resets it.
///
/// ```
/// use memproto::{Limits, Scan, Step, text};
///
/// let mut scan = Scan::new();
/// let limits = Limits::default();
/// assert_eq!(text::parse(b"vers", &mut scan, &limits), Step::Partial);
/// // The four bytes from before are not searched again.
/// assert!(matches!(text::parse(b"version\r\n", &mut scan, &limits), Step::Request { .. }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scan {
    /// Text: bytes known to hold no line feed. Binary: bytes to wait for.
    pub(crate) seen: usize,
}

impl Scan {
    /// Nothing searched yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { seen: 0 }
    }
}

/// Counts the bytes that were looked at, in tests.
#[inline(always)]
pub(super) fn note(_bytes: usize) {
    #[cfg(test)]
    looked::note(_bytes);
}

#[cfg(test)]
pub(crate) mod looked {
    //! Bytes looked at by this thread.

    use std::cell::Cell;

    thread_local!(static BYTES: Cell<usize> = const { Cell::new(0) });

    pub(in crate::bytes) fn note(bytes: usize) {
        BYTES.set(BYTES.get() + bytes);
    }

    /// How many there were since this was called last.
    pub(crate) fn take() -> usize {
        BYTES.take()
    }
}

// For the classic test of eight bytes at once: the subtraction borrows from the high bit of each
// byte that is below a bound.
const LOW_BITS: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
const LINE_FEEDS: u64 = u64::from_ne_bytes([b'\n'; 8]);
const ABOVE_SPACE: u64 = u64::from_ne_bytes([b' ' + 1; 8]);

/// Index of the first line feed at or behind `from`.
#[inline]
fn find_line_feed(bytes: &[u8], from: usize) -> Option<usize> {
    find(bytes.get(from..)?, |byte| byte == b'\n', line_feeds).map(|at| from + at)
}

/// The line at the front of `bytes` without its line feed; the first `from` bytes are known to
/// hold none.
#[inline]
pub(crate) fn find_line(bytes: &[u8], from: usize) -> Option<&[u8]> {
    bytes.get(..find_line_feed(bytes, from)?)
}

/// Index of the first byte that is a space or a control byte.
#[inline]
pub(crate) fn find_blank(bytes: &[u8]) -> Option<usize> {
    find(bytes, |byte| byte <= b' ', blanks)
}

/// The same for a word that is most probably short: it pays to begin with single bytes.
#[inline]
pub(crate) fn find_near_blank(bytes: &[u8]) -> Option<usize> {
    let found = bytes.iter().position(|&byte| byte <= b' ');
    note(found.unwrap_or(bytes.len()));
    found
}

/// The high bits of line feeds, right up to the first: the borrow of the subtraction can only
/// set bits above it.
#[inline]
const fn line_feeds(word: u64) -> u64 {
    let word = word ^ LINE_FEEDS;
    word.wrapping_sub(LOW_BITS) & !word & HIGH_BITS
}

/// The high bits of bytes that are a space or a control byte, right up to the first.
#[inline]
const fn blanks(word: u64) -> u64 {
    // `!word` leaves out bytes from 0x80 on: they are part of a word, for example UTF-8.
    word.wrapping_sub(ABOVE_SPACE) & !word & HIGH_BITS
}

/// Index of the first hit. `is_hit` tests one byte, `hits` does the same for eight at once.
#[inline(always)]
fn find(bytes: &[u8], is_hit: impl Fn(u8) -> bool, hits: impl Fn(u64) -> u64) -> Option<usize> {
    // Two stages: the first has no position to keep and runs in vector registers, the second finds
    // the position within the sixteen bytes at which the first has stopped.
    let start = skip_sixteens(bytes, &is_hit);
    let found = find_within_sixteen(bytes, start, is_hit, hits);
    note(found.unwrap_or(bytes.len()));
    found
}

/// Bytes in front of the first sixteen with a hit; the test of sixteen becomes a few vector
/// instructions, but it does not tell the position.
#[inline]
fn skip_sixteens(bytes: &[u8], is_hit: impl Fn(u8) -> bool) -> usize {
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<16>() {
        // `any` would leave the loop early, which can't be vectorised.
        if chunk.iter().fold(false, |any, &byte| any | is_hit(byte)) {
            break;
        }
        rest = tail;
    }
    bytes.len() - rest.len()
}

/// Index of the first hit, if it is one of the sixteen bytes from `start` on. There must be none
/// in front of them.
#[inline]
fn find_within_sixteen(
    bytes: &[u8],
    start: usize,
    is_hit: impl Fn(u8) -> bool,
    hits: impl Fn(u64) -> u64,
) -> Option<usize> {
    if let Some(first) = bytes.get(start..)?.first_chunk() {
        // Little endian on every machine: then the lowest bit that is set belongs to the first hit.
        if let Some(at) = first_hit(hits(u64::from_le_bytes(*first))) {
            return Some(start + at);
        }
    }
    // The other eight, or what there is of them with some of the bytes before.
    let end = bytes.len().min(start + 16);
    let bytes = bytes.get(..end)?;
    match bytes.last_chunk() {
        Some(last) => first_hit(hits(u64::from_le_bytes(*last))).map(|at| end - 8 + at),
        None => bytes.iter().position(|&byte| is_hit(byte)),
    }
}

#[inline]
const fn first_hit(hits: u64) -> Option<usize> {
    if hits == 0 { None } else { Some((hits.trailing_zeros() / 8) as usize) }
}

/// Splits the next word off `line`: its bytes, and what follows the spaces behind it.
#[inline]
pub(crate) fn split_word(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = trim_start(line);
    let (word, rest) = line.split_at_checked(word_end(line))?;
    if word.is_empty() { None } else { Some((word, trim_start(rest))) }
}

/// Splits `line` behind its first word, which is empty if the line begins with a space.
#[inline]
pub(crate) fn cut_word(line: &[u8]) -> (&[u8], &[u8]) {
    let end = word_end(line);
    debug_assert!(end <= line.len());
    line.split_at_checked(end).unwrap_or((line, &[]))
}

/// Index of the first space, or the length. Every other byte belongs to the word.
#[inline]
fn word_end(line: &[u8]) -> usize {
    match near_space(line) {
        Some(end) => end,
        // `near_space` could not load eight bytes.
        None if line.len() < 8 => last_word_end(line),
        None => far_word_end(line),
    }
}

/// Index of a space among the next eight bytes, if it is the first blank: where most words end.
#[inline]
fn near_space(line: &[u8]) -> Option<usize> {
    let hits = blanks(u64::from_le_bytes(*line.first_chunk::<8>()?));
    // Only a space ends a word; at a control byte the slow search goes on.
    first_hit(hits).filter(|&end| line.get(end) == Some(&b' '))
}

/// The same in what is left of a line, where most arguments of flags stand.
#[inline]
fn last_word_end(line: &[u8]) -> usize {
    let end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    note(end);
    end
}

fn far_word_end(line: &[u8]) -> usize {
    let mut from = 0;
    // Words are not long, so the search does not warm up with sixteen bytes.
    while let Some(rest) = line.get(from..) {
        let Some(at) = find(rest, |byte| byte <= b' ', blanks) else { break };
        if rest.get(at) == Some(&b' ') {
            return from + at;
        }
        // A control byte within the word: memcached splits a line at spaces only.
        from += at + 1;
    }
    line.len()
}

/// `bytes` without the spaces in front.
#[inline]
pub(crate) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let Some((b' ', rest)) = bytes.split_first() {
        bytes = rest;
    }
    bytes
}

/// Whether the last word of `args` is `noreply`.
#[inline]
pub(crate) fn ends_in_noreply(args: &[u8]) -> bool {
    let mut args = args;
    while let Some((b' ', rest)) = args.split_last() {
        args = rest;
    }
    // It has to be a word of its own: `xnoreply` is none.
    args.strip_suffix(b"noreply").is_some_and(|rest| matches!(rest.last(), None | Some(b' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_feeds_are_found_at_every_distance() {
        for length in 0..40 {
            let mut bytes = vec![b'x'; length];
            assert_eq!(find_line_feed(&bytes, 0), None);
            assert_eq!(find_line_feed(&bytes, length + 1), None);
            bytes.push(b'\n');
            bytes.extend_from_slice(b"\x0b\x09\n\n.........");
            for from in 0..=length {
                assert_eq!(find_line_feed(&bytes, from), Some(length));
            }
        }
    }

    #[test]
    fn every_byte_value_is_classified() {
        for byte in 0..=255_u8 {
            for at in 0..20 {
                let mut bytes = [b'a'; 20];
                if let Some(slot) = bytes.get_mut(at) {
                    *slot = byte;
                }
                assert_eq!(find_blank(&bytes), (byte <= b' ').then_some(at), "{byte} at {at}");
                let expected = (byte == b'\n').then_some(at);
                assert_eq!(find_line_feed(&bytes, 0), expected, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn words_end_at_spaces_only() {
        assert_eq!(split_word(b"  ab  c "), Some((&b"ab"[..], &b"c "[..])));
        assert_eq!(split_word(b"a\tb\rc d"), Some((&b"a\tb\rc"[..], &b"d"[..])));
        assert_eq!(split_word(b"ab\0cd e"), Some((&b"ab\0cd"[..], &b"e"[..])));
        assert_eq!(split_word(b"\0cd"), Some((&b"\0cd"[..], &b""[..])));
        assert_eq!(split_word(b"   "), None);
        assert_eq!(split_word(b""), None);
    }

    #[test]
    fn noreply_is_the_last_word_or_nothing() {
        for yes in [&b"noreply"[..], b"k noreply", b"k noreply  "] {
            assert!(ends_in_noreply(yes));
        }
        for no in [&b""[..], b"k", b"k noreply x", b"knoreply", b"k NOREPLY", b"k noreply\0"] {
            assert!(!ends_in_noreply(no));
        }
    }
}
