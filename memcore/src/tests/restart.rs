//! Random sequences of all operations, with a restart now and then.

use std::path::PathBuf;

use memcore::{Attrs, Cache, Restored};
use proptest::prelude::*;

use super::common::damage::{Flips, pages_in_use};
use super::common::pair::{Op, Pair};
use super::model::{cases, op};

/// Where a test may keep a file, which it removes itself.
fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("memcore-{name}-{}", std::process::id()))
}

/// Runs `ops`, restarting before each `every` of them.
pub(super) fn run(mut pair: Pair, ops: &[Op], every: usize, name: &str) {
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

/// A key's value of a generation: nothing else has these bytes.
fn value(key: u32, generation: u32) -> Vec<u8> {
    let len = match key % 40 {
        0 => 60_000,
        1 => 9_000,
        _ => 40 + key as usize % 300,
    };
    let seed = key.wrapping_mul(31).wrapping_add(generation.wrapping_mul(1_009));
    let pattern: Vec<u8> = (0..251).map(|at| (seed.wrapping_add(at * 7) >> 3) as u8).collect();
    pattern.iter().copied().cycle().take(len).collect()
}

/// Damaged segments give nothing wrong, whatever is done first, and their memory is used again.
#[test]
fn damaged_segments_are_lost_whatever_is_done_first() {
    const KEYS: u32 = 600;
    let path = scratch("damage");
    let _ = std::fs::remove_file(&path);
    let open = || Cache::builder(6 << 20).memory_file(&path).build().unwrap();
    let key = |number: u32| number.to_be_bytes();
    let mut lost = 0;
    for round in 0..12_u32 {
        let cache = open();
        cache.flush();
        for number in 0..KEYS {
            cache.set(key(number), &value(number, 0), Attrs::new()).unwrap();
        }
        cache.close().unwrap();
        // Where that is the first page, or the state at the end, the cache begins empty.
        let mut flips = Flips::new(pages_in_use(&path), u64::from(round) * 77 + 5);
        for _ in 0..[1, 2, 8, 60][round as usize % 4] {
            flips.flip(&path);
        }
        let cache = open();
        let mut generations = vec![0; KEYS as usize];
        for number in (0..KEYS).filter(|number| number % 5 == round % 5) {
            match round / 4 % 3 {
                0 => {
                    cache.set(key(number), &value(number, 1), Attrs::new()).unwrap();
                    generations[number as usize] = 1;
                }
                1 => _ = cache.get(key(number)),
                _ => _ = cache.delete(key(number)),
            }
        }
        let check = |all: bool| {
            for number in 0..KEYS {
                let generation = generations[number as usize];
                let found = cache.get(key(number));
                assert!(
                    found.as_ref().is_none_or(|found| *found == value(number, generation)),
                    "round {round}: key {number}"
                );
                assert!(!all || generation == 0 || found.is_some(), "round {round}: {number} gone");
            }
        };
        check(true);
        if round % 2 == 0 {
            while cache.maintain(64) {}
            // Of a new value that took the place of an old one, a part may lie in what was lost.
            check(false);
            cache.validate();
        }
        // More than fits: all segments are emptied in turn.
        for number in 0..20_000_u32 {
            cache.set((1 << 30 | number).to_be_bytes(), &[7; 400], Attrs::new()).unwrap();
        }
        check(false);
        cache.validate();
        lost += cache.stats().lost;
        cache.close().unwrap();
    }
    assert!(lost > 0);
    std::fs::remove_file(path).unwrap();
}
