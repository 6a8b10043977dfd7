//! How an item lies in memory: a header of two or three words, optional fields, key, value.
//!
//! ```text
//!   word 0   first     short: lengths, which fields follow, and the sequence; long: the sequence
//!   word 1   state     use counter, marks, second of last access
//!   [word]   shape     lengths, and which fields follow   only of long headers; see `Space::cut`
//!   [word]   extension upper bits of the lengths   values of 512 KiB, keys of 256 bytes and more,
//!   [word]   group     of tags                     and items with tags have these two
//!   [word]   client flags                          unless they are zero
//!   [word]   expiry                                unless there is none
//!   [2 words] version                              unless it follows from sequence and segment
//!   key, value, padding to a word
//! ```
//!
//! A short header has room for keys of up to 63 bytes, values of up to 255, and versions near that
//! of the segment.
//!
//! This file knows words, not where they are kept.

use crate::space::segments::class_of;
use crate::tags::Group;

/// Keys of up to this many bytes need no extension word, and lie in one piece.
pub(crate) const KEY_SHORT: usize = KEY_MASK as usize;
/// Bytes of the longest key that a header can describe.
pub(crate) const KEY_MAX: usize = 1 << 16;

/// Words of a long header without optional fields: no header without them has more, and whatever
/// lies in a segment has at least one less.
pub(crate) const FIXED_WORDS: usize = 3;
/// Bits of the value's length that are kept in the shape.
const LEN_BITS: u32 = 19;
const LEN_MASK: u32 = (1 << LEN_BITS) - 1;
const KEY_SHIFT: u32 = LEN_BITS;
const KEY_BITS: u32 = 8;
const KEY_MASK: u32 = (1 << KEY_BITS) - 1;
/// Bits of the extension word that hold upper bits of the value's length, and of the key's behind
/// them. The other 12 are for fields to come; they are zero.
const EXT_LEN_BITS: u32 = 11;
const EXT_KEY_BITS: u32 = 9;
// The five highest bits, in this order: `key_at` takes them for an index.
/// The header is a short one. Not kept in a long header's shape, where it is zero.
const SHORT: u32 = 1 << 27;
const HAS_EXT: u32 = 1 << 28;
const HAS_FLAGS: u32 = 1 << 29;
const HAS_EXPIRY: u32 = 1 << 30;
const HAS_VERSION: u32 = 1 << 31;

/// Where the group is, in words from the item's start, if there is an extension word.
pub(crate) const GROUP_AT: usize = FIXED_WORDS + 1;
/// Words of a header, at most.
pub(crate) const HEADER_MAX: usize = FIXED_WORDS + 6;

/// Words before the key for each kind of header and combination of optional fields. The oldest
/// x86-64 has no instruction that counts bits.
static KEY_AT: [u8; 32] = {
    let mut table = [0; 32];
    let mut kind = 0;
    while kind < table.len() {
        let (is_short, fields) = (kind as u8 & 1, kind as u8 >> 1);
        let optional = fields.count_ones() as u8 + (fields & 1) + (fields >> 3);
        table[kind] = FIXED_WORDS as u8 - is_short + optional;
        kind += 1;
    }
    table
};

/// The first word of an item, which changes with every change of the bytes behind it.
///
/// ```text
///   short  [ 1 | expiry | flags | key's length, 6 | value's length, 8 | sequence, 15 ]
///   long   [ 0 | sequence, 31                                                        ]
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct First(pub(crate) u32);

/// Set in the first word of a short header.
const IS_SHORT: u32 = 1 << 31;
/// Bits of a sequence.
const SEQUENCE_SHORT: u32 = 15;
const SEQUENCE_LONG: u32 = 31;
const SHORT_SEQUENCE: u32 = (1 << SEQUENCE_SHORT) - 1;
const LONG_SEQUENCE: u32 = (1 << SEQUENCE_LONG) - 1;
/// Bits of a value's length in a short header, and of a key's behind them.
const SHORT_LEN_BITS: u32 = 8;
const SHORT_KEY_BITS: u32 = 6;
/// The fields that a short header may have, the same bits in both kinds.
const SHORT_FIELDS: u32 = HAS_FLAGS | HAS_EXPIRY;

impl First {
    /// The first word of an item of this shape whose bytes are being written.
    pub(crate) fn pending(shape: Shape) -> Self {
        if !shape.is_short() {
            return Self(1 << (SEQUENCE_LONG - 1));
        }
        let lengths = lengths(shape, || 0);
        Self(
            IS_SHORT
                | shape.0 & SHORT_FIELDS
                | (lengths.key as u32) << (SEQUENCE_SHORT + SHORT_LEN_BITS)
                | (lengths.value as u32) << SEQUENCE_SHORT
                | 1 << (SEQUENCE_SHORT - 1),
        )
    }

    /// Whether the header is a short one.
    #[inline(always)]
    pub(crate) fn is_short(self) -> bool {
        self.0 & IS_SHORT != 0
    }

    /// The bits of the sequence.
    #[inline(always)]
    fn sequence_bits(self) -> u32 {
        if self.is_short() { SHORT_SEQUENCE } else { LONG_SEQUENCE }
    }

    /// The same item while its bytes are being changed.
    #[inline(always)]
    pub(crate) fn changing(self) -> Self {
        // The lowest sequence that there is.
        let bits = self.sequence_bits();
        Self(self.0 & !bits | (bits ^ bits >> 1))
    }

    /// Whether the item's bytes are being written.
    #[inline(always)]
    pub(crate) fn is_pending(self) -> bool {
        // No sequence is as far below zero as this. No variable shifts: every lookup asks.
        match self.is_short() {
            true => self.0 & SHORT_SEQUENCE == 1 << (SEQUENCE_SHORT - 1),
            false => self.0 == 1 << (SEQUENCE_LONG - 1),
        }
    }

    /// The sequence: what the version differs by from the segment's.
    #[inline(always)]
    pub(crate) fn sequence(self) -> i32 {
        const SHORT_ABOVE: u32 = u32::BITS - SEQUENCE_SHORT;
        match self.is_short() {
            true => (self.0 << SHORT_ABOVE) as i32 >> SHORT_ABOVE,
            false => (self.0 << 1) as i32 >> 1,
        }
    }

    /// The same item under another sequence, if there is room for that.
    #[inline(always)]
    pub(crate) fn with_sequence(self, sequence: i64) -> Option<Self> {
        let bits = self.sequence_bits();
        let most = u64::from(bits >> 1);
        // One comparison for both ends.
        let fits = (sequence as u64).wrapping_add(most) <= 2 * most;
        fits.then_some(Self(self.0 & !bits | sequence as u32 & bits))
    }

    /// The shape; that of a long header is word 2.
    #[inline(always)]
    pub(crate) fn shape(self, word: impl FnOnce() -> u32) -> Shape {
        if !self.is_short() {
            return Shape(word());
        }
        let key = self.0 >> (SEQUENCE_SHORT + SHORT_LEN_BITS) & ((1 << SHORT_KEY_BITS) - 1);
        let value = self.0 >> SEQUENCE_SHORT & ((1 << SHORT_LEN_BITS) - 1);
        Shape(SHORT | self.0 & SHORT_FIELDS | key << KEY_SHIFT | value)
    }
}

/// An item's lengths and which optional fields it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape(pub(crate) u32);

impl Shape {
    /// A filler of `words` words, which nobody reads.
    pub(crate) fn filler(words: usize) -> Self {
        debug_assert!((FIXED_WORDS..1 << (LEN_BITS - 2)).contains(&words), "{words} words");
        Self(4 * (words - FIXED_WORDS) as u32)
    }

    /// Whether an item with this shape's lengths and fields may become one of the shape `other`
    /// where it lies: only the value's length differs, and all of that is in the shape.
    pub(crate) fn has_form_of(self, other: Self) -> bool {
        (self.0 ^ other.0) & !(LEN_MASK | SHORT) == 0 && !self.has_ext()
    }

    /// Whether lengths and fields are those of the shape `other`.
    #[inline(always)]
    pub(crate) fn is_like(self, other: Self) -> bool {
        (self.0 ^ other.0) & !SHORT == 0
    }

    /// Whether the header is a short one.
    #[inline(always)]
    pub(crate) fn is_short(self) -> bool {
        self.0 & SHORT != 0
    }

    /// The shape of the same item with a long header.
    pub(crate) fn long(self) -> Self {
        Self(self.0 & !SHORT)
    }

    /// The shape of the same item with a short header; none if it does not fit into one.
    #[inline]
    pub(crate) fn short(self) -> Option<Self> {
        let fits = self.0 & (HAS_EXT | HAS_VERSION) == 0
            && self.0 & LEN_MASK < 1 << SHORT_LEN_BITS
            && self.0 >> KEY_SHIFT & KEY_MASK < 1 << SHORT_KEY_BITS;
        fits.then_some(Self(self.0 | SHORT))
    }

    /// Whether there is an extension word.
    pub(crate) fn has_ext(self) -> bool {
        self.0 & HAS_EXT != 0
    }

    pub(crate) fn has_flags(self) -> bool {
        self.0 & HAS_FLAGS != 0
    }

    pub(crate) fn has_expiry(self) -> bool {
        self.0 & HAS_EXPIRY != 0
    }

    pub(crate) fn has_version(self) -> bool {
        self.0 & HAS_VERSION != 0
    }

    fn count(self, field: u32) -> usize {
        usize::from(self.0 & field != 0)
    }

    /// Where the client flags are, in words from the item's start.
    pub(crate) fn flags_at(self) -> usize {
        // Two words if there is an extension.
        FIXED_WORDS - usize::from(self.is_short())
            + (self.0 >> (HAS_EXT.trailing_zeros() - 1) & 2) as usize
    }

    /// Where the expiry is.
    pub(crate) fn expiry_at(self) -> usize {
        self.flags_at() + self.count(HAS_FLAGS)
    }

    /// Where the version is.
    pub(crate) fn version_at(self) -> usize {
        self.expiry_at() + self.count(HAS_EXPIRY)
    }

    /// Where the key is: the number of words before it.
    #[inline(always)]
    pub(crate) fn key_at(self) -> usize {
        KEY_AT[(self.0 >> SHORT.trailing_zeros()) as usize].into()
    }
}

/// All that is fixed when an item's place is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) key_len: usize,
    pub(crate) value_len: usize,
    pub(crate) flags: u32,
    pub(crate) group: Group,
    /// The expiry; 0 for never. `None` keeps no room for one.
    pub(crate) expiry: Option<u32>,
    /// A version that can't be derived from the segment's.
    pub(crate) version: Option<u64>,
}

impl Header {
    /// The shape that the item has with a long header.
    pub(crate) fn shape(&self) -> Shape {
        let field = |present: bool, bit: u32| if present { bit } else { 0 };
        Shape(
            (self.value_len as u32 & LEN_MASK)
                | (self.key_len as u32 & KEY_MASK) << KEY_SHIFT
                | field(self.needs_ext(), HAS_EXT)
                | field(self.flags != 0, HAS_FLAGS)
                | field(self.expiry.is_some(), HAS_EXPIRY)
                | field(self.version.is_some(), HAS_VERSION),
        )
    }

    fn needs_ext(&self) -> bool {
        self.value_len > LEN_MASK as usize || self.key_len > KEY_SHORT || self.group != Group::NONE
    }

    /// Words of the whole item, at most.
    pub(crate) fn words(&self) -> usize {
        item_words(self.shape(), self.lengths())
    }

    pub(crate) fn lengths(&self) -> Lengths {
        Lengths { key: self.key_len, value: self.value_len }
    }

    /// The size class of the item with the shortest header that it can have.
    pub(crate) fn class(&self) -> u8 {
        let shape = self.shape();
        class_of(item_words(shape.short().unwrap_or(shape), self.lengths()) * 4)
    }
}

/// What a segment's version is ahead of that of the first item with a short header: most of those
/// that follow are greater.
const BASE_AHEAD: u64 = (1 << (SEQUENCE_SHORT - 2)) * 3 / 2;

/// All that stands before the value of an item which is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'k> {
    pub(crate) header: Header,
    /// The header's, computed once, and that of a short header if it is to have one.
    pub(crate) shape: Shape,
    pub(crate) key: &'k [u8],
    pub(crate) state: State,
    /// Words of the whole item, computed once as well.
    words: usize,
    /// Of an item with a short header: its version.
    version: u64,
}

impl<'k> Head<'k> {
    pub(crate) fn new(header: Header, key: &'k [u8], state: State) -> Self {
        let shape = header.shape();
        Self { header, shape, key, state, words: item_words(shape, header.lengths()), version: 0 }
    }

    /// With a short header if possible, as the item will have this version.
    #[inline]
    pub(crate) fn shortened(self, version: u64) -> Self {
        match self.shape.short() {
            Some(shape) => Self { shape, version, words: self.words - 1, ..self },
            None => self,
        }
    }

    /// With a long header.
    pub(crate) fn long(self) -> Self {
        Self {
            shape: self.shape.long(),
            words: self.words + usize::from(self.shape.is_short()),
            ..self
        }
    }

    /// The version that a segment opened for this item is to have, where the last version given out
    /// is `last`: versions of items like it are to fit into short headers.
    pub(crate) fn base(&self, last: u64) -> u64 {
        if self.shape.is_short() { self.version + BASE_AHEAD } else { last }
    }

    /// Whether the item can have the header that it is to have in a segment of version `base`.
    #[inline(always)]
    pub(crate) fn fits(&self, base: u64) -> bool {
        let sequence = self.version.wrapping_sub(base) as i64;
        !self.shape.is_short() || First(IS_SHORT).with_sequence(sequence).is_some()
    }

    /// Words that must lie in one piece: those before the value, the key's last word included. A
    /// long key may go on in another segment, as the value may.
    pub(crate) fn words(&self) -> usize {
        let key = if self.has_long_key() { 0 } else { self.key.len() };
        self.shape.key_at() + key.div_ceil(4)
    }

    /// Whether the key is longer than [`KEY_SHORT`].
    pub(crate) fn has_long_key(&self) -> bool {
        self.key.len() > KEY_SHORT
    }

    /// Words of the whole item.
    #[inline(always)]
    pub(crate) fn item_words(&self) -> usize {
        self.words
    }

    /// The size class of the item.
    pub(crate) fn class(&self) -> u8 {
        class_of(self.item_words() * 4)
    }

    /// Puts the words before the key one after the other; the item is not live yet.
    #[inline(always)]
    pub(crate) fn encode(&self, mut push: impl FnMut(u32)) {
        let header = &self.header;
        push(First::pending(self.shape).0);
        push(self.state.with_live(false).0);
        if !self.shape.is_short() {
            push(self.shape.0);
        }
        // Optional words follow in the order of their bits in the shape, as the positions above
        // expect.
        if self.shape.has_ext() {
            let key = (header.key_len >> KEY_BITS) as u32;
            debug_assert!(key < 1 << EXT_KEY_BITS, "a key of {} bytes", header.key_len);
            debug_assert!(header.value_len >> LEN_BITS < 1 << EXT_LEN_BITS);
            push((header.value_len >> LEN_BITS) as u32 | key << EXT_LEN_BITS);
            push(header.group.0);
        }
        if self.shape.has_flags() {
            push(header.flags);
        }
        if let Some(expiry) = header.expiry {
            push(expiry);
        }
        if let Some(version) = header.version {
            push(version as u32);
            push((version >> 32) as u32);
        }
    }
}

/// Bytes of an item's key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub(crate) key: usize,
    pub(crate) value: usize,
}

/// The lengths from the shape and the extension word, which only long keys and values have.
#[inline(always)]
pub(crate) fn lengths(shape: Shape, ext: impl FnOnce() -> u32) -> Lengths {
    let mut lengths = Lengths {
        key: (shape.0 >> KEY_SHIFT & KEY_MASK) as usize,
        value: (shape.0 & LEN_MASK) as usize,
    };
    if shape.has_ext() {
        let ext = ext() as usize;
        lengths.value |= (ext & ((1 << EXT_LEN_BITS) - 1)) << LEN_BITS;
        lengths.key |= (ext >> EXT_LEN_BITS & ((1 << EXT_KEY_BITS) - 1)) << KEY_BITS;
    }
    lengths
}

/// Words of an item of this shape and these lengths.
#[inline(always)]
pub(crate) fn item_words(shape: Shape, lengths: Lengths) -> usize {
    shape.key_at() + (lengths.key + lengths.value).div_ceil(4)
}

/// What changes about an item without a new value: word 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State(pub(crate) u32);

/// The highest use counter.
pub(crate) const USES_MAX: u32 = 15;
const USES: u32 = 0b1111;
const HIT: u32 = 1 << 4;
const FETCHED: u32 = 1 << 5;
const STALE: u32 = 1 << 6;
const TAKEN: u32 = 1 << 7;
const MARKED: u32 = 1 << 8;
const LIVE: u32 = 1 << 9;
const ACCESS_SHIFT: u32 = 10;
const ACCESS_MASK: u32 = u32::MAX >> ACCESS_SHIFT;
/// An access may seem to be up to this many seconds ahead; more is long ago.
const AHEAD_MAX: u32 = 60;

impl State {
    /// How often the item was used, over evictions: at most [`USES_MAX`].
    pub(crate) fn uses(self) -> u32 {
        self.0 & USES
    }

    pub(crate) fn with_uses(self, uses: u32) -> Self {
        Self(self.0 & !USES | uses.min(USES_MAX))
    }

    /// Whether the item was used, or written anew, since it came to where it lies.
    pub(crate) fn is_hit(self) -> bool {
        self.0 & HIT != 0
    }

    pub(crate) fn with_hit(self, on: bool) -> Self {
        self.with(HIT, on)
    }

    /// One use more.
    pub(crate) fn with_use(self) -> Self {
        self.with_uses(self.uses() + 1).with_hit(true)
    }

    /// Whether another use would change nothing but the second of last access.
    pub(crate) fn is_settled(self) -> bool {
        self.0 & (USES | HIT | FETCHED) == USES | HIT | FETCHED
    }

    pub(crate) fn is_fetched(self) -> bool {
        self.0 & FETCHED != 0
    }

    pub(crate) fn is_stale(self) -> bool {
        self.0 & STALE != 0
    }

    pub(crate) fn is_taken(self) -> bool {
        self.0 & TAKEN != 0
    }

    pub(crate) fn is_marked(self) -> bool {
        self.0 & MARKED != 0
    }

    /// Whether the index leads here.
    pub(crate) fn is_live(self) -> bool {
        self.0 & LIVE != 0
    }

    fn with(self, bit: u32, on: bool) -> Self {
        Self(if on { self.0 | bit } else { self.0 & !bit })
    }

    pub(crate) fn with_fetched(self, on: bool) -> Self {
        self.with(FETCHED, on)
    }

    pub(crate) fn with_lease(self, stale: bool, taken: bool) -> Self {
        self.with(STALE, stale).with(TAKEN, taken)
    }

    pub(crate) fn with_marked(self, on: bool) -> Self {
        self.with(MARKED, on)
    }

    pub(crate) fn with_live(self, on: bool) -> Self {
        self.with(LIVE, on)
    }

    /// Notes an access at `second`, of which only the lower bits are kept: 48 days' worth.
    pub(crate) fn with_access(self, second: u32) -> Self {
        Self(self.0 & !(ACCESS_MASK << ACCESS_SHIFT) | second << ACCESS_SHIFT)
    }

    /// Seconds between the last access and `now`. Below zero if the clock was read just before a
    /// second ended, and the access happened in the next one.
    pub(crate) fn idle(self, now: u32) -> i32 {
        let ago = now.wrapping_sub(self.0 >> ACCESS_SHIFT).wrapping_add(AHEAD_MAX) & ACCESS_MASK;
        ago as i32 - AHEAD_MAX as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Header = Header {
        key_len: 20,
        value_len: 100,
        flags: 0,
        group: Group::NONE,
        expiry: None,
        version: None,
    };

    /// The words before the key, and how many they are.
    fn encoded(head: &Head<'_>) -> ([u32; HEADER_MAX], usize) {
        let (mut words, mut len) = ([0; HEADER_MAX], 0);
        head.encode(|word| {
            words[len] = word;
            len += 1;
        });
        (words, len)
    }

    #[test]
    fn unused_fields_take_no_memory() {
        assert_eq!(PLAIN.words(), 3 + 30);
        let full = Header { flags: 1, expiry: Some(9), version: Some(7), ..PLAIN };
        assert_eq!(full.words(), 3 + 4 + 30);
        assert_eq!(Header { value_len: 1 << 19, ..PLAIN }.words(), 3 + 2 + 5 + (1 << 17));
        assert_eq!(Header { group: Group(9), ..PLAIN }.words(), 3 + 2 + 30);
    }

    #[test]
    fn the_encoded_header_is_read_back() {
        let header = Header {
            key_len: 250,
            value_len: (1 << 30) - 1,
            flags: 5,
            group: Group(1 << 31 | 4),
            expiry: Some(6),
            version: Some(7 << 32 | 8),
        };
        let (words, len) = encoded(&Head::new(header, &[b'k'; 250], State::default()));
        let shape = Shape(words[2]);
        assert_eq!((len, shape.key_at()), (HEADER_MAX, HEADER_MAX));
        assert_eq!(lengths(shape, || words[3]), Lengths { key: 250, value: (1 << 30) - 1 });
        assert_eq!(words[GROUP_AT], 1 << 31 | 4);
        assert_eq!(words[shape.flags_at()], 5);
        assert_eq!(words[shape.expiry_at()], 6);
        assert_eq!(words[shape.version_at()..], [8, 7]);
    }

    #[test]
    fn only_long_keys_take_an_extension_word() {
        for (key_len, words) in [(255, 3 + 64), (256, 5 + 64), (65_536, 5 + 16_384)] {
            let header = Header { key_len, value_len: 0, ..PLAIN };
            assert_eq!(header.words(), words);
            let key = vec![b'k'; key_len];
            let (encoded, _) = encoded(&Head::new(header, &key, State::default()));
            let shape = Shape(encoded[2]);
            assert_eq!(lengths(shape, || encoded[3]), Lengths { key: key_len, value: 0 });
        }
    }

    #[test]
    fn a_short_header_says_all_that_a_long_one_does() {
        for (key_len, value_len, flags, expiry) in
            [(1, 0, 0, None), (63, 255, 7, None), (20, 10, 0, Some(9)), (9, 100, 1, Some(2))]
        {
            let header = Header { key_len, value_len, flags, expiry, ..PLAIN };
            let key = [b'k'; 63];
            let long = Head::new(header, &key[..key_len], State::default());
            let head = long.shortened(5);
            assert_eq!(long.item_words() - head.item_words(), 1);
            let (words, len) = encoded(&head);
            let first = First(words[0]);
            assert!(first.is_short() && first.is_pending());
            assert_eq!(first.with_sequence(7).unwrap().changing(), first);
            let shape = first.shape(|| panic!("a short header has no word for it"));
            assert_eq!((shape, shape.key_at()), (head.shape, len));
            assert!(shape.is_like(long.shape) && long.shape.has_form_of(shape));
            assert_eq!(lengths(shape, || 0), header.lengths());
            if flags != 0 {
                assert_eq!(words[shape.flags_at()], flags);
            }
            if let Some(expiry) = expiry {
                assert_eq!(words[shape.expiry_at()], expiry);
            }
        }
    }

    #[test]
    fn what_does_not_fit_into_a_short_header_has_a_long_one() {
        let fits = |header: Header| header.shape().short().is_some();
        assert!(fits(PLAIN) && fits(Header { key_len: 63, value_len: 255, ..PLAIN }));
        for header in [
            Header { key_len: 64, ..PLAIN },
            Header { value_len: 256, ..PLAIN },
            Header { group: Group(1), ..PLAIN },
            Header { version: Some(1), ..PLAIN },
        ] {
            assert!(!fits(header), "{header:?}");
        }
    }

    #[test]
    fn sequences_are_kept_as_far_as_there_is_room() {
        let shapes = [(PLAIN.shape().short().unwrap(), 1 << 14), (PLAIN.shape(), 1 << 30)];
        for (shape, end) in shapes {
            let first = First::pending(shape);
            for sequence in [1 - end, -1, 0, 1, end - 1] {
                let with = first.with_sequence(sequence).unwrap();
                assert_eq!((i64::from(with.sequence()), with.is_pending()), (sequence, false));
                assert_eq!(with.shape(|| shape.0), shape);
                assert_eq!(with.changing(), first);
            }
            assert_eq!(first.with_sequence(end), None);
            assert_eq!(first.with_sequence(-end), None);
        }
    }

    #[test]
    fn accesses_wrap_without_harm() {
        for now in [100, 1 << 22, u32::MAX] {
            assert_eq!(State::default().with_access(now - 90).with_live(true).idle(now), 90);
        }
    }

    #[test]
    fn an_access_in_the_next_second_is_not_a_year_ago() {
        for now in [0, 100, (1 << 22) - 1, u32::MAX] {
            assert_eq!(State::default().with_access(now.wrapping_add(1)).idle(now), -1);
            let month_ago = now.wrapping_sub(30 * 86_400);
            assert_eq!(State::default().with_access(month_ago).idle(now), 30 * 86_400);
        }
    }

    #[test]
    fn state_bits_do_not_touch() {
        let state = State::default().with_access(12345).with_uses(15).with_lease(true, false);
        assert_eq!((state.with_uses(1).uses(), state.with_uses(99).uses()), (1, USES_MAX));
        assert!(!state.is_hit() && !state.is_settled());
        assert!(state.with_use().with_fetched(true).is_settled());
        assert!(state.is_stale() && !state.is_taken() && !state.is_live() && !state.is_fetched());
        assert_eq!(state.with_marked(true).with_live(true).idle(12345), 0);
    }
}
