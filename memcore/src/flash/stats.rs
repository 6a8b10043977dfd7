//! What a flash tier counts.

use super::{Brought, Tier};
use crate::memory::sync::{AtomicU64, Mutex, Ordering};
use crate::{Cache, Restored};

/// Counters and gauges of a flash tier. Counters start when the cache is built.
///
/// # Examples
/// ```
/// use memcore::flash::Flash;
/// use memcore::{Attrs, Cache};
///
/// assert!(Cache::new(8 << 20)?.flash_stats().is_none());
///
/// let path = std::env::temp_dir().join(format!("memcore-stats-{}", std::process::id()));
/// let flash = Flash::new().file(&path, 16 << 20)?.region_size(1 << 20).buffer_size(64 << 10);
/// let cache = Cache::builder(8 << 20).flash(flash).build()?;
/// for number in 0..3_000_u32 {
///     cache.set(number.to_le_bytes(), &[b'v'; 5_000], Attrs::new())?;
/// }
/// let stats = cache.flash_stats().ok_or("no tier")?;
/// assert!(stats.items > 500 && stats.bytes_written > 2 << 20);
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlashStats {
    /// Gauge: whether it is in use. After an error of its device it is not.
    pub is_on: bool,
    /// Why it is not.
    pub failure: Option<String>,
    /// Bytes that it can hold.
    pub capacity: u64,
    /// Bytes of a region, and how many there are.
    pub region_size: u64,
    /// How many regions there are.
    pub regions: u64,
    /// Gauge: items on flash, those that are in memory as well included. Some may have ended.
    pub items: u64,
    /// Items that were forgotten since they were overwritten, or since the table had no room. One
    /// that was overwritten counts once something else comes to its place in the table.
    pub evicted: u64,
    /// Gauge: bytes of the log that hold something: all of it once it was filled.
    pub bytes_used: u64,
    /// Gauge: bytes of the limit that the tier takes: its table and buffers.
    pub memory: usize,
    /// Gauge: of these the table, which grows with the items.
    pub table_memory: usize,
    /// Items that were put into the log, and the bytes of their keys and values.
    pub put: u64,
    /// Bytes of keys and values that were put into the log.
    pub put_bytes: u64,
    /// Items that were evicted from memory and were on flash already.
    pub kept: u64,
    /// Items that were evicted and not worth being written.
    pub passed_by: u64,
    /// Items that were evicted because all buffers waited to be written.
    pub no_buffer: u64,
    /// Buffers written.
    pub writes: u64,
    /// Bytes written to devices.
    pub bytes_written: u64,
    /// Reads of buffers and devices.
    pub reads: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Items that came back to memory, or were there already.
    pub brought: u64,
    /// Lookups on flash that came to nothing.
    pub missed: u64,
    /// Of these: another key's item was there.
    pub other_key: u64,
    /// Of these: the item had expired or was flushed.
    pub ended: u64,
    /// Of these: what was there was damaged.
    pub bad_records: u64,
    /// Of these: the device failed.
    pub failed_reads: u64,
    /// Of these: there was no memory for the item.
    pub no_room: u64,
    /// Tickets that were given up.
    pub gave_up: u64,
    /// Regions that were filled.
    pub regions_filled: u64,
    /// Regions that were filled before the cache was built, by those that it goes on from.
    pub regions_filled_before: u64,
}

macro_rules! counts {
    ($($field:ident,)*) => {
        /// What is counted.
        #[derive(Debug, Default)]
        pub(super) struct Counts {
            $($field: AtomicU64,)*
            failure: Mutex<Option<String>>,
        }

        impl Counts {
            fn fill(&self, stats: &mut FlashStats) {
                $(stats.$field = self.$field.load(Ordering::Relaxed);)*
                stats.failure = self.failure.lock().clone();
            }
        }
    };
}
counts! {
    put, put_bytes, kept, passed_by, no_buffer, writes, bytes_written, reads, bytes_read,
    brought, missed, other_key, ended, bad_records, failed_reads, no_room, gave_up,
}

fn add(counter: &AtomicU64, count: u64) -> u64 {
    counter.fetch_add(count, Ordering::Relaxed) + count
}

impl Counts {
    pub(super) fn put(&self, bytes: usize) {
        add(&self.put, 1);
        add(&self.put_bytes, bytes as u64);
    }

    pub(super) fn kept(&self) {
        add(&self.kept, 1);
    }

    pub(super) fn passed_by(&self) {
        add(&self.passed_by, 1);
    }

    pub(super) fn no_buffer(&self) {
        add(&self.no_buffer, 1);
    }

    pub(super) fn written(&self, bytes: u64) {
        add(&self.writes, 1);
        add(&self.bytes_written, bytes);
    }

    pub(super) fn read(&self, bytes: u64) {
        add(&self.reads, 1);
        add(&self.bytes_read, bytes);
    }

    pub(super) fn brought(&self, brought: Brought) {
        match brought {
            Brought::InMemory => _ = add(&self.brought, 1),
            Brought::NoRoom => {
                add(&self.no_room, 1);
                add(&self.missed, 1);
            }
            Brought::Nothing | Brought::Unreadable => _ = add(&self.missed, 1),
        }
    }

    pub(super) fn other_key(&self) {
        add(&self.other_key, 1);
    }

    pub(super) fn ended(&self) {
        add(&self.ended, 1);
    }

    pub(super) fn bad_record(&self) {
        add(&self.bad_records, 1);
    }

    /// Counts a read that failed; how many there were.
    pub(super) fn failed_read(&self) -> u64 {
        add(&self.failed_reads, 1)
    }

    pub(super) fn gave_up(&self) {
        add(&self.gave_up, 1);
    }

    /// Says why the tier is off, unless that is known.
    pub(super) fn fail(&self, why: String) {
        self.failure.lock().get_or_insert(why);
    }
}

impl Tier {
    fn stats(&self) -> FlashStats {
        let log = self.log.lock();
        let (head, frontier) = (log.head(), log.frontier());
        drop(log);
        let mut stats = FlashStats {
            is_on: self.is_on(),
            capacity: self.map.capacity(),
            region_size: self.map.region(),
            regions: self.map.regions() as u64,
            items: self.table.items(),
            evicted: self.table.evicted(),
            bytes_used: head.min(self.map.capacity()),
            memory: self.memory(),
            table_memory: self.table.bytes(),
            regions_filled: (frontier.saturating_sub(1) / self.map.region())
                .saturating_sub(self.filled_before),
            regions_filled_before: self.filled_before,
            ..FlashStats::default()
        };
        self.counts.fill(&mut stats);
        stats
    }
}

impl Cache {
    /// What became of what was on flash when the cache was [closed](Cache::close) whose
    /// [memory file](crate::Builder::memory_file) this one goes on with; `None` if it has no tier.
    ///
    /// # Examples
    /// ```
    /// use memcore::flash::Flash;
    /// use memcore::{Attrs, Cache, Restored};
    ///
    /// # if cfg!(not(target_os = "linux")) { return Ok(()); }
    /// # let name = format!("memcore-again-{}", std::process::id());
    /// # let file = std::env::temp_dir().join(&name);
    /// # let log = std::env::temp_dir().join(name + ".log");
    /// let open = || {
    ///     let flash = Flash::new().file(&log, 16 << 20)?.region_size(1 << 20);
    ///     let flash = flash.buffer_size(64 << 10);
    ///     Ok::<_, Box<dyn std::error::Error>>(
    ///         Cache::builder(8 << 20).memory_file(&file).flash(flash).build()?,
    ///     )
    /// };
    /// let cache = open()?;
    /// assert_eq!(cache.flash_restored(), Some(&Restored::Nothing));
    /// for number in 0..3_000_u32 {
    ///     cache.set(number.to_le_bytes(), &[b'v'; 5_000], Attrs::new())?;
    /// }
    /// let on_flash = cache.flash_stats().map_or(0, |stats| stats.items);
    /// cache.close()?;
    /// assert_eq!(open()?.flash_restored(), Some(&Restored::Items(on_flash)));
    /// # std::fs::remove_file(&file)?;
    /// # std::fs::remove_file(&log)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn flash_restored(&self) -> Option<&Restored> {
        self.engine().flash.as_ref().map(|tier| &tier.restored)
    }

    /// What its flash tier has counted, if it has one.
    ///
    /// # Examples
    /// ```
    /// let cache = memcore::Cache::new(8 << 20)?;
    /// assert_eq!(cache.flash_stats(), None);
    /// # Ok::<(), memcore::ConfigError>(())
    /// ```
    #[must_use]
    pub fn flash_stats(&self) -> Option<FlashStats> {
        self.engine().flash.as_ref().map(|tier| tier.stats())
    }
}
