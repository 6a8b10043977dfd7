//! Random sequences of all operations, compared with an oracle after every step.

use std::path::Path;

use super::common::model::{Model, secs};
use super::common::ops::engine_ops;
use super::common::pair::{CURRENT, MAX_ITEM, NUMBERS, Op, Pair, START, Text, in_seconds};
use memcore::{Attrs, Count, Expiry, Fetch, Mode, Remove, Store, StoreError};
use proptest::prelude::*;
use proptest::sample::select;

fn expiry() -> impl Strategy<Value = Expiry> {
    prop_oneof![3 => Just(Expiry::Never), 3 => (1..40_u32).prop_map(in_seconds),
        1 => Just(in_seconds(0))]
}

fn attrs() -> impl Strategy<Value = Attrs> {
    (prop_oneof![Just(0), any::<u32>()], expiry(), any::<bool>())
        .prop_map(|(flags, expiry, marked)| Attrs::new().flags(flags).expiry(expiry).marked(marked))
}

fn value(most: usize) -> impl Strategy<Value = Text> {
    let bytes = |len: std::ops::Range<usize>| {
        (len, any::<u8>()).prop_map(|(len, salt)| Text::of(len, salt))
    };
    prop_oneof![
        6 => bytes(0..40),
        3 => select(&NUMBERS[..]).prop_map(|text| Text(text.as_bytes().to_vec())),
        3 => bytes(0..3000),
        2 => bytes(0..40_000.min(most)),
        1 => bytes(0..most),
    ]
}

fn version() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![6 => Just(None), 1 => (1..60_u64).prop_map(Some),
        1 => any::<u64>().prop_map(|version| Some(version.max(1)))]
}

fn expected() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![4 => Just(None), 2 => Just(Some(CURRENT)), 1 => (0..5_u64).prop_map(Some)]
}

fn write() -> impl Strategy<Value = Store> {
    use Mode::*;
    (
        select(&[Set, Set, Set, Add, Replace, Append, Append, Prepend][..]),
        expected(),
        version(),
        any::<bool>(),
        proptest::option::of(expiry()),
    )
        .prop_map(|(mode, expected, version, allow_stale, create)| {
            Store::mode(mode)
                .expected(expected)
                .version(version)
                .allow_stale(allow_stale)
                .create(create)
        })
}

fn fetch() -> impl Strategy<Value = Fetch> {
    use memcore::Value::*;

    (
        select(&[0, 100, 8192, usize::MAX][..]),
        prop_oneof![3 => Just(Deliver), 1 => Just(Skip), 1 => Just(UnlessVersion(0))],
        proptest::bool::weighted(0.2),
        proptest::option::weighted(0.2, expiry()),
        any::<bool>(),
        proptest::option::of((0..50_u32).prop_map(secs)),
        proptest::option::weighted(0.3, expiry()),
        any::<bool>(),
    )
        .prop_map(|(inline_max, value, peek, touch, lease, renew_within, create, marked)| {
            Fetch::new()
                .inline_max(inline_max)
                .value(value)
                .peek(peek)
                .touch(touch)
                .lease(lease)
                .renew_within(renew_within)
                .create(create)
                .marked(marked)
        })
}

fn count() -> impl Strategy<Value = Count> {
    (
        prop_oneof![0..20_u64, any::<u64>()],
        any::<bool>(),
        expected(),
        version(),
        proptest::option::weighted(0.2, expiry()),
        proptest::option::weighted(0.3, (any::<u64>(), attrs())),
    )
        .prop_map(|(delta, down, expected, version, touch, initial)| {
            let how = Count::increment(delta).down(down).expected(expected);
            let mut how = how.version(version).touch(touch);
            how.initial = initial;
            how
        })
}

fn remove() -> impl Strategy<Value = Remove> {
    (expected(), any::<bool>(), any::<bool>(), proptest::option::of(expiry()), version()).prop_map(
        |(expected, invalidate, clear, touch, version)| {
            Remove::new()
                .expected(expected)
                .invalidate(invalidate)
                .clear(clear)
                .touch(touch)
                .version(version)
        },
    )
}

pub(super) fn op(keys: usize, most: usize) -> impl Strategy<Value = Op> {
    let key = 0..keys;
    prop_oneof![
        8 => (key.clone(), fetch()).prop_map(|(key, how)| Op::Fetch(key, how)),
        2 => key.clone().prop_map(Op::GetHandle),
        1 => any::<usize>().prop_map(Op::DropHandle),
        1 => proptest::collection::vec(key.clone(), 0..40).prop_map(Op::GetMany),
        12 => (key.clone(), value(most), attrs(), write())
            .prop_map(|(key, value, attrs, how)| Op::Store(key, value, attrs, how)),
        2 => (key.clone(), value(most), attrs())
            .prop_map(|(key, value, attrs)| Op::Begin(key, value, attrs)),
        3 => (any::<usize>(), 0..most).prop_map(|(which, len)| Op::Fill(which, len)),
        2 => (any::<usize>(), write()).prop_map(|(which, how)| Op::Commit(which, how)),
        1 => any::<usize>().prop_map(Op::Abandon),
        4 => (key.clone(), count()).prop_map(|(key, how)| Op::Count(key, how)),
        2 => (key.clone(), expiry()).prop_map(|(key, expiry)| Op::Touch(key, expiry)),
        3 => (key, remove()).prop_map(|(key, how)| Op::Remove(key, how)),
        1 => Just(Op::Flush),
        1 => (1..30_u32).prop_map(Op::FlushAt),
        3 => (1..10_u32).prop_map(Op::Advance),
        1 => (0..9_usize).prop_map(Op::Scan),
        2 => (0..100_usize).prop_map(Op::Maintain),
        1 => (2..64_usize).prop_map(Op::SetLimit),
    ]
}

/// So many cases, unless `PROPTEST_CASES` asks for another number.
pub(super) fn cases(cases: u32) -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let cases = std::env::var_os("PROPTEST_CASES").map_or(cases, |_| default.cases);
    ProptestConfig { cases, ..default }
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn every_answer_is_the_oracles(
        seed in any::<u64>(),
        ops in proptest::collection::vec(op(8, 300 << 10), 1..80),
    ) {
        let mut pair = Pair::new(64 << 20, 8, false, seed);
        for op in &ops {
            pair.run(op);
            pair.check();
        }
        pair.finish();
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn under_pressure_answers_are_right_or_misses(
        seed in any::<u64>(),
        ops in proptest::collection::vec(op(96, 400 << 10), 400..600),
    ) {
        let mut pair = Pair::new(8 << 20, 96, true, seed);
        for (i, op) in ops.iter().enumerate() {
            pair.run(op);
            if i % 8 == 0 {
                pair.check();
            }
        }
        pair.finish();
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn where_nothing_is_evicted_what_is_refused_changes_nothing(
        seed in any::<u64>(),
        len in prop_oneof![Just(1_500_usize), Just(5_000), Just(30_000)],
        ops in proptest::collection::vec(op(200, 30_000), 200..400),
    ) {
        let mut pair = Pair::filling(1 << 20, 200, seed);
        pair.fill_up(len);
        for (i, op) in ops.iter().enumerate() {
            pair.run(op);
            if i % 8 == 0 {
                pair.check();
            }
        }
        pair.finish();
    }
}

#[test]
fn the_oracle_refuses_what_no_cache_can_hold() {
    let model = Model::new(START, MAX_ITEM);
    assert_eq!(model.admit(b"", 0), Err(StoreError::BadKey));
    assert_eq!(model.admit(&[b'k'; 251], 0), Err(StoreError::BadKey));
    assert_eq!(model.admit(b"k", MAX_ITEM), Err(StoreError::TooLarge));
    assert_eq!(model.admit(b"k", MAX_ITEM - 1), Ok(()));
}

#[test]
fn the_corpus_of_the_fuzz_target_finds_nothing() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    if !fuzz.exists() {
        // A crate that was unpacked alone has no fuzz targets.
        return;
    }
    let corpus = fuzz.join("corpus/engine_ops");
    let inputs: Vec<_> = std::fs::read_dir(corpus).unwrap().collect();
    assert!(inputs.len() >= 12, "only {} inputs", inputs.len());
    for input in inputs {
        let path = input.unwrap().path();
        println!("{}", path.display());
        engine_ops(&std::fs::read(path).unwrap());
    }
}
