//! Values that stay readable in place: handles pin the segments that a value lies in, so
//! their memory is not reused until the last handle is dropped.

use std::fmt;
use std::sync::Arc;

use crate::engine::hot::ForeignVersions;
use crate::engine::{Engine, Found};
use crate::index::Guard;
use crate::memory::bytes::Run;
use crate::memory::sync::{Ordering, fence};
use crate::space::append::Room;
use crate::space::item::{Item, KeyBuffer, Outline};
use crate::space::layout::First;
use crate::space::segments::{Loc, Pieces, Stamp};
use crate::{Key, Meta, UpgradeError};

/// Bytes of the largest value that is compared to know an item again.
const COMPARED_MAX: usize = 1 << 20;

/// A value kept readable, whatever happens to its key. Its bytes may lie in several pieces.
///
/// Handles may be kept as long as one likes and sent to other threads. The memory that they pin
/// counts towards the limit; beyond [`Builder::pin_limit`](crate::Builder::pin_limit) a handle holds
/// a copy instead.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache};
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("k", b"value", Attrs::new())?;
/// let handle = cache.get_handle("k").ok_or("just stored")?;
/// cache.delete("k");
/// assert_eq!(handle.to_vec(), b"value");
/// assert_eq!(handle.parts().map(<[u8]>::len).sum::<usize>(), handle.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Handle {
    meta: Meta,
    bytes: Bytes,
}

enum Bytes {
    Pinned { engine: Arc<Engine>, identity: Identity, at: usize },
    Copied(Vec<u8>),
}

/// What tells an item from every other that lies, or will lie, at its address. The version stays
/// when the item moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    loc: Loc,
    stamp: Stamp,
    first: First,
    version: u64,
}

impl Identity {
    fn of(item: &Item) -> Self {
        let Item { loc, stamp, first, version, .. } = *item;
        Self { loc, stamp, first, version }
    }
}

/// A value that may be replaced or evicted before it is read again, as nothing keeps it.
///
/// It is to a [`Handle`] what [`std::sync::Weak`] is to [`Arc`]: for a reader that pauses while
/// others need what it pins.
///
/// # Examples
/// ```
/// use memcore::{Attrs, Cache, UpgradeError};
///
/// let cache = Cache::new(8 << 20)?;
/// cache.set("k", &[b'x'; 10_000], Attrs::new())?;
/// let weak = cache.get_handle("k").and_then(|handle| handle.downgrade()).ok_or("not pinned")?;
/// assert_eq!(weak.upgrade()?.to_vec(), [b'x'; 10_000]);
/// cache.delete("k");
/// assert_eq!(weak.upgrade().err(), Some(UpgradeError::Gone));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WeakHandle {
    engine: Arc<Engine>,
    key: Box<[u8]>,
    hash: u64,
    identity: Identity,
    /// When the item was last seen; by its version it is known again while these are the same.
    /// `None` if it had gone by then.
    seen: Option<ForeignVersions>,
    meta: Meta,
}

impl WeakHandle {
    /// Bytes of the value.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", &[b'x'; 10_000], Attrs::new())?;
    /// let weak = cache.get_handle("k").and_then(|handle| handle.downgrade()).ok_or("not pinned")?;
    /// assert_eq!((weak.len(), weak.is_empty()), (10_000, false));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.meta.value_len
    }

    /// Whether the value is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pins the value again, wherever it lies now. One that has been flushed or has expired can be
    /// had until its memory is reused.
    ///
    /// # Errors
    /// [`UpgradeError`]: it is gone, or no more may be pinned now.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", &[b'x'; 10_000], Attrs::new())?;
    /// let weak = cache.get_handle("k").and_then(|handle| handle.downgrade()).ok_or("not pinned")?;
    /// assert_eq!(weak.upgrade()?.len(), 10_000);
    /// cache.delete("k");
    /// assert!(weak.upgrade().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn upgrade(&self) -> Result<Handle, UpgradeError> {
        let engine = &self.engine;
        let key = Key { bytes: &self.key, hash: self.hash, tag: engine.hot.tag() };
        let lock = engine.index.lock(engine.position(&key));
        let given = engine.hot.foreign_versions();
        let is_known = |item: &Item| {
            let is_drawn = !item.shape.has_version();
            self.seen.is_some_and(|seen| {
                seen.loaded == given.loaded && (is_drawn || seen.chosen == given.chosen)
            })
        };
        let len = self.meta.value_len;
        let found = engine.find_again(&key, &self.identity, len, &lock, is_known);
        match engine.pin(&found.ok_or(UpgradeError::Gone)?, self.meta, Some(&lock)) {
            Pin::Done(handle) => Ok(handle),
            Pin::Changed => Err(UpgradeError::Gone),
            Pin::Full => Err(UpgradeError::Full),
        }
    }
}

impl fmt::Debug for WeakHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakHandle").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl Handle {
    pub(crate) fn copied(bytes: Vec<u8>, meta: Meta) -> Self {
        Self { meta, bytes: Bytes::Copied(bytes) }
    }

    /// The same value with the meta data of its item as it is now.
    pub(crate) fn with_meta(mut self, meta: Meta) -> Self {
        debug_assert_eq!(self.meta.value_len, meta.value_len, "another value");
        self.meta = meta;
        self
    }

    /// The value's pieces in order.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"value", Attrs::new())?;
    /// let handle = cache.get_handle("k").ok_or("a miss")?;
    /// assert_eq!(handle.parts().map(<[u8]>::len).sum::<usize>(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let (pinned, copied) = match &self.bytes {
            Bytes::Pinned { engine, at, .. } => {
                let pieces = Pieces::new(engine.space.table(), *at, self.meta.value_len);
                // SAFETY: the pins of this handle keep the memory from being reused, and values in
                // pinned segments are not written over.
                let slice = |(at, len)| unsafe { engine.space.memory().slice(at, len) };
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
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"value", Attrs::new())?;
    /// let handle = cache.get_handle("k").ok_or("a miss")?;
    /// assert_eq!(handle.meta().flags, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// A handle to the same value that does not keep it; `None` if this one holds a copy.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", &[b'x'; 10_000], Attrs::new())?;
    /// let handle = cache.get_handle("k").ok_or("a miss")?;
    /// let weak = handle.downgrade().ok_or("a copy")?;
    /// drop(handle);
    /// assert_eq!(cache.stats().pinned_bytes, 0);
    /// assert!(weak.upgrade().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn downgrade(&self) -> Option<WeakHandle> {
        let Bytes::Pinned { engine, identity, .. } = &self.bytes else { return None };
        // Pinned memory is not reused, so the key is there even if the item has ended.
        let Outline { shape, key_len, .. } = engine.space.outline(identity.loc);
        let mut buffer = KeyBuffer::new();
        let bytes = engine.space.key_of(identity.loc, shape, key_len, &mut buffer);
        let key = Key { bytes, hash: engine.hot.hash(bytes), tag: engine.hot.tag() };
        let lock = engine.index.lock(engine.position(&key));
        let seen = engine.hot.foreign_versions();
        // It may have moved while it was pinned.
        let is_known = |item: &Item| {
            let is_drawn = !item.shape.has_version();
            is_drawn && seen.loaded == 0 || engine.has_value(item, self)
        };
        let found = engine.find_again(&key, identity, self.len(), &lock, is_known);
        Some(WeakHandle {
            identity: found.map_or(*identity, |found| Identity::of(&found.item)),
            seen: found.map(|_| seen),
            hash: key.hash,
            key: bytes.into(),
            meta: self.meta,
            engine: Arc::clone(engine),
        })
    }

    /// The value in one piece.
    ///
    /// # Examples
    /// ```
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    /// cache.set("k", b"value", Attrs::new())?;
    /// let handle = cache.get_handle("k").ok_or("a miss")?;
    /// assert_eq!(handle.to_vec(), b"value");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        match &self.bytes {
            Bytes::Copied(bytes) => bytes.clone(),
            Bytes::Pinned { engine, at, .. } => {
                let mut all = Vec::with_capacity(self.len());
                for (at, len) in Pieces::new(engine.space.table(), *at, self.len()) {
                    engine.space.memory().append_to(at, len, &mut all);
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
        if let Bytes::Pinned { engine, at, .. } = &self.bytes {
            engine.space.unpin(*at, self.meta.value_len);
        }
    }
}

impl Engine {
    /// Pins an item that was found, with its shard's `lock` or without it.
    pub(crate) fn pin(
        self: &Arc<Self>,
        found: &Found,
        meta: Meta,
        lock: Option<&Guard<'_>>,
    ) -> Pin {
        // A length that is garbage must not lead to pins all over the place.
        if !self.is_stable(found, lock) {
            return Pin::Changed;
        }
        let Some(segments) = self.space.pin(&found.item) else { return Pin::Full };
        // Pairs with the fences in `Pool::free_empty` and `Space::begin_change`: either this
        // sees that the item is gone or changing, or those who do that see the pins.
        fence(Ordering::SeqCst);
        if !self.is_stable(found, lock) {
            self.space.unpin_segments(&segments);
            return Pin::Changed;
        }
        let at = self.space.value_at(&found.item);
        let identity = Identity::of(&found.item);
        let bytes = Bytes::Pinned { engine: Arc::clone(self), identity, at };
        Pin::Done(Handle { meta, bytes })
    }

    /// The item of this identity with a value of `len` bytes, or the one that it has become by
    /// moving: of its version, if `is_known` says that no other value has got that.
    fn find_again(
        &self,
        key: &Key<'_>,
        identity: &Identity,
        len: usize,
        lock: &Guard<'_>,
        is_known: impl FnOnce(&Item) -> bool,
    ) -> Option<Found> {
        let found = self.find(key, lock)?;
        let item = &found.item;
        let is_same = Identity::of(item) == *identity
            || item.version == identity.version && item.value_len == len && is_known(item);
        is_same.then_some(found)
    }

    /// Whether an item has the same value as a handle, if that is short enough to be compared. Its
    /// shard is locked.
    #[cold]
    fn has_value(&self, item: &Item, handle: &Handle) -> bool {
        if item.value_len != handle.len() || item.value_len > COMPARED_MAX {
            return false;
        }
        let mut value = Vec::with_capacity(item.value_len);
        self.space.append_value(item, &mut value);
        let mut rest = value.as_slice();
        handle.parts().all(|part| {
            let (same, later) = rest.split_at(part.len());
            rest = later;
            same == part
        })
    }

    /// Calls `fill` with `runs` of the value that `_room` is for, to be written to in place.
    pub(super) fn fill_in_place<R>(
        &self,
        _room: &mut Room,
        runs: &[Run],
        fill: impl FnOnce(&mut [&mut [u8]]) -> R,
    ) -> R {
        // Pairs with the acquire fence of `Engine::is_current`, as in `write_from`.
        fence(Ordering::Release);
        // SAFETY: an item that is not published is written to by the owner of its room alone, who
        // lends it here, and no handle can pin it. Runs of one value do not overlap.
        unsafe { self.space.memory().fill(runs, fill) }
    }
}

/// What became of an attempt to pin an item.
pub(crate) enum Pin {
    Done(Handle),
    /// The item changed meanwhile.
    Changed,
    /// No more bytes may be pinned.
    Full,
}
