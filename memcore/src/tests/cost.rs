//! What an item costs: the parts that `docs/memory.md` adds up, and what becomes of versions that
//! have no room in a short header.

use std::collections::HashMap;

use super::common::values::Rng;
use crate::engine::Engine;
use crate::index::{GROUP_BYTES, GROUP_SLOTS};
use crate::space::layout::{FIXED_WORDS, Head, Header, State};
use crate::space::segments::{Loc, ROW_BYTES};
use crate::tags::Group;
use crate::{Attrs, Cache, Store, Stored};

/// More versions than a short header reaches.
const MANY: u64 = 30_000;

fn loc_of(engine: &Engine, cache: &Cache, key: &str) -> Loc {
    let key = cache.key(key.as_bytes());
    engine.look(&key, &engine.approach(&key)).unwrap().unwrap().item.loc
}

/// Gives out so many versions.
fn let_versions_pass(cache: &Cache, count: u64) {
    for _ in 0..count {
        cache.set("another", b"value", Attrs::new()).unwrap();
    }
}

fn set(cache: &Cache, key: &str, value: &[u8]) -> u64 {
    match cache.store(key, value, Attrs::new(), &Store::new()).unwrap() {
        Stored::Done { version, .. } => version,
        other => panic!("{other:?}"),
    }
}

/// Bytes before the key, those that fill up the last word left out.
fn header(flags: u32, expiry: Option<u32>, short: bool) -> usize {
    let header =
        Header { key_len: 20, value_len: 100, flags, group: Group::NONE, expiry, version: None };
    let head = Head::new(header, &[b'k'; 20], State::default());
    let head = if short { head.shortened(1) } else { head };
    4 * head.item_words() - 120
}

#[test]
fn the_parts_have_the_sizes_that_the_document_adds_up() {
    assert_eq!([header(0, None, true), header(0, None, false)], [8, 12]);
    assert_eq!(
        [header(1, None, true), header(0, Some(9), true), header(1, Some(9), true)],
        [12, 12, 16]
    );
    assert_eq!(4 * FIXED_WORDS, 12);
    assert_eq!((GROUP_BYTES, GROUP_SLOTS), (512, 56));
    assert_eq!(ROW_BYTES, 84);
}

#[test]
fn an_item_that_is_rewritten_late_moves_once() {
    let cache = Cache::builder(4 << 20).seed(1).build().unwrap();
    let engine = cache.engine();
    let mut last = set(&cache, "k", b"11111111");
    let first = loc_of(engine, &cache, "k");
    assert_eq!(cache.peek("k").unwrap().size, 8 + 12);
    let mut rewrite = |value: &[u8]| {
        let version = set(&cache, "k", value);
        assert!(version > last && cache.peek("k").unwrap().version == version);
        last = version;
        (loc_of(engine, &cache, "k"), cache.peek("k").unwrap().size)
    };
    assert_eq!(rewrite(b"22222222"), (first, 20), "soon enough");
    let_versions_pass(&cache, MANY);
    let (second, size) = rewrite(b"33333333");
    assert!(second != first);
    assert_eq!(size, 12 + 12);
    for round in 0..3_u8 {
        let_versions_pass(&cache, MANY);
        assert_eq!(rewrite(&[b'0' + round; 8]), (second, 24));
    }
    cache.validate();
}

/// There may be no memory for another place.
#[test]
fn where_nothing_may_be_evicted_a_value_is_rewritten_where_it_lies() {
    let cache = Cache::builder(4 << 20).evictions(false).seed(1).build().unwrap();
    set(&cache, "k", b"11111111");
    let first = loc_of(cache.engine(), &cache, "k");
    let_versions_pass(&cache, MANY);
    set(&cache, "k", b"22222222");
    assert_eq!(loc_of(cache.engine(), &cache, "k"), first);
}

/// Items of all sizes are stored at very different rates and survive evictions.
#[test]
fn an_item_keeps_its_version_wherever_it_goes() {
    let cache = Cache::builder(2 << 20).seed(1).build().unwrap();
    let mut rng = Rng::new(5);
    let mut versions = HashMap::new();
    let (mut kept, mut long) = (0, 0);
    for step in 0..150_000 {
        let key = format!("{}", rng.below(60_000).min(rng.below(60_000)));
        if rng.below(3) == 0 {
            let rare = rng.below(200) == 0;
            let len = if rare { 300 + rng.below(3_000) } else { 10 + rng.below(60) };
            versions.insert(key.clone(), set(&cache, &key, &vec![b'v'; len]));
        } else if let Some(meta) = cache.get_with(&key, |meta, _| *meta) {
            assert_eq!(Some(&meta.version), versions.get(&key), "step {step}");
            kept += 1;
            long += usize::from(meta.size - meta.value_len >= 12 + key.len());
        }
    }
    assert!(long > 100 && kept - long > 1_000, "{long} long headers of {kept}");
    let moved = cache.stats().total;
    assert!(moved.promoted + moved.reinserted > 100, "{moved:?}");
    cache.validate();
}
