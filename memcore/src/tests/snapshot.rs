//! Snapshots of caches that random operations were done on, damaged ones, and smaller caches.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use memcore::snapshot::{Entry, Loaded, Reader, SnapshotError, Writer};
use memcore::{
    Attrs, Cache, Cursor, Expiry, Fetch, Fetched, ManualClock, Meta, Moment, Remove, Store,
};
use proptest::prelude::*;

use super::common::model::secs;
use super::common::pair::{MAX_ITEM, Pair, START};
use super::common::snapshots::fuzz_snapshot;
use super::common::values::{HEAD, Rng, certified, verify};
use super::model::{cases, op};

fn cache(limit: usize) -> Cache {
    let clock = ManualClock::new(START);
    Cache::builder(limit).max_item_size(MAX_ITEM).clock(clock).build().unwrap()
}

/// All that can be seen of a cache, but for what takes place in memory.
fn seen(cache: &Cache) -> BTreeMap<Vec<u8>, (Meta, Vec<u8>)> {
    let (mut cursor, mut keys) = (Cursor::default(), Vec::new());
    while cache.scan(&mut cursor, 1_000, |key, _| keys.push(key.to_vec())) {}
    let item = |key: Vec<u8>| {
        let mut value = Vec::new();
        match cache.fetch(&key, &Fetch::new().peek(true), &mut value, |_, _| {}) {
            Fetched::Copied(hit) => (key, (hit.meta, value)),
            other => panic!("{other:?}"),
        }
    };
    keys.into_iter().map(item).collect()
}

/// What a snapshot makes of an item.
fn kept(meta: &Meta) -> impl PartialEq + std::fmt::Debug + use<> {
    let Meta { flags, version, expiry, marked, fetched, lease, .. } = *meta;
    // Second 0 is long past.
    let expiry = expiry.map(|end| end.max(Moment::from_secs(1)));
    (flags, version, expiry, marked, fetched, lease.stale)
}

fn snapshot(cache: &Cache) -> Vec<u8> {
    let mut bytes = Vec::new();
    let saved = cache.snapshot(&mut bytes).unwrap();
    cache.validate();
    let mut reader = Reader::new(&bytes[..]).unwrap();
    let (mut items, mut value_bytes) = (0, 0);
    while let Some(entry) = reader.item().unwrap() {
        (items, value_bytes) = (items + 1, value_bytes + entry.value_len as u64);
    }
    assert_eq!((saved.items, saved.value_bytes), (items, value_bytes));
    bytes
}

/// Restores a snapshot of a cache that holds still, into one with room for all of it.
fn check_copy(cache: &Cache) {
    let original = seen(cache);
    let bytes = snapshot(cache);
    let other = self::cache(64 << 20);
    let loaded = other.restore(&bytes[..]).unwrap();
    other.validate();
    let copy = seen(&other);
    let is_kept = |meta: &Meta| !(meta.value_len == 0 && meta.lease.taken);
    let mut items = 0;
    for (key, (meta, value)) in original.iter().filter(|(_, (meta, _))| is_kept(meta)) {
        let (copied, copied_value) = &copy[key];
        assert_eq!(kept(copied), kept(meta), "{key:?}");
        assert!(!copied.lease.taken && copied_value == value, "{key:?}");
        items += 1;
    }
    assert_eq!((loaded.items, copy.len()), (items, items as usize));
    assert_eq!(loaded.expired + loaded.present + loaded.left_out + loaded.refused, 0);
    let later = other.set("later", b"", Attrs::new()).unwrap();
    // What holds the place of a value is not copied, and may have any version.
    let near = |(meta, _): &&(Meta, Vec<u8>)| meta.version < 1 << 29 && is_kept(meta);
    assert!(original.values().filter(near).all(|(meta, _)| meta.version < later));
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn a_restored_cache_holds_what_the_first_one_held(
        seed in any::<u64>(),
        ops in proptest::collection::vec(op(8, 300 << 10), 1..80),
    ) {
        let mut pair = Pair::new(64 << 20, 8, false, seed);
        ops.iter().for_each(|op| pair.run(op));
        check_copy(pair.cache());
        pair.check();
    }
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn a_full_cache_can_be_copied(
        seed in any::<u64>(),
        ops in proptest::collection::vec(op(96, 400 << 10), 400..600),
    ) {
        let mut pair = Pair::new(8 << 20, 96, true, seed);
        ops.iter().for_each(|op| pair.run(op));
        check_copy(pair.cache());
    }
}

#[test]
fn tags_come_along() {
    let cache = cache(8 << 20);
    cache.tagged(&["a"]).unwrap().set("one", b"1", Attrs::new()).unwrap();
    cache.tagged(&["a", "b", "c"]).unwrap().set("three", b"3", Attrs::new()).unwrap();
    cache.tagged(&["dead"]).unwrap().set("dead", b"0", Attrs::new()).unwrap();
    cache.set("none", b"", Attrs::new()).unwrap();
    cache.invalidate_tag("dead");
    let bytes = snapshot(&cache);
    let other = self::cache(8 << 20);
    assert_eq!(other.restore(&bytes[..]).unwrap().items, 3);
    assert!(!other.invalidate_tag("dead"));
    assert!(other.invalidate_tag("b") && !other.contains("three") && other.contains("one"));
    assert!(other.invalidate_tag("a") && !other.contains("one") && other.contains("none"));
    // Nothing holds them any more.
    while other.maintain(1_000) {}
    other.validate();
}

#[test]
fn who_was_asked_to_renew_a_value_is_forgotten_and_that_it_is_old_is_not() {
    let cache = cache(8 << 20);
    cache.set("stale", b"old", Attrs::new()).unwrap();
    cache.remove_with("stale", &Remove::new().invalidate(true)).unwrap();
    let ask = Fetch::new().lease(true).create(Expiry::Never);
    for key in ["stale", "missing"] {
        cache.fetch(key, &ask, &mut Vec::new(), |_, _| {});
        assert!(cache.peek(key).unwrap().lease.taken);
    }
    let other = self::cache(8 << 20);
    assert_eq!(other.restore(&snapshot(&cache)[..]).unwrap().items, 1);
    let lease = other.peek("stale").unwrap().lease;
    assert!(lease.stale && !lease.taken && !other.contains("missing"));
}

#[test]
fn time_goes_on_between_snapshot_and_restore() {
    let cache = cache(8 << 20);
    for ttl in [10, 20, 30] {
        let attrs = Attrs::new().ttl(secs(ttl));
        cache.set(format!("{ttl}"), b"v", attrs).unwrap();
    }
    cache.set("gone", b"v", Attrs::new().ttl(Duration::ZERO)).unwrap();
    cache.set("stays", b"v", Attrs::new()).unwrap();
    let bytes = snapshot(&cache);
    let clock = ManualClock::new(START + secs(20));
    let other = Cache::builder(8 << 20).clock(clock).build().unwrap();
    let loaded = other.restore(&bytes[..]).unwrap();
    assert_eq!((loaded.items, loaded.expired), (2, 2));
    assert_eq!(other.peek("30").unwrap().expiry, Some(START + secs(30)));
    assert!(other.contains("stays") && !other.contains("20"));
}

#[test]
fn keys_that_are_there_are_left_alone() {
    let cache = cache(8 << 20);
    for key in ["a", "b"] {
        cache.set(key, b"old", Attrs::new()).unwrap();
    }
    let bytes = snapshot(&cache);
    let other = self::cache(8 << 20);
    other.set("b", b"new", Attrs::new()).unwrap();
    let loaded = other.restore(&bytes[..]).unwrap();
    assert_eq!((loaded.items, loaded.present), (1, 1));
    assert_eq!(other.get("b").unwrap(), b"new");
    let again = other.restore(&bytes[..]).unwrap();
    assert_eq!((again.items, again.present), (0, 2));
    other.validate();
}

/// Handles hold all that they may, so that large values can't be pinned.
#[test]
fn values_that_can_not_be_pinned_are_copied() {
    let cache = Cache::builder(32 << 20).pin_limit(0).clock(ManualClock::new(START)).build();
    let cache = cache.unwrap();
    for n in 0..20 {
        cache.set(format!("{n}"), &vec![b'a' + n; 50_000 * usize::from(n)], Attrs::new()).unwrap();
    }
    check_copy(&cache);
}

/// Items that were used come before those that were not, and nothing is evicted for others.
#[test]
fn a_smaller_cache_gets_the_most_valuable_items() {
    let cache = cache(32 << 20);
    let key = |n: u32| format!("key-{n}");
    for n in 0..40_000 {
        cache.set(key(n), &[b'v'; 500], Attrs::new()).unwrap();
    }
    // A tenth is asked for again and again; eviction puts them apart.
    for round in 0..6 {
        (0..40_000).step_by(10).for_each(|n| _ = cache.get(key(n)));
        for n in 0..10_000 {
            cache.set(key(50_000 + round * 10_000 + n), &[b'v'; 500], Attrs::new()).unwrap();
        }
    }
    let used = |cache: &Cache| (0..40_000).step_by(10).filter(|&n| cache.contains(key(n))).count();
    let before = used(&cache);
    let bytes = snapshot(&cache);
    let small = self::cache(8 << 20);
    let loaded = small.restore(&bytes[..]).unwrap();
    small.validate();
    assert_eq!(small.stats().total.evicted, 0);
    assert!(loaded.items > 8_000 && loaded.left_out > 20_000, "{loaded:?}");
    assert!(before > 3_900 && used(&small) * 100 > before * 95, "{} of {before}", used(&small));
    // How often they were used came along.
    let total = small.stats().total;
    assert!(total.items - total.items_small > 3_900, "{total:?}");
}

#[test]
fn a_full_cache_evicts_nothing_for_a_snapshot() {
    let cache = cache(8 << 20);
    let fill = |cache: &Cache, name: &str| {
        for n in 0..30_000 {
            cache.set(format!("{name}-{n}"), &[b'v'; 500], Attrs::new()).unwrap();
        }
        while cache.maintain(1_000) {}
    };
    fill(&cache, "old");
    let bytes = snapshot(&cache);
    let other = self::cache(8 << 20);
    fill(&other, "new");
    let evicted = other.stats().total.evicted;
    let loaded = other.restore(&bytes[..]).unwrap();
    assert_eq!(other.stats().total.evicted, evicted);
    assert!(loaded.items < 500 && loaded.left_out > 9_000, "{loaded:?}");
}

#[test]
fn items_that_a_cache_does_not_take_are_left_out() {
    let cache = cache(64 << 20);
    cache.set("large", &vec![b'v'; 900_000], Attrs::new()).unwrap();
    cache.set("small", b"v", Attrs::new()).unwrap();
    let bytes = snapshot(&cache);
    let other = Cache::builder(8 << 20).max_item_size(100_000).build().unwrap();
    let loaded = other.restore(&bytes[..]).unwrap();
    assert_eq!((loaded.items, loaded.refused), (1, 1));
    assert_eq!(other.get("small").unwrap(), b"v");
}

/// Others change, move and remove items while a snapshot is written: what holds still is in it, and
/// nothing is in it that never was.
#[test]
fn a_busy_cache_can_be_copied() {
    /// Does something to the cache with every block that is written.
    struct Busy<'c>(&'c Cache, Vec<u8>, u32);

    impl std::io::Write for Busy<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.2 += 1;
            for n in 0..2_000_u32 {
                let key = format!("busy-{}", (n * 7 + self.2 * 13) % 5_000);
                let value = vec![b'a' + (self.2 % 26) as u8; (n % 300 * 8) as usize];
                self.0.set(&key, &value, Attrs::new()).unwrap();
                if n % 3 == 0 {
                    self.0.delete(&key);
                }
            }
            // Half of a segment's items are gone, so that others move together.
            for n in 0..100 {
                self.0.delete(format!("gone-{}", (n * 2 + self.2 * 200) % 40_000));
            }
            while self.0.maintain(1_000) {}
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let cache = Cache::builder(32 << 20).evictions(false).build().unwrap();
    for n in 0..20_000_u32 {
        let key = format!("still-{n}");
        cache.set(&key, key.repeat(n as usize % 60).as_bytes(), Attrs::new()).unwrap();
        cache.set(format!("gone-{n}"), &[b'g'; 100], Attrs::new()).unwrap();
    }
    let mut busy = Busy(&cache, Vec::new(), 0);
    cache.snapshot(&mut busy).unwrap();
    cache.validate();
    assert!(busy.2 > 50, "{}", busy.2);
    let other = self::cache(64 << 20);
    other.restore(&busy.1[..]).unwrap();
    for n in 0..20_000_u32 {
        let key = format!("still-{n}");
        assert_eq!(other.get(&key).unwrap(), key.repeat(n as usize % 60).as_bytes(), "{key}");
    }
    for (key, (_, value)) in seen(&other) {
        let is_alike = value.iter().all(|byte| *byte == value[0]);
        assert!(is_alike || key.starts_with(b"still-"), "{key:?}");
    }
}

/// Threads write and read values that prove what they are while snapshots of the cache are written
/// and loaded into another one that is in use as well.
#[test]
fn busy_threads_lose_nothing_and_mix_nothing_up() {
    const THREADS: u32 = 3;
    const KEYS: u32 = 3_000;
    const ROUNDS: u64 = 30_000;
    let [from, to] = [cache(8 << 20), cache(8 << 20)];
    let busy = AtomicU32::new(THREADS);
    let work = |thread: u32| {
        let mut rng = Rng::new(thread.into());
        for sequence in 0..ROUNDS {
            let key = rng.below(KEYS as usize) as u32;
            let len = HEAD + rng.below(if sequence % 50 == 0 { 60_000 } else { 2_000 });
            let cache = if sequence % 2 == 0 { &from } else { &to };
            // Versions are far apart now and then, as in caches of different ages.
            let version = (sequence % 500 == 0).then_some(u64::from(key + 1) << 33);
            let how = Store::new().version(version);
            let value = certified(key, sequence, len);
            cache.store(key.to_le_bytes(), &value, Attrs::new(), &how).unwrap();
            let other = rng.below(KEYS as usize) as u32;
            if let Some(value) = cache.get(other.to_le_bytes()) {
                verify(other, &value);
            }
            if sequence % 64 == 0 {
                cache.maintain(256);
            }
        }
        busy.fetch_sub(1, Ordering::SeqCst);
    };
    std::thread::scope(|scope| {
        (0..THREADS).for_each(|thread| _ = scope.spawn(move || work(thread)));
        while busy.load(Ordering::SeqCst) > 0 {
            let mut bytes = Vec::new();
            from.snapshot(&mut bytes).unwrap();
            to.restore(&bytes[..]).unwrap();
            let whole = cache(16 << 20);
            whole.restore(&bytes[..]).unwrap();
            for (key, (_, value)) in seen(&whole) {
                verify(u32::from_le_bytes(key.try_into().unwrap()), &value);
            }
        }
    });
    from.validate();
    to.validate();
}

#[test]
fn the_corpus_of_the_fuzz_target_finds_nothing() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/snapshot");
    // A crate that was unpacked alone has no fuzz targets.
    let Ok(inputs) = std::fs::read_dir(corpus) else { return };
    let inputs: Vec<_> = inputs.map(|input| std::fs::read(input.unwrap().path())).collect();
    assert!(inputs.len() >= 8, "only {} inputs", inputs.len());
    inputs.into_iter().for_each(|input| fuzz_snapshot(&input.unwrap()));
}

/// A small snapshot with each kind of item.
fn small_file() -> (Cache, Vec<u8>) {
    let cache = cache(8 << 20);
    cache.set("k1", b"value", Attrs::new().flags(7).ttl(secs(100))).unwrap();
    cache.tagged(&["tag", "other"]).unwrap().set("k2", b"", Attrs::new()).unwrap();
    cache.set("k3", &[b'v'; 300], Attrs::new().marked(true)).unwrap();
    let bytes = snapshot(&cache);
    (cache, bytes)
}

/// What was loaded of a damaged snapshot is a part of the whole one.
fn check_part(whole: &Cache, bytes: &[u8]) -> (Option<SnapshotError>, Loaded) {
    let other = cache(8 << 20);
    let (error, loaded) = match other.restore(bytes) {
        Ok(loaded) => (None, loaded),
        Err(broken) => (Some(broken.error), broken.loaded),
    };
    other.validate();
    let (original, part) = (seen(whole), seen(&other));
    assert_eq!(part.len() as u64, loaded.items);
    for (key, (meta, value)) in part {
        let (expected, expected_value) = &original[&key];
        assert!(kept(&meta) == kept(expected) && value == *expected_value, "{key:?}");
    }
    (error, loaded)
}

#[test]
fn no_byte_may_differ() {
    let (cache, bytes) = small_file();
    for at in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= bit;
            let (error, loaded) = check_part(&cache, &damaged);
            let error = error.unwrap_or_else(|| panic!("{at} may differ"));
            assert_eq!(matches!(error, SnapshotError::Foreign), at < 8, "{at}: {error}");
            // The items are one block, the counts another.
            assert!(loaded.items == 0 || loaded.items == 3, "{at}: {loaded:?}");
        }
    }
}

#[test]
fn a_part_is_no_whole() {
    let (cache, bytes) = small_file();
    for len in 0..bytes.len() {
        let (error, _) = check_part(&cache, &bytes[..len]);
        let error = error.unwrap_or_else(|| panic!("{len} bytes are enough"));
        let foreign = matches!(error, SnapshotError::Foreign);
        assert!(foreign == (len < 40) && (foreign || matches!(error, SnapshotError::Truncated)));
    }
    // A reader leaves what follows to others.
    let (error, _) = check_part(&cache, &[&bytes[..], b"more"].concat());
    assert!(error.is_none());
}

/// Blocks of a larger snapshot that are lost, doubled or exchanged are noticed by their numbers,
/// and what was in front of them is kept.
#[test]
fn blocks_stay_in_order() {
    const BLOCK: usize = 16 + (128 << 10) + 8;
    let cache = cache(8 << 20);
    for n in 0..8 {
        cache.set(format!("{n}"), &vec![b'a' + n; 100_000], Attrs::new()).unwrap();
    }
    let bytes = snapshot(&cache);
    let blocks: Vec<&[u8]> = bytes[40..].chunks(BLOCK).collect();
    assert!(blocks.len() > 6);
    let of = |order: &[usize]| {
        let chosen = order.iter().map(|&n| blocks[n]);
        std::iter::once(&bytes[..40]).chain(chosen).collect::<Vec<_>>().concat()
    };
    for order in [[1, 2, 3, 4, 5, 6], [0, 2, 3, 4, 5, 6], [0, 1, 1, 2, 3, 4], [0, 1, 3, 2, 4, 5]] {
        let (error, loaded) = check_part(&cache, &of(&order));
        assert!(matches!(error, Some(SnapshotError::Damaged { .. })), "{order:?}: {error:?}");
        assert!(loaded.items <= 2, "{loaded:?}");
    }
    let (error, loaded) = check_part(&cache, &of(&[0, 1, 2]));
    assert!(matches!(error, Some(SnapshotError::Truncated)) && loaded.items == 3, "{error:?}");
}

#[test]
fn other_formats_are_refused_as_such() {
    let (cache, mut bytes) = small_file();
    bytes[8] = 2;
    let sum = crate::restart::state::checksum(&bytes[..32]).to_le_bytes();
    bytes[32..40].copy_from_slice(&sum);
    let (error, _) = check_part(&cache, &bytes);
    assert_eq!(
        error.unwrap().to_string(),
        "its format is 2 with options 0, which this version does not know"
    );
}

/// A file that was written when there was no other format: versions to come read it as well.
#[test]
fn the_first_format_is_read() {
    let file = include_bytes!("../../tests/files/snapshot-1");
    let cache = cache(8 << 20);
    assert_eq!(cache.restore(&file[..]).unwrap().items, 5);
    let of = |key: &[u8]| {
        let meta = cache.peek(key).unwrap();
        (meta.flags, meta.version, meta.marked, meta.fetched, meta.lease.stale)
    };
    assert_eq!(of(b"plain"), (7, 1, false, true, false));
    assert_eq!(of(b"ends"), (0, 2, true, false, false));
    assert_eq!(of(b"chosen"), (0, 1 << 60, false, false, false));
    assert!(of(b"stale").4);
    assert_eq!(cache.peek("ends").unwrap().expiry, Some(START + secs(1_000_000_000)));
    assert_eq!(cache.get("plain").unwrap(), b"value");
    assert_eq!(cache.get("two words\n").unwrap(), b"tagged");
    assert!(cache.invalidate_tag("b") && !cache.contains("two words\n"));
}

#[test]
fn what_can_be_no_item_is_not_written() {
    let mut writer = Writer::new(Vec::new(), START).unwrap();
    let mut tagged = Entry::new(b"k", 0);
    tagged.tags = vec![vec![b't'; 251]];
    for entry in
        [Entry::new(b"", 1), Entry::new(&[0; 65_537], 1), Entry::new(b"k", 2 << 30), tagged]
    {
        assert!(matches!(writer.item(&entry), Err(SnapshotError::Entry { .. })));
    }
    writer.item(&Entry::new(&[0xff; 65_536], 3)).unwrap();
    assert!(writer.item(&Entry::new(b"k", 1)).is_err(), "the value is missing");
    assert!(writer.value(b"four").is_err());
    writer.value(b"abc").unwrap();
    let bytes = writer.finish().unwrap();
    let cache = cache(8 << 20);
    assert_eq!(cache.restore(&bytes[..]).unwrap().items, 1);
    assert_eq!(cache.get([0xff; 65_536]).unwrap(), b"abc");
}

/// Versions far above those that were given out come from writers, and do not change the counter.
#[test]
fn versions_are_kept() {
    let cache = cache(8 << 20);
    for n in 0..1_000_u32 {
        cache.set(n.to_le_bytes(), b"v", Attrs::new()).unwrap();
    }
    let chosen = Store::new().version(u64::MAX);
    cache.store("chosen", b"v", Attrs::new(), &chosen).unwrap();
    let other = self::cache(8 << 20);
    other.restore(&snapshot(&cache)[..]).unwrap();
    assert_eq!(other.peek("chosen").unwrap().version, u64::MAX);
    assert_eq!(other.set("new", b"v", Attrs::new()), Ok(1_001));
}
