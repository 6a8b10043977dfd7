//! Appending: how an item gets its place. One that does not fit into the rest of its segment goes
//! on in the next one; one that is larger than a segment gets a chain of its own, segment by
//! segment, whose last one is then open for others.

use crate::memory::sync::{Ordering, fence};
use crate::space::Space;
use crate::space::layout::{First, HEADER_MAX, Head, Header, Shape, State};
use crate::space::logs::Open;
use crate::space::segments::{Loc, LogId, Opening, Phase, Pieces, SegmentId, class_of};

/// An item may go on in the next segment if it is at least 1/SPAN_SHARE of a segment; the end of a
/// segment is wasted for smaller ones. Where nothing may be evicted it has to be larger, as items in
/// two segments are in the way of compacting either.
const SPAN_SHARE: usize = 128;
const SPAN_SHARE_KEPT: usize = 8;
/// Versions given out since a segment was opened, up to which it takes items.
const VERSIONS_MAX: i64 = 1 << 29;

/// There is no segment to be had without reclaiming one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NeedsRoom;

/// What memory is asked for with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) log: LogId,
    /// Segments that must be left to others.
    pub(crate) reserve: usize,
    pub(crate) opening: Opening,
}

/// An item's place before it is live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) loc: Loc,
    pub(crate) header: Header,
    /// The header's, which takes a while to compute.
    shape: Shape,
    /// Of the whole item.
    words: usize,
    /// It counts as live already.
    counts: bool,
}

/// An item larger than a segment that is being written.
#[derive(Debug)]
pub(crate) struct Chain {
    slot: Slot,
    log: LogId,
    last: SegmentId,
    /// Words that have no memory yet.
    missing: usize,
    reserve: usize,
}

/// The memory that an item will be in.
#[derive(Debug)]
pub(crate) enum Room {
    Slot(Slot),
    Chain(Chain),
}

impl Slot {
    /// The byte address of the key.
    fn key_at(&self) -> usize {
        (self.loc as usize + self.shape.key_at()) * 4
    }

    /// The first word of the item while it is not live.
    pub(crate) fn first(&self) -> First {
        First::pending(self.shape)
    }

    /// Whether there is room for a group of tags.
    #[inline(always)]
    pub(crate) fn has_ext(&self) -> bool {
        self.shape.has_ext()
    }

    /// Bytes of the whole item.
    pub(crate) fn size(&self) -> usize {
        4 * self.words
    }

    /// The size class of the item.
    pub(crate) fn class(&self) -> u8 {
        class_of(self.size())
    }
}

impl Chain {
    /// Words that have no memory yet.
    pub(crate) fn missing(&self) -> usize {
        self.missing
    }
}

impl Room {
    pub(crate) fn slot(&self) -> &Slot {
        match self {
            Self::Slot(slot) => slot,
            Self::Chain(chain) => &chain.slot,
        }
    }
}

impl Space {
    /// Memory for a whole item of any size. One that is `soon` live may count as live from now on,
    /// which saves a change of a word that others change as well.
    ///
    /// # Errors
    /// A segment is needed and there is none.
    pub(crate) fn room_for(&self, claim: &Claim, head: &Head<'_>) -> Result<Room, NeedsRoom> {
        if head.item_words() <= self.table().segment_words() {
            return self.allocate(claim, head, true).map(Room::Slot);
        }
        // A chain that was begun for nothing wastes the rest of the open segment.
        let needed = head.item_words() / self.table().segment_words() + 1;
        if !self.pool.has(needed, claim.reserve) {
            return Err(NeedsRoom);
        }
        self.chain_for(claim, head, 0)
    }

    /// A chain of which at most `missing` words have no memory yet.
    fn chain_for(&self, claim: &Claim, head: &Head<'_>, missing: usize) -> Result<Room, NeedsRoom> {
        let mut chain = self.begin_chain(claim, head)?;
        while chain.missing > missing {
            if self.extend_chain(&mut chain, &claim.opening).is_err() {
                self.free_room(&Room::Chain(chain));
                return Err(NeedsRoom);
            }
        }
        if head.has_long_key() {
            self.write_long_key(&chain.slot, head.key);
        }
        Ok(Room::Chain(chain))
    }

    /// Writes a key that may lie in several segments, all of which are linked by now. Nobody looks
    /// at the key of an item that is not live.
    #[cold]
    #[inline(never)]
    fn write_long_key(&self, slot: &Slot, key: &[u8]) {
        let mut rest = key;
        for (at, len) in Pieces::new(self.table(), slot.key_at(), key.len()) {
            let (now, later) = rest.split_at(len);
            self.memory().write(at, now);
            rest = later;
        }
    }

    /// The byte address of the value that will be in `room`.
    pub(crate) fn value_in(&self, room: &Room) -> usize {
        let slot = room.slot();
        self.behind_key(slot.key_at(), slot.header.key_len)
    }

    /// Memory for an item that is written bit by bit: all of it, or the beginning of one that is
    /// larger than a segment.
    ///
    /// # Errors
    /// A segment is needed and there is none.
    pub(crate) fn first_room_for(&self, claim: &Claim, head: &Head<'_>) -> Result<Room, NeedsRoom> {
        if head.item_words() <= self.table().segment_words() {
            return self.allocate(claim, head, false).map(Room::Slot);
        }
        // All but the value, of which the first byte is there: it says where to go on.
        self.chain_for(claim, head, head.header.value_len.saturating_sub(1) / 4)
    }

    /// Finds a place for an item of at most a segment and writes its head there.
    fn allocate(&self, claim: &Claim, head: &Head<'_>, soon: bool) -> Result<Slot, NeedsRoom> {
        debug_assert!(head.item_words() <= self.table().segment_words());
        let mut open = self.logs.open(claim.log);
        self.seal_if_outdated(&mut open, &claim.opening);
        let long;
        let here = match head.fits(self.table().version_base(*open)) {
            true => head,
            false => {
                long = head.long();
                &long
            }
        };
        let words = here.item_words();
        let left = self.words_left(*open);
        let slot = if words <= left {
            let slot = self.append(*open, words, here, soon);
            // Where this thread's next item of the kind will be.
            self.prefetch(slot.loc + words as u64);
            slot
        } else {
            let version = head.base(claim.opening.version);
            let opening = Opening { version, ..claim.opening };
            let next = self.open_segment(&Claim { opening, ..*claim })?;
            let spans = left > here.words() && self.may_span(words);
            let slot = if spans {
                let slot = self.append(*open, left, here, false);
                self.link(*open, next, slot.loc, words - left);
                slot
            } else {
                self.append(next, head.item_words(), head, soon)
            };
            self.seal(&mut open);
            *open = next;
            slot
        };
        if head.has_long_key() {
            self.write_long_key(&slot, head.key);
        }
        self.note_expiry(slot.loc, head.header.expiry);
        Ok(slot)
    }

    /// Hands out words of a segment. The head is there before anybody learns of it.
    fn append(&self, id: SegmentId, words: usize, head: &Head<'_>, counts: bool) -> Slot {
        debug_assert!(words <= self.words_left(id), "segment {id} is too full");
        // Pairs with the acquire fence of readers that certify what they read. The stamp was
        // changed by the thread that opened the segment, maybe another one: whoever sees a byte
        // that this thread writes from here on must see the new stamp as well.
        fence(Ordering::Release);
        let row = self.table().row(id);
        let used = row.used.load(Ordering::Relaxed);
        let loc = self.table().start(id) + u64::from(used);
        let slot =
            Slot { loc, header: head.header, shape: head.shape, words: head.item_words(), counts };
        match counts {
            true => self.table().add_live(id, words * 4),
            false => self.table().add_pending(id),
        }
        self.write_head(loc, head);
        // Pairs with the acquire loads of those who walk a segment: up to here there are headers.
        row.used.store(used + words as u32, Ordering::Release);
        slot
    }

    /// Whether an item of `words` words may continue in the next segment.
    pub(crate) fn may_span(&self, words: usize) -> bool {
        let share = if self.evictions { SPAN_SHARE } else { SPAN_SHARE_KEPT };
        words >= self.table().segment_words() / share
    }

    /// Whether this thread's open segment of a log has room for `words` words.
    pub(crate) fn has_room(&self, log: LogId, words: usize) -> bool {
        let open = self.logs.open(log);
        words <= self.words_left(*open)
    }

    /// Words that are left in an open segment.
    fn words_left(&self, id: SegmentId) -> usize {
        if id == 0 {
            return 0;
        }
        self.table().segment_words() - self.table().row(id).used.load(Ordering::Relaxed) as usize
    }

    /// Makes the item at `loc` go on with `words` words at the front of segment `next`.
    fn link(&self, id: SegmentId, next: SegmentId, loc: Loc, words: usize) {
        self.table().row(id).next.store(next, Ordering::Relaxed);
        let row = self.table().row(next);
        row.lead.store(loc, Ordering::Relaxed);
        row.lead_words.store(words as u32, Ordering::Relaxed);
        // Pairs with the acquire loads of those who walk a segment: they see where items begin.
        row.used.store(words as u32, Ordering::Release);
        self.table().add_pending(next);
    }

    fn open_segment(&self, claim: &Claim) -> Result<SegmentId, NeedsRoom> {
        self.pool.open(claim.log, claim.reserve, &claim.opening).ok_or(NeedsRoom)
    }

    /// Seals the open segment of a log.
    fn seal(&self, open: &mut Open<'_>) {
        let id = std::mem::take(&mut **open);
        if id != 0 {
            self.pool.seal(id);
        }
    }

    /// A segment from before the last flush, or with too old a version to count from, takes no
    /// more items.
    fn seal_if_outdated(&self, open: &mut Open<'_>, opening: &Opening) {
        let id = **open;
        if id == 0 {
            return;
        }
        let outdated = self.table().stamp(id).epoch() != opening.epoch
            || opening.version.wrapping_sub(self.table().version_base(id)) as i64 > VERSIONS_MAX;
        if outdated {
            self.seal(open);
        }
    }

    /// Seals all open segments, so that they can be reclaimed like others.
    pub(crate) fn seal_logs(&self) {
        for mut open in self.logs.each() {
            self.seal(&mut open);
        }
    }

    /// Seals open segments in which at least `words` words are wasted; whether there was any.
    pub(crate) fn seal_wasted(&self, words: usize) -> bool {
        let mut any = false;
        for mut open in self.logs.each() {
            let id = *open;
            if id != 0
                && self.table().segment_bytes() >= 4 * words + self.table().load(id).bytes as usize
            {
                self.seal(&mut open);
                any = true;
            }
        }
        any
    }

    /// Begins an item that is larger than a segment; it takes what is left of the log's open
    /// segment.
    fn begin_chain(&self, claim: &Claim, head: &Head<'_>) -> Result<Chain, NeedsRoom> {
        let &Claim { log, reserve, ref opening } = claim;
        let mut open = self.logs.open(log);
        self.seal_if_outdated(&mut open, opening);
        if self.words_left(*open) <= head.words() {
            let next = self.open_segment(claim)?;
            self.seal(&mut open);
            *open = next;
        }
        let id = std::mem::take(&mut *open);
        let left = self.words_left(id);
        let slot = self.append(id, left, head, false);
        self.note_expiry(slot.loc, head.header.expiry);
        self.pool.seal(id);
        Ok(Chain { slot, log, last: id, missing: head.item_words() - left, reserve })
    }

    /// Adds a segment to a chain.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn extend_chain(
        &self,
        chain: &mut Chain,
        opening: &Opening,
    ) -> Result<(), NeedsRoom> {
        let claim = Claim { log: chain.log, reserve: chain.reserve, opening: *opening };
        let next = self.open_segment(&claim)?;
        let words = chain.missing.min(self.table().segment_words());
        self.link(chain.last, next, chain.slot.loc, words);
        chain.missing -= words;
        chain.last = next;
        Ok(())
    }

    /// Hands the segments of a complete chain over to the log; the last one may take more items.
    fn finish_chain(&self, chain: &Chain) {
        debug_assert_eq!(chain.missing, 0, "the chain is complete");
        let pieces = Pieces::new(self.table(), chain.slot.loc as usize * 4, chain.slot.size());
        let ids = pieces.by_segment().map(|(id, _)| id);
        for id in ids.skip(1).filter(|&id| id != chain.last) {
            self.pool.seal(id);
        }
        let mut open = self.logs.open(chain.log);
        if self.words_left(chain.last) > self.words_left(*open) {
            self.seal(&mut open);
            *open = chain.last;
        } else {
            self.pool.seal(chain.last);
        }
    }

    /// Turns a pending item into a live one, to which the index does not lead yet. `first` says its
    /// version.
    pub(crate) fn go_live(&self, room: &Room, first: First) {
        let slot = room.slot();
        let state = self.state_word(slot.loc);
        let live = State(state.load(Ordering::Relaxed)).with_live(true);
        state.store(live.0, Ordering::Relaxed);
        // Pairs with the acquire load of the sequence in `Space::read`: who sees it sees the item.
        self.word(slot.loc).store(first.0, Ordering::Release);
        if !slot.counts {
            let pieces = Pieces::new(self.table(), slot.loc as usize * 4, slot.size());
            let mut begins = true;
            for (piece, len) in pieces.by_segment() {
                self.table().publish(piece, len, begins);
                begins = false;
            }
        }
        // A sweep may have come by while the item was pending; a later one sees it live.
        self.note_expiry(slot.loc, slot.header.expiry);
        if let Room::Chain(chain) = room {
            self.finish_chain(chain);
        }
    }

    /// Frees the memory of an item that was never published.
    pub(crate) fn free_room(&self, room: &Room) {
        match room {
            Room::Slot(slot) if slot.counts => {
                self.free_piece(self.table().segment_of(slot.loc), slot.size(), true);
            }
            Room::Slot(slot) => {
                for id in self.segments_of_slot(slot, 0) {
                    self.cancel_piece(id);
                }
            }
            Room::Chain(chain) => {
                let mut segments = self.segments_of_slot(&chain.slot, chain.missing).into_iter();
                // The first one waits in a queue, the others were never sealed.
                if let Some(first) = segments.next() {
                    self.cancel_piece(first);
                }
                for id in segments {
                    self.table().cancel(id);
                    self.pool.free_open(id);
                }
            }
        }
    }

    /// The segments of a pending item of which the last `missing` words have no memory yet. They
    /// are listed first: freeing one changes its link.
    fn segments_of_slot(&self, slot: &Slot, missing: usize) -> Vec<SegmentId> {
        let pieces = Pieces::new(self.table(), slot.loc as usize * 4, slot.size() - 4 * missing);
        pieces.by_segment().map(|(id, _)| id).collect()
    }

    /// Frees a part of a pending item, and its segment with the last item there.
    fn cancel_piece(&self, id: SegmentId) {
        if self.table().cancel(id).is_empty() {
            self.pool.free(id, Phase::Sealed);
        }
    }

    /// Frees bytes that counted as live, and their segment with the last of them.
    pub(crate) fn free_piece(&self, id: SegmentId, bytes: usize, begins: bool) {
        if self.table().remove(id, bytes, begins).is_empty() {
            self.pool.free(id, Phase::Sealed);
        }
    }

    /// Writes everything before the value. The log's lock or the chain keep others away.
    fn write_head(&self, loc: Loc, head: &Head<'_>) {
        let cells: &[_; HEADER_MAX] = self.memory().array(loc as usize);
        let mut len = 0;
        head.encode(|word| {
            cells[len].store(word, Ordering::Relaxed);
            len += 1;
        });
        if !head.has_long_key() {
            self.memory().write((loc as usize + len) * 4, head.key);
        }
    }

    /// Makes the sweep look at the item's segment in time.
    pub(crate) fn note_expiry(&self, loc: Loc, expiry: Option<u32>) {
        if let Some(expiry) = expiry.filter(|&expiry| expiry != 0) {
            let due = self.table().due(self.table().segment_of(loc));
            if due.load(Ordering::Relaxed) > expiry {
                due.fetch_min(expiry, Ordering::Relaxed);
            }
        }
    }
}
