//! Meta flags as they were sent, and the set of letters present.

use crate::request::Args;

/// The letters present on a meta line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlagSet(u64);

impl FlagSet {
    /// Whether `letter` (A-Z, a-z) was given.
    #[must_use]
    #[inline]
    pub const fn has(self, letter: u8) -> bool {
        letter.is_ascii_alphabetic() && self.0 >> (letter - b'A') & 1 == 1
    }
}

/// One flag: its letter and the rest of its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag<'a> {
    /// The first byte of the token.
    pub letter: u8,
    /// What follows it, perhaps nothing.
    pub arg: &'a [u8],
}

/// The flags in request order, for the flags that a reply returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags<'a> {
    args: Args<'a>,
}

impl<'a> Iterator for Flags<'a> {
    type Item = Flag<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let token = self.args.next()?;
        let (&letter, arg) = token.split_first()?;
        Some(Flag { letter, arg })
    }
}
