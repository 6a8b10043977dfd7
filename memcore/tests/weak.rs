//! Values that nothing keeps while their reader pauses: found again wherever they are by then, and
//! never taken for another value.

mod common {
    pub(crate) mod values;
}

use std::time::Duration;

use common::values::{Rng, certified, verify};
use memcore::{Attrs, Cache, Expiry, Store, UpgradeError, WeakHandle};

const LEN: usize = 20_000;

fn weak(cache: &Cache, key: u32) -> WeakHandle {
    cache.get_handle(key.to_le_bytes()).and_then(|handle| handle.downgrade()).expect("pinned")
}

/// Writes an item without an expiry anew, as it has no room for one. It keeps its version.
fn move_away(cache: &Cache, key: u32) {
    let touched = cache.touch(key.to_le_bytes(), Expiry::After(Duration::from_secs(100)));
    assert!(touched.unwrap().is_some());
}

fn set(cache: &Cache, key: u32, sequence: u64, version: impl Into<Option<u64>>) {
    let how = Store::new().version(version);
    let value = certified(key, sequence, LEN);
    assert!(cache.store(key.to_le_bytes(), &value, Attrs::new(), &how).is_ok());
}

#[test]
fn a_value_that_has_moved_is_found_again() {
    let cache = Cache::new(8 << 20).unwrap();
    for (key, version) in [(1, None), (2, Some(7)), (3, Some(u64::MAX / 2))] {
        set(&cache, key, 1, version);
        let before = weak(&cache, key);
        let pinned = cache.get_handle(key.to_le_bytes()).unwrap();
        move_away(&cache, key);
        let after = pinned.downgrade().unwrap();
        drop(pinned);
        for weak in [before, after] {
            assert_eq!(verify(key, &weak.upgrade().unwrap().to_vec()), 1, "key {key}");
        }
    }
}

/// In a full cache that evicts nothing, items move whenever something was deleted.
#[test]
fn values_that_make_room_for_others_are_found_again() {
    let cache = Cache::builder(16 << 20).evictions(false).build().unwrap();
    let mut stored = 0_u32;
    while cache.set(stored.to_le_bytes(), &certified(stored, 1, LEN / 10), Attrs::new()).is_ok() {
        stored += 1;
    }
    let mut rng = Rng::new(1);
    let (kept, gone): (Vec<u32>, Vec<u32>) = (0..stored).partition(|_| rng.below(2) == 0);
    let kept: Vec<_> = kept.into_iter().map(|key| (key, weak(&cache, key))).collect();
    for key in &gone {
        assert!(cache.delete(key.to_le_bytes()));
    }
    for new in (stored..).take(gone.len()) {
        cache.set(new.to_le_bytes(), &certified(new, 1, LEN / 10), Attrs::new()).unwrap();
    }
    for (key, weak) in kept {
        assert_eq!(verify(key, &weak.upgrade().unwrap().to_vec()), 1);
    }
}

#[test]
fn another_value_of_the_same_version_is_another_value() {
    let cache = Cache::new(8 << 20).unwrap();
    for key in 0..2 {
        set(&cache, key, 1, 7);
        let before = weak(&cache, key);
        let pinned = cache.get_handle(key.to_le_bytes()).unwrap();
        // The second one is removed meanwhile.
        if key == 1 {
            cache.delete(key.to_le_bytes());
        }
        set(&cache, key, 2, 7);
        let after = pinned.downgrade().unwrap();
        assert_eq!(verify(key, &pinned.to_vec()), 1);
        drop(pinned);
        for weak in [before, after] {
            assert_eq!(weak.upgrade().err(), Some(UpgradeError::Gone));
        }
    }
}

/// Two caches draw the same versions.
#[test]
fn a_value_of_a_snapshot_is_another_value() {
    let (cache, other) = (Cache::new(8 << 20).unwrap(), Cache::new(8 << 20).unwrap());
    set(&cache, 1, 1, None);
    set(&other, 1, 2, None);
    let version = |cache: &Cache| cache.peek(1_u32.to_le_bytes()).unwrap().version;
    assert_eq!(version(&cache), version(&other));
    let mut snapshot = Vec::new();
    other.snapshot(&mut snapshot).unwrap();
    let before = weak(&cache, 1);
    let pinned = cache.get_handle(1_u32.to_le_bytes()).unwrap();
    cache.delete(1_u32.to_le_bytes());
    cache.restore(snapshot.as_slice()).unwrap();
    assert_eq!(verify(1, &cache.get(1_u32.to_le_bytes()).unwrap()), 2);
    let after = pinned.downgrade().unwrap();
    drop(pinned);
    for weak in [before, after] {
        assert_eq!(weak.upgrade().err(), Some(UpgradeError::Gone));
    }
}
