//! Random sequences of all operations, with a restart now and then.

use std::path::PathBuf;

use memcore::{Attrs, Cache, Restored};
use proptest::prelude::*;

use super::common::pair::Pair;
use super::model::{cases, op};

/// Where a test may keep a file, which it removes itself.
fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("memcore-{name}-{}", std::process::id()))
}

/// Runs `ops`, restarting before each `every` of them.
fn run(mut pair: Pair, ops: &[super::common::pair::Op], every: usize, name: &str) {
    let path = scratch(name);
    // A case that failed leaves its file.
    let _ = std::fs::remove_file(&path);
    for ops in ops.chunks(every) {
        pair.restart(&path);
        for op in ops {
            pair.run(op);
        }
        pair.check();
    }
    pair.finish();
    std::fs::remove_file(path).expect("the file is there");
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn every_answer_after_a_restart_is_the_oracles(
        seed in any::<u64>(),
        ops in proptest::collection::vec(op(8, 300 << 10), 1..80),
    ) {
        run(Pair::new(64 << 20, 8, false, seed), &ops, 10, "whole");
    }
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn a_full_cache_goes_on_after_each_restart(
        seed in any::<u64>(),
        ops in proptest::collection::vec(op(96, 400 << 10), 400..600),
    ) {
        run(Pair::new(8 << 20, 96, true, seed), &ops, 60, "full");
    }
}

#[test]
fn tags_are_counted_as_before() {
    let path = scratch("tags");
    let _ = std::fs::remove_file(&path);
    let open = || Cache::builder(8 << 20).memory_file(&path).build().unwrap();
    let mut cache = open();
    for round in 0..6_u32 {
        for number in 0..200_u32 {
            let tags = [number % 7, number % 11, number / 50].map(|tag| format!("{round} {tag}"));
            let (tagged, key) =
                (cache.tagged(&tags).unwrap(), (number * (round + 1)).to_le_bytes());
            tagged.set(key, b"v", Attrs::new()).unwrap();
        }
        // Of each round some tags end, and others have no items any more.
        assert!(cache.invalidate_tag(format!("{round} 3")));
        (0..200_u32).step_by(7).for_each(|number| _ = cache.delete(number.to_le_bytes()));
        let (items, used) = (cache.stats().total.items, cache.stats().used);
        cache.close().unwrap();
        cache = open();
        assert_eq!(cache.restored(), Some(&Restored::Items(items)));
        assert!(cache.stats().used <= used);
        cache.validate();
    }
    std::fs::remove_file(path).unwrap();
}
