//! Values that stay readable in place: handles pin the segments that a value lies in, so that
//! their memory is not used anew before the last one is dropped.

use std::fmt;
use std::sync::Arc;

use crate::Meta;
use crate::engine::{Engine, Item};
use crate::index::Spot;
use crate::memory::bytes::Run;
use crate::memory::sync::{Ordering, fence};
use crate::ops::read::Pin;
use crate::ops::write::Room;
use crate::space::segments::{Pieces, SegmentId};

/// The pinned part of the limit, unless a setting says otherwise: one in so many bytes.
const PIN_SHARE: usize = 8;

/// A value kept readable, whatever happens to its key. Its bytes may lie in several pieces.
///
/// Handles may be kept as long as one likes and sent to other threads. The memory that they pin
/// counts towards the limit; beyond [`Builder::pin_limit`](crate::Builder::pin_limit) a handle holds
/// a copy instead.
pub struct Handle {
    meta: Meta,
    bytes: Bytes,
}

enum Bytes {
    Pinned { engine: Arc<Engine>, at: usize },
    Copied(Vec<u8>),
}

impl Handle {
    pub(crate) fn copied(bytes: Vec<u8>, meta: Meta) -> Self {
        Self { meta, bytes: Bytes::Copied(bytes) }
    }

    /// The value's pieces in order.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let (pinned, copied) = match &self.bytes {
            Bytes::Pinned { engine, at } => {
                let pieces = Pieces::new(&engine.table, *at, self.meta.value_len);
                // SAFETY: the pins of this handle keep the memory from being used anew, and values
                // in pinned segments are not written over.
                let slice = |(at, len)| unsafe { engine.memory.slice(at, len) };
                (Some(pieces.map(slice)), None)
            }
            Bytes::Copied(bytes) => (None, Some(bytes.as_slice())),
        };
        pinned.into_iter().flatten().chain(copied)
    }

    /// Bytes of the value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.meta.value_len
    }

    /// Whether the value is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item's meta data when it was read.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The value in one piece.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        match &self.bytes {
            Bytes::Copied(bytes) => bytes.clone(),
            Bytes::Pinned { engine, at } => {
                let mut all = Vec::with_capacity(self.len());
                for (at, len) in Pieces::new(&engine.table, *at, self.len()) {
                    engine.memory.append_to(at, len, &mut all);
                }
                all
            }
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Bytes::Pinned { engine, at } = &self.bytes {
            engine.unpin(*at, self.meta.value_len);
        }
    }
}

impl Engine {
    /// Pins an item that was found without a lock.
    pub(crate) fn pin(self: &Arc<Self>, item: &Item, spot: Spot, meta: Meta) -> Pin {
        // A length that is garbage must not lead to pins all over the place.
        if !self.is_current(item, spot) {
            return Pin::Changed;
        }
        let Some(segments) = self.add_pins(item) else { return Pin::Full };
        // Either this sees that the item is gone or changing, or those who do that see the pins.
        fence(Ordering::SeqCst);
        if !self.is_current(item, spot) {
            self.remove_pins(&segments);
            return Pin::Changed;
        }
        let bytes = Bytes::Pinned { engine: Arc::clone(self), at: item.value_at() };
        Pin::Done(Handle { meta, bytes })
    }

    /// Pins an item whose shard is locked; `None` if no more may be pinned.
    pub(crate) fn pin_locked(self: &Arc<Self>, item: &Item, meta: Meta) -> Option<Handle> {
        self.add_pins(item)?;
        let bytes = Bytes::Pinned { engine: Arc::clone(self), at: item.value_at() };
        Some(Handle { meta, bytes })
    }

    /// Pins the segments that the value lies in. They are listed, because the links between them
    /// are reliable only while the item is.
    fn add_pins(&self, item: &Item) -> Option<Vec<SegmentId>> {
        let most = self.settings.pin_limit.unwrap_or_else(|| self.pool.limit() / PIN_SHARE);
        let segments = self.segments_of(item.value_at(), item.value_len);
        for (i, &segment) in segments.iter().enumerate() {
            if self.table.pins(segment).fetch_add(1, Ordering::SeqCst) == 0 {
                let bytes = self.table.segment_bytes();
                if self.pinned.fetch_add(bytes, Ordering::Relaxed) + bytes > most {
                    self.remove_pins(&segments[..=i]);
                    return None;
                }
            }
        }
        Some(segments)
    }

    fn unpin(&self, at: usize, len: usize) {
        self.remove_pins(&self.segments_of(at, len));
    }

    fn segments_of(&self, at: usize, len: usize) -> Vec<SegmentId> {
        Pieces::new(&self.table, at, len).by_segment().map(|(segment, _)| segment).collect()
    }

    fn remove_pins(&self, segments: &[SegmentId]) {
        for &segment in segments {
            if self.table.pins(segment).fetch_sub(1, Ordering::SeqCst) == 1 {
                self.pinned.fetch_sub(self.table.segment_bytes(), Ordering::Relaxed);
                self.pool.unpinned(&self.table, segment, &self.memory);
            }
        }
    }

    /// Calls `fill` with `runs` of the value that `_room` is for, to be written to in place.
    pub(super) fn fill_in_place<R>(
        &self,
        _room: &mut Room,
        runs: &[Run],
        fill: impl FnOnce(&mut [&mut [u8]]) -> R,
    ) -> R {
        // SAFETY: an item that is not published is written to by the owner of its room alone, who
        // lends it here, and no handle can pin it. Runs of one value do not overlap.
        unsafe { self.memory.fill(runs, fill) }
    }
}
