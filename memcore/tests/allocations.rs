//! What lookups allocate.

use allocation_counter::measure;
use memcore::{Attrs, Cache};

/// A cache with a value of `len` bytes under "k".
fn cache_with(len: usize) -> Cache {
    let cache = Cache::new(64 << 20).unwrap();
    cache.set("k", &vec![b'v'; len], Attrs::new()).unwrap();
    // Counters and the numbers of threads are there from the first operation on.
    assert!(cache.get("k").is_some());
    cache
}

#[test]
fn a_value_in_place_is_read_without_memory() {
    let cache = cache_with(1_000);
    let info = measure(|| {
        let len = cache.get_with("k", |_, parts| parts.iter().map(|part| part.len()).sum());
        assert_eq!(len, Some(1_000_usize));
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn a_handle_of_one_piece_takes_no_memory() {
    let cache = cache_with(1_000);
    let info =
        measure(|| assert_eq!(cache.get_handle("k").map(|handle| handle.len()), Some(1_000)));
    assert_eq!(info.count_total, 0);
}

#[test]
fn a_lookup_allocates_its_answer_and_nothing_else() {
    let cache = cache_with(1_000);
    assert_eq!(measure(|| drop(cache.get("k"))).count_total, 1);
    assert_eq!(measure(|| drop(cache.get("none"))).count_total, 0);
    let mut out = Vec::with_capacity(1_000);
    let mut into = || assert!(cache.get_into("k", &mut out).is_some());
    assert_eq!(measure(&mut into).count_total, 0);
    let keys = [cache.key(b"k"), cache.key(b"none")];
    let many = || cache.get_many(&keys, |_, _, value| assert_eq!(value.len(), 1_000));
    assert_eq!(measure(many).count_total, 1);
    assert_eq!(measure(|| drop(cache.remove("k"))).count_total, 1);
}

#[test]
fn a_value_in_pieces_is_read_whole() {
    let cache = cache_with(500_000);
    let bytes = cache.get_with("k", |_, parts| {
        assert!(parts.len() > 2, "a value of many segments");
        parts.concat()
    });
    assert_eq!(bytes.as_deref(), Some(&vec![b'v'; 500_000][..]));
}
