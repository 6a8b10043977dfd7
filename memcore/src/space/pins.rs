//! Pins: which segments handles read from, and how many bytes that keeps from being used again.

use std::ops::Deref;

use crate::memory::sync::{AtomicUsize, Ordering};
use crate::space::Space;
use crate::space::item::Item;
use crate::space::segments::{Pieces, SegmentId};

/// The pinned part of the limit, unless a setting says otherwise: 1/PIN_SHARE.
const PIN_SHARE: usize = 8;

/// The bytes that are pinned, and how many may be.
#[derive(Debug)]
pub(crate) struct Pins {
    limit: Option<usize>,
    bytes: AtomicUsize,
}

/// The segments that a value lies in. Nearly always it is one, for which nothing is allocated.
#[derive(Debug)]
pub(crate) enum Pinned {
    One(SegmentId),
    Many(Vec<SegmentId>),
}

impl Deref for Pinned {
    type Target = [SegmentId];

    fn deref(&self) -> &[SegmentId] {
        match self {
            Self::One(segment) => std::slice::from_ref(segment),
            Self::Many(segments) => segments,
        }
    }
}

impl Pins {
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self { limit, bytes: AtomicUsize::new(0) }
    }

    /// Bytes of the segments that are pinned.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Space {
    /// Pins the segments that the item's value lies in; `None` if no more may be pinned. They are
    /// listed, because the links between them are reliable only while the item is.
    pub(crate) fn pin(&self, item: &Item) -> Option<Pinned> {
        let segments = self.segments_of(self.value_at(item), item.value_len);
        let first = segments.iter().filter(|&&segment| self.table().add_pin(segment)).count();
        let new = first * self.table().segment_bytes();
        // Added before it is compared, so that two threads can't both take the last of it.
        let before = self.pins.bytes.fetch_add(new, Ordering::Relaxed);
        let fits = match self.pins.limit {
            Some(max) => before + new <= max,
            // A value that is larger than this share could never be pinned otherwise.
            None => before < self.pool.limit() / PIN_SHARE,
        };
        // Segments that are pinned already cost nothing more.
        if new > 0 && !fits {
            self.unpin_segments(&segments);
            return None;
        }
        Some(segments)
    }

    /// Takes back the pins of a value that is pinned, which keeps the links between its segments.
    pub(crate) fn unpin(&self, at: usize, len: usize) {
        self.unpin_segments(&self.segments_of(at, len));
    }

    /// Takes back pins, and frees the segments that were only waiting for that.
    pub(crate) fn unpin_segments(&self, segments: &[SegmentId]) {
        for &segment in segments {
            if self.table().remove_pin(segment) {
                self.pins.bytes.fetch_sub(self.table().segment_bytes(), Ordering::Relaxed);
                self.pool.free_unpinned(segment);
            }
        }
    }

    /// Segments that are pinned, counted one by one.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn pinned_segments(&self) -> usize {
        (1..self.pool.bound()).filter(|&id| self.table().is_pinned(id)).count()
    }

    fn segments_of(&self, at: usize, len: usize) -> Pinned {
        let mut pieces = Pieces::new(self.table(), at, len).by_segment();
        match (pieces.next(), pieces.next()) {
            (None, _) => Pinned::Many(Vec::new()),
            (Some((segment, _)), None) => Pinned::One(segment),
            (Some((first, _)), Some((second, _))) => {
                let more = pieces.map(|(segment, _)| segment);
                Pinned::Many([first, second].into_iter().chain(more).collect())
            }
        }
    }
}
