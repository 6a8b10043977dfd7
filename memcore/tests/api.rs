//! Every operation and rule of the interface, one by one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use memcore::{
    Attrs, Cache, Cause, ConfigError, Count, CountError, Counted, Cursor, Expiry, Fetch, Fetched,
    Hit, Lease, ManualClock, Miss, Mode, Moment, Remove, Removed, Store, StoreError, Stored,
};

const START: Moment = Moment::from_secs(1_700_000_000);

/// So many seconds after the start.
fn after(seconds: u32) -> Moment {
    START + secs(seconds)
}

fn secs(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

fn cache() -> Cache {
    cache_with_clock().0
}

fn cache_with_clock() -> (Cache, ManualClock) {
    let clock = ManualClock::new(START);
    (Cache::builder(16 << 20).clock(clock.clone()).build().unwrap(), clock)
}

fn put(cache: &Cache, key: &str, value: &str) -> u64 {
    cache.set(key, value.as_bytes(), Attrs::new()).unwrap()
}

fn text(cache: &Cache, key: &str) -> Option<String> {
    cache.get(key).map(|value| String::from_utf8(value).unwrap())
}

fn store(cache: &Cache, value: &str, how: Store) -> Result<Stored, StoreError> {
    cache.store("k", value.as_bytes(), Attrs::new(), &how)
}

fn in_mode(mode: Mode) -> Store {
    Store::mode(mode)
}

fn count(delta: u64, down: bool) -> Count {
    Count::increment(delta).down(down)
}

fn marks(lease: Lease) -> (bool, bool) {
    (lease.stale, lease.taken)
}

/// A lookup that takes part in the lease.
fn lease(cache: &Cache, how: Fetch) -> Hit {
    match cache.fetch("k", &how.lease(true), &mut Vec::new(), |_, _| {}) {
        Fetched::Copied(hit) => hit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_set_is_found() {
    let cache = cache();
    for len in [0, 1, 100, 5000, 70_000, 900_000] {
        let value = vec![b'v'; len];
        let attrs = Attrs::new().flags(7).expiry(Expiry::At(after(9))).marked(true);
        let version = cache.set("k", &value, attrs).unwrap();
        assert!(cache.get("k").unwrap() == value);
        let meta = cache.peek("k").unwrap();
        assert_eq!((meta.flags, meta.version, meta.value_len), (7, version, len));
        assert_eq!((meta.expiry, meta.marked), (Some(after(9)), true));
        assert!((len + 1..len + 43).contains(&meta.size), "{len} bytes in {}", meta.size);
    }
}

#[test]
fn every_way_to_read_finds_the_same() {
    let cache = cache();
    let value: Vec<u8> = (0..200_000_u32).map(|i| (i * 31 % 251) as u8).collect();
    cache.set("k", &value, Attrs::new()).unwrap();
    let mut out = b"head".to_vec();
    let meta = cache.get_into("k", &mut out).unwrap();
    assert!(out[..4] == *b"head" && out[4..] == value);
    assert_eq!(meta.value_len, value.len());
    let joined = cache.get_with("k", |meta, parts| (meta.version, parts.concat()));
    assert!(joined == Some((meta.version, value.clone())));
    let handle = cache.get_handle("k").unwrap();
    assert!(handle.to_vec() == value && handle.meta().version == meta.version);
    assert_eq!(handle.parts().map(<[u8]>::len).sum::<usize>(), handle.len());
    let key = cache.key(b"k");
    assert_eq!(key.bytes(), b"k");
    assert!(cache.get(key) == Some(value.clone()) && cache.contains(key));
    let mut found = Vec::new();
    cache.get_many(&["no", "k", "neither", "k"], |i, _, value| found.push((i, value.len())));
    assert_eq!(found, [(1, value.len()), (3, value.len())]);
}

#[test]
fn many_keys_are_found_in_order() {
    let cache = cache();
    let names: Vec<String> = (0..1000).map(|i| format!("key{i}")).collect();
    for name in names.iter().step_by(3) {
        put(&cache, name, name);
    }
    let mut found = Vec::new();
    cache.get_many(&names, |i, _, value| {
        assert_eq!(value, names[i].as_bytes());
        found.push(i);
    });
    assert_eq!(found, (0..1000).step_by(3).collect::<Vec<_>>());
}

#[test]
fn keys_have_1_byte_to_the_most() {
    let cache = Cache::builder(16 << 20).max_key_len(250).build().unwrap();
    for len in [1, 2, 249, 250] {
        let key = vec![0xff; len];
        cache.set(&key, b"v", Attrs::new()).unwrap();
        assert_eq!(cache.get(&key).as_deref(), Some(&b"v"[..]));
    }
    for len in [0, 251, 300, 70_000] {
        let key = vec![0xff; len];
        let bad = Some(StoreError::BadKey);
        assert_eq!(cache.set(&key, b"v", Attrs::new()).err(), bad);
        assert_eq!(cache.reserve(&key, 1, Attrs::new()).err(), bad);
        let how = count(1, false).initial(1, Attrs::new());
        assert_eq!(cache.count(&key, &how).err(), Some(CountError::Store(StoreError::BadKey)));
        assert_eq!(cache.get(&key), None);
        assert!(cache.get_handle(&key).is_none());
        assert_eq!(cache.peek(&key), None);
        assert_eq!(cache.touch(&key, Expiry::Never), Ok(None));
        assert!(!cache.delete(&key));
        let create = Fetch::new().lease(true).create(Expiry::Never);
        let fetched = cache.fetch(&key, &create, &mut Vec::new(), |_, _| {});
        assert!(matches!(fetched, Fetched::Miss(Miss::Absent)), "{len}: {fetched:?}");
    }
}

#[test]
fn too_large_items_are_refused_and_leave_the_old_value() {
    let cache = Cache::builder(16 << 20).max_item_size(10_000).build().unwrap();
    assert_eq!(cache.max_item_size(), 10_000);
    cache.set("k", &[1; 9900], Attrs::new()).unwrap();
    let refused = Err(StoreError::TooLarge);
    assert_eq!(cache.set("k", &[2; 10_000], Attrs::new()), refused);
    assert_eq!(cache.reserve("k", 10_000, Attrs::new()).err(), refused.err());
    for mode in [Mode::Append, Mode::Prepend] {
        let joined = cache.store("k", &[3; 200], Attrs::new(), &in_mode(mode));
        assert_eq!(joined.err(), refused.err());
    }
    assert_eq!(cache.get("k").unwrap(), [1; 9900]);
    assert!(cache.stats().total.too_large >= 4);
}

#[test]
fn modes_look_at_what_is_there() {
    let done = |answer| matches!(answer, Ok(Stored::Done { .. }));
    let cache = cache();
    for mode in [Mode::Replace, Mode::Append, Mode::Prepend] {
        assert_eq!(store(&cache, "x", in_mode(mode)), Ok(Stored::NotStored), "{mode:?}");
        assert!(!cache.contains("k"));
    }
    assert!(done(store(&cache, "a", in_mode(Mode::Add))));
    assert_eq!(store(&cache, "b", in_mode(Mode::Add)), Ok(Stored::NotStored));
    assert!(done(store(&cache, "b", in_mode(Mode::Replace))));
    let appended = store(&cache, "cd", in_mode(Mode::Append));
    assert!(matches!(appended, Ok(Stored::Done { value_len: 3, .. })));
    assert!(done(store(&cache, "a", in_mode(Mode::Prepend))));
    assert_eq!(text(&cache, "k").as_deref(), Some("abcd"));
    assert!(done(store(&cache, "new", in_mode(Mode::Set))));
    assert_eq!(text(&cache, "k").as_deref(), Some("new"));
}

#[test]
fn joined_values_keep_their_attributes() {
    let cache = cache();
    let kept = Attrs::new().flags(5).expiry(Expiry::At(after(50))).marked(true);
    let other = Attrs::new().flags(6).expiry(Expiry::At(after(60)));
    let before = cache.set("k", b"b", kept).unwrap();
    for mode in [Mode::Append, Mode::Prepend] {
        cache.store("k", b"x", other, &in_mode(mode)).unwrap();
    }
    let meta = cache.peek("k").unwrap();
    assert_eq!((meta.flags, meta.expiry, meta.marked), (5, Some(after(50)), true));
    assert!(meta.version > before);
    let create = in_mode(Mode::Append).create(Expiry::At(after(70)));
    cache.store("new", b"x", other, &create).unwrap();
    let meta = cache.peek("new").unwrap();
    assert_eq!((meta.flags, meta.expiry), (6, Some(after(70))));
}

#[test]
fn a_version_changes_with_every_write_and_with_nothing_else() {
    let cache = cache();
    let mut last = 0;
    let mut changed = |what: &str| {
        let version = cache.peek("k").unwrap().version;
        let changed = version > last;
        assert!(changed || version == last, "{what}: versions must grow");
        last = version;
        changed
    };
    put(&cache, "k", "10");
    assert!(changed("set"));
    put(&cache, "k", "11");
    assert!(changed("overwriting"));
    cache.get("k");
    cache.touch("k", Expiry::At(after(9))).unwrap().unwrap();
    cache.touch("k", Expiry::Never).unwrap().unwrap();
    assert!(!changed("get and touch"));
    cache.count("k", &count(1, false)).unwrap();
    assert!(changed("count"));
    store(&cache, "5", in_mode(Mode::Append)).unwrap();
    assert!(changed("append"));
    cache.remove_with("k", &Remove::new().invalidate(true)).unwrap();
    assert!(changed("invalidate"));
    lease(&cache, Fetch::new());
    assert!(!changed("a lease"));
}

#[test]
fn compare_and_swap_needs_the_version() {
    let cache = cache();
    let expecting = |expected| Store::new().expected(expected);
    assert_eq!(store(&cache, "x", expecting(1)), Ok(Stored::NotFound));
    let version = put(&cache, "k", "old");
    assert_eq!(store(&cache, "x", expecting(version + 1)), Ok(Stored::VersionMismatch));
    assert_eq!(store(&cache, "x", expecting(version - 1)), Ok(Stored::VersionMismatch));
    for mode in [Mode::Append, Mode::Prepend, Mode::Replace] {
        let how = Store::mode(mode).expected(version + 7);
        assert_eq!(store(&cache, "x", how), Ok(Stored::VersionMismatch), "{mode:?}");
    }
    assert_eq!(text(&cache, "k").as_deref(), Some("old"));
    assert!(matches!(store(&cache, "new", expecting(version)), Ok(Stored::Done { .. })));
    assert_eq!(store(&cache, "x", expecting(version)), Ok(Stored::VersionMismatch));
    assert_eq!(text(&cache, "k").as_deref(), Some("new"));
}

#[test]
fn versions_can_be_given() {
    let cache = cache();
    for version in [1, 77, u64::MAX, 1 << 40, 5] {
        let how = Store::new().version(version);
        let stored = store(&cache, "12", how);
        let done =
            matches!(stored, Ok(Stored::Done { version: got, value_len: 2, .. }) if got == version);
        assert!(done, "{stored:?}");
        assert_eq!(cache.peek("k").unwrap().version, version);
        cache.touch("k", Expiry::At(after(100))).unwrap().unwrap();
        assert_eq!(cache.peek("k").unwrap().version, version, "a touch keeps it");
    }
    let counted = cache.count("k", &count(1, false).version(900));
    assert!(matches!(counted, Ok(Counted::Done { value: 13, meta, .. }) if meta.version == 900));
    let how = Remove::new().invalidate(true).version(901);
    cache.remove_with("k", &how).unwrap();
    assert_eq!(cache.peek("k").unwrap().version, 901);
}

#[test]
fn numbers_go_up_and_down() {
    const MAX: u64 = u64::MAX;
    for (before, down, delta, value, after) in [
        ("0", false, 1, 1, "1"),
        ("9", false, 1, 10, "10"),
        ("10", true, 1, 9, "9 "),
        ("1000", true, 999, 1, "1   "),
        ("5", true, 6, 0, "0"),
        ("18446744073709551615", false, 1, 0, "0                   "),
        ("5", false, MAX, 4, "4"),
        ("1", false, MAX - 1, MAX, "18446744073709551615"),
        ("  7", false, 1, 8, "8  "),
        ("+5", false, 1, 6, "6 "),
        ("12 x", false, 1, 13, "13  "),
        ("9   ", false, 1, 10, "10  "),
    ] {
        let cache = cache();
        put(&cache, "k", before);
        let counted = cache.count("k", &count(delta, down));
        let Ok(Counted::Done { value: got, meta, created: false, .. }) = counted else {
            panic!("{counted:?}")
        };
        assert_eq!(got, value, "{before:?}");
        assert_eq!(text(&cache, "k").as_deref(), Some(after), "{before:?}");
        assert_eq!(meta.value_len, after.len());
        assert_eq!(cache.peek("k").unwrap().version, meta.version);
    }
}

#[test]
fn what_is_no_number_is_not_counted() {
    for value in ["", " ", "x", "-12", "1x", "+", "18446744073709551616", "999999999999999999999"] {
        let cache = cache();
        let version = put(&cache, "k", value);
        assert_eq!(cache.count("k", &count(1, false)), Err(CountError::NotANumber), "{value:?}");
        assert_eq!(cache.peek("k").unwrap().version, version);
        assert_eq!(text(&cache, "k").as_deref(), Some(value));
    }
}

#[test]
fn a_number_with_a_long_tail_keeps_its_length() {
    let cache = cache();
    for len in [30, 61, 62, 1000, 100_000, (512 << 10) - 3] {
        put(&cache, "k", &format!("12 {}", "x".repeat(len)));
        assert!(matches!(cache.count("k", &count(1, true)), Ok(Counted::Done { value: 11, .. })));
        assert_eq!(text(&cache, "k"), Some(format!("11{}", " ".repeat(len + 1))));
    }
    let longer = format!("12 {}", "x".repeat((512 << 10) - 2));
    put(&cache, "k", &longer);
    assert_eq!(cache.count("k", &count(1, false)), Err(CountError::NotANumber));
    assert_eq!(text(&cache, "k"), Some(longer));
}

#[test]
fn a_number_may_begin_late() {
    let cache = cache();
    for filling in [" ", "0"] {
        for len in [0, 62, 63, 64, 65, 5000] {
            put(&cache, "k", &format!("{}41", filling.repeat(len)));
            let counted = cache.count("k", &count(1, false));
            assert!(matches!(counted, Ok(Counted::Done { value: 42, .. })), "{len}: {counted:?}");
            assert_eq!(text(&cache, "k"), Some(format!("42{}", " ".repeat(len))));
        }
    }
}

#[test]
fn to_count_is_no_reading() {
    let (cache, clock) = cache_with_clock();
    cache.track_access_exactly();
    for number in ["1", "9"] {
        put(&cache, "k", number);
        clock.advance(secs(5));
        cache.count("k", &count(1, false)).unwrap();
        let meta = cache.peek("k").unwrap();
        assert_eq!((meta.fetched, meta.last_access), (false, cache.now()), "{number}");
        cache.get("k");
        cache.count("k", &count(100_000, false)).unwrap();
        assert!(cache.peek("k").unwrap().fetched, "{number}");
    }
}

#[test]
fn counting_can_create_touch_and_compare() {
    let cache = cache();
    assert_eq!(cache.count("k", &count(1, false)), Ok(Counted::NotFound));
    let attrs = Attrs::new().flags(3).expiry(Expiry::At(after(10))).marked(true);
    let create = count(1, false).initial(41, attrs);
    let created = cache.count("k", &create);
    assert!(matches!(created, Ok(Counted::Done { value: 41, created: true, .. })), "{created:?}");
    let meta = cache.peek("k").unwrap();
    assert_eq!((meta.flags, meta.expiry, meta.marked), (3, Some(after(10)), true));
    let counted = cache.count("k", &create);
    assert!(matches!(counted, Ok(Counted::Done { value: 42, created: false, .. })), "{counted:?}");
    let touch = count(1, false).touch(Expiry::At(after(20)));
    cache.count("k", &touch).unwrap();
    let meta = cache.peek("k").unwrap();
    assert_eq!((meta.flags, meta.expiry), (3, Some(after(20))));
    let expecting = |expected| count(1, false).expected(expected);
    assert_eq!(cache.count("k", &expecting(meta.version + 1)), Ok(Counted::VersionMismatch));
    assert!(matches!(cache.count("k", &expecting(meta.version)), Ok(Counted::Done { .. })));
    assert_eq!(text(&cache, "k").as_deref(), Some("44"));
}

#[test]
fn removing_can_compare() {
    let cache = cache();
    let expecting = |expected| Remove::new().expected(expected);
    assert_eq!(cache.remove_with("k", &Remove::new()), Ok(Removed::NotFound));
    let version = put(&cache, "k", "v");
    assert_eq!(cache.remove_with("k", &expecting(version + 1)), Ok(Removed::VersionMismatch));
    assert!(cache.contains("k"));
    let removed = cache.remove_with("k", &expecting(version));
    assert!(matches!(removed, Ok(Removed::Done(meta)) if meta.version == version));
    assert!(!cache.contains("k"));
    put(&cache, "k", "v");
    assert!(cache.delete("k"));
    assert!(!cache.delete("k"));
}

#[test]
fn an_invalidated_value_is_renewed_by_one_reader() {
    let cache = cache();
    put(&cache, "k", "v");
    let how = Remove::new().invalidate(true).touch(Expiry::At(after(30)));
    cache.remove_with("k", &how).unwrap();
    assert_eq!(cache.peek("k").unwrap().expiry, Some(after(30)));
    let outsider = cache.fetch("k", &Fetch::new(), &mut Vec::new(), |_, _| {});
    assert!(matches!(outsider, Fetched::Copied(Hit { won: false, .. })));
    let first = lease(&cache, Fetch::new());
    assert!(first.won);
    assert_eq!(marks(first.meta.lease), (true, false));
    let second = lease(&cache, Fetch::new());
    assert!(!second.won);
    assert_eq!(marks(second.meta.lease), (true, true));
    assert_eq!(text(&cache, "k").as_deref(), Some("v"));
    put(&cache, "k", "w");
    let renewed = lease(&cache, Fetch::new());
    assert!(!renewed.won);
    assert_eq!(renewed.meta.lease, Lease::default());
}

#[test]
fn a_cleared_value_is_empty_and_has_the_new_flags() {
    let cache = Cache::builder(16 << 20).max_item_size(4 << 20).max_key_len(300).build().unwrap();
    let long_key = "k".repeat(300);
    for (key, len) in [("k", 5), ("k", 0), (&long_key, 0), (&long_key, 1 << 20)] {
        for (flags, new_flags) in [(9, 7), (9, 0), (0, 7)] {
            cache.set(key, &vec![b'v'; len], Attrs::new().flags(flags)).unwrap();
            let how = Remove::new().clear(true).invalidate(true).flags(new_flags);
            let removed = cache.remove_with(key, &how);
            let Ok(Removed::Done(meta)) = removed else { panic!("{removed:?}") };
            assert_eq!((meta.value_len, meta.flags), (len, flags));
            let meta = cache.peek(key).unwrap();
            assert_eq!((meta.value_len, meta.flags, meta.lease.stale), (0, new_flags, true));
            assert_eq!(cache.get(key).as_deref(), Some(&b""[..]));
        }
    }
}

#[test]
fn a_value_about_to_end_is_renewed_by_one_reader() {
    let (cache, clock) = cache_with_clock();
    let attrs = Attrs::new().expiry(Expiry::At(after(100)));
    cache.set("k", b"v", attrs).unwrap();
    let soon = Fetch::new().renew_within(secs(30));
    assert!(!lease(&cache, soon).won);
    clock.advance(secs(70));
    assert!(!lease(&cache, soon).won, "exactly 30 seconds are not fewer");
    clock.advance(secs(1));
    assert!(!lease(&cache, Fetch::new()).won);
    assert!(lease(&cache, soon).won);
    let second = lease(&cache, soon);
    assert!(!second.won);
    assert_eq!(marks(second.meta.lease), (false, true));
    put(&cache, "k", "never ends");
    assert!(!lease(&cache, soon).won);
}

#[test]
fn a_missing_value_is_made_by_one_reader() {
    let cache = cache();
    let create = Fetch::new().create(Expiry::At(after(5))).marked(true);
    let fetched = cache.fetch("k", &create, &mut Vec::new(), |_, _| {});
    assert!(matches!(fetched, Fetched::Miss(Miss::Absent)), "only with a lease");
    let first = lease(&cache, create);
    assert!(first.won && first.created && first.meta.marked);
    assert!(!first.meta.fetched && cache.peek("k").unwrap().fetched, "by this first lookup");
    assert_eq!((first.meta.value_len, first.meta.expiry), (0, Some(after(5))));
    let second = lease(&cache, create);
    assert!(!second.won && !second.created && second.meta.lease.taken);
    put(&cache, "k", "made");
    assert_eq!(lease(&cache, create).meta.lease, Lease::default());
}

#[test]
fn an_older_version_is_stored_as_stale_if_allowed() {
    let cache = cache();
    let attrs = Attrs::new().expiry(Expiry::At(after(100)));
    cache.set("k", b"v", attrs).unwrap();
    cache.remove_with("k", &Remove::new().invalidate(true)).unwrap();
    assert!(lease(&cache, Fetch::new()).won);
    let version = cache.peek("k").unwrap().version;
    let how = |expected| Store::new().expected(expected).allow_stale(true);
    assert_eq!(store(&cache, "x", how(version + 1)), Ok(Stored::VersionMismatch));
    assert!(matches!(store(&cache, "late", how(version - 1)), Ok(Stored::Done { .. })));
    let meta = cache.peek("k").unwrap();
    assert_eq!(marks(meta.lease), (true, true));
    assert_eq!(meta.expiry, Some(after(100)));
    assert_eq!(text(&cache, "k").as_deref(), Some("late"));
    let append = Store::append().expected(meta.version - 1).allow_stale(true);
    assert_eq!(store(&cache, "more", append), Ok(Stored::VersionMismatch));
    assert!(matches!(store(&cache, "y", how(meta.version)), Ok(Stored::Done { .. })));
    let meta = cache.peek("k").unwrap();
    assert_eq!((meta.lease, meta.expiry), (Lease::default(), None));
}

#[test]
fn without_an_item_an_expected_version_matters_only_to_set_and_replace() {
    let how = |mode| Store::mode(mode).expected(1);
    for (mode, answer) in [
        (Mode::Set, Stored::NotFound),
        (Mode::Replace, Stored::NotFound),
        (Mode::Append, Stored::NotStored),
        (Mode::Prepend, Stored::NotStored),
    ] {
        assert_eq!(store(&cache(), "v", how(mode)), Ok(answer), "{mode:?}");
    }
    assert!(matches!(store(&cache(), "v", how(Mode::Add)), Ok(Stored::Done { .. })));
    let counted = cache().count("n", &count(1, false).expected(1).initial(7, Attrs::new()));
    assert!(matches!(counted, Ok(Counted::Done { value: 7, created: true, .. })), "{counted:?}");
}

#[test]
fn a_use_is_noted_and_a_peek_is_not() {
    let (cache, clock) = cache_with_clock();
    cache.track_access_exactly();
    put(&cache, "k", "v");
    clock.advance(secs(5));
    let peek = Fetch::new().peek(true);
    cache.fetch("k", &peek, &mut Vec::new(), |_, _| {});
    let meta = cache.peek("k").unwrap();
    assert_eq!((meta.fetched, meta.last_access), (false, START));
    let mut out = Vec::new();
    let before = cache.get_into("k", &mut out).unwrap();
    assert_eq!((before.fetched, before.last_access), (false, START));
    for _ in 0..10 {
        cache.get("k");
    }
    let meta = cache.peek("k").unwrap();
    assert_eq!((meta.fetched, meta.last_access), (true, after(5)));
    put(&cache, "k", "w");
    assert!(!cache.peek("k").unwrap().fetched, "the new value was not read yet");
    cache.get("k");
    assert!(cache.peek("k").unwrap().fetched);
}

#[test]
fn large_values_come_as_handles_if_asked_for() {
    let cache = cache();
    cache.set("k", &[1; 1000], Attrs::new()).unwrap();
    for (inline_max, is_pinned) in [(0, true), (999, true), (1000, false)] {
        let mut out = Vec::new();
        let how = Fetch::new().inline_max(inline_max);
        match cache.fetch("k", &how, &mut out, |_, out| out.push(b'h')) {
            Fetched::Pinned(hit, handle) if is_pinned => {
                assert!(out.is_empty());
                assert_eq!((hit.meta.value_len, handle.to_vec()), (1000, vec![1; 1000]));
            }
            Fetched::Copied(_) if !is_pinned => assert_eq!(out.len(), 1001),
            other => panic!("{inline_max}: {other:?}"),
        }
    }
}

#[test]
fn no_more_is_pinned_than_allowed() {
    let cache = Cache::builder(16 << 20).pin_limit(1 << 20).build().unwrap();
    let how = Fetch::new().inline_max(0);
    let mut handles = Vec::new();
    for key in 0..30_u32 {
        let name = key.to_le_bytes();
        cache.set(name, &vec![key as u8; 100_000], Attrs::new()).unwrap();
        match cache.fetch(name, &how, &mut Vec::new(), |_, _| {}) {
            Fetched::Pinned(_, handle) => handles.push(handle),
            Fetched::Busy(hit) => assert_eq!(hit.meta.value_len, 100_000),
            other => panic!("{other:?}"),
        }
        assert!(cache.stats().pinned_bytes <= 1 << 20);
        let copied = cache.get_handle(name).expect("a copy, if it can't be pinned");
        assert_eq!(copied.to_vec(), vec![key as u8; 100_000]);
    }
    assert!((2..=11).contains(&handles.len()), "{} are pinned", handles.len());
    handles.clear();
    assert_eq!(cache.stats().pinned_bytes, 0);
}

/// A value that is larger than the usual share can be pinned all the same, but not two of them.
#[test]
fn the_last_value_pinned_may_exceed_the_usual_share() {
    let cache = Cache::builder(32 << 20).max_item_size(16 << 20).build().unwrap();
    for key in ["a", "b"] {
        cache.set(key, &vec![b'x'; 6 << 20], Attrs::new()).unwrap();
    }
    let how = Fetch::new().inline_max(0);
    let fetch = |key, how: Fetch| cache.fetch(key, &how, &mut Vec::new(), |_, _| {});
    assert!(matches!(fetch("a", how.pins(false)), Fetched::Busy(_)));
    let Fetched::Pinned(_, first) = fetch("a", how) else { panic!("it was not pinned") };
    assert!(matches!(fetch("b", how), Fetched::Busy(_)));
    // The same value needs no more memory.
    assert!(matches!(fetch("a", how), Fetched::Pinned(..)));
    drop(first);
    assert!(matches!(fetch("b", how), Fetched::Pinned(..)));
}

#[test]
fn a_lookup_that_finds_no_room_changes_nothing() {
    let clock = ManualClock::new(START);
    let builder = Cache::builder(16 << 20).pin_limit(0).clock(clock.clone());
    let cache = builder.build().unwrap();
    cache.set("k", &[1; 20_000], Attrs::new()).unwrap();
    cache.remove_with("k", &memcore::Remove::new().invalidate(true)).unwrap();
    let before = cache.peek("k").unwrap();
    let hits = cache.stats().total.hits_main + cache.stats().total.hits_small;
    let touch = Expiry::At(after(100));
    for how in [Fetch::new(), Fetch::new().lease(true), Fetch::new().lease(true).touch(touch)] {
        let fetched = cache.fetch("k", &how.inline_max(0), &mut Vec::new(), |_, _| {});
        assert!(matches!(fetched, Fetched::Busy(hit) if !hit.won), "{fetched:?}");
        assert_eq!(cache.peek("k").unwrap(), before);
    }
    let total = cache.stats().total;
    assert_eq!(total.hits_main + total.hits_small, hits);
}

#[test]
fn a_handle_tells_of_the_time_before_it_was_taken() {
    for pin_limit in [0, 1 << 20] {
        let clock = ManualClock::new(START);
        let builder = Cache::builder(16 << 20).pin_limit(pin_limit).clock(clock.clone());
        let cache = builder.build().unwrap();
        cache.track_access_exactly();
        cache.set("k", &[1; 20_000], Attrs::new()).unwrap();
        clock.advance(secs(5));
        let told = [(false, START), (true, after(5))];
        for told in told {
            let meta = *cache.get_handle("k").unwrap().meta();
            assert_eq!((meta.fetched, meta.last_access), told, "{pin_limit}");
        }
    }
}

#[test]
fn handles_outlive_their_key() {
    let cache = cache();
    for end in ["delete", "overwrite", "flush", "append"] {
        cache.set("k", &[1; 5000], Attrs::new()).unwrap();
        let handle = cache.get_handle("k").unwrap();
        match end {
            "delete" => assert!(cache.delete("k")),
            "overwrite" => assert!(cache.set("k", &[2; 5000], Attrs::new()).is_ok()),
            "flush" => cache.flush(),
            _ => assert!(store(&cache, "more", in_mode(Mode::Append)).is_ok()),
        }
        cache.set("other", &[3; 5000], Attrs::new()).unwrap();
        assert_eq!(handle.to_vec(), [1; 5000], "{end}");
    }
}

#[test]
fn a_value_in_two_phases_appears_when_it_is_complete() {
    let cache = cache();
    put(&cache, "k", "old");
    let mut place = cache.reserve("k", 200_000, Attrs::new().flags(4)).unwrap();
    assert_eq!(place.remaining(), 200_000);
    assert_eq!(place.write(&[1; 150_000]), 150_000);
    assert_eq!(text(&cache, "k").as_deref(), Some("old"));
    assert_eq!(place.write(&[1; 150_000]), 50_000, "no more than is owed");
    assert_eq!(place.remaining(), 0);
    assert_eq!(text(&cache, "k").as_deref(), Some("old"));
    let stored = place.commit(&Store::new());
    assert!(matches!(stored, Ok(Stored::Done { value_len: 200_000, .. })));
    assert_eq!(cache.get("k").unwrap(), vec![1; 200_000]);
    assert_eq!(cache.peek("k").unwrap().flags, 4);
}

#[test]
fn a_value_in_two_phases_obeys_conditions() {
    let cache = cache();
    let arrived = |how: &Store| {
        let mut place = cache.reserve("k", 3, Attrs::new()).unwrap();
        place.write(b"new");
        place.commit(how)
    };
    assert_eq!(arrived(&in_mode(Mode::Replace)), Ok(Stored::NotStored));
    put(&cache, "k", "old");
    assert_eq!(arrived(&in_mode(Mode::Add)), Ok(Stored::NotStored));
    assert_eq!(text(&cache, "k").as_deref(), Some("old"));
    arrived(&in_mode(Mode::Append)).unwrap();
    assert_eq!(text(&cache, "k").as_deref(), Some("oldnew"));
    let how = Store::new().expected(1 << 50);
    assert_eq!(arrived(&how), Ok(Stored::VersionMismatch));
    drop(cache.reserve("k", 3, Attrs::new()).unwrap());
    assert_eq!(text(&cache, "k").as_deref(), Some("oldnew"), "nothing comes of an abandoned one");
}

#[test]
#[should_panic(expected = "filled")]
fn an_incomplete_value_is_not_committed() {
    let mut place = cache().reserve("k", 3, Attrs::new()).unwrap();
    place.write(b"ne");
    let _ = place.commit(&Store::new());
}

#[test]
fn a_scan_visits_everything_once() {
    let cache = cache();
    for key in 0..5000_u32 {
        cache.set(key.to_le_bytes(), b"v", Attrs::new().flags(key)).unwrap();
    }
    for at_least in [0, 1, 100, usize::MAX] {
        let mut seen = vec![0; 5000];
        let mut cursor = Cursor::default();
        while cache.scan(&mut cursor, at_least, |key, meta| {
            assert_eq!(key, meta.flags.to_le_bytes());
            seen[meta.flags as usize] += 1;
            assert!(cache.contains(key), "the cache can be used meanwhile");
        }) {}
        assert!(seen.iter().all(|count| *count == 1));
    }
}

#[test]
fn a_scan_misses_nothing_that_stays_while_others_come_and_go() {
    let cache = cache();
    for key in 0..2000_u32 {
        cache.set(key.to_le_bytes(), b"stays", Attrs::new()).unwrap();
    }
    let mut seen = vec![false; 2000];
    let mut cursor = Cursor::default();
    let mut other = 10_000_u32;
    while cache.scan(&mut cursor, 20, |key, _| {
        let key = u32::from_le_bytes(key.try_into().unwrap()) as usize;
        if key < seen.len() {
            seen[key] = true;
        }
    }) {
        for _ in 0..100 {
            cache.set(other.to_le_bytes(), b"goes", Attrs::new()).unwrap();
            cache.delete((other - 50).to_le_bytes());
            other += 1;
        }
    }
    assert!(seen.iter().all(|seen| *seen));
}

#[test]
fn removals_are_told_with_their_cause() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let clock = ManualClock::new(START);
    let sink = Arc::clone(&log);
    let cache = Cache::builder(8 << 20)
        .clock(clock.clone())
        .on_removal(move |_, removal| {
            sink.lock().unwrap().push((removal.cause, removal.key.to_vec()));
        })
        .build()
        .unwrap();
    let told = || std::mem::take(&mut *log.lock().unwrap());
    put(&cache, "a", "1");
    put(&cache, "a", "2");
    put(&cache, "a", "longer");
    assert_eq!(told(), vec![(Cause::Replaced, b"a".to_vec()); 2]);
    cache.delete("a");
    assert_eq!(told(), [(Cause::Deleted, b"a".to_vec())]);
    cache.set("b", b"1", Attrs::new().expiry(Expiry::At(after(1)))).unwrap();
    clock.advance(secs(1));
    put(&cache, "b", "2");
    assert_eq!(told(), [(Cause::Expired, b"b".to_vec())]);
    cache.flush();
    put(&cache, "b", "3");
    assert_eq!(told(), [(Cause::Flushed, b"b".to_vec())]);
    for key in 0..20_000_u32 {
        cache.set(key.to_le_bytes(), &[0; 1000], Attrs::new()).unwrap();
    }
    let evicted = told();
    assert_eq!(evicted.len() as u64, cache.stats().total.evicted);
    assert!(evicted.len() > 10_000);
    assert!(evicted.iter().all(|(cause, _)| *cause == Cause::Evicted));
}

#[test]
fn statistics_count_and_are_reset() {
    let (cache, clock) = cache_with_clock();
    put(&cache, "k", "v");
    cache.set("e", b"v", Attrs::new().expiry(Expiry::At(after(1)))).unwrap();
    cache.get("k");
    cache.get("none");
    clock.advance(secs(1));
    cache.get("e");
    cache.delete("k");
    put(&cache, "k", "w");
    put(&cache, "k", "x");
    cache.flush();
    cache.get("k");
    let total = cache.stats().total;
    assert_eq!((total.stored, total.replaced, total.deleted), (4, 1, 1));
    assert_eq!((total.hits_small + total.hits_main, total.misses), (1, 3));
    assert_eq!((total.misses_expired, total.misses_flushed), (1, 1));
    cache.reset_stats();
    let after = cache.stats();
    assert_eq!((after.total.stored, after.total.misses, after.total.deleted), (0, 0, 0));
    assert_eq!((after.total.items, after.total.bytes), (total.items, total.bytes));
    assert_eq!(after.limit, 16 << 20);
    assert!(!after.classes.is_empty());
    assert!(after.classes.windows(2).all(|pair| pair[0].item_max < pair[1].item_max));
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let least = match Cache::new(1000) {
        Err(ConfigError::LimitTooSmall { limit: 1000, least }) => least,
        other => panic!("{other:?}"),
    };
    assert!(least <= 8 << 20);
    Cache::new(least).expect("the least limit works");
    for (limit, max, most) in [
        (16 << 20, (8 << 20) + 1, 8 << 20),
        (64 << 20, usize::MAX, 32 << 20),
        (4_usize << 30, (1 << 30) + 1, 1 << 30),
    ] {
        let refused = Cache::builder(limit).max_item_size(max).build().err();
        assert_eq!(refused, Some(ConfigError::ItemTooLarge { max, most }));
    }
    let cache = Cache::builder(8 << 20).max_limit(16 << 20).build().unwrap();
    cache.set_limit(16 << 20).unwrap();
    let refused = cache.set_limit((16 << 20) + 1);
    assert!(matches!(refused, Err(ConfigError::LimitTooLarge { .. })), "{refused:?}");
    let refused = cache.set_limit(1000);
    assert!(matches!(refused, Err(ConfigError::LimitTooSmall { limit: 1000, .. })), "{refused:?}");
    assert_eq!(cache.stats().limit, 16 << 20, "a refused limit changes nothing");
}

#[test]
fn clones_share_and_caches_do_not() {
    let (one, two) = (cache(), cache());
    let same = one.clone();
    put(&one, "k", "v");
    assert_eq!(text(&same, "k").as_deref(), Some("v"));
    assert!(!two.contains("k"));
    drop(one);
    assert_eq!(text(&same, "k").as_deref(), Some("v"));
}
