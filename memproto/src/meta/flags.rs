//! Meta flags: the letters that exist, the set of those present, and their tokens in order.
//! What a flag does is decided by the server.

use crate::bytes::{cut_word, trim_start};

/// The letters present on a meta line.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"mg apple t v\r\n", &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Meta(request), .. } = step else {
///     panic!("one whole line was there");
/// };
/// assert!(request.set.has(b't') && !request.set.has(b'k'));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlagSet(u64);

/// Stands for every byte that is not a known letter. Letters have the bits 0 to 57.
const UNKNOWN: u64 = 1 << 63;

/// Every letter that some command knows; P and L are reserved for proxies and ignored.
const KNOWN: FlagSet = FlagSet::of(b"CDEFIJLMNOPRTbcfhklqstuvx");

/// The bit of each byte: one load is cheaper than two comparisons and a shift.
const BIT_BY_LETTER: [u64; 256] = bit_by_letter();

const fn bit_by_letter() -> [u64; 256] {
    let mut table = [UNKNOWN; 256];
    let mut rest: &mut [u64] = &mut table;
    let mut letter = 0_u8;
    while let Some((bit, tail)) = rest.split_first_mut() {
        if KNOWN.has(letter) {
            *bit = FlagSet::bit(letter);
        }
        letter = letter.wrapping_add(1);
        rest = tail;
    }
    table
}

/// The letters taken from a line so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken(u64);

impl Taken {
    /// None yet.
    #[inline]
    pub(super) const fn new() -> Self {
        // With this bit set from the start, one test refuses repeated and unknown letters.
        Self(UNKNOWN)
    }

    /// Adds a letter and returns it as a set; none if it is there already or unknown.
    #[inline]
    pub(super) fn add(&mut self, letter: u8) -> Option<FlagSet> {
        let bit = BIT_BY_LETTER.get(usize::from(letter)).copied().unwrap_or(UNKNOWN);
        let is_new = self.0 & bit == 0;
        self.0 |= bit;
        is_new.then_some(FlagSet(bit))
    }

    /// All of them.
    #[inline]
    pub(super) const fn set(self) -> FlagSet {
        FlagSet(self.0 & !UNKNOWN)
    }
}

impl FlagSet {
    /// No letter.
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn of(letters: &[u8]) -> Self {
        let mut set = Self(0);
        let mut rest = letters;
        while let Some((&letter, tail)) = rest.split_first() {
            set.0 |= Self::bit(letter);
            rest = tail;
        }
        set
    }

    const fn bit(letter: u8) -> u64 {
        if letter.is_ascii_alphabetic() { 1 << (letter - b'A') } else { 0 }
    }

    /// How many letters there are.
    pub(super) const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether the two have a letter in common.
    #[inline]
    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether `letter` was given.
    #[must_use]
    #[inline]
    pub const fn has(self, letter: u8) -> bool {
        self.0 & Self::bit(letter) != 0
    }

    /// Adds a letter that memcached does not know.
    pub(super) fn insert_own(&mut self, letter: u8) -> Result<(), FlagError> {
        if self.has(letter) {
            return Err(FlagError::Duplicate);
        }
        self.0 |= Self::bit(letter);
        Ok(())
    }

    /// Adds a letter.
    #[inline]
    pub(super) fn insert(&mut self, letter: u8) -> Result<(), FlagError> {
        if self.has(letter) {
            return Err(FlagError::Duplicate);
        }
        // Bytes that are not letters have no bit and end here as well.
        if !KNOWN.has(letter) {
            return Err(FlagError::Unknown);
        }
        self.0 |= Self::bit(letter);
        Ok(())
    }
}

/// Why a letter cannot be added to a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlagError {
    /// It is there already.
    Duplicate,
    /// No command knows it.
    Unknown,
}

/// One flag: its letter and the rest of its token.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"mg apple O42\r\n", &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Meta(request), .. } = step else {
///     panic!("one whole line was there");
/// };
/// let mut flags = request.flags;
/// let flag = flags.next().unwrap();
/// assert_eq!((flag.letter, flag.arg), (b'O', &b"42"[..]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag<'a> {
    /// The first byte of the token.
    pub letter: u8,
    /// What follows it, perhaps nothing.
    pub arg: &'a [u8],
}

/// The flags in request order, for the flags that a reply returns.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"mg apple v s t\r\n", &mut Scan::new(), &Limits::default());
/// let Step::Request { request: Request::Meta(request), .. } = step else {
///     panic!("one whole line was there");
/// };
/// assert!(request.flags.map(|flag| flag.letter).eq(*b"vst"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags<'a> {
    rest: &'a [u8],
}

impl<'a> Flags<'a> {
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// The flags not yet taken, as they were sent.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Flags<'a> {
    type Item = Flag<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&letter, tail) = self.rest.split_first()?;
            // Most flags are a single letter, so the byte behind it is looked at before a search.
            let (arg, rest) = match tail.first() {
                // Spaces in front, or more than one between two flags.
                _ if letter == b' ' => {
                    self.rest = tail;
                    continue;
                }
                None | Some(b' ') => (&[][..], tail),
                Some(_) => {
                    let (arg, rest) = cut_word(tail);
                    (arg, trim_start(rest))
                }
            };
            self.rest = rest;
            return Some(Flag { letter, arg });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_added_once() {
        for byte in 0..=255_u8 {
            let mut set = FlagSet::default();
            let known = b"CDEFIJLMNOPRTbcfhklqstuvx".contains(&byte);
            assert!(!set.has(byte));
            let expected = match byte {
                _ if known => Ok(()),
                _ => Err(FlagError::Unknown),
            };
            assert_eq!(set.insert(byte), expected, "{byte}");
            assert_eq!(set.has(byte), known);
            if known {
                assert_eq!(set.insert(byte), Err(FlagError::Duplicate));
            }
        }
    }

    #[test]
    fn tokens_come_in_order_with_their_arguments() {
        let flags: Vec<_> = Flags::new(b"v  O12 t Fx  ").map(|f| (f.letter, f.arg)).collect();
        let expected: [(u8, &[u8]); 4] = [(b'v', b""), (b'O', b"12"), (b't', b""), (b'F', b"x")];
        assert_eq!(flags, expected);
        assert!(Flags::new(b"v\0t").eq([Flag { letter: b'v', arg: b"\0t" }]));
        assert_eq!(Flags::new(b"").count(), 0);
        assert!(Flags::new(b" \0t").eq([Flag { letter: 0, arg: b"t" }]));
    }
}
