//! Items in memory: reading headers, keys and values, and changing what may change.

use crate::memory::sync::{AtomicU32, Ordering, fence};
use crate::space::Space;
use crate::space::layout::{
    self, FIXED_WORDS, First, GROUP_AT, HEADER_MAX, Header, KEY_SHORT, Lengths, Shape, State,
};
use crate::space::segments::{Loc, Pieces, SegmentId, Stamp, class_of};
use crate::tags::Group;
use crate::{Lease, Meta, Moment};

/// Cache lines of an item that are prefetched before anything is known about it: 128 bytes that
/// begin anywhere lie in three.
const LINES_AHEAD: usize = 3;
/// Words of a line of the processor's cache.
const LINE_WORDS: usize = 16;

/// What [`Part::Blanks`] is made of.
const BLANKS: [u8; 64] = [b' '; 64];

/// Room for a key: short ones need no allocation.
pub(crate) struct KeyBuffer {
    short: [u8; KEY_SHORT + 1],
    long: Vec<u8>,
}

impl KeyBuffer {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { short: [0; KEY_SHORT + 1], long: Vec::new() }
    }
}

/// What was read of an item. It may be garbage until it is certified by `Engine::is_current`, or
/// was read under the shard's lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) loc: Loc,
    pub(crate) stamp: Stamp,
    /// Its first word, with the sequence.
    pub(crate) first: First,
    pub(crate) shape: Shape,
    pub(crate) state: State,
    /// Small enough not to make this type larger: it is copied by every operation.
    key_len: u32,
    pub(crate) value_len: usize,
    pub(crate) flags: u32,
    /// 0 for never.
    pub(crate) expiry: u32,
    pub(crate) version: u64,
}

impl Item {
    /// Bytes in memory.
    #[inline(always)]
    pub(crate) fn size(&self) -> usize {
        4 * layout::item_words(self.shape, self.lengths())
    }

    #[inline(always)]
    fn lengths(&self) -> Lengths {
        Lengths { key: self.key_len(), value: self.value_len }
    }

    /// Bytes of the key.
    #[inline(always)]
    pub(crate) fn key_len(&self) -> usize {
        self.key_len as usize
    }

    #[inline]
    pub(crate) fn class(&self) -> u8 {
        class_of(self.size())
    }

    /// The byte address of the key.
    #[inline(always)]
    pub(crate) fn key_at(&self) -> usize {
        (self.loc as usize + self.shape.key_at()) * 4
    }

    pub(crate) fn expiry(&self) -> Option<Moment> {
        (self.expiry != 0).then(|| Moment::from_secs(self.expiry))
    }

    #[inline(always)]
    pub(crate) fn meta(&self, now: u32) -> Meta {
        let state = self.state;
        Meta {
            flags: self.flags,
            version: self.version,
            expiry: self.expiry(),
            marked: state.is_marked(),
            value_len: self.value_len,
            size: self.size(),
            class: self.class() + 1,
            fetched: state.is_fetched(),
            last_access: Moment::from_secs(now.wrapping_add_signed(-state.idle(now).max(0))),
            lease: Lease { stale: state.is_stale(), taken: state.is_taken() },
        }
    }
}

/// Where an item is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    segment: SegmentId,
    /// Bytes of the item in that segment behind the cut.
    rest: usize,
    /// Where they need a header.
    filler: Option<Loc>,
}

/// How an item stands, and how long it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outline {
    pub(crate) shape: Shape,
    pub(crate) key_len: usize,
    pub(crate) state: State,
    pub(crate) words: usize,
}

/// A part of a value to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    Bytes(&'a [u8]),
    /// This number of spaces.
    Blanks(usize),
    /// Bytes of an item that stays where it is meanwhile.
    Stored {
        at: usize,
        len: usize,
    },
}

impl Part<'_> {
    pub(crate) fn len(&self) -> usize {
        match *self {
            Part::Bytes(bytes) => bytes.len(),
            Part::Blanks(len) => len,
            Part::Stored { len, .. } => len,
        }
    }
}

impl Space {
    #[inline(always)]
    pub(crate) fn word(&self, loc: Loc) -> &AtomicU32 {
        self.memory().at(loc as usize)
    }

    /// The word that holds an item's [`State`].
    #[inline(always)]
    pub(crate) fn state_word(&self, loc: Loc) -> &AtomicU32 {
        self.word(loc + 1)
    }

    /// Prefetches an item's first three cache lines.
    #[inline(always)]
    pub(crate) fn prefetch(&self, loc: Loc) {
        for line in 0..LINES_AHEAD {
            self.memory().prefetch(loc as usize + line * LINE_WORDS);
        }
    }

    /// The stamp of the segment that an address lies in.
    #[inline(always)]
    pub(crate) fn stamp_at(&self, loc: Loc) -> Stamp {
        self.table().stamp(self.table().segment_of(loc))
    }

    /// Reads an item's header; `None` if its bytes are being written.
    #[inline(always)]
    pub(crate) fn read(&self, loc: Loc, stamp: Stamp) -> Option<Item> {
        let words = self.memory().cells(loc as usize, HEADER_MAX);
        // Pairs with the release stores of `go_live` and `end_change`: the bytes belong to
        // this sequence or to a later one, which shows when the sequence is read again.
        let first = First(words[0].load(Ordering::Acquire));
        if first.is_pending() {
            return None;
        }
        // Each kind of header by itself: a short one has fewer fields to look for.
        Some(match first.is_short() {
            true => self.parse(words, loc, stamp, first),
            false => self.parse(words, loc, stamp, first),
        })
    }

    /// Reads the header of an item whether or not it is complete, for those who hold its segment.
    #[inline(always)]
    pub(crate) fn read_any(&self, loc: Loc) -> Item {
        let words = self.memory().cells(loc as usize, HEADER_MAX);
        // As in `read`. What a lock does not keep others from changing is not looked at.
        let first = First(words[0].load(Ordering::Acquire));
        self.parse(words, loc, self.stamp_at(loc), first)
    }

    #[inline(always)]
    fn parse(&self, words: &[AtomicU32], loc: Loc, stamp: Stamp, first: First) -> Item {
        let field = |at: usize| words[at].load(Ordering::Relaxed);
        let shape = first.shape(|| field(2));
        let Lengths { key, value } = layout::lengths(shape, || field(3));
        let flags = if shape.has_flags() { field(shape.flags_at()) } else { 0 };
        let expiry = if shape.has_expiry() { field(shape.expiry_at()) } else { 0 };
        let version = if shape.has_version() {
            let at = shape.version_at();
            u64::from(field(at)) | u64::from(field(at + 1)) << 32
        } else {
            let base = self.table().version_base(self.table().segment_of(loc));
            base.wrapping_add_signed(first.sequence().into())
        };
        Item {
            loc,
            stamp,
            first,
            shape,
            state: State(field(1)),
            key_len: key as u32,
            value_len: value,
            flags,
            expiry,
            version,
        }
    }

    /// As much of an item as it takes to go from one to the next.
    #[inline(always)]
    pub(crate) fn outline(&self, loc: Loc) -> Outline {
        let words = self.memory().cells(loc as usize, 4);
        let field = |at: usize| words[at].load(Ordering::Relaxed);
        let shape = First(field(0)).shape(|| field(2));
        let lengths = layout::lengths(shape, || field(3));
        Outline {
            shape,
            key_len: lengths.key,
            state: State(field(1)),
            words: layout::item_words(shape, lengths),
        }
    }

    /// What the item is tagged with.
    #[inline]
    pub(crate) fn group_of(&self, item: &Item) -> Group {
        if item.shape.has_ext() { self.group_at(item.loc) } else { Group::NONE }
    }

    /// What an item with an extension is tagged with. If it was read without a lock, this has to be
    /// certified as well.
    #[inline]
    pub(crate) fn group_at(&self, loc: Loc) -> Group {
        Group(self.word(loc + GROUP_AT as Loc).load(Ordering::Relaxed))
    }

    /// Whether the key of the item at `loc` is `key`. If it is long, its length is `certified`
    /// before it is compared.
    #[inline(always)]
    pub(crate) fn has_key(
        &self,
        loc: Loc,
        shape: Shape,
        key_len: usize,
        key: &[u8],
        certified: impl FnOnce() -> bool,
    ) -> bool {
        if key_len != key.len() {
            return false;
        }
        let start = loc as usize + shape.key_at();
        if key.len() > KEY_SHORT {
            return certified() && self.has_long_key(start * 4, key);
        }
        let words = self.memory().cells(start, key.len().div_ceil(4));
        let whole = key.chunks_exact(4);
        let rest = whole.remainder();
        let same = |(word, bytes): (&AtomicU32, &[u8])| {
            <[u8; 4]>::try_from(bytes)
                .is_ok_and(|bytes| word.load(Ordering::Relaxed) == u32::from_ne_bytes(bytes))
        };
        words.iter().zip(whole).all(same)
            && words.get(key.len() / 4).is_none_or(|word| {
                word.load(Ordering::Relaxed).to_ne_bytes()[..rest.len()] == *rest
            })
    }

    #[cold]
    #[inline(never)]
    fn has_long_key(&self, key_at: usize, key: &[u8]) -> bool {
        let mut rest = key;
        let mut buffer = [0; 256];
        for (mut at, mut len) in Pieces::new(self.table(), key_at, key.len()) {
            while len > 0 {
                let chunk = &mut buffer[..len.min(256)];
                self.memory().read(at, chunk);
                let (same, later) = rest.split_at(chunk.len());
                if *chunk != *same {
                    return false;
                }
                rest = later;
                at += same.len();
                len -= same.len();
            }
        }
        true
    }

    /// Copies the key of `key_len` bytes of the item at `loc`.
    #[inline]
    pub(crate) fn key_of<'b>(
        &self,
        loc: Loc,
        shape: Shape,
        key_len: usize,
        buffer: &'b mut KeyBuffer,
    ) -> &'b [u8] {
        let at = (loc as usize + shape.key_at()) * 4;
        if key_len > KEY_SHORT {
            buffer.long.clear();
            self.append_bytes(at, key_len, &mut buffer.long);
            return &buffer.long;
        }
        let key = &mut buffer.short[..key_len];
        self.memory().read(at, key);
        key
    }

    /// Appends the item's key to `out`.
    pub(crate) fn append_key(&self, item: &Item, out: &mut Vec<u8>) {
        self.append_bytes(item.key_at(), item.key_len(), out);
    }

    /// Appends bytes that may lie in several pieces.
    fn append_bytes(&self, at: usize, len: usize, out: &mut Vec<u8>) {
        for (at, len) in Pieces::new(self.table(), at, len) {
            self.memory().append_to(at, len, out);
        }
    }

    /// The byte address of the item's value. Of an item with a long key that was read without a
    /// lock, it must have been certified.
    #[inline(always)]
    pub(crate) fn value_at(&self, item: &Item) -> usize {
        self.behind_key(item.key_at(), item.key_len())
    }

    /// The byte address behind a key.
    #[inline(always)]
    pub(super) fn behind_key(&self, key_at: usize, key_len: usize) -> usize {
        match key_len > KEY_SHORT {
            true => self.behind_long_key(key_at, key_len),
            false => key_at + key_len,
        }
    }

    /// A long key may end in another segment than it begins in.
    #[cold]
    #[inline(never)]
    fn behind_long_key(&self, key_at: usize, key_len: usize) -> usize {
        // One more byte, so that an address at the very end of a segment is that of the next one.
        Pieces::new(self.table(), key_at, key_len + 1)
            .last()
            .map_or(key_at, |(at, len)| at + len - 1)
    }

    /// The item's pieces, header and key included.
    #[inline(always)]
    pub(crate) fn pieces(&self, item: &Item) -> Pieces<'_> {
        Pieces::new(self.table(), item.loc as usize * 4, item.size())
    }

    /// The pieces of the item's value.
    #[inline(always)]
    pub(crate) fn value_pieces(&self, item: &Item) -> Pieces<'_> {
        Pieces::new(self.table(), self.value_at(item), item.value_len)
    }

    /// Appends the item's value to `out`.
    #[inline(always)]
    pub(crate) fn append_value(&self, item: &Item, out: &mut Vec<u8>) {
        for (at, len) in self.value_pieces(item) {
            self.memory().append_to(at, len, out);
        }
    }

    /// Copies parts of items or callers' bytes to where `target` leads.
    #[inline]
    pub(crate) fn copy(&self, target: Pieces<'_>, parts: &[Part<'_>; 2]) {
        // Nearly every value comes whole and lies in one piece.
        if let [Part::Bytes(bytes), Part::Bytes([])] = *parts {
            if let Some((at, _)) = target.clone().next().filter(|&(_, len)| len == bytes.len()) {
                return self.memory().write(at, bytes);
            }
        }
        self.copy_parts(target, parts);
    }

    fn copy_parts(&self, mut target: Pieces<'_>, parts: &[Part<'_>; 2]) {
        let mut room = (0, 0);
        let mut emit = |mut bytes: &[u8]| {
            while !bytes.is_empty() {
                if room.1 == 0 {
                    let Some(next) = target.next() else {
                        debug_assert!(false, "a value is longer than its place");
                        return;
                    };
                    room = next;
                }
                let (now, later) = bytes.split_at(bytes.len().min(room.1));
                self.memory().write(room.0, now);
                room = (room.0 + now.len(), room.1 - now.len());
                bytes = later;
            }
        };
        for part in parts {
            match *part {
                Part::Bytes(bytes) => emit(bytes),
                Part::Blanks(mut len) => {
                    while len > 0 {
                        let now = len.min(BLANKS.len());
                        emit(&BLANKS[..now]);
                        len -= now;
                    }
                }
                Part::Stored { at, len } => {
                    let mut buffer = [0; 1024];
                    for (mut at, mut len) in Pieces::new(self.table(), at, len) {
                        while len > 0 {
                            let chunk = &mut buffer[..len.min(1024)];
                            self.memory().read(at, chunk);
                            emit(chunk);
                            at += chunk.len();
                            len -= chunk.len();
                        }
                    }
                }
            }
        }
    }

    /// The first word of an item at `loc` with this version, if that can be expressed so. Of the
    /// old first word all but the sequence stays.
    #[inline(always)]
    pub(crate) fn first_of(&self, old: First, version: u64, loc: Loc) -> Option<First> {
        let base = self.table().version_base(self.table().segment_of(loc));
        old.with_sequence(version.wrapping_sub(base) as i64)
    }

    /// Begins a change of a live item's bytes under a new version: its first word when the change
    /// is done, or `None` if a handle reads the bytes or the version can't be expressed. The shard
    /// is locked; readers without lock notice.
    #[inline(always)]
    pub(crate) fn begin_change(&self, item: &Item, version: u64) -> Option<First> {
        if item.shape.has_version() {
            return None;
        }
        let first = self.first_of(item.first, version, item.loc)?;
        let word = self.word(item.loc);
        word.store(item.first.changing().0, Ordering::Relaxed);
        // Pairs with the fence in `Engine::pin`: either this sees the pin of a reader, or the
        // reader sees that the item is changing. It is a release fence as well, which pairs with
        // the acquire fence of `Engine::is_current`: who sees a byte written below sees that it is
        // pending, or the new sequence.
        fence(Ordering::SeqCst);
        let is_pinned = |(segment, _): (SegmentId, usize)| self.table().is_pinned(segment);
        if self.pieces(item).by_segment().any(is_pinned) {
            // Nothing was changed: a reader that sees the old sequence again may go on.
            word.store(item.first.0, Ordering::Release);
            return None;
        }
        Some(first)
    }

    /// Ends what [`begin_change`](Self::begin_change) began.
    #[inline(always)]
    pub(crate) fn end_change(&self, item: &Item, first: First) {
        // Pairs with the acquire load of `read`: who sees the new sequence sees the new bytes.
        self.word(item.loc).store(first.0, Ordering::Release);
    }

    /// Sets an item's state. The shard is locked.
    #[inline]
    pub(crate) fn set_state(&self, loc: Loc, state: State) {
        // Pairs with the acquire fence of `Engine::is_current`: a reader that sees a state of this
        // use of the memory sees the segment's stamp as well.
        self.state_word(loc).store(state.0, Ordering::Release);
    }

    /// Changes an item's state. The shard is locked.
    #[inline]
    pub(crate) fn update_state(&self, loc: Loc, change: impl FnOnce(State) -> State) {
        let state = State(self.state_word(loc).load(Ordering::Relaxed));
        self.set_state(loc, change(state));
    }

    /// Writes the expiry of an item that has room for one. The shard is locked.
    // Inlined, it would keep the change of a value in place from being inlined.
    #[inline(never)]
    pub(crate) fn set_expiry(&self, item: &Item, expiry: u32) {
        let at = item.shape.expiry_at() as u64;
        // Pairs with the acquire fence of `Engine::is_current`, as in `set_state`.
        self.word(item.loc + at).store(expiry, Ordering::Release);
        self.note_expiry(item.loc, Some(expiry));
    }

    /// Writes flags and expiry of `header` to an item that has room for what there is of them.
    /// The item is being changed in place.
    pub(crate) fn set_flags_and_expiry(&self, item: &Item, header: &Header) {
        if item.shape.has_flags() {
            let at = item.shape.flags_at() as u64;
            self.word(item.loc + at).store(header.flags, Ordering::Relaxed);
        }
        if let Some(expiry) = header.expiry {
            self.set_expiry(item, expiry);
        }
    }

    /// Whether a part of the item lies in a segment.
    pub(crate) fn touches(&self, item: &Item, segment: SegmentId) -> bool {
        self.pieces(item).by_segment().any(|(id, _)| id == segment)
    }

    /// Whether all of the item lies in a segment.
    pub(crate) fn lies_within(&self, item: &Item, segment: SegmentId) -> bool {
        let last = item.loc + item.size() as Loc / 4 - 1;
        self.table().segment_of(item.loc) == segment && self.table().segment_of(last) == segment
    }

    /// Where an item can be cut after its first `words` words; `None` if it can't be
    /// cut there. Those who walk a segment go from header to header, so that what is left behind
    /// the cut needs room for one, unless it lies at the segment's front.
    pub(crate) fn cut_of(&self, item: &Item, words: usize) -> Option<Cut> {
        let mut left = 4 * words;
        for (index, (segment, len)) in self.pieces(item).by_segment().enumerate() {
            if left <= len {
                let rest = len - left;
                let is_walked = index == 0 && rest > 0;
                let fits = !is_walked || rest >= 4 * FIXED_WORDS;
                let filler = item.loc + words as Loc;
                return fits.then_some(Cut { segment, rest, filler: is_walked.then_some(filler) });
            }
            left -= len;
        }
        None
    }

    /// Shortens an item with a long header that is being changed to one of another `shape`. The
    /// reclaimer is locked, and with it all who walk segments.
    pub(crate) fn cut(&self, item: &Item, cut: &Cut, shape: Shape) {
        if let Some(loc) = cut.filler {
            let shape = Shape::filler(cut.rest / 4);
            let head = [First::pending(shape).0, State::default().0, shape.0];
            for (at, word) in (loc..).zip(head) {
                self.word(at).store(word, Ordering::Relaxed);
            }
        }
        debug_assert!(!item.shape.is_short(), "the lengths of a short header are elsewhere");
        self.word(item.loc + 2).store(shape.0, Ordering::Relaxed);
    }

    /// Frees what was behind a cut.
    pub(crate) fn free_behind(&self, item: &Item, cut: &Cut) {
        let mut behind = false;
        for (segment, len) in self.pieces(item).by_segment() {
            if behind {
                self.free_piece(segment, len, false);
            } else if segment == cut.segment {
                behind = true;
                self.free_piece(segment, cut.rest, false);
            }
        }
    }

    /// Frees the memory of an item that was live and is not any more.
    pub(crate) fn free_item(&self, item: &Item) {
        let mut begins = true;
        for (segment, len) in self.pieces(item).by_segment() {
            self.free_piece(segment, len, begins);
            begins = false;
        }
    }
}
