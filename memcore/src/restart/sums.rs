//! Checksums of segments that are yet to be compared, and what is known about their bytes.

use std::collections::{HashMap, HashSet};

use super::state::checksum;
use crate::memory::sync::{AtomicBool, AtomicU64, Mutex, Ordering, fence};
use crate::space::Space;
use crate::space::pool::Pool;
use crate::space::segments::{Loc, SegmentId};

/// What is yet to be compared.
#[derive(Debug)]
pub(crate) struct Unverified {
    /// Whether nothing is.
    pub(super) done: AtomicBool,
    /// Items that were lost.
    pub(super) lost: AtomicU64,
    pub(super) sums: Mutex<Sums>,
}

/// The checksums, and what came of them. Both are gone when all were compared.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// By the number of the segment.
    expected: Vec<u64>,
    bytes: Vec<Bytes>,
    pub(super) lost: HashSet<SegmentId>,
    /// The next segment to look at.
    pub(super) next: SegmentId,
    buffer: Vec<u8>,
}

/// What is known about the bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bytes {
    Unread,
    Whole,
    Damaged,
}

impl Unverified {
    /// With the checksums of all segments of `pool` that hold items, which `take` gives in order.
    pub(crate) fn new<E>(pool: &Pool, mut take: impl FnMut() -> Result<u64, E>) -> Result<Self, E> {
        let bound = pool.bound();
        let mut expected = vec![0; bound as usize];
        for id in pool.filled() {
            expected[id as usize] = take()?;
        }
        let bytes = vec![Bytes::Unread; bound as usize];
        let sums = Sums { expected, bytes, ..Sums::default() };
        Ok(Self { done: AtomicBool::new(false), lost: AtomicU64::new(0), sums: Mutex::new(sums) })
    }
}

/// Checksums of segments, by their numbers.
pub(crate) type KnownSums = HashMap<SegmentId, u64>;

impl Sums {
    /// The checksums of segments that nobody has used yet. Of one that has been read, because an
    /// item goes on in it, bytes may have changed.
    pub(super) fn known(&self, space: &Space) -> KnownSums {
        let is_unread = |&id: &SegmentId| {
            space.table().stamp(id).is_unverified() && self.bytes[id as usize] == Bytes::Unread
        };
        let unread = (0..self.bound()).filter(is_unread);
        unread.map(|id| (id, self.expected[id as usize])).collect()
    }

    /// The number behind the last segment that there is a checksum of.
    pub(super) fn bound(&self) -> SegmentId {
        self.expected.len() as SegmentId
    }

    /// Whether a segment holds what was written, and so do those that its last item goes on in.
    pub(super) fn verify(&mut self, space: &Space, id: SegmentId) -> bool {
        let table = space.table();
        // What is not in use any more when all were compared is nobody's.
        if self.lost.contains(&id) || id as usize >= self.expected.len() {
            return false;
        }
        if table.stamp(id).is_unverified() {
            if !self.is_whole(space, id) || !space.spill(id).all(|id| self.is_whole(space, id)) {
                self.lost.insert(id);
                return false;
            }
            table.set_verified(id);
        }
        true
    }

    /// Whether the bytes of a segment are those that were written.
    fn is_whole(&mut self, space: &Space, id: SegmentId) -> bool {
        let stamp = space.table().stamp(id);
        let at = id as usize;
        if self.bytes[at] == Bytes::Unread && stamp.is_unverified() {
            let used = space.table().row(id).used.load(Ordering::Relaxed) as usize;
            self.buffer.clear();
            space.memory().append_to(
                space.table().start(id) as usize * 4,
                used * 4,
                &mut self.buffer,
            );
            let is_whole = checksum(&self.buffer) == self.expected[at];
            // Pairs with the fence of `Segments::open`: a byte that was written for another use
            // of the segment is read after its stamp has changed.
            fence(Ordering::Acquire);
            if space.table().stamp(id) == stamp {
                self.bytes[at] = if is_whole { Bytes::Whole } else { Bytes::Damaged };
            }
        }
        self.bytes[at] != Bytes::Damaged
    }
}

impl Space {
    /// The segments that the last item of a segment goes on in. It may be gone.
    pub(super) fn spill(&self, id: SegmentId) -> impl Iterator<Item = SegmentId> {
        let next = |id| self.table().row(id).next.load(Ordering::Relaxed);
        let first = Some(next(id)).filter(|&first| first != 0);
        let lead = first.map_or(0, |first| self.table().row(first).lead.load(Ordering::Relaxed));
        let first = first.filter(|_| lead != 0 && self.table().segment_of(lead) == id);
        let is_next = move |&id: &SegmentId| id != 0 && self.leads(id, lead);
        std::iter::successors(first, move |&id| Some(next(id)).filter(is_next))
    }

    /// Whether the item at `loc`, which began elsewhere, goes on at the front of a segment.
    pub(super) fn leads(&self, id: SegmentId, loc: Loc) -> bool {
        self.table().row(id).lead.load(Ordering::Relaxed) == loc
    }
}
