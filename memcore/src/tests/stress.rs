//! Threads that do everything at once to values that prove what they are.
//!
//! Each key has one thread that writes it, in a sequence that only grows. A value that a reader
//! finds must be whole, of its key, not older than the last write or deletion that was complete
//! before the read began, and not ended by then. `MEMCORE_STRESS_SECONDS` makes it run longer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::common::values::{HEAD, Rng, certified, verify};
use memcore::{
    Attrs, Builder, Cache, Count, Counted, Cursor, Expiry, Fetch, Fetched, Handle, ManualClock,
    Meta, Mode, Moment, Remove, Removed, Store, Stored,
};

const THREADS: u32 = 4;
const KEYS: u32 = 12_000;
const LIMIT: usize = 8 << 20;
/// Operations of one thread, unless a duration is given.
const OPERATIONS: u64 = 60_000;
/// Bytes of one record of a value that grows by appending.
const RECORD: usize = 60;

/// How far a key's writer has come.
#[derive(Default)]
struct Progress {
    /// The last write or deletion that has begun.
    begun: AtomicU64,
    /// The last one that is complete: nothing older may be seen any more.
    done: AtomicU64,
    /// Nothing older than this survived the last flush.
    flushed: AtomicU64,
}

struct World {
    cache: Cache,
    limit: usize,
    operations: u64,
    clock: ManualClock,
    progress: Vec<Progress>,
    hits: AtomicU64,
    stop: AtomicBool,
    /// Rounds of the host, in which all that it does comes up every 400.
    rounds: AtomicU64,
    end: Option<Instant>,
}

impl World {
    fn new(limit: usize, extend: impl FnOnce(Builder) -> Builder) -> Self {
        let clock = ManualClock::new(Moment::from_secs(1_700_000_000));
        let builder = Cache::builder(limit).max_limit(2 * limit).clock(clock.clone());
        let cache = extend(builder).build();
        let seconds = std::env::var("MEMCORE_STRESS_SECONDS").ok();
        let seconds = seconds.map(|text| text.parse().expect("a number of seconds"));
        Self {
            cache: cache.unwrap(),
            limit,
            operations: OPERATIONS * limit as u64 / LIMIT as u64,
            clock,
            progress: (0..KEYS).map(|_| Progress::default()).collect(),
            hits: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            rounds: AtomicU64::new(0),
            end: seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
        }
    }

    fn goes_on(&self, operation: u64) -> bool {
        match self.end {
            Some(end) => operation % 64 != 0 || Instant::now() < end,
            None => operation < self.operations || self.rounds.load(SeqCst) < 800,
        }
    }

    /// Judges a value that a read, begun at `since`, has found.
    fn judge(&self, key: u32, value: &[u8], since: &Since, meta: &Meta) {
        self.hits.fetch_add(1, SeqCst);
        assert_eq!(value.len(), meta.value_len);
        let sequence = if is_log(key) { verify_log(key, value) } else { verify(key, value) };
        assert!(sequence >= since.least, "key {key}: {sequence} came back after {}", since.least);
        let begun = self.progress[key as usize].begun.load(SeqCst);
        assert!(sequence <= begun, "key {key}: {sequence} was never written");
        if let Some(end) = meta.expiry {
            assert!(end > since.now, "key {key}: had ended before it was read");
        }
    }

    fn since(&self, key: u32) -> Since {
        let Progress { done, flushed, .. } = &self.progress[key as usize];
        let least = done.load(SeqCst).max(flushed.load(SeqCst));
        Since { least, now: self.clock_now() }
    }

    fn clock_now(&self) -> Moment {
        memcore::Clock::now(&self.clock)
    }
}

/// What was known when a read began.
struct Since {
    /// Nothing older may be found.
    least: u64,
    now: Moment,
}

/// Keys whose values grow by appending.
fn is_log(key: u32) -> bool {
    key / THREADS % 8 == 1
}

/// Keys whose values are always of the same size.
fn is_even(key: u32) -> bool {
    key / THREADS % 8 < 4
}

/// The last sequence of a value that consists of records in unbroken order.
fn verify_log(key: u32, value: &[u8]) -> u64 {
    let records = value.chunks_exact(RECORD);
    let is_whole = records.remainder().is_empty() && !value.is_empty();
    assert!(is_whole, "key {key}: a record was cut");
    let sequences: Vec<u64> = records.map(|record| verify(key, record)).collect();
    let unbroken = sequences.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    assert!(unbroken, "key {key}: records {sequences:?}");
    *sequences.last().expect("at least one record")
}

struct Worker<'w> {
    world: &'w World,
    id: u32,
    rng: Rng,
    held: Vec<(u32, Vec<u8>, Handle)>,
}

impl Worker<'_> {
    fn run(&mut self) {
        let mut operation = 0;
        while self.world.goes_on(operation) {
            operation += 1;
            let key = self.rng.below(KEYS as usize) as u32;
            let own = key - key % THREADS + self.id;
            match self.rng.below(100) {
                0..30 => self.write(own),
                30..36 => self.delete(own),
                36..60 => self.get(key),
                60..68 => self.get_many(),
                68..75 => self.hold(key),
                75..80 => self.release(),
                80..84 => {
                    self.world.cache.touch(key.to_le_bytes(), self.expiry()).unwrap();
                }
                84..94 => self.get_as_owner(own),
                _ => self.count(),
            }
        }
        while !self.held.is_empty() {
            self.release();
        }
    }

    fn expiry(&mut self) -> Expiry {
        match self.rng.below(3) {
            0 => Expiry::after(Duration::from_secs(1 + self.rng.below(20) as u64)),
            _ => Expiry::Never,
        }
    }

    fn len(&mut self, key: u32) -> usize {
        match self.rng.below(20) {
            _ if is_even(key) => HEAD + (key as usize * 7) % 600,
            0 => HEAD + self.rng.below(40_000),
            1..4 => HEAD + self.rng.below(5000),
            _ => HEAD + self.rng.below(400),
        }
    }

    /// Begins the next step in the history of one's own key.
    fn begin(&self, key: u32) -> u64 {
        self.world.progress[key as usize].begun.fetch_add(1, SeqCst) + 1
    }

    fn complete(&self, key: u32, sequence: u64) {
        self.world.progress[key as usize].done.fetch_max(sequence, SeqCst);
    }

    fn write(&mut self, key: u32) {
        let sequence = self.begin(key);
        let attrs = Attrs::new().flags(key).expiry(self.expiry()).marked(is_even(key));
        let cache = &self.world.cache;
        let name = key.to_le_bytes();
        let stored = if is_log(key) {
            let record = certified(key, sequence, RECORD);
            let long = cache.peek(name).is_none_or(|meta| meta.value_len > 4000);
            let mode = if long { Mode::Set } else { Mode::Append };
            let how = Store::mode(mode).create(Expiry::Never);
            cache.store(name, &record, attrs, &how)
        } else {
            let len = self.len(key);
            let value = certified(key, sequence, len);
            match self.rng.below(4) {
                0 => self.write_in_pieces(key, &value, attrs),
                _ => self.world.cache.store(name, &value, attrs, &Store::new()),
            }
        };
        match stored {
            Ok(Stored::Done { .. }) => self.complete(key, sequence),
            other => panic!("key {key}: {other:?}"),
        }
    }

    fn write_in_pieces(
        &mut self,
        key: u32,
        value: &[u8],
        attrs: Attrs,
    ) -> Result<Stored, memcore::StoreError> {
        let cache = &self.world.cache;
        if self.rng.below(8) == 0 {
            let mut abandoned = cache.reserve(key.to_le_bytes(), value.len(), attrs)?;
            abandoned.write(&value[..value.len() / 2]);
        }
        let mut place = cache.reserve(key.to_le_bytes(), value.len(), attrs)?;
        for piece in value.chunks(3000) {
            assert_eq!(place.write(piece), piece.len());
        }
        place.commit(&Store::new())
    }

    fn delete(&mut self, key: u32) {
        let sequence = self.begin(key);
        self.world.cache.delete(key.to_le_bytes());
        self.complete(key, sequence);
        assert!(!self.world.cache.contains(key.to_le_bytes()), "key {key} is back at once");
    }

    fn get(&mut self, key: u32) {
        let since = self.world.since(key);
        let mut out = Vec::new();
        let touch = (self.rng.below(8) == 0).then(|| self.expiry());
        let how = Fetch::new().touch(touch).inline_max(6000);
        match self.world.cache.fetch(key.to_le_bytes(), &how, &mut out, |_, _| {}) {
            Fetched::Copied(hit) => self.world.judge(key, &out, &since, &hit.meta),
            Fetched::Pinned(hit, handle) => {
                self.world.judge(key, &handle.to_vec(), &since, &hit.meta);
            }
            _ => {}
        }
    }

    fn get_many(&mut self) {
        let keys: Vec<u32> = (0..20).map(|_| self.rng.below(KEYS as usize) as u32).collect();
        let since: Vec<Since> = keys.iter().map(|key| self.world.since(*key)).collect();
        let names: Vec<_> = keys.iter().map(|key| key.to_le_bytes()).collect();
        self.world.cache.get_many(&names, |i, meta, value| {
            self.world.judge(keys[i], value, &since[i], meta);
        });
    }

    /// One's own key must hold exactly what was written last, or nothing.
    fn get_as_owner(&mut self, key: u32) {
        let done = self.world.progress[key as usize].done.load(SeqCst);
        if let Some(value) = self.world.cache.get(key.to_le_bytes()) {
            let sequence = if is_log(key) { verify_log(key, &value) } else { verify(key, &value) };
            assert_eq!(sequence, done, "key {key}");
        }
    }

    fn hold(&mut self, key: u32) {
        let since = self.world.since(key);
        if let Some(handle) = self.world.cache.get_handle(key.to_le_bytes()) {
            let value = handle.to_vec();
            self.world.judge(key, &value, &since, handle.meta());
            self.held.push((key, value, handle));
        }
        if self.held.len() > 12 {
            self.release();
        }
    }

    fn release(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let (key, value, handle) = self.held.swap_remove(self.rng.below(self.held.len()));
        assert!(handle.to_vec() == value, "key {key}: a held value changed");
        let Some(weak) = handle.downgrade() else { return };
        drop(handle);
        // Others may take its place meanwhile.
        std::thread::yield_now();
        if let Ok(handle) = weak.upgrade() {
            assert!(handle.to_vec() == value, "key {key}: another value came back");
        }
    }

    fn count(&mut self) {
        let name = [b'c', self.rng.below(16) as u8];
        let how = Count::increment(1).initial(1, Attrs::new());
        match self.world.cache.count(name, &how) {
            Ok(Counted::Done { value, .. }) => assert!(value > 0),
            other => panic!("{other:?}"),
        }
    }
}

/// What a host does besides: time, housekeeping, flushes, other limits, looking around.
fn host(world: &World) {
    let mut rng = Rng::new(99);
    let mut evicted = 0;
    for round in 1.. {
        if world.stop.load(SeqCst) {
            return;
        }
        world.cache.maintain(200);
        let evicted_by_now = world.cache.stats().total.evicted;
        match round % 400 {
            100 | 300 => world.clock.advance(Duration::from_secs(1)),
            // A host that is faster than the others would not let the cache become full.
            150 if evicted_by_now > evicted => {
                evicted = evicted_by_now;
                flush(world);
            }
            200 => scan(world),
            250 => {
                let limit = world.limit + rng.below(world.limit);
                world.cache.set_limit(limit).unwrap();
            }
            _ => {}
        }
        world.rounds.store(round, SeqCst);
        let stats = world.cache.stats();
        assert!(stats.used <= 2 * world.limit, "{} bytes used", stats.used);
        std::thread::yield_now();
    }
}

/// What was complete before a flush must not be seen after it.
fn flush(world: &World) {
    let done: Vec<u64> = world.progress.iter().map(|key| key.done.load(SeqCst)).collect();
    world.cache.flush();
    for (key, done) in world.progress.iter().zip(done) {
        key.flushed.fetch_max(done + 1, SeqCst);
    }
}

fn scan(world: &World) {
    let mut cursor = Cursor::default();
    let mut visited = 0;
    while world.cache.scan(&mut cursor, 100, |key, meta| {
        assert!(key.len() == 4 || key.len() == 2, "{key:?} was never stored");
        assert!(key.len() == 2 || meta.flags == 0 || meta.flags.to_le_bytes() == key);
        visited += 1;
    }) {
        assert!(visited < 100 * KEYS, "the walk does not end");
    }
}

#[test]
fn values_stay_whole_and_in_order() {
    stress(&World::new(LIMIT, |builder| builder));
}

/// The same with a tier that items go to which are evicted, on a device that loses and changes
/// some.
#[cfg(feature = "flash")]
#[test]
fn values_stay_whole_and_in_order_on_flash() {
    let disk = super::flash::Disk::with_faults(500);
    let flash = super::flash::flash(&disk, 4 << 20);
    let world = World::new(LIMIT / 4, |builder| builder.flash(flash));
    stress(&world);
    let stats = world.cache.flash_stats().unwrap();
    let happened =
        [stats.brought, stats.kept, stats.other_key + stats.ended, stats.bad_records, stats.writes];
    assert!(happened.iter().all(|&count| count > 0), "{stats:?}");
    assert!(stats.is_on && stats.regions_filled > stats.regions, "{stats:?}");
}

fn stress(world: &World) {
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|id| {
                let rng = Rng::new(u64::from(id));
                scope.spawn(move || Worker { world, id, rng, held: Vec::new() }.run())
            })
            .collect();
        scope.spawn(|| host(world));
        let results: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        world.stop.store(true, SeqCst);
        for result in results {
            result.expect("a worker found nothing wrong");
        }
    });
    world.cache.validate();
    let stats = world.cache.stats();
    let total = &stats.total;
    assert!(world.hits.load(SeqCst) > world.operations / 10, "hardly anything was found");
    for count in [total.evicted, total.deleted, total.flushed, total.expired, total.replaced] {
        assert!(count > 0, "not everything happened: {total:?}");
    }
    let gone = total.replaced + total.deleted + total.evicted + total.expired + total.flushed;
    assert_eq!(total.stored, total.items + gone, "{total:?}");
    assert!(stats.used <= stats.limit);
    assert_eq!(stats.pinned_bytes, 0);
    for key in 0..KEYS {
        let since = world.since(key);
        world.cache.get_with(key.to_le_bytes(), |meta, parts| {
            world.judge(key, &parts.concat(), &since, meta);
        });
    }
}

#[test]
fn no_change_is_lost() {
    const ROUNDS: u64 = 3000;
    let cache = Cache::new(64 << 20).unwrap();
    let count = Count::increment(3).initial(3, Attrs::new());
    let append = Store::append().create(Expiry::Never);
    cache.set("swapped", b"0", Attrs::new()).unwrap();
    let won = AtomicU64::new(0);
    let removed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    cache.count("number", &count).unwrap();
                    cache.store("log", b"0123456789", Attrs::new(), &append).unwrap();
                    swap(&cache);
                    let name = round.to_le_bytes();
                    let add = Store::add();
                    let stored = cache.store(name, b"x", Attrs::new(), &add).unwrap();
                    won.fetch_add(u64::from(stored != Stored::NotStored), SeqCst);
                    let gone = cache.remove_with(name, &Remove::new()).unwrap();
                    removed.fetch_add(u64::from(gone != Removed::NotFound), SeqCst);
                }
            });
        }
    });
    cache.validate();
    let total = u64::from(THREADS) * ROUNDS;
    let number = |key: &str| -> u64 {
        String::from_utf8(cache.get(key).unwrap()).unwrap().trim_end().parse().unwrap()
    };
    assert_eq!(number("number"), 3 * total);
    assert_eq!(number("swapped"), total);
    assert_eq!(cache.get("log").unwrap(), b"0123456789".repeat(total as usize));
    assert_eq!(won.load(SeqCst), removed.load(SeqCst));
}

/// Readers of a tiny cache whose index grows and shrinks all the time. With overflow checks, as
/// tests are built, arithmetic on words of different moments would panic.
#[test]
fn readers_bear_an_index_that_is_resized() {
    const READERS: usize = 6;
    const ROUNDS: u32 = 12;
    const ITEMS: u32 = 6_000;
    let cache = Cache::new(1 << 20).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                for key in (0..ITEMS).cycle() {
                    if stop.load(SeqCst) {
                        return;
                    }
                    let name = key.to_le_bytes();
                    if let Some(value) = cache.get(name) {
                        assert_eq!(value, name);
                    }
                    cache.contains(name);
                }
            });
        }
        for _ in 0..ROUNDS {
            for key in 0..ITEMS {
                let name = key.to_le_bytes();
                cache.set(name, &name, Attrs::new()).unwrap();
            }
            (0..ITEMS).for_each(|key| _ = cache.delete(key.to_le_bytes()));
            while cache.maintain(1000) {}
        }
        stop.store(true, SeqCst);
    });
    cache.validate();
}

/// Adds one by compare and swap.
fn swap(cache: &Cache) {
    loop {
        let (version, value) = cache
            .get_with("swapped", |meta, parts| (meta.version, parts.concat()))
            .expect("nobody removes it");
        let value: u64 = String::from_utf8(value).unwrap().parse().unwrap();
        let how = Store::new().expected(version);
        let next = (value + 1).to_string();
        match cache.store("swapped", next.as_bytes(), Attrs::new(), &how).unwrap() {
            Stored::Done { .. } => return,
            Stored::VersionMismatch => {}
            other => panic!("{other:?}"),
        }
    }
}
