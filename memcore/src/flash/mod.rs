//! A second tier of the cache on flash: items that are evicted from memory go to a log on files or
//! devices, and come back to memory when they are asked for.
//!
//! ```text
//!   memory  --evicted-->  write buffers  --jobs-->  log on flash, round and round
//!      ^                        |                        |
//!      '------ tickets ---------'------------------------'
//! ```
//!
//! [`Builder::flash`](crate::Builder::flash) attaches one. Unless [`Flash::waits`] says otherwise
//! there is nothing more to do: operations bring in what they need. The document about the flash
//! tier in the repository has the design.

mod device;
#[cfg(any(test, fuzzing))]
mod fuzzing;
mod keep;
mod log;
mod map;
mod names;
mod options;
mod place;
mod record;
#[cfg(all(test, target_os = "linux", not(any(miri, memcore_fallback))))]
mod restart_tests;
mod spill;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod ticket;
#[cfg(any(test, fuzzing))]
mod validate;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Condvar;

pub use self::device::Device;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub use self::fuzzing::fuzz_flash;
pub use self::options::Flash;
pub use self::stats::FlashStats;
pub use self::ticket::{Brought, Located, Ticket};

use self::log::{Load, Log};
use self::map::{ALIGN, Lap, Map};
use self::names::Names;
use self::options::Rules;
use self::place::Place;
use self::record::BLOCK;
use self::spill::kept_most;
use self::stats::Counts;
use self::table::{Extent, Table, Word};
use crate::engine::{Engine, Settings};
use crate::index::{Guard, Position};
use crate::memory::region::Source;
use crate::memory::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering};
use crate::{AsKey, Cache, ConfigError, Restored};

/// 1/SHARE of the limit, but for what a cache needs to work, is the most that the table may take.
const SHARE: usize = 2;
/// Reads that may fail before the tier is switched off.
const FAILURES_MAX: u64 = 16;

/// The tier of an engine, if it has one.
pub(crate) type Slot = Option<Box<Tier>>;

/// A flash tier.
pub(crate) struct Tier {
    map: Map,
    /// What paths name of its devices.
    places: Vec<Arc<Place>>,
    table: Table,
    log: Mutex<Log>,
    /// Told when a buffer is to be written.
    filled: Condvar,
    /// Mirrors of the log's head and frontier.
    head: AtomicU64,
    frontier: AtomicU64,
    /// Whether a buffer is to be written; a mirror of the log's state.
    has_load: AtomicBool,
    is_on: AtomicBool,
    names: Names,
    rules: Rules,
    /// Smaller items don't go to flash.
    size_min: AtomicUsize,
    /// Whether operations wait for the device.
    waits: bool,
    /// The largest record.
    record_max: usize,
    /// Buffers for reads that nobody uses, and who waits for one.
    readers: Mutex<Vec<Box<[u8]>>>,
    reader_back: Condvar,
    counts: Counts,
    /// What became of what an earlier process had put there.
    restored: Restored,
    /// Regions that were filled when this process began.
    filled_before: u64,
    /// Bytes of the limit that it takes from the start, and those of the empty table among them.
    fixed: usize,
    table_min: usize,
}

/// A tier as it is set up, which has no table yet.
struct Plan {
    map: Map,
    buffers: usize,
    /// Bytes of a buffer.
    buffer: usize,
    reads: usize,
    shards: u32,
    /// The most that the table may take.
    table_most: usize,
    /// Bytes of the limit that the tier takes from the start.
    fixed: usize,
    /// The least limit that works with it.
    least: usize,
}

/// What a tier begins with.
struct Contents {
    /// Where the log goes on.
    head: u64,
    names: Names,
    table: Table,
    restored: Restored,
}

impl Plan {
    /// A tier under a limit. Nothing is taken before it is certain that the limit allows it.
    ///
    /// # Errors
    /// It does not, or the tier can't be had like this under any.
    fn new(
        flash: &Flash,
        settings: &Settings,
        shards: u32,
        limit: usize,
    ) -> Result<Self, ConfigError> {
        let refused = |reason: &str| Err(ConfigError::Flash { reason: reason.to_owned() });
        let buffer = flash.buffer / ALIGN as usize * ALIGN as usize;
        if buffer == 0 || buffer as u64 > flash.region {
            return refused("a write buffer is larger than a region, or has no page");
        }
        let lap = Lap::new(&flash.devices, flash.region);
        if lap.regions < 2 {
            return refused("there is no room for two regions");
        }
        let (buffers, reads) = (flash.buffers.max(2), flash.reads.max(1));
        if lap.bytes() < 2 * (buffers * buffer) as u64 {
            return refused("it is not larger than its write buffers");
        }
        let most = (lap.bytes() / lap.unit()).saturating_mul(10).try_into();
        let table_most = most.unwrap_or(usize::MAX).min(settings.limit_most / SHARE);
        let fixed = buffers * buffer + reads * BLOCK + size_of::<Tier>() + Table::bytes_min(shards);
        let least = check_limit(limit, settings.limit_least, fixed, &lap)?;
        let (map, fixed) = (Map::new(&flash.devices, lap), fixed + lap.list_bytes());
        Ok(Self { map, buffers, buffer, reads, shards, table_most, fixed, least })
    }

    /// A tier begins with this if there is nothing to go on with.
    fn empty(&self, source: &mut Source) -> Result<Contents, ConfigError> {
        let table = self.table(source)?;
        // The beginning stays free, so that no record is at 0.
        let (head, names) = (ALIGN, Names::new(ALIGN, random()));
        Ok(Contents { head, names, table, restored: Restored::Nothing })
    }

    /// An empty table.
    fn table(&self, source: &mut Source) -> Result<Table, ConfigError> {
        Table::new(self.shards, self.table_most, source).map_err(|error| ConfigError::System {
            what: "address space",
            reason: error.to_string(),
        })
    }
}

/// The least limit that works with a tier that takes `fixed` bytes and the list of a lap's regions;
/// a cache without one works with `least_without`.
///
/// # Errors
/// The limit is lower.
fn check_limit(
    limit: usize,
    least_without: usize,
    fixed: usize,
    lap: &Lap,
) -> Result<usize, ConfigError> {
    let all = fixed.saturating_add(lap.list_bytes());
    let least = least_without.saturating_add(all).max(all.saturating_mul(SHARE));
    if limit >= least {
        return Ok(least);
    }
    let room = (limit / SHARE).min(limit.saturating_sub(least_without));
    let most = (room.saturating_sub(fixed) / Map::ENTRY) as u64;
    let reason = match most {
        ..2 => {
            format!("write buffers and reads need a limit of {least} bytes at least, not {limit}")
        }
        _ => format!(
            "{} bytes in regions of {} need a limit of {least} bytes at least; under one of \
             {limit} there may be {}, or larger regions",
            lap.bytes(),
            lap.region,
            most * lap.region
        ),
    };
    Err(ConfigError::Flash { reason })
}

/// The standard library's hasher starts from the system's randomness.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl Tier {
    fn new(flash: &Flash, plan: Plan, contents: Contents) -> Self {
        let Plan { map, buffers, buffer, reads, shards, fixed, .. } = plan;
        let Contents { head, names, table, restored } = contents;
        Self {
            head: AtomicU64::new(head),
            frontier: AtomicU64::new(head),
            log: Mutex::new(Log::new(head, buffers, buffer)),
            filled: Condvar::new(),
            has_load: AtomicBool::new(false),
            is_on: AtomicBool::new(true),
            names,
            rules: flash.rules,
            size_min: AtomicUsize::new(flash.size_min),
            waits: flash.waits,
            record_max: buffer,
            readers: Mutex::new((0..reads).map(|_| vec![0; BLOCK].into()).collect()),
            reader_back: Condvar::new(),
            counts: Counts::default(),
            restored,
            filled_before: (head - 1) / map.region(),
            fixed,
            table_min: Table::bytes_min(shards),
            places: flash.places.clone(),
            map,
            table,
        }
    }

    fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Bytes of the limit that it takes.
    fn memory(&self) -> usize {
        self.fixed - self.table_min + self.table.bytes()
    }

    /// How far the log has come, in units.
    fn extent(&self) -> Extent {
        // Relaxed: for what a shard's table has, the shard's lock orders this behind the append. A
        // record that is overwritten at this moment is found to be no record.
        let unit = self.map.unit();
        Extent {
            head: self.head.load(Ordering::Relaxed).div_ceil(unit),
            tail: self.tail().div_ceil(unit),
        }
    }

    /// What begins before this has been overwritten, or can't be read for another reason.
    fn tail(&self) -> u64 {
        let frontier = self.frontier.load(Ordering::Relaxed);
        frontier.saturating_sub(self.map.capacity()).max(self.names.start())
    }

    /// Where a word leads to; `None` if that has been overwritten.
    fn position_of(&self, word: Word) -> Option<u64> {
        word.unit(self.extent()).map(|unit| unit * self.map.unit())
    }

    /// Whether what is at `pos` has not been overwritten.
    fn is_there(&self, pos: u64) -> bool {
        pos >= self.tail()
    }

    /// Notes what changed about the log, which is locked.
    fn mirror(&self, log: &Log) {
        self.head.store(log.head(), Ordering::Relaxed);
        self.frontier.store(log.frontier(), Ordering::Relaxed);
        let has_load = log.has_load();
        self.has_load.store(has_load, Ordering::Relaxed);
        if has_load {
            self.filled.notify_one();
        }
    }

    /// Writes a buffer.
    fn write(&self, load: Load) {
        let spot = self.map.spot(load.start);
        let (len, written) =
            (load.len as u64, device::write_all(spot.device, spot.at, &load.bytes[..load.len]));
        match &written {
            Ok(()) => self.counts.written(len),
            Err(error) => self.fail("writing", error),
        }
        let mut log = self.log.lock();
        // What could not be written is not tried again: the tier is off.
        log.give_back(load, true);
        self.mirror(&log);
    }

    /// Switches the tier off.
    fn fail(&self, what: &str, error: &io::Error) {
        self.counts.fail(format!("{what}: {error}"));
        self.is_on.store(false, Ordering::Relaxed);
        // Whoever waits for something to write has nothing to wait for.
        self.filled.notify_all();
    }

    /// The next full buffer, if it comes within `timeout`.
    fn next_load(&self, timeout: Option<Duration>) -> Option<Load> {
        let mut log = self.log.lock();
        if let Some(timeout) = timeout.filter(|_| !log.has_load() && self.is_on()) {
            self.filled.wait_for(&mut log, timeout);
        }
        let load = log.take_load().filter(|_| self.is_on());
        self.mirror(&log);
        load
    }
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tier").field("items", &self.table.items()).finish_non_exhaustive()
    }
}

/// A full write buffer, which is to be written to its device.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use memcore::flash::Flash;
/// use memcore::{Attrs, Cache};
///
/// let path = std::env::temp_dir().join(format!("memcore-job-{}", std::process::id()));
/// let flash = Flash::new().file(&path, 16 << 20)?.region_size(1 << 20).buffer_size(64 << 10);
/// let cache = Cache::builder(8 << 20).flash(flash).build()?;
/// std::thread::scope(|scope| {
///     // A thread that writes, so that those who store values need not.
///     let writer = scope.spawn(|| {
///         let mut written = 0;
///         while let Some(job) = cache.wait_for_flash_work(Duration::from_millis(500)) {
///             job.run();
///             written += 1;
///         }
///         written
///     });
///     for number in 0..3_000_u32 {
///         cache.set(number.to_le_bytes(), &[b'v'; 5_000], Attrs::new()).unwrap();
///     }
///     assert!(writer.join().unwrap() > 0);
/// });
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the buffer is not written before `run` is called"]
pub struct FlashJob {
    engine: Arc<Engine>,
    load: Option<Load>,
}

impl FlashJob {
    /// Writes the buffer, which may take as long as the device does. Nothing is locked meanwhile.
    pub fn run(mut self) {
        if let (Some(load), Some(tier)) = (self.load.take(), &self.engine.flash) {
            tier.write(load);
            self.engine.leave_flash();
        }
    }
}

impl Drop for FlashJob {
    fn drop(&mut self) {
        if let (Some(load), Some(tier)) = (self.load.take(), &self.engine.flash) {
            let mut log = tier.log.lock();
            log.give_back(load, false);
            tier.mirror(&log);
        }
    }
}

impl Cache {
    /// A write buffer of the flash tier that is full and nobody writes yet, if there is one.
    ///
    /// # Examples
    /// ```
    /// # let cache = memcore::Cache::new(8 << 20)?;
    /// // A cache without a flash tier has nothing to write.
    /// assert!(cache.flash_work().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn flash_work(&self) -> Option<FlashJob> {
        self.flash_job(None)
    }

    /// The same, but waits until there is one, for `timeout` at most.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # let cache = memcore::Cache::new(8 << 20)?;
    /// assert!(cache.wait_for_flash_work(Duration::from_millis(1)).is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn wait_for_flash_work(&self, timeout: Duration) -> Option<FlashJob> {
        self.flash_job(Some(timeout))
    }

    fn flash_job(&self, timeout: Option<Duration>) -> Option<FlashJob> {
        let engine = self.engine();
        let load = engine.flash.as_ref()?.next_load(timeout)?;
        Some(FlashJob { engine: Arc::clone(engine), load: Some(load) })
    }

    /// From now on, items with fewer bytes don't go to flash.
    ///
    /// # Examples
    /// ```
    /// # let cache = memcore::Cache::new(8 << 20)?;
    /// // As [`Flash::min_item_size`](memcore::flash::Flash::min_item_size), but later.
    /// cache.set_flash_min_item_size(512);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_flash_min_item_size(&self, bytes: usize) {
        if let Some(tier) = &self.engine().flash {
            tier.size_min.store(bytes, Ordering::Relaxed);
        }
    }

    /// Where the key's item is. One that is on flash is brought to memory by its [`Ticket`].
    ///
    /// # Examples
    /// ```
    /// use memcore::flash::Located;
    /// # use memcore::{Attrs, Cache};
    /// # let cache = Cache::new(8 << 20)?;
    ///
    /// cache.set("k", b"v", Attrs::new())?;
    /// assert!(matches!(cache.locate("k"), Located::InMemory));
    /// match cache.locate("other") {
    ///     Located::OnFlash(ticket) => _ = ticket.bring_in(),
    ///     found => assert!(matches!(found, Located::Nowhere)),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn locate(&self, key: impl AsKey) -> Located {
        if key.is_foreign(self) {
            return Located::Nowhere;
        }
        self.engine().locate(&key.as_key(self))
    }
}

impl Engine {
    /// Attaches a tier to an engine that is being built, now that nothing else speaks against it.
    ///
    /// # Errors
    /// A file can't have its size.
    fn attach(&mut self, flash: &Flash, plan: Plan, contents: Contents) -> Result<(), ConfigError> {
        flash.size_files().map_err(|reason| ConfigError::Flash { reason })?;
        self.settings.limit_least = plan.least;
        let tier = Tier::new(flash, plan, contents);
        self.space.pool.charge(tier.memory());
        self.flash = Some(Box::new(tier));
        Ok(())
    }

    /// Whether the table can have its first pages.
    pub(crate) fn secure_flash(&self) -> bool {
        self.flash.as_ref().is_none_or(|tier| tier.table.secure_least())
    }

    /// From now on files that were made for the tier stay.
    pub(crate) fn keep_flash_files(&self) {
        let places = self.flash.iter().flat_map(|tier| &tier.places);
        places.for_each(|place| place.set_kept(true));
    }

    /// Parts with a tier for which files were made, which go away again.
    pub(crate) fn abandon_flash(&mut self) {
        let is_new = |tier: &mut Box<Tier>| tier.places.iter().any(|place| place.is_new());
        if let Some(tier) = self.flash.take_if(is_new) {
            tier.places.iter().for_each(|place| place.set_kept(false));
        }
    }

    /// Forgets what is on flash of a key whose item is about to change or end; whether there was
    /// something.
    #[inline(always)]
    pub(crate) fn forget_flash(&self, position: Position, lock: &Guard<'_>) -> bool {
        match &self.flash {
            None => false,
            Some(tier) => forget(tier, position, lock),
        }
    }

    /// Whether something of the key may be on flash.
    pub(crate) fn may_be_on_flash(&self, position: Position) -> bool {
        let Some(tier) = &self.flash else { return false };
        tier.is_on() && tier.table.find(position, &self.index.lock(position)).is_some()
    }

    /// Whether operations bring in what is on flash.
    #[inline(always)]
    pub(crate) fn waits_for_flash(&self) -> bool {
        self.flash.as_ref().is_some_and(|tier| tier.waits)
    }

    /// Does what is left to do for the tier at the end of an operation, when nothing is locked.
    #[inline(always)]
    pub(crate) fn tend_flash(&self) {
        if let Some(tier) = &self.flash {
            if tier.waits && tier.has_load.load(Ordering::Relaxed) {
                self.write_buffer(tier);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn write_buffer(&self, tier: &Tier) {
        if let Some(load) = tier.next_load(None) {
            tier.write(load);
            self.leave_flash();
        }
    }

    /// The most that the table may take under a limit.
    fn table_max(&self, tier: &Tier, limit: usize) -> usize {
        tier.table_min + limit.saturating_sub(self.settings.limit_least) / SHARE
    }

    /// Forgets what is on flash if its table is larger than a new limit allows, and the groups of
    /// which there are more.
    pub(crate) fn fit_flash(&self, limit: usize) {
        if let Some(tier) = &self.flash {
            self.keep_groups(kept_most(limit));
            if tier.table.bytes() > self.table_max(tier, limit) {
                self.forget_all(tier);
            }
        }
    }

    /// Gives the memory of the table back if the tier is off.
    fn leave_flash(&self) {
        if let Some(tier) = self.flash.as_ref().filter(|tier| !tier.is_on()) {
            self.forget_all(tier);
        }
    }

    fn forget_all(&self, tier: &Tier) {
        for shard in 0..self.index.shards() {
            let lock = self.index.lock(Position { shard, at: 0 });
            self.space.pool.free_bytes(tier.table.clear(shard, &lock));
        }
        self.keep_groups(0);
    }
}

#[cold]
#[inline(never)]
fn forget(tier: &Tier, position: Position, lock: &Guard<'_>) -> bool {
    tier.table.remove(position, lock)
}
