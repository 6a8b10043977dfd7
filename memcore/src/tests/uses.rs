//! Whether an item was fetched, and when it was last, is exact whatever happens to other items.

use std::thread;
use std::time::Duration;

use crate::{Attrs, Cache, Expiry, Fetch, Fetched, ManualClock, Moment};

const START: Moment = Moment::from_secs(1_000);

/// Another thread works on the same part of the index while the item is fetched.
#[test]
fn a_busy_shard_does_not_hide_a_fetch() {
    let clock = ManualClock::new(START);
    let cache = Cache::builder(4 << 20).clock(clock.clone()).build().unwrap();
    cache.set("k", b"v", Attrs::new()).unwrap();
    let engine = cache.engine();
    for round in 1..4 {
        clock.advance(Duration::from_secs(60));
        let lock = engine.index.lock(engine.position(&cache.key(b"k")));
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(cache.get("k").as_deref(), Some(&b"v"[..])));
            // The hit is counted right before it is noted.
            while cache.stats().total.hits_small < round {
                thread::yield_now();
            }
            (0..100).for_each(|_| thread::yield_now());
            drop(lock);
        });
        let meta = cache.peek("k").unwrap();
        assert_eq!((meta.fetched, meta.last_access), (true, cache.now()), "round {round}");
    }
}

/// The item moves, or is replaced, between the lookup and the note.
#[test]
fn a_use_is_noted_where_the_item_is_by_then() {
    let cache = Cache::builder(4 << 20).clock(ManualClock::new(START)).build().unwrap();
    let key = cache.key(b"k");
    let found = |cache: &Cache| {
        let engine = cache.engine();
        engine.look(&key, &engine.approach(&key)).unwrap().unwrap()
    };
    cache.set("k", b"v", Attrs::new()).unwrap();
    let before = found(&cache);
    // Room for an expiry is somewhere else.
    let touch = Fetch::new().peek(true).touch(Expiry::At(Moment::from_secs(9_000)));
    let fetched = cache.fetch("k", &touch, &mut Vec::new(), |_, _| {});
    assert!(matches!(fetched, Fetched::Copied(_)), "{fetched:?}");
    assert_ne!(found(&cache).item.loc, before.item.loc);
    assert!(!cache.peek("k").unwrap().fetched);
    cache.engine().note_use(&key, &before, 1_000);
    assert!(cache.peek("k").unwrap().fetched);

    let before = found(&cache);
    cache.set("k", b"another value", Attrs::new()).unwrap();
    cache.engine().note_use(&key, &before, 1_000);
    assert!(!cache.peek("k").unwrap().fetched, "that was another item");
    cache.validate();
}
