//! A cache that goes on where another one was closed, and one that can't.
#![cfg(all(target_os = "linux", not(memcore_fallback)))]

mod common {
    pub(crate) mod damage;
}

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use memcore::{
    Attrs, Builder, Cache, CloseError, ConfigError, ManualClock, MemoryFileError, Moment, Restored,
};

use common::damage::{Flips, pages_in_use};

const LIMIT: usize = 8 << 20;
const START: Moment = Moment::from_secs(1_000_000);

/// A file of this test's own, which goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let path = folder.join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        Self(path)
    }

    fn builder(&self) -> Builder {
        Cache::builder(LIMIT).clock(ManualClock::new(START)).memory_file(&self.0)
    }

    fn open(&self) -> Cache {
        self.builder().build().unwrap()
    }

    fn reason(&self) -> MemoryFileError {
        let strict = self.builder().memory_file_strict(true).build();
        let Err(ConfigError::MemoryFile(error)) = strict else { panic!("{strict:?}") };
        assert_eq!(self.open().restored(), Some(&Restored::Discarded(error.clone())));
        error
    }

    /// A closed file with some items.
    fn fill(&self) {
        let cache = self.open();
        for number in 0..2_000_u32 {
            cache.set(number.to_le_bytes(), &[number as u8; 300], Attrs::new()).unwrap();
        }
        cache.close().unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn value(number: u32, len: usize) -> Vec<u8> {
    (0..len).map(|at| (number as usize * 31 + at) as u8).collect()
}

#[test]
fn items_of_all_sizes_come_back_with_all_that_belongs_to_them() {
    let scratch = Scratch::new("all");
    let sizes = [0, 1, 2, 100, 4_000, 70_000, 1_000_000];
    let cache = scratch.open();
    assert_eq!(cache.restored(), Some(&Restored::Nothing));
    let mut versions = Vec::new();
    for (number, len) in sizes.into_iter().enumerate() {
        let (key, number) = (format!("k{number}"), number as u32);
        let attrs = Attrs::new().flags(number).ttl(Duration::from_secs(100 * u64::from(number)));
        let attrs = if number == 0 { Attrs::new() } else { attrs };
        cache.set(&key, &value(number, len), attrs).unwrap();
        versions.push(cache.peek(&key).unwrap().version);
    }
    cache.get("k3").unwrap();
    cache.close().unwrap();

    let clock = ManualClock::new(Moment::from_secs(START.as_secs() + 250));
    let cache = scratch.builder().clock(clock).build().unwrap();
    assert_eq!(cache.restored(), Some(&Restored::Items(7)));
    for (number, len) in sizes.into_iter().enumerate() {
        let (key, number) = (format!("k{number}"), number as u32);
        let meta = cache.peek(&key);
        if number == 1 || number == 2 {
            assert_eq!(meta, None, "{key} has expired meanwhile");
            continue;
        }
        let meta = meta.unwrap();
        assert_eq!((meta.flags, meta.version), (number, versions[number as usize]));
        assert_eq!(meta.fetched, number == 3);
        let expiry = START.as_secs() + 100 * number;
        assert_eq!(meta.expiry, (number > 0).then_some(Moment::from_secs(expiry)));
        assert_eq!(cache.get(&key), Some(value(number, len)));
    }
    // Versions go on.
    cache.set("new", b"v", Attrs::new()).unwrap();
    assert!(versions.iter().all(|&old| old < cache.peek("new").unwrap().version));
}

#[test]
fn a_full_cache_comes_back_whole_and_goes_on_evicting() {
    let scratch = Scratch::new("full");
    let numbers = || 0..36_000_u32;
    let key = |number: u32| number.to_le_bytes();
    let size = |number: u32| (number * 7 % 600) as usize;
    for round in 0..3 {
        let cache = scratch.open();
        let held = cache.stats();
        for number in numbers().filter(|number| number % 3 == round) {
            cache.set(key(number), &value(number, size(number)), Attrs::new()).unwrap();
            assert!(cache.stats().used <= LIMIT);
        }
        assert!(cache.stats().total.items >= held.total.items / 2);
        let before: Vec<_> = numbers().filter(|&number| cache.contains(key(number))).collect();
        let used = cache.stats().used;
        cache.close().unwrap();

        let cache = scratch.open();
        assert_eq!(cache.restored(), Some(&Restored::Items(before.len() as u64)));
        assert!(cache.stats().used.abs_diff(used) < 1 << 20);
        let after: Vec<_> = numbers().filter(|&number| cache.contains(key(number))).collect();
        assert!(before == after, "the same keys");
        for number in after {
            assert_eq!(cache.get(key(number)), Some(value(number, size(number))));
        }
        cache.close().unwrap();
    }
}

#[test]
fn a_lower_limit_evicts_and_a_higher_one_has_room() {
    let scratch = Scratch::new("limits");
    scratch.fill();
    let high = Cache::builder(3 * LIMIT).clock(ManualClock::new(START)).memory_file(&scratch.0);
    let high = high.build().unwrap();
    assert_eq!(high.restored(), Some(&Restored::Items(2_000)));
    for number in 2_000..50_000_u32 {
        high.set(number.to_le_bytes(), &[number as u8; 300], Attrs::new()).unwrap();
    }
    let items = high.stats().total.items;
    assert!(items > 45_000, "{items}");
    high.close().unwrap();
    let low = scratch.open();
    assert_eq!(low.restored(), Some(&Restored::Items(items)));
    assert!(low.stats().used <= LIMIT);
    assert!(low.stats().total.items > items / 4);
    low.close().unwrap();
    let reason = |limit: usize| {
        let strict = Cache::builder(limit).memory_file(&scratch.0).memory_file_strict(true);
        strict.build().unwrap_err()
    };
    let error = reason(5 * LIMIT);
    assert!(matches!(error, ConfigError::MemoryFile(MemoryFileError::Limit { .. })), "{error}");
}

/// Whatever a clock shows that was set back, what has expired stays so, and the rest lives as long
/// as it was to.
#[test]
fn time_goes_on_where_the_clock_was_set_back() {
    let scratch = Scratch::new("clock");
    let ttl = |secs| Attrs::new().ttl(Duration::from_secs(secs));
    let clock = ManualClock::new(START);
    let cache = scratch.builder().clock(clock.clone()).build().unwrap();
    cache.set("short", b"v", ttl(10)).unwrap();
    cache.set("long", b"v", ttl(100)).unwrap();
    cache.set("flushed", b"v", Attrs::new()).unwrap();
    cache.flush_at(Moment::from_secs(START.as_secs() + 120));
    clock.advance(Duration::from_secs(11));
    assert!(!cache.contains("short"));
    cache.close().unwrap();

    for back in [1, 100, 900_000] {
        let clock = ManualClock::new(Moment::from_secs(START.as_secs() - back));
        let cache = scratch.builder().clock(clock.clone()).build().unwrap();
        assert_eq!(cache.now().as_secs(), START.as_secs() + 11);
        assert!(!cache.contains("short") && cache.contains("long") && cache.contains("flushed"));
        if back < 900_000 {
            cache.close().unwrap();
            continue;
        }
        clock.advance(Duration::from_secs(88));
        assert!(cache.contains("long"));
        clock.advance(Duration::from_secs(1));
        assert!(!cache.contains("long") && cache.contains("flushed"));
        clock.advance(Duration::from_secs(20));
        assert!(!cache.contains("flushed"));
        cache.close().unwrap();
    }
    // One that is right again.
    let clock = ManualClock::new(Moment::from_secs(START.as_secs() + 1_000));
    assert_eq!(scratch.builder().clock(clock).build().unwrap().now().as_secs(), 1_001_000);
}

#[test]
fn what_was_flushed_deleted_or_replaced_stays_so() {
    let scratch = Scratch::new("gone");
    let cache = scratch.open();
    for key in ["flushed", "deleted", "replaced"] {
        cache.set(key, b"old", Attrs::new()).unwrap();
    }
    cache.delete("deleted");
    cache.flush();
    cache.set("replaced", b"older", Attrs::new()).unwrap();
    cache.set("replaced", b"new", Attrs::new()).unwrap();
    cache.set("planned", b"new", Attrs::new()).unwrap();
    cache.flush_at(Moment::from_secs(START.as_secs() + 100));
    cache.close().unwrap();

    let clock = ManualClock::new(START);
    let cache = scratch.builder().clock(clock.clone()).build().unwrap();
    assert!(!cache.contains("flushed") && !cache.contains("deleted"));
    assert_eq!(cache.get("replaced").as_deref(), Some(&b"new"[..]));
    clock.advance(Duration::from_secs(100));
    assert!(!cache.contains("planned"));
}

#[test]
fn tags_come_back_and_what_they_ended_does_not() {
    let scratch = Scratch::new("tags");
    let cache = scratch.open();
    let put = |cache: &Cache, tags: &[&str], key: &str| {
        cache.tagged(tags).unwrap().set(key, b"v", Attrs::new()).unwrap();
    };
    put(&cache, &["old"], "gone");
    put(&cache, &["old", "other"], "gone too");
    put(&cache, &["other", "kept"], "both");
    put(&cache, &["kept"], "one");
    cache.invalidate_tag("old");
    let used = cache.stats().used;
    cache.close().unwrap();

    let cache = scratch.open();
    assert!(cache.stats().used <= used);
    assert!(!cache.contains("gone") && !cache.contains("gone too"));
    put(&cache, &["old"], "new");
    assert!(cache.contains("both") && cache.contains("one") && cache.contains("new"));
    assert!(cache.invalidate_tag("other"));
    assert!(!cache.contains("both") && cache.contains("one"));
    assert!(cache.invalidate_tag("kept") && cache.invalidate_tag("old"));
    assert!(!cache.contains("one") && !cache.contains("new"));
}

#[test]
fn a_file_that_can_t_be_trusted_leads_to_an_empty_cache_and_the_reason() {
    let scratch = Scratch::new("trust");
    // Killed: dropped without being closed.
    drop(scratch.open());
    assert_eq!(scratch.reason(), MemoryFileError::NotClosed);
    let open = scratch.open();
    assert_eq!(scratch.reason(), MemoryFileError::InUse);
    drop(open);

    scratch.fill();
    let whole = fs::metadata(&scratch.0).unwrap().len();
    let file = File::options().read(true).write(true).open(&scratch.0).unwrap();
    file.set_len(whole - 1).unwrap();
    assert_eq!(scratch.reason(), MemoryFileError::Damaged { what: "length" });
    fs::write(&scratch.0, [b'x'; 10_000]).unwrap();
    assert_eq!(scratch.reason(), MemoryFileError::Foreign);
    // What began empty is kept again.
    scratch.fill();
    assert_eq!(scratch.open().restored(), Some(&Restored::Items(2_000)));
}

/// The first page of a file that a server of format 3 has closed.
#[test]
fn a_file_of_an_older_format_is_refused_by_its_number() {
    const OLDER: &[u8] = include_bytes!("files/memory-3");
    let scratch = Scratch::new("older");
    fs::write(&scratch.0, OLDER).unwrap();
    let strict = scratch.builder().memory_file_strict(true).build();
    assert!(matches!(strict, Err(ConfigError::MemoryFile(MemoryFileError::Format))), "{strict:?}");
    // Whoever refuses it leaves it to the version that can read it.
    assert!(fs::read(&scratch.0).unwrap() == OLDER);
    assert_eq!(scratch.reason(), MemoryFileError::Format);
}

#[test]
fn a_cache_that_is_in_use_is_not_closed() {
    let scratch = Scratch::new("shared");
    let cache = scratch.open();
    cache.set("k", &[7; 100_000], Attrs::new()).unwrap();
    let handle = cache.get_handle("k").unwrap();
    let Err(CloseError::Shared(cache)) = cache.close() else { panic!("closed") };
    drop(handle);
    cache.close().unwrap();
    assert_eq!(scratch.open().restored(), Some(&Restored::Items(1)));
}

/// Wherever a byte is flipped that is in use, the file is refused or the items in its segment are
/// lost; elsewhere nothing changes.
#[test]
fn no_flipped_byte_leads_to_a_wrong_value() {
    let scratch = Scratch::new("flip");
    scratch.fill();
    let (mut refused, mut lost) = (0, 0);
    let mut flips = Flips::new(pages_in_use(&scratch.0), 0x9e37_79b9_7f4a_7c15);
    for _ in 0..60 {
        let at = flips.flip(&scratch.0);
        let cache = scratch.open();
        let before = cache.restored().unwrap().clone();
        for number in 0..2_000_u32 {
            let found = cache.get(number.to_le_bytes());
            assert!(found.is_none_or(|found| found == [number as u8; 300]), "{number} at {at}");
        }
        while cache.maintain(1_000) {}
        let missing = (0..2_000_u32).filter(|number| !cache.contains(number.to_le_bytes())).count();
        let is_kept = before == Restored::Items(2_000);
        if is_kept {
            assert_eq!(cache.stats().lost, missing as u64);
            assert_eq!(cache.stats().total.items, 2_000 - missing as u64);
        }
        drop(cache);
        lost += u32::from(missing > 0 && is_kept);
        refused += u32::from(!is_kept);
        scratch.fill();
    }
    assert!(refused > 0 && lost > 30, "{refused} refused, {lost} lost");
}

/// A cache that is closed right after it was opened has looked at nothing: it does so while it is
/// closed, and what is damaged is not taken for whole by the next one.
#[test]
fn a_cache_that_is_closed_at_once_keeps_what_is_whole() {
    let scratch = Scratch::new("at-once");
    scratch.fill();
    let mut flips = Flips::new(pages_in_use(&scratch.0), 4_711);
    let (mut kept, mut there) = (0, 2_000);
    for _ in 0..8 {
        flips.flip(&scratch.0);
        scratch.open().close().unwrap();
        let cache = scratch.builder().memory_file_strict(true).build().unwrap();
        let found = (0..2_000_u32).filter(|number| {
            let found = cache.get(number.to_le_bytes());
            assert!(found.as_ref().is_none_or(|found| *found == [*number as u8; 300]), "{number}");
            found.is_some()
        });
        let found = found.count() as u64;
        assert!(found <= there);
        kept += u64::from(found > 0 && found < there);
        there = found;
        cache.close().unwrap();
        if there == 0 {
            scratch.fill();
            there = 2_000;
        }
    }
    assert!(kept > 3, "{kept}");
}
