//! Reads a buffer that may end anywhere in one pass, for the requests that make up nearly all
//! traffic.

use super::search::{find_blank, note};
use crate::limits::MAX_KEY;

/// A cursor over the front of a buffer that may end anywhere. Each step either advances, finds
/// something else, or finds that the bytes do not reach that far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

/// The outcome of a [`Cursor`] step that did not advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The bytes end before the answer, and none of them was a line feed.
    End,
    /// Something else stands there.
    Other,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    #[inline]
    pub(crate) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// What follows.
    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Exactly `literal`.
    #[inline]
    pub(crate) fn literal(&mut self, literal: &[u8]) -> Result<(), Stop> {
        match self.rest.strip_prefix(literal) {
            Some(rest) => self.rest = rest,
            // So far the bytes agree: the next read decides, and the general parser need not run
            // yet.
            None if literal.starts_with(self.rest) => return Err(Stop::End),
            None => return Err(Stop::Other),
        }
        Ok(())
    }

    /// A key of legal length, printable, and the one space behind it.
    #[inline(always)]
    pub(crate) fn key(&mut self) -> Result<&'a [u8], Stop> {
        let key = self.last_key()?;
        // A blank is there, or `word` had stopped. If it is not a space, the line ends too early or
        // holds a control byte: the general parser has the error for it.
        self.rest = self.rest.strip_prefix(b" ").ok_or(Stop::Other)?;
        Ok(key)
    }

    /// The same where nothing has to follow; whatever does is left.
    #[inline(always)]
    pub(crate) fn last_key(&mut self) -> Result<&'a [u8], Stop> {
        let key = self.word()?;
        if key.len() <= MAX_KEY { Ok(key) } else { Err(Stop::Other) }
    }

    /// One or more bytes that are neither a space nor a control byte; what ends them is left.
    #[inline(always)]
    pub(crate) fn word(&mut self) -> Result<&'a [u8], Stop> {
        // Without a blank the word may go on in the next read.
        let end = find_blank(self.rest).ok_or(Stop::End)?;
        let (word, rest) = self.rest.split_at_checked(end).ok_or(Stop::End)?;
        self.rest = rest;
        if word.is_empty() { Err(Stop::Other) } else { Ok(word) }
    }

    /// One to nineteen digits, which can't exceed 64 bits; the byte behind them is left.
    #[inline(always)]
    pub(crate) fn number(&mut self) -> Result<u64, Stop> {
        let mut value = 0_u64;
        let mut rest = self.rest.iter();
        loop {
            let digit = rest.as_slice().first().ok_or(Stop::End)?.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            // It may wrap: more than 19 digits are refused below, and 19 can't overflow.
            value = value.wrapping_mul(10).wrapping_add(digit.into());
            rest.next();
        }
        let digits = self.rest.len().wrapping_sub(rest.len());
        debug_assert!(digits <= self.rest.len());
        note(digits);
        self.rest = rest.as_slice();
        // Longer numbers are rare, and the general parser knows which of them fit.
        if (1..=19).contains(&digits) { Ok(value) } else { Err(Stop::Other) }
    }

    /// ` noreply`, if that follows, and the end of the line.
    #[inline]
    pub(crate) fn noreply(&mut self) -> Result<bool, Stop> {
        // Hardly any request has `noreply`. If the bytes end with CR, the second literal reports
        // `Other`; the general parser then sees that the line feed is missing, and waits.
        match self.literal(b"\r\n") {
            Ok(()) => Ok(false),
            Err(_) => self.literal(b" noreply\r\n").map(|()| true),
        }
    }
}
