//! The tier as a whole, and what its device may do to it.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::{Brought, Device, FAILURES_MAX, Flash, Located};
use crate::typed::TypedCache;
use crate::{Attrs, Cache, Count, Counted, Expiry, ManualClock, Moment, Store, Stored};

/// A device in memory.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Inner>);

#[derive(Default)]
struct Inner {
    bytes: Mutex<Vec<u8>>,
    fails_reads: AtomicBool,
    fails_writes: AtomicBool,
    loses_writes: AtomicBool,
}

impl Memory {
    /// All that was written.
    pub(super) fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.bytes.lock().unwrap()
    }

    /// From now on nothing that is written arrives.
    pub(super) fn lose_writes(&self) {
        self.0.loses_writes.store(true, SeqCst);
    }

    pub(super) fn fail_writes(&self, on: bool) {
        self.0.fails_writes.store(on, SeqCst);
    }
}

impl Device for Memory {
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        if self.0.fails_reads.load(SeqCst) {
            return Err(io::Error::other("cannot read"));
        }
        let bytes = self.bytes();
        let there = bytes.get(at as usize..).unwrap_or_default();
        let len = there.len().min(into.len());
        into[..len].copy_from_slice(&there[..len]);
        Ok(len)
    }

    fn write_at(&self, at: u64, from: &[u8]) -> io::Result<usize> {
        if self.0.fails_writes.load(SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.0.loses_writes.load(SeqCst) {
            return Ok(from.len());
        }
        let mut bytes = self.bytes();
        let end = at as usize + from.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[at as usize..end].copy_from_slice(from);
        Ok(from.len())
    }
}

const LIMIT: usize = 4 << 20;
const START: Moment = Moment::from_secs(1_000_000);

struct Tiered {
    cache: Cache,
    clock: ManualClock,
    memory: Memory,
}

/// A cache with a tier of `bytes`.
fn tiered(bytes: u64, set_up: impl FnOnce(Flash) -> Flash) -> Tiered {
    let (clock, memory) = (ManualClock::new(START), Memory::default());
    let flash = Flash::new().device(memory.clone(), bytes).region_size(1 << 20);
    let flash = set_up(flash.buffer_size(128 << 10));
    let cache = Cache::builder(LIMIT).clock(clock.clone()).seed(7).flash(flash).build().unwrap();
    Tiered { cache, clock, memory }
}

fn value(number: u32, len: usize) -> Vec<u8> {
    (0..len).map(|i| (number as usize + i * 7 / 5) as u8).collect()
}

impl Tiered {
    /// Stores items, and writes what is evicted; their versions.
    fn fill(&self, count: u32, len: usize) -> Vec<u64> {
        let set = |number: u32| {
            let version = self.cache.set(number.to_le_bytes(), &value(number, len), attrs(number));
            while let Some(job) = self.cache.flash_work() {
                job.run();
            }
            version.unwrap()
        };
        (0..count).map(set).collect()
    }

    /// The keys of items that are on flash and not in memory.
    fn on_flash(&self, count: u32) -> Vec<u32> {
        let is_there = |number: &u32| matches!(self.locate(*number), Located::OnFlash(_));
        (0..count).filter(is_there).collect()
    }

    fn locate(&self, number: u32) -> Located {
        self.cache.locate(number.to_le_bytes())
    }

    fn bring_in(&self, number: u32) -> Brought {
        match self.locate(number) {
            Located::OnFlash(ticket) => ticket.bring_in(),
            found => panic!("{number}: {found:?}"),
        }
    }

    /// Reads an item, if it is there, and checks it.
    fn check(&self, number: u32, len: usize) -> bool {
        let key = number.to_le_bytes();
        let Some(found) = self.cache.get(key) else { return false };
        assert!(found == value(number, len), "{number}: a wrong value");
        let meta = self.cache.peek(key).unwrap();
        assert_eq!((meta.flags, meta.expiry), (number % 3, expiry(number)));
        true
    }

    fn stats(&self) -> super::FlashStats {
        self.cache.flash_stats().unwrap()
    }
}

fn expiry(number: u32) -> Option<Moment> {
    (number % 2 == 0).then_some(START + Duration::from_secs(1_000))
}

fn attrs(number: u32) -> Attrs {
    Attrs::new().flags(number % 3).expiry(expiry(number).into())
}

#[test]
fn items_of_all_sizes_come_back_as_they_were() {
    for (count, len) in [(30_000, 100), (3_000, 5_000), (200, 65_000), (60, 120_000)] {
        // Room for all that one operation may evict.
        let tiered = tiered(32 << 20, |flash| flash.buffer_size(512 << 10));
        let versions = tiered.fill(count, len);
        let found = (0..count).filter(|&number| tiered.check(number, len)).count();
        assert!(found * 100 > count as usize * 98, "{found} of {count}");
        let stats = tiered.stats();
        assert!(stats.brought > 20 && stats.bad_records == 0, "{stats:?}");
        for (number, version) in (0..count).zip(versions) {
            let found = tiered.cache.peek(number.to_le_bytes()).map(|meta| meta.version);
            assert!(found.is_none_or(|found| found == version), "{number}: {found:?}");
        }
        // Those that were read a second time are there without having been written again.
        (0..count).for_each(|number| _ = tiered.check(number, len));
        let again = tiered.stats();
        assert!(again.kept > 0, "{again:?}");
        let written = (again.put - stats.put) as usize;
        assert!(written * 50 < count as usize, "{written} of {count} were written again");
        // What was fetched says so, though its record was written before.
        for number in 0..count {
            let meta = tiered.cache.peek(number.to_le_bytes());
            assert!(meta.is_none_or(|meta| meta.fetched), "{number}: {meta:?}");
        }
        assert!(tiered.cache.stats().used <= LIMIT);
        tiered.cache.validate();
    }
}

#[test]
fn little_is_written_besides_the_items_and_little_memory_is_taken() {
    let tiered = tiered(64 << 20, |flash| flash);
    tiered.fill(3_000, 16 << 10);
    let stats = tiered.stats();
    assert!(stats.bytes_written * 100 < stats.put_bytes * 105, "{stats:?}");
    let small = self::tiered(64 << 20, |flash| flash.buffer_size(256 << 10));
    small.fill(120_000, 200);
    let stats = small.stats();
    assert!(stats.items > 90_000 && stats.table_memory as u64 <= stats.items * 10, "{stats:?}");
}

#[test]
fn what_was_overwritten_is_a_miss() {
    let tiered = tiered(4 << 20, |flash| flash);
    tiered.fill(4_000, 5_000);
    let found = (0..4_000).filter(|&number| tiered.check(number, 5_000)).count();
    assert!((800..1_700).contains(&found), "{found} of 4000");
    let stats = tiered.stats();
    assert!(stats.regions_filled > 3 * stats.regions && stats.bad_records == 0, "{stats:?}");
    // Each item on flash is there, was forgotten, or came back and was changed.
    assert!(stats.evicted > 2_000 && stats.evicted + stats.items <= stats.put, "{stats:?}");
}

#[test]
fn every_operation_sees_what_is_on_flash() {
    let tiered = tiered(32 << 20, |flash| flash);
    let (cache, count) = (&tiered.cache, 3_000);
    cache.set("n", b"41", Attrs::new()).unwrap();
    tiered.fill(count, 3_000);
    let keys = tiered.on_flash(count);
    let mut keys = keys.iter().map(|number| number.to_le_bytes());
    let mut next = || keys.next().unwrap();
    assert!(cache.contains(next()) && cache.get_handle(next()).is_some());
    let add = Store::mode(crate::Mode::Add);
    assert_eq!(cache.store(next(), b"x", Attrs::new(), &add), Ok(Stored::NotStored));
    let (key, append) = (next(), Store::mode(crate::Mode::Append));
    let stored = cache.store(key, b"end", Attrs::new(), &append).unwrap();
    assert!(matches!(stored, Stored::Done { value_len: 3_003, .. }), "{stored:?}");
    assert!(cache.get(key).unwrap().ends_with(b"end"));
    let key = next();
    assert!(cache.delete(key) && !cache.delete(key) && cache.get(key).is_none());
    let key = next();
    assert_eq!(cache.remove(key).map(|value| value.len()), Some(3_000));
    assert!(matches!(cache.locate(key), Located::Nowhere));
    let key = next();
    assert!(cache.touch(key, Expiry::after(Duration::from_secs(5))).unwrap().is_some());
    tiered.clock.advance(Duration::from_secs(6));
    assert!(cache.get(key).is_none());
    let mut place = cache.reserve(next(), 1, Attrs::new()).unwrap();
    place.write(b"x");
    assert_eq!(place.commit(&add), Ok(Stored::NotStored));
    let counted = cache.count("n", &Count::increment(1)).unwrap();
    assert!(matches!(counted, Counted::Done { value: 42, .. }), "{counted:?}");
    let mut many = 0;
    cache.get_many(&[next(), next()], |_, _, _| many += 1);
    assert_eq!(many, 2);
}

#[test]
fn a_ticket_that_was_overtaken_brings_nothing() {
    let tiered = tiered(32 << 20, |flash| flash.waits(false));
    let (cache, count) = (&tiered.cache, 3_000);
    tiered.fill(count, 3_000);
    let keys = tiered.on_flash(count);
    let ticket = |number: u32| match tiered.locate(number) {
        Located::OnFlash(ticket) => ticket,
        found => panic!("{number}: {found:?}"),
    };
    // Operations see what is in memory.
    assert_eq!(cache.get(keys[0].to_le_bytes()), None);
    assert_eq!(ticket(keys[0]).bring_in(), Brought::InMemory);
    assert!(tiered.check(keys[0], 3_000));

    let late = ticket(keys[1]);
    cache.set(keys[1].to_le_bytes(), b"new", Attrs::new()).unwrap();
    assert_eq!(late.bring_in(), Brought::InMemory);
    assert_eq!(cache.get(keys[1].to_le_bytes()).unwrap(), b"new");
    let late = ticket(keys[2]);
    cache.set(keys[2].to_le_bytes(), b"new", Attrs::new()).unwrap();
    cache.delete(keys[2].to_le_bytes());
    assert_eq!(late.bring_in(), Brought::Nothing);
    let late = ticket(keys[3]);
    cache.delete(keys[3].to_le_bytes());
    assert_eq!(late.bring_in(), Brought::Nothing);
    assert_eq!(tiered.stats().ended, 0);
    // Two at once.
    let (one, other) = (ticket(keys[4]), ticket(keys[4]));
    assert_eq!((one.bring_in(), other.bring_in()), (Brought::InMemory, Brought::InMemory));
    let even = keys[5..].iter().copied().find(|number| number % 2 == 0).unwrap();
    let late = ticket(even);
    tiered.clock.advance(Duration::from_secs(1_000));
    assert_eq!(late.bring_in(), Brought::Nothing);
    let odd = keys[5..].iter().copied().find(|number| number % 2 == 1).unwrap();
    let late = ticket(odd);
    cache.flush();
    assert_eq!(late.bring_in(), Brought::Nothing);
    assert_eq!(tiered.stats().ended, 2);
}

#[test]
fn a_device_that_cannot_write_ends_the_tier_and_nothing_else() {
    let tiered = tiered(32 << 20, |flash| flash);
    tiered.fill(2_000, 3_000);
    let before = tiered.stats();
    tiered.memory.fail_writes(true);
    tiered.fill(3_000, 3_000);
    let stats = tiered.stats();
    assert!(!stats.is_on && stats.failure.unwrap().starts_with("writing: "));
    assert_eq!((stats.items, stats.writes), (0, before.writes));
    assert!(stats.memory <= before.memory);
    assert!(tiered.check(2_999, 3_000));
    assert!((0..3_000).any(|number| !tiered.check(number, 3_000)), "what was evicted is lost");
    tiered.cache.validate();
}

#[test]
fn a_device_that_cannot_read_answers_with_misses() {
    let tiered = tiered(32 << 20, |flash| flash);
    tiered.fill(2_000, 3_000);
    let keys = tiered.on_flash(2_000);
    tiered.memory.0.fails_reads.store(true, SeqCst);
    let reads = |keys: &[u32]| keys.iter().filter(|&&number| tiered.check(number, 3_000)).count();
    assert_eq!(reads(&keys[..5]), 0);
    assert_eq!(tiered.stats().failed_reads, 5);
    tiered.memory.0.fails_reads.store(false, SeqCst);
    assert_eq!(reads(&keys[5..9]), 4);
    assert!(tiered.stats().is_on);
    // Once it has failed too often it is not asked any more.
    tiered.memory.0.fails_reads.store(true, SeqCst);
    reads(&keys[100..200]);
    let stats = tiered.stats();
    assert!(!stats.is_on && stats.failure.unwrap().starts_with("reading: "));
    assert_eq!(stats.failed_reads, FAILURES_MAX);
}

#[test]
fn changed_bytes_and_those_of_another_log_are_misses() {
    let tiered = tiered(32 << 20, |flash| flash);
    tiered.fill(2_000, 3_000);
    let keys = tiered.on_flash(2_000);
    tiered.memory.bytes().iter_mut().for_each(|byte| *byte ^= 1);
    let number = keys[0];
    assert_eq!(tiered.bring_in(number), Brought::Unreadable);
    assert_eq!(tiered.stats().bad_records, 1);
    // It is not asked for again.
    assert!(matches!(tiered.locate(number), Located::Nowhere));
    tiered.memory.bytes().iter_mut().for_each(|byte| *byte ^= 1);
    assert!(tiered.check(keys[1], 3_000));

    // Another cache writes the same to the same places of the same device, and nothing arrives.
    tiered.memory.lose_writes();
    let flash = Flash::new().device(tiered.memory.clone(), 32 << 20).region_size(1 << 20);
    let flash = flash.buffer_size(128 << 10);
    let clock = tiered.clock.clone();
    let cache = Cache::builder(LIMIT).clock(clock).seed(7).flash(flash).build().unwrap();
    let other = Tiered { cache, clock: tiered.clock.clone(), memory: tiered.memory.clone() };
    other.fill(2_000, 3_000);
    let keys = other.on_flash(2_000);
    let found = keys.iter().filter(|&&number| other.check(number, 3_000)).count();
    // What has not been written yet is there.
    assert!(found < 200 && other.stats().bad_records > 500, "{found} of {}", keys.len());
}

#[test]
fn without_anybody_to_write_items_are_evicted() {
    let tiered = tiered(32 << 20, |flash| flash.waits(false).buffers(3));
    for number in 0..3_000 {
        tiered.cache.set(u32::to_le_bytes(number), &value(number, 3_000), attrs(number)).unwrap();
    }
    let stats = tiered.stats();
    assert_eq!((stats.writes, stats.put_bytes / (128 << 10)), (0, 2));
    assert!(stats.no_buffer > 500);
    // A job that is dropped is there again.
    drop(tiered.cache.flash_work().unwrap());
    let jobs = std::iter::from_fn(|| tiered.cache.flash_work()).collect::<Vec<_>>();
    assert_eq!(jobs.len(), 3);
    jobs.into_iter().for_each(super::FlashJob::run);
    assert_eq!(tiered.stats().writes, 3);
    assert!(tiered.cache.wait_for_flash_work(Duration::from_millis(1)).is_none());
}

#[test]
fn a_lower_limit_counts_for_more_than_what_is_on_flash() {
    let tiered = tiered(32 << 20, |flash| flash.buffer_size(16 << 10));
    tiered.fill(60_000, 100);
    let before = tiered.stats();
    assert!(before.table_memory > 150 << 10);
    let least = tiered.cache.set_limit(0).unwrap_err();
    let crate::ConfigError::LimitTooSmall { least, .. } = least else { panic!("{least}") };
    tiered.cache.set_limit(least).unwrap();
    let stats = tiered.cache.stats();
    assert!(stats.used <= least, "{stats:?}");
    // What was evicted for the new limit went there.
    assert!(tiered.stats().items * 10 < before.items, "{before:?}");
    tiered.cache.set(b"k", b"v", Attrs::new()).unwrap();
    assert!(tiered.cache.contains(b"k"));
    tiered.cache.validate();
}

#[test]
fn rules_say_what_goes_to_flash() {
    let put = |set_up: fn(Flash) -> Flash| {
        let tiered = tiered(32 << 20, set_up);
        tiered.fill(3_000, 3_000);
        let stats = tiered.stats();
        assert!(stats.put + stats.passed_by > 1_000);
        stats.put
    };
    let all = put(|flash| flash);
    assert_eq!(put(|flash| flash.min_item_size(3_100)), 0);
    assert_eq!(put(|flash| flash.min_item_size(2_900)), all);
    assert_eq!(put(|flash| flash.min_idle(Duration::from_secs(1))), 0);
    let half = put(|flash| flash.min_ttl(Duration::from_secs(1_000)));
    assert!((all / 3..all * 2 / 3).contains(&half), "{half} of {all}");
}

#[test]
fn unread_items_stay_away_if_they_are_to() {
    let tiered = tiered(32 << 20, |flash| flash.fetched_only(true));
    tiered.fill(3_000, 3_000);
    assert_eq!(tiered.stats().put, 0);
    for number in 0..3_000 {
        let key = u32::to_le_bytes(number);
        tiered.cache.set(key, &value(number, 3_000), attrs(number)).unwrap();
        assert!(number % 2 == 0 || tiered.cache.get(key).is_some());
    }
    let keys = tiered.on_flash(3_000);
    assert!(keys.len() > 500 && keys.iter().all(|number| number % 2 == 1), "{}", keys.len());
}

/// Puts an item with these tags into memory.
fn put_tagged(tiered: &Tiered, number: u32, tags: &[String]) {
    let tagged = tiered.cache.tagged(tags).unwrap();
    tagged.set(number.to_le_bytes(), &value(number, 3_000), attrs(number)).unwrap();
}

#[test]
fn tagged_items_come_back_with_their_tags_unless_one_has_ended() {
    let tiered = tiered(32 << 20, |flash| flash);
    for number in 0..3_000 {
        put_tagged(&tiered, number, &["all".to_owned(), format!("third {}", number % 3)]);
    }
    let keys = tiered.on_flash(3_000);
    assert!(keys.len() > 1_500, "{}", keys.len());
    assert!(tiered.cache.invalidate_tag("third 1"));
    // The same word later is another tag.
    put_tagged(&tiered, 3_001, &["third 1".to_owned()]);
    for &number in &keys {
        assert_eq!(tiered.check(number, 3_000), number % 3 != 1, "{number}");
    }
    assert!(tiered.stats().ended > 300);
    tiered.cache.validate();
    assert!(tiered.cache.invalidate_tag("all"));
    assert!(keys.iter().all(|&number| !tiered.check(number, 3_000)));
    assert!(tiered.check(3_001, 3_000));
}

#[test]
fn large_tagged_items_come_back_as_well() {
    let tiered = tiered(32 << 20, |flash| flash);
    for number in 0..80_u32 {
        let tagged = tiered.cache.tagged(&["all"]).unwrap();
        tagged.set(number.to_le_bytes(), &value(number, 120_000), attrs(number)).unwrap();
    }
    let keys = tiered.on_flash(80);
    assert!(keys.len() > 30 && keys.iter().all(|&number| tiered.check(number, 120_000)));
    assert!(tiered.cache.invalidate_tag("all"));
    assert!(keys.iter().all(|&number| !tiered.check(number, 120_000)));
}

#[test]
fn a_tag_has_no_items_of_one_that_had_its_number() {
    let tiered = tiered(32 << 20, |flash| flash);
    for number in 0..3_000 {
        put_tagged(&tiered, number, &[format!("{number}")]);
    }
    // Only so many tags are kept for what is on flash; the others are gone, with their items.
    let keys = tiered.on_flash(3_000);
    // What comes back pushes others there, and with them the oldest of those tags.
    let youngest = keys.iter().rev();
    let found = youngest.filter(|&&number| tiered.check(number, 3_000)).count();
    assert!((100..300).contains(&found), "{found} of {}", keys.len());
    let groups = tiered.cache.engine().tags.all_refs().len();
    assert!(groups < 2_000, "{groups} tags");
    for number in 0..3_000 {
        tiered.cache.invalidate_tag(format!("{number}"));
        assert!(!tiered.check(number, 3_000), "{number} is there after its tag has ended");
    }
    tiered.cache.validate();
}

#[test]
fn a_tier_that_is_off_keeps_no_tags() {
    let tiered = tiered(32 << 20, |flash| flash);
    (0..3_000).for_each(|number| put_tagged(&tiered, number, &[format!("{}", number / 100)]));
    tiered.memory.fail_writes(true);
    tiered.fill(3_000, 3_000);
    assert!(!tiered.stats().is_on);
    assert_eq!(tiered.cache.engine().tags.all_refs().len(), 0);
    tiered.cache.validate();
}

#[test]
fn whoever_loads_values_sees_one_cache() {
    let tiered = tiered(32 << 20, |flash| flash);
    let users: TypedCache<u32, String> = TypedCache::new(tiered.cache.clone());
    let tagged = users.tagged(&["users"]).unwrap();
    let mut loads = 0;
    for round in 0..3 {
        for number in 0..3_000_u32 {
            let text = format!("{number:03000}");
            let found = tagged.get_or_load(&number, || {
                loads += 1;
                Ok::<_, Infallible>(text.clone())
            });
            assert!(found.unwrap() == text, "{number} in round {round}");
        }
    }
    assert!(loads < 3_100 && tiered.stats().brought > 3_000, "{loads} loads");
    assert!(users.invalidate_tag("users"));
    assert!((0..3_000).all(|number| !users.contains(&number)));
}

#[test]
fn long_keys_stay_in_memory() {
    let tiered = tiered(32 << 20, |flash| flash);
    let long = |number: u32| [&[b'k'; 65_500][..], &number.to_le_bytes()].concat();
    for number in 0..100 {
        tiered.cache.set(long(number), b"v", Attrs::new()).unwrap();
    }
    assert_eq!(tiered.stats().put, 0);
    assert!(tiered.stats().passed_by > 10);
}

#[test]
fn a_snapshot_does_not_replace_what_is_on_flash() {
    let tiered = tiered(32 << 20, |flash| flash);
    tiered.fill(1_000, 3_000);
    let mut snapshot = Vec::new();
    tiered.cache.snapshot(&mut snapshot).unwrap();
    for number in 0..3_000_u32 {
        tiered.cache.set(number.to_le_bytes(), b"newer", Attrs::new()).unwrap();
    }
    for number in 3_000..6_000_u32 {
        tiered.cache.set(number.to_le_bytes(), &value(number, 3_000), Attrs::new()).unwrap();
    }
    assert!(tiered.on_flash(1_000).len() > 500);
    tiered.cache.restore(&snapshot[..]).unwrap();
    for number in 0..1_000_u32 {
        let found = tiered.cache.get(number.to_le_bytes());
        assert!(found.is_none_or(|value| value == b"newer"), "{number} came back");
    }
}

#[test]
fn a_tier_that_cannot_be_is_refused() {
    let build = |flash: Flash| Cache::builder(LIMIT).flash(flash).build().map(|_| ());
    let device = |bytes| Flash::new().device(Memory::default(), bytes);
    assert!(build(Flash::new()).is_err());
    assert!(build(device(64 << 20)).is_err(), "one region");
    let reason = |flash: Flash| build(flash).unwrap_err().to_string();
    let large = reason(device(1 << 30));
    assert!(large.contains("write buffers and reads need a limit of"), "{large}");
    // 16 bytes for each region.
    let many = reason(device(1 << 40).region_size(1 << 20).buffer_size(64 << 10));
    let most = many.split(" there may be ").nth(1).unwrap().split(',').next().unwrap();
    let tier = |bytes| device(bytes).region_size(1 << 20).buffer_size(64 << 10);
    let most: u64 = most.parse().unwrap();
    assert!(build(tier(most)).is_ok() && build(tier(most + (1 << 20))).is_err(), "{many}");
    assert!(build(device(8 << 20).region_size(1 << 20)).is_err(), "a buffer larger than a region");
    // No memory is asked for before the limit is.
    let error = build(device(1 << 60).region_size(4_096).buffer_size(4_096)).unwrap_err();
    assert!(error.to_string().contains(" there may be "), "{error}");
    let small = || device(8 << 20).region_size(1 << 20).buffer_size(64 << 10);
    assert!(build(small()).is_ok());
    assert!(build(small().buffer_size(0)).is_err() && build(small().region_size(0)).is_err());
}

#[test]
#[cfg(not(miri))]
fn the_corpus_of_the_fuzz_target_finds_nothing() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/flash");
    // It is not part of the published crate.
    let Ok(inputs) = std::fs::read_dir(corpus) else { return };
    let run = |input: std::fs::DirEntry| super::fuzz_flash(&std::fs::read(input.path()).unwrap());
    assert!(inputs.map(|input| run(input.unwrap())).count() > 5);
}

#[cfg(all(target_os = "linux", not(any(miri, memcore_fallback))))]
#[test]
fn a_refused_tier_leaves_files_as_they_were() {
    let at =
        |name: &str| std::env::temp_dir().join(format!("memcore-{name}-{}", std::process::id()));
    let (new, old, memory) = (at("new"), at("old"), at("refused"));
    std::fs::write(&old, b"contents").unwrap();
    let flash = |bytes| {
        let flash = Flash::new().file(&new, bytes).unwrap().file(&old, bytes).unwrap();
        flash.region_size(1 << 20).buffer_size(64 << 10)
    };
    let builder = |bytes| Cache::builder(LIMIT).flash(flash(bytes)).memory_file(&memory);
    let error = builder(1 << 40).build().unwrap_err();
    assert!(error.to_string().contains(" there may be "), "{error}");
    assert!(!new.exists() && !memory.exists() && std::fs::read(&old).unwrap() == b"contents");
    let cache = builder(4 << 20).build().unwrap();
    assert!([&new, &old].iter().all(|file| file.metadata().unwrap().len() == 4 << 20));
    assert!(Flash::new().file(&new, 1 << 20).unwrap_err().to_string().contains("another cache"));
    cache.close().unwrap();
    for file in [&new, &memory] {
        std::fs::remove_file(file).unwrap();
    }
    // As it was, but for the size of what was there.
    builder(4 << 20).build().unwrap().abandon().unwrap();
    assert!(!new.exists() && !memory.exists() && old.exists());
    builder(4 << 20).build().unwrap().close().unwrap();

    let twice = flash(4 << 20).file(&old, 1 << 20).unwrap_err();
    assert!(twice.to_string().contains("given twice"), "{twice}");
    let folder = Flash::new().file(std::env::temp_dir(), 1 << 20);
    assert!(folder.is_err());
    // One file for both would be overwritten.
    let error = Cache::builder(LIMIT).flash(flash(4 << 20)).memory_file(&old).build().unwrap_err();
    assert!(error.to_string().contains("is the memory file"), "{error}");
    [new, old, memory].iter().for_each(|file| std::fs::remove_file(file).unwrap());
}
