//! What the cache counts.

/// Counters and gauges, at one moment. Counters start at zero and at [`Cache::reset_stats`].
///
/// [`Cache::reset_stats`]: crate::Cache::reset_stats
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The hard limit in bytes.
    pub limit: usize,
    /// Bytes in use of the limit: pages, index, tables.
    pub used: usize,
    /// Bytes of the limit that hold the index and ghosts.
    pub index_bytes: usize,
    /// Slots of the index.
    pub index_slots: usize,
    /// Bytes of one memory segment.
    pub segment_size: usize,
    /// Segments that are mapped and hold nothing.
    pub free_segments: usize,
    /// Bytes pinned by handles.
    pub pinned_bytes: usize,
    /// Sums over all classes.
    pub total: ClassStats,
    /// One per size class, smallest first.
    pub classes: Vec<ClassStats>,
}

/// Counters and gauges of one size class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassStats {
    /// Largest item (header and key included) of this class, in bytes; for the total, of all.
    pub item_max: usize,
    /// Gauge: live items.
    pub items: u64,
    /// Gauge: items in the small queue (new ones).
    pub items_small: u64,
    /// Gauge: bytes of live items with header and key.
    pub bytes: u64,
    /// Gauge: segments held.
    pub segments: u64,
    /// Gauge: seconds since the oldest item of the small queue was written.
    pub age_small: u32,
    /// Gauge: seconds since the oldest segment of the main queue was opened.
    pub age_main: u32,
    /// Writes that became visible.
    pub stored: u64,
    /// Lookups that found an item in the small queue.
    pub hits_small: u64,
    /// Lookups that found an item in the main queue.
    pub hits_main: u64,
    /// Lookups that found nothing; only in the total.
    pub misses: u64,
    /// Of the misses: the item had expired.
    pub misses_expired: u64,
    /// Of the misses: the item had been flushed.
    pub misses_flushed: u64,
    /// Items removed to make room.
    pub evicted: u64,
    /// Of these: never read.
    pub evicted_unfetched: u64,
    /// Of these: with an expiry.
    pub evicted_expiring: u64,
    /// Of these: read within the last minute.
    pub evicted_active: u64,
    /// Seconds between last access and eviction of the item evicted last.
    pub evicted_age: u32,
    /// Items removed because they had expired.
    pub expired: u64,
    /// Of these: never read.
    pub expired_unfetched: u64,
    /// Of the expired: found by the proactive sweep.
    pub expired_swept: u64,
    /// Items looked at by the proactive sweep.
    pub swept: u64,
    /// Items deleted by callers.
    pub deleted: u64,
    /// Items replaced by a newer value.
    pub replaced: u64,
    /// Items removed because of a flush.
    pub flushed: u64,
    /// Survivors copied from the small queue to the main one.
    pub promoted: u64,
    /// Survivors copied within the main queue.
    pub reinserted: u64,
    /// Writes that had to evict for themselves.
    pub direct_reclaims: u64,
    /// Writes refused for lack of memory.
    pub out_of_memory: u64,
    /// Writes refused because the item was too large; only in the total.
    pub too_large: u64,
}
