//! Restarts with a tier: what is on flash comes back with the memory file, or not at all.

use std::fs;
use std::path::PathBuf;

use super::tests::Memory;
use super::{Flash, Located};
use crate::tests::common::damage::{Flips, pages_in_use};
use crate::tests::common::values::{certified, verify};
use crate::{Attrs, Builder, Cache, ConfigError, ManualClock, MemoryFileError, Moment, Restored};

const LIMIT: usize = 4 << 20;
const START: Moment = Moment::from_secs(1_000_000);
const KEYS: u32 = 3_000;
const LEN: usize = 3_000;

/// A memory file and devices, which outlive the caches that use them.
struct Place {
    file: PathBuf,
    devices: [Memory; 2],
    sizes: [u64; 2],
    clock: ManualClock,
}

impl Place {
    fn new(name: &str) -> Self {
        let file = std::env::temp_dir().join(format!("memcore-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&file);
        let devices = [Memory::default(), Memory::default()];
        Self { file, devices, sizes: [16 << 20, 8 << 20], clock: ManualClock::new(START) }
    }

    fn builder(&self) -> Builder {
        let mut flash = Flash::new().region_size(1 << 20).buffer_size(128 << 10);
        for (device, size) in self.devices.iter().zip(self.sizes) {
            flash = flash.device(device.clone(), size);
        }
        let builder = Cache::builder(LIMIT).clock(self.clock.clone()).flash(flash);
        builder.memory_file(&self.file)
    }

    fn open(&self) -> Cache {
        self.builder().build().unwrap()
    }

    /// Opens it when memory is kept and nothing of what was on flash.
    fn open_without_tier(&self) -> Cache {
        let cache = self.open();
        assert!(matches!(cache.restored(), Some(Restored::Items(500..))));
        assert_eq!(cache.flash_restored(), Some(&Restored::Nothing));
        cache
    }

    /// Why what is on flash is not taken up: said when it has to be, and otherwise what the cache
    /// begins without.
    fn refusal(&self) -> MemoryFileError {
        let strict = self.builder().memory_file_strict(true).build();
        let Err(ConfigError::MemoryFile(error)) = strict else { panic!("{strict:?}") };
        let cache = self.open();
        assert!(matches!(cache.restored(), Some(Restored::Items(1..))));
        assert_eq!(cache.flash_restored(), Some(&Restored::Discarded(error.clone())));
        assert_eq!(cache.flash_stats().unwrap().items, 0);
        check(&cache, |_| 0);
        // It is used again, and kept the next time.
        fill(&cache, 0..KEYS, 1);
        let items = cache.flash_stats().unwrap().items;
        assert!(items > 500);
        cache.close().unwrap();
        let cache = self.open();
        assert_eq!(cache.flash_restored(), Some(&Restored::Items(items)));
        assert!(check(&cache, |_| 1) > KEYS * 9 / 10);
        cache.close().unwrap();
        error
    }

    /// A closed cache with values of sequence 0 in memory and on flash.
    fn filled(name: &str) -> Self {
        let place = Self::new(name);
        let cache = place.open();
        fill(&cache, 0..KEYS, 0);
        cache.close().unwrap();
        place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

fn fill(cache: &Cache, keys: impl Iterator<Item = u32>, sequence: u64) {
    for key in keys {
        cache.set(key.to_le_bytes(), &certified(key, sequence, LEN), Attrs::new()).unwrap();
    }
}

/// How many items are there. Each has the sequence that is expected of its key.
fn check(cache: &Cache, expected: impl Fn(u32) -> u64) -> u32 {
    let mut found = 0;
    for key in 0..KEYS {
        if let Some(value) = cache.get(key.to_le_bytes()) {
            assert_eq!(verify(key, &value), expected(key), "key {key}");
            found += 1;
        }
    }
    found
}

#[test]
fn memory_and_flash_come_back_again_and_again() {
    let place = Place::new("both");
    let cache = place.open();
    assert_eq!(cache.flash_restored(), Some(&Restored::Nothing));
    cache.close().unwrap();
    // The log goes round its devices several times.
    let newest = |round: u32, key: u32| u64::from(round - (round + 3 - key % 3) % 3);
    let mut filled = 0;
    for round in 0..18 {
        let cache = place.open();
        let stats = cache.flash_stats().unwrap();
        if round >= 3 {
            assert!(matches!(cache.restored(), Some(Restored::Items(500..))));
            assert_eq!(cache.flash_restored(), Some(&Restored::Items(stats.items)));
            assert!(stats.items > 1_000, "{stats:?}");
            let found = check(&cache, |key| newest(round - 1, key));
            assert!(found > KEYS * 9 / 10, "{found} in round {round}");
        }
        assert_eq!((stats.bad_records, stats.put), (0, 0));
        fill(&cache, (0..KEYS).filter(|key| key % 3 == round % 3), u64::from(round));
        filled += cache.flash_stats().unwrap().regions_filled;
        cache.validate();
        cache.close().unwrap();
    }
    assert!(filled > 2 * 24, "{filled} regions of 24");
}

#[test]
fn tags_of_what_is_on_flash_are_kept_with_it() {
    let mut place = Place::new("tagged");
    let put = |cache: &Cache, key: u32, tag: &str| {
        let tagged = cache.tagged(&[tag, "all"]).unwrap();
        tagged.set(key.to_le_bytes(), &certified(key, 0, LEN), Attrs::new()).unwrap();
    };
    let cache = place.open();
    put(&cache, KEYS, "lonely");
    (0..KEYS).for_each(|key| put(&cache, key, ["a", "b", "c"][key as usize % 3]));
    assert!(matches!(cache.locate(KEYS.to_le_bytes()), Located::OnFlash(_)));
    assert!(cache.invalidate_tag("b"));
    cache.close().unwrap();

    let cache = place.open();
    let there = |cache: &Cache, rest: u32| {
        (0..KEYS).filter(|key| key % 3 == rest && cache.contains(key.to_le_bytes())).count()
    };
    assert!([0, 2].iter().all(|&rest| there(&cache, rest) > KEYS as usize * 9 / 30));
    assert_eq!(there(&cache, 1), 0);
    assert!(cache.invalidate_tag("c"));
    // One that has its number now has none of its items.
    put(&cache, KEYS + 1, "d");
    cache.validate();
    cache.close().unwrap();

    let cache = place.open();
    assert!(there(&cache, 0) > KEYS as usize * 9 / 30);
    assert_eq!((there(&cache, 1), there(&cache, 2)), (0, 0));
    cache.close().unwrap();

    // What nothing has any more is no tag any more.
    let resumed = place.open();
    assert!(resumed.engine().tags.all_refs().len() > 2);
    assert!(resumed.invalidate_tag("lonely"));
    resumed.close().unwrap();
    place.sizes = [17 << 20, 8 << 20];
    let cache = place.open();
    assert!(cache.flash_stats().unwrap().items == 0 && there(&cache, 0) > 100);
    cache.validate();
    cache.flush();
    while cache.maintain(10_000) {}
    assert_eq!(cache.engine().tags.all_refs().len(), 0);
}

#[test]
fn a_cache_that_was_not_closed_leaves_nothing_on_flash() {
    let place = Place::filled("killed");
    let cache = place.open();
    assert!(check(&cache, |_| 0) > KEYS * 9 / 10);
    drop(cache);
    let cache = place.open();
    assert_eq!(cache.restored(), Some(&Restored::Discarded(MemoryFileError::NotClosed)));
    assert_eq!(cache.flash_restored(), Some(&Restored::Nothing));
    assert_eq!(check(&cache, |_| 0), 0);
    fill(&cache, 0..KEYS, 1);
    assert!(check(&cache, |_| 1) > KEYS * 9 / 10);
}

#[test]
fn devices_that_hold_something_else_are_noticed() {
    for (name, change) in [
        ("zeroed", (|device| device.fill(0)) as fn(&mut Vec<u8>)),
        ("short", |device| device.truncate(device.len() / 4)),
        ("gone", Vec::clear),
        ("foreign", |device| device.iter_mut().for_each(|byte| *byte ^= 1)),
    ] {
        for which in 0..2 {
            let place = Place::filled(name);
            change(&mut place.devices[which].bytes());
            assert_eq!(place.refusal(), MemoryFileError::OtherFlash, "{name} {which}");
        }
    }
}

#[test]
fn an_older_copy_of_a_device_and_that_of_another_cache_are_noticed() {
    let place = Place::filled("older");
    let older = place.devices[0].bytes().clone();
    let cache = place.open();
    fill(&cache, KEYS..KEYS + 1_000, 7);
    cache.close().unwrap();
    *place.devices[0].bytes() = older;
    assert_eq!(place.refusal(), MemoryFileError::OtherFlash);

    let (place, other) = (Place::filled("one"), Place::filled("other"));
    let theirs = other.devices[0].bytes().clone();
    *place.devices[0].bytes() = theirs;
    assert_eq!(place.refusal(), MemoryFileError::OtherFlash);
}

#[test]
fn a_tier_of_another_size_begins_empty() {
    let mut place = Place::filled("size");
    place.sizes = [17 << 20, 8 << 20];
    assert_eq!(place.refusal(), MemoryFileError::OtherFlash);
    let mut place = Place::filled("sizes");
    place.sizes = [8 << 20, 17 << 20];
    assert_eq!(place.refusal(), MemoryFileError::OtherFlash);
    // Without a tier, and with one again, nothing is left of it.
    let builder = || Cache::builder(LIMIT).clock(place.clock.clone()).memory_file(&place.file);
    let cache = builder().build().unwrap();
    assert!(matches!(cache.restored(), Some(Restored::Items(500..))));
    check(&cache, |_| 1);
    cache.close().unwrap();
    check(&place.open_without_tier(), |_| 1);
}

#[test]
fn buffers_and_limits_may_be_others() {
    let place = Place::filled("limits");
    let items = |cache: &Cache| cache.flash_stats().unwrap().items;
    let flash = || {
        let [one, other] = &place.devices;
        let flash = Flash::new().device(one.clone(), 16 << 20).device(other.clone(), 8 << 20);
        flash.region_size(1 << 20)
    };
    let open = |limit, flash| {
        let builder = Cache::builder(limit).clock(place.clock.clone()).flash(flash);
        builder.memory_file(&place.file).build()
    };
    let cache = open(3 * LIMIT, flash().buffer_size(512 << 10).buffers(3)).unwrap();
    let there = items(&cache);
    assert!(there > 500);
    cache.close().unwrap();
    let cache = open(LIMIT / 2, flash().buffer_size(64 << 10)).unwrap();
    assert!(cache.stats().used <= LIMIT / 2);
    assert!(items(&cache) >= there);
    let found = check(&cache, |_| 0);
    assert!(u64::from(found) > there, "{found} of {there} and those in memory");
    cache.close().unwrap();
    // A tier that can't be leaves all as it is.
    assert!(open(LIMIT, flash().buffer_size(1 << 20)).is_err());
    assert!(open(LIMIT, flash().buffer_size(0)).is_err());
    assert!(check(&place.open(), |_| 0) >= found);
}

/// A memory file that is put back knows nothing of what was written since: neither is that found,
/// nor is it taken for what a later process would have written at the same place.
#[test]
fn what_was_written_after_a_copy_of_the_memory_file_is_not_found() {
    let place = Place::filled("copy");
    let copy = place.file.with_extension("copy");
    fs::copy(&place.file, &copy).unwrap();
    let cache = place.open();
    fill(&cache, 0..KEYS, 1);
    assert!(check(&cache, |_| 1) > KEYS * 9 / 10);
    cache.close().unwrap();
    fs::rename(&copy, &place.file).unwrap();
    let cache = place.open();
    assert!(matches!(cache.flash_restored(), Some(Restored::Items(500..))));
    let found = check(&cache, |_| 0);
    assert!(found > KEYS / 2, "{found}");
    // The same keys go to the same places, but what is written is lost.
    place.devices.iter().for_each(Memory::lose_writes);
    fill(&cache, 0..KEYS, 2);
    let before = cache.flash_stats().unwrap().bad_records;
    check(&cache, |_| 2);
    assert!(cache.flash_stats().unwrap().bad_records > before + 500);
}

#[test]
fn a_tier_that_has_failed_is_not_kept() {
    let place = Place::filled("failed");
    let cache = place.open();
    place.devices.iter().for_each(|device| device.fail_writes(true));
    // The last buffer is written at the end only.
    cache.set(b"k", &[7; LEN], Attrs::new()).unwrap();
    fill(&cache, KEYS..KEYS + 20, 0);
    cache.close().unwrap();
    place.devices.iter().for_each(|device| device.fail_writes(false));
    check(&place.open_without_tier(), |_| 0);
}

/// Wherever a bit is flipped in the memory file or on a device, no value is wrong.
#[test]
fn no_flipped_bit_leads_to_a_wrong_value() {
    let place = Place::filled("flips");
    let kept = fs::read(&place.file).unwrap();
    let log = place.devices.each_ref().map(|device| device.bytes().clone());
    let pages = pages_in_use(&place.file);
    // The table and the state are small and come last.
    let last = pages[pages.len() - 24..].to_vec();
    let mut flips = [Flips::new(pages, 99), Flips::new(last, 7)];
    let (mut tables, mut records) = (0, 0);
    for round in 0..40 {
        flips[round % 2].flip(&place.file);
        let bit = round * 1_000_003 % (8 * log[0].len());
        place.devices[0].bytes()[bit / 8] ^= 1 << (bit % 8);
        let cache = place.open();
        check(&cache, |_| 0);
        tables += u32::from(matches!(
            cache.flash_restored(),
            Some(Restored::Discarded(MemoryFileError::Damaged { what: "flash table" }))
        ));
        records += cache.flash_stats().unwrap().bad_records;
        drop(cache);
        fs::write(&place.file, &kept).unwrap();
        for (device, log) in place.devices.iter().zip(&log) {
            device.bytes().clone_from(log);
        }
    }
    assert!(tables > 1 && records > 10, "{tables} tables, {records} records");
}
