//! Words that every operation looks at and few change: the clock, the flush epoch, the version.

use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use crate::memory::sync::{AtomicU32, AtomicU64, Mutex, Ordering};
use crate::restart::state::{Damaged, Reader, Writer};
use crate::space::segments::Opening;
use crate::{Clock, Moment};

/// Seconds that pass before an access is noted again.
pub(super) const ACCESS_GRAIN: u32 = 60;

#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Hot {
    clock: Arc<dyn Clock>,
    secrets: RapidSecrets,
    /// A hash that only this secret gives, to tell keys of other caches by.
    tag: u32,
    /// Items of segments with another epoch are flushed.
    epoch: AtomicU32,
    /// When the next flush is due.
    flush_at: AtomicU32,
    /// Locked while flushes are planned or carried out.
    plan: Mutex<()>,
    access_grain: AtomicU32,
    /// What [`Hot::clock_now`] returned last.
    shown: AtomicU32,
    /// Versions that callers have chosen, and those that came with a snapshot: the only ones that
    /// may be given to a key twice.
    chosen: AtomicU32,
    loaded: AtomicU32,
    version: Version,
}

/// A clock that shows more than another one.
#[derive(Debug)]
struct Ahead {
    clock: Arc<dyn Clock>,
    ahead: Duration,
}

impl Clock for Ahead {
    fn now(&self) -> Moment {
        self.clock.now() + self.ahead
    }
}

/// How many versions had been given that were not drawn; see [`Hot::foreign_versions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ForeignVersions {
    pub(crate) chosen: u32,
    pub(crate) loaded: u32,
}

/// Written by every write, so it has a line of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Version(AtomicU64);

impl Hot {
    pub(super) fn new(clock: Arc<dyn Clock>, seed: u64) -> Self {
        let secrets = RapidSecrets::seed(seed);
        let shown = clock.now().as_secs();
        Self {
            clock,
            tag: rapidhash_v3_seeded(&[], &secrets) as u32,
            secrets,
            epoch: AtomicU32::new(0),
            flush_at: AtomicU32::new(u32::MAX),
            plan: Mutex::new(()),
            access_grain: AtomicU32::new(ACCESS_GRAIN),
            shown: AtomicU32::new(shown),
            chosen: AtomicU32::new(0),
            loaded: AtomicU32::new(0),
            version: Version(AtomicU64::new(0)),
        }
    }

    /// Keeps the time, flushes and versions.
    pub(crate) fn save(&self, out: &mut Writer) {
        out.put(self.clock_now().into());
        out.put(self.epoch().into());
        out.put(self.flush_at.load(Ordering::Relaxed).into());
        out.put(self.last_version());
    }

    /// Sets what was kept. Time goes on: where the clock shows less than before, items that have
    /// expired would be there again.
    ///
    /// # Errors
    /// It is not all there.
    pub(crate) fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), Damaged> {
        let behind = from.take_u32()?.saturating_sub(self.clock_now());
        if behind > 0 {
            let ahead = Duration::from_secs(behind.into());
            self.clock = Arc::new(Ahead { clock: Arc::clone(&self.clock), ahead });
        }
        self.epoch.store(from.take_u32()?, Ordering::Relaxed);
        self.flush_at.store(from.take_u32()?, Ordering::Relaxed);
        self.version.0.store(from.take()?, Ordering::Relaxed);
        Ok(())
    }

    /// The current second. A flush that is due happens first.
    #[inline]
    pub(crate) fn now(&self) -> u32 {
        let now = self.clock.now().as_secs();
        // Pairs with the release store of `advance_epoch`: who sees that no flush is due sees the
        // epoch of the last one.
        if now >= self.flush_at.load(Ordering::Acquire) {
            self.flush_due(now);
        }
        now
    }

    /// The current second, for those who hold locks. A clock that panics must not keep them from
    /// completing what they have begun; the time stands still then.
    pub(crate) fn clock_now(&self) -> u32 {
        match catch_unwind(AssertUnwindSafe(|| self.clock.now().as_secs())) {
            Ok(now) => {
                if self.shown.load(Ordering::Relaxed) != now {
                    self.shown.store(now, Ordering::Relaxed);
                }
                now
            }
            Err(payload) => {
                // The hook has told of it, and to drop what it left could panic again.
                std::mem::forget(payload);
                self.shown.load(Ordering::Relaxed)
            }
        }
    }

    #[cold]
    fn flush_due(&self, now: u32) {
        let _plan = self.plan.lock();
        // Another thread may have carried it out before this one had the lock.
        if now >= self.flush_at.load(Ordering::Relaxed) {
            self.advance_epoch();
        }
    }

    /// Makes all items invisible that were stored before, whatever else is planned.
    pub(crate) fn flush_now(&self) {
        let _plan = self.plan.lock();
        self.advance_epoch();
    }

    /// Plans a flush.
    pub(crate) fn flush_at(&self, at: u32) {
        // A plan that is due already is carried out, not replaced.
        let _ = self.now();
        let _plan = self.plan.lock();
        // Pairs with the acquire load of `now`.
        self.flush_at.store(at, Ordering::Release);
    }

    /// Carries out a flush; no other is planned then. In this order: a thread that sees no plan
    /// any more sees that it was carried out.
    fn advance_epoch(&self) {
        // Pairs with the acquire load of `epoch`: what was done before a flush is seen by every
        // thread that sees the flush.
        self.epoch.fetch_add(1, Ordering::AcqRel);
        // Pairs with the acquire load of `now`.
        self.flush_at.store(u32::MAX, Ordering::Release);
    }

    /// Items of segments with another epoch are flushed.
    #[inline(always)]
    pub(crate) fn epoch(&self) -> u32 {
        // Pairs with the addition in `advance_epoch`.
        self.epoch.load(Ordering::Acquire)
    }

    /// Seconds that pass before an access is noted again.
    #[inline(always)]
    pub(super) fn access_grain(&self) -> u32 {
        self.access_grain.load(Ordering::Relaxed)
    }

    /// From now on accesses are noted to the second.
    pub(crate) fn track_access_exactly(&self) {
        self.access_grain.store(1, Ordering::Relaxed);
    }

    /// What the keys of this cache have in common.
    #[inline(always)]
    pub(crate) fn tag(&self) -> u32 {
        self.tag
    }

    #[inline(always)]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        rapidhash_v3_seeded(key, &self.secrets)
    }

    /// The next version.
    #[inline]
    pub(crate) fn next_version(&self) -> u64 {
        // Relaxed: versions only have to differ and, for one key, to grow; its shard's lock orders
        // its writes.
        self.version.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The version that a caller has `chosen`, or the next one. The key's shard is locked.
    #[inline]
    pub(crate) fn version_or_next(&self, chosen: Option<u64>) -> u64 {
        match chosen {
            Some(version) => {
                // Relaxed, as in `foreign_versions`.
                self.chosen.fetch_add(1, Ordering::Relaxed);
                version
            }
            None => self.next_version(),
        }
    }

    /// Notes that an item of a snapshot is about to be stored. Its key's shard is locked.
    pub(crate) fn note_loaded(&self) {
        // Relaxed, as in `foreign_versions`.
        self.loaded.fetch_add(1, Ordering::Relaxed);
    }

    /// While one of these is unchanged, no other value of a key has got a version of that kind
    /// which the key has had before. The key's shard is locked.
    pub(crate) fn foreign_versions(&self) -> ForeignVersions {
        // Relaxed: who stores a value of the same key counts under the same lock.
        ForeignVersions {
            chosen: self.chosen.load(Ordering::Relaxed),
            loaded: self.loaded.load(Ordering::Relaxed),
        }
    }

    /// The last version given out.
    #[inline]
    pub(crate) fn last_version(&self) -> u64 {
        self.version.0.load(Ordering::Relaxed)
    }

    /// Makes sure that the next version is greater than this one.
    pub(crate) fn raise_version(&self, version: u64) {
        // Relaxed as above: whoever stores an item of this version under a shard's lock does so
        // after this, and the next writer of the key has the lock later.
        self.version.0.fetch_max(version, Ordering::Relaxed);
    }

    /// What a segment is opened with at the second `now`.
    #[inline]
    pub(crate) fn opening(&self, now: u32) -> Opening {
        Opening { now, epoch: self.epoch(), version: self.last_version() }
    }
}
