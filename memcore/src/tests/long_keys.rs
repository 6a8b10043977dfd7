//! Keys that are longer than a header's own field for them, up to 64 KiB: they may lie in several
//! segments.

use std::collections::HashMap;

use memcore::{
    Attrs, Cache, ConfigError, Count, Counted, Cursor, Expiry, Moment, Store, StoreError,
};

const MAX: usize = 1 << 16;
/// On both sides of what a header holds by itself, of a segment of the smallest cache (8 KiB), and
/// of what is possible.
const LENGTHS: [usize; 9] = [1, 250, 255, 256, 257, 5_000, 8_170, 30_000, MAX];

fn cache(limit: usize) -> Cache {
    Cache::builder(limit).max_key_len(MAX).build().unwrap()
}

fn key(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251 + salt) as u8).collect()
}

fn value(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 3 + i / 253 + salt) as u8).collect()
}

#[test]
fn every_operation_takes_long_keys() {
    for limit in [2 << 20, 64 << 20] {
        let cache = cache(limit);
        for (len, value_len) in
            LENGTHS.into_iter().flat_map(|len| [(len, 0), (len, 1), (len, 9_000)])
        {
            let (key, mut wanted) = (key(len, value_len), value(value_len, len));
            cache.set(&key, &wanted, Attrs::new().flags(7)).unwrap();
            cache.store(&key, b"end", Attrs::new(), &Store::append()).unwrap();
            wanted.extend_from_slice(b"end");
            assert_eq!(cache.get(&key).as_deref(), Some(&wanted[..]), "{len}, {value_len}");
            assert_eq!(cache.get_handle(&key).unwrap().to_vec(), wanted);
            // No room for an expiry yet: the item is written anew.
            cache.touch(&key, Expiry::At(Moment::from_secs(u32::MAX))).unwrap();
            assert_eq!(cache.get(&key).as_deref(), Some(&wanted[..]));
            cache.validate();
            let same_length = vec![b'x'; wanted.len()];
            cache.set(&key, &same_length, Attrs::new()).unwrap();
            assert_eq!(cache.get(&key), Some(same_length));
            cache.set(&key, b"41", Attrs::new()).unwrap();
            let counted = cache.count(&key, &Count::increment(1)).unwrap();
            assert!(matches!(counted, Counted::Done { value: 42, .. }));
            let mut other = key.clone();
            other[len - 1] ^= 1;
            assert!(!cache.contains(&other) && cache.contains(&key));
            assert!(cache.delete(&key) && !cache.contains(&key));
            cache.validate();
        }
    }
}

#[test]
fn values_arrive_in_pieces_under_long_keys() {
    for limit in [2 << 20, 64 << 20] {
        let cache = cache(limit);
        for (len, value_len) in LENGTHS.into_iter().flat_map(|len| [(len, 0), (len, 50_000)]) {
            let (key, value) = (key(len, 1), value(value_len, len));
            let mut place = cache.reserve(&key, value.len(), Attrs::new()).unwrap();
            for part in value.chunks(777) {
                assert_eq!(place.write(part), part.len());
                cache.validate();
            }
            drop(cache.reserve(&key, value.len(), Attrs::new()).unwrap());
            place.commit(&Store::new()).unwrap();
            assert_eq!(cache.get(&key), Some(value), "{len}, {value_len}");
            cache.validate();
        }
    }
}

/// Evicted, moved, swept and scanned: whatever comes to an item by its address finds its key.
#[test]
fn upkeep_finds_long_keys() {
    let cache = cache(4 << 20);
    let now = cache.now();
    let mut wanted = HashMap::new();
    for round in 0..4_000 {
        let key = key(LENGTHS[round % LENGTHS.len()], round % 300);
        let value = value(round % 3_000, round);
        let attrs = match round % 5 {
            0 => Attrs::new().expiry(Expiry::At(now)),
            _ => Attrs::new(),
        };
        if cache.set(&key, &value, attrs).is_ok() {
            wanted.insert(key.clone(), value);
        }
        if round % 3 == 0 {
            cache.get(&key);
        }
        if round % 100 == 0 {
            cache.maintain(1_000);
            cache.validate();
        }
    }
    let stats = cache.stats().total;
    assert!(stats.evicted > 0 && stats.promoted > 0 && stats.expired_swept > 0, "{stats:?}");
    let mut visited = 0;
    let mut cursor = Cursor::default();
    while cache.scan(&mut cursor, 10, |key, meta| {
        assert_eq!(meta.value_len, wanted[key].len());
        visited += 1;
    }) {}
    assert!(visited > 50);
    for (key, value) in &wanted {
        assert!(cache.get(key).is_none_or(|found| found == *value));
    }
}

#[test]
fn the_longest_key_is_a_setting() {
    let cache = Cache::new(8 << 20).unwrap();
    assert!(cache.set(key(250, 0), b"", Attrs::new()).is_ok());
    assert!(cache.set(key(251, 0), b"", Attrs::new()).is_ok());
    let cache = Cache::builder(8 << 20).max_key_len(1000).build().unwrap();
    assert!(cache.set(key(1000, 0), b"", Attrs::new()).is_ok());
    assert_eq!(cache.set(key(1001, 0), b"", Attrs::new()), Err(StoreError::BadKey));
    assert!(cache.get(key(100_000, 0)).is_none());
    let refused = Cache::builder(8 << 20).max_key_len(MAX + 1).build();
    assert_eq!(refused.err(), Some(ConfigError::KeyTooLong { max: MAX + 1, most: MAX }));
}
