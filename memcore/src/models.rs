//! Models of everything that happens without a lock, for the model checker: it tries the
//! interleavings and the reorderings that the memory model allows.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p memcore --lib models`

use core::time::Duration;

use std::ops::ControlFlow;
use std::sync::Arc;

use loom::thread as modelled;

use crate::index::{Certainty, Index, Position};
use crate::memory::region::Source;
use crate::memory::sync::{AtomicU32, Ordering};
use crate::{Attrs, Cache, Handle, ManualClock, Moment};

/// Bytes for a handful of segments of 128 bytes each.
const LIMIT: usize = 44 << 10;

/// Words of the stack on which a model builds its cache: those of the checker are too small.
const STACK: usize = 1 << 15;

pub(crate) fn cache() -> Cache {
    cache_with_clock().0
}

fn cache_with_clock() -> (Cache, ManualClock) {
    let clock = ManualClock::new(Moment::from_secs(1_000_000));
    let cache = Cache::builder(LIMIT).max_item_size(96).clock(clock.clone()).seed(1).build();
    (cache.unwrap(), clock)
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    check_bounded(2, model);
}

/// Threads are interrupted at most `preemptions` times, unless the environment says otherwise.
pub(crate) fn check_bounded(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = 200_000;
    let model = Arc::new(model);
    builder.check(move || {
        let model = Arc::clone(&model);
        let thread = modelled::Builder::new().stack_size(STACK);
        thread.spawn(move || model()).unwrap().join().unwrap();
    });
}

fn set(cache: &Cache, key: &str, value: &[u8]) {
    cache.set(key, value, Attrs::new()).unwrap();
}

/// A value of which every byte is the same.
fn assert_whole(value: &[u8], any_of: &[u8]) {
    assert!(value.windows(2).all(|pair| pair[0] == pair[1]), "torn: {value:?}");
    assert!(value.first().is_none_or(|byte| any_of.contains(byte)), "foreign: {value:?}");
}

/// Fills the open segment, so that it is sealed, and leaves only `key` alive in it.
fn alone_in_a_segment(cache: &Cache, key: &str) {
    set(cache, key, b"11111111");
    for i in 0..6 {
        set(cache, "filler", &[b'x'; 20][..20 - i % 2 * 4]);
    }
    cache.delete("filler");
}

/// Deletes `key` and writes where it was.
fn reuse_memory(cache: &Cache, key: &str) {
    cache.delete(key);
    set(cache, "a", &[b'a'; 20]);
    set(cache, "b", &[b'b'; 20]);
}

#[test]
fn a_reader_sees_one_value_or_the_other_while_it_is_overwritten() {
    check(|| {
        let cache = cache();
        set(&cache, "k", b"11111111");
        let writer = cache.clone();
        let writer = modelled::spawn(move || set(&writer, "k", b"22222222"));
        let value = cache.get("k").expect("it is there all the time");
        assert_whole(&value, b"12");
        writer.join().unwrap();
        assert_eq!(cache.get("k").as_deref(), Some(&b"22222222"[..]));
    });
}

#[test]
fn a_reader_never_sees_memory_that_is_reused() {
    check(|| {
        let cache = cache();
        alone_in_a_segment(&cache, "k");
        let writer = cache.clone();
        let writer = modelled::spawn(move || reuse_memory(&writer, "k"));
        if let Some(value) = cache.get("k") {
            assert_whole(&value, b"1");
        }
        writer.join().unwrap();
        assert_eq!(cache.get("k"), None);
    });
}

#[test]
fn pinned_bytes_stay_while_memory_is_reused() {
    check(|| {
        let cache = cache();
        alone_in_a_segment(&cache, "k");
        let writer = cache.clone();
        let writer = modelled::spawn(move || reuse_memory(&writer, "k"));
        let handle = cache.get_handle("k");
        writer.join().unwrap();
        if let Some(handle) = handle {
            assert_eq!(handle.to_vec(), b"11111111");
        }
    });
}

#[test]
fn pinned_bytes_are_not_written_over() {
    check(|| {
        let cache = cache();
        set(&cache, "k", b"11111111");
        let writer = cache.clone();
        let writer = modelled::spawn(move || set(&writer, "k", b"22222222"));
        let handle = cache.get_handle("k").expect("it is there all the time");
        let before = Handle::to_vec(&handle);
        assert_whole(&before, b"12");
        writer.join().unwrap();
        assert_eq!(handle.to_vec(), before);
    });
}

/// The thread that opens a segment and the one that writes to it later are not the same.
#[test]
fn a_reader_among_two_writers_never_sees_memory_that_is_reused() {
    check_bounded(1, || {
        let cache = cache();
        alone_in_a_segment(&cache, "k");
        let (first, second) = (cache.clone(), cache.clone());
        let first = modelled::spawn(move || {
            first.delete("k");
            set(&first, "a", &[b'a'; 20]);
        });
        let second = modelled::spawn(move || set(&second, "b", &[b'b'; 20]));
        if let Some(value) = cache.get("k") {
            assert_whole(&value, b"1");
        }
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(cache.get("k"), None);
    });
}

/// A lookup while the key's group is moved. For a moment the key is in no slot at all.
#[test]
fn a_key_is_found_while_its_group_is_moved() {
    check_bounded(2, || {
        let index = Arc::new(Index::new(1, 1_400, 1 << 20, false, &mut Source::System).unwrap());
        // The last position belongs to the group that is moved first.
        let position = Position { shard: 0, at: u32::MAX };
        index.insert(position, 7, &mut index.lock(position)).unwrap();
        let resizer = Arc::clone(&index);
        let resizer = modelled::spawn(move || {
            let mut lock = resizer.lock(position);
            resizer.resize_to(0, 25, &mut lock);
            resizer.advance(0, &mut lock, |_, loc| panic!("lost {loc}"));
        });
        let found = index.search(position, |slot| match slot.loc() == 7 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(Certainty::Stable),
        });
        assert!(!matches!(found, Ok(None)), "missed");
        resizer.join().unwrap();
    });
}

/// The reclaimer moves an item to another segment and lets its old memory be reused.
#[test]
fn a_reader_finds_an_item_that_is_relocated() {
    check_bounded(1, || {
        let cache = cache();
        alone_in_a_segment(&cache, "k");
        // It has been used, so that it survives.
        cache.get("k");
        let reclaimer = cache.clone();
        let reclaimer = modelled::spawn(move || {
            reclaimer.reclaim_once();
            set(&reclaimer, "a", &[b'a'; 20]);
        });
        let value = cache.get("k").expect("it is there all the time");
        assert_whole(&value, b"1");
        reclaimer.join().unwrap();
        assert_eq!(cache.get("k").as_deref(), Some(&b"11111111"[..]));
    });
}

#[test]
fn no_reader_sees_what_a_planned_flush_has_ended() {
    check(|| {
        let (cache, clock) = cache_with_clock();
        set(&cache, "k", b"11111111");
        cache.flush_at(Moment::from_secs(1_000_001));
        clock.advance(Duration::from_secs(1));
        let other = cache.clone();
        let other = modelled::spawn(move || assert_eq!(other.get("k"), None));
        assert_eq!(cache.get("k"), None);
        other.join().unwrap();
        set(&cache, "k", b"22222222");
        assert_eq!(cache.get("k").as_deref(), Some(&b"22222222"[..]));
    });
}

/// Data changes, and then its tag is invalidated. Whoever looks after that sees no older data,
/// whatever a writer does that has read them before, and whether or not the tag's number is reused.
#[test]
fn no_reader_sees_what_was_made_before_its_tag_was_invalidated() {
    check_bounded(1, || {
        let (cache, data) = (cache(), Arc::new(AtomicU32::new(1)));
        let (other, read) = (cache.clone(), Arc::clone(&data));
        let writer = modelled::spawn(move || {
            let tagged = other.tagged(&["t"]).unwrap();
            let value = read.load(Ordering::SeqCst).to_le_bytes();
            tagged.set("k", &value, Attrs::new()).unwrap();
        });
        data.store(2, Ordering::SeqCst);
        cache.invalidate_tag("t");
        cache.tagged(&["u"]).unwrap().set("other", b"v", Attrs::new()).unwrap();
        assert_ne!(cache.get("k").as_deref(), Some(&1_u32.to_le_bytes()[..]));
        writer.join().unwrap();
        assert_ne!(cache.get("k").as_deref(), Some(&1_u32.to_le_bytes()[..]));
        assert!(cache.contains("other"));
    });
}

/// A lookup without a lock while the only item of a tag goes, and its number is given to another.
#[test]
fn a_number_that_is_reused_hides_nothing_and_shows_nothing() {
    check_bounded(2, || {
        let cache = cache();
        cache.tagged(&["t"]).unwrap().set("k", b"11111111", Attrs::new()).unwrap();
        let other = cache.clone();
        let writer = modelled::spawn(move || {
            other.invalidate_tag("t");
            assert!(!other.delete("k"));
            other.tagged(&["u"]).unwrap().set("k", b"22222222", Attrs::new()).unwrap();
        });
        if let Some(value) = cache.get("k") {
            assert_whole(&value, b"12");
        }
        writer.join().unwrap();
        assert_eq!(cache.get("k").as_deref(), Some(&b"22222222"[..]));
    });
}

#[test]
fn what_is_stored_after_a_planned_flush_stays() {
    check(|| {
        let (cache, clock) = cache_with_clock();
        cache.flush_at(Moment::from_secs(1_000_001));
        clock.advance(Duration::from_secs(1));
        let other = cache.clone();
        let other = modelled::spawn(move || other.get("other"));
        set(&cache, "k", b"11111111");
        assert_eq!(cache.get("k").as_deref(), Some(&b"11111111"[..]));
        other.join().unwrap();
        assert_eq!(cache.get("k").as_deref(), Some(&b"11111111"[..]));
    });
}
