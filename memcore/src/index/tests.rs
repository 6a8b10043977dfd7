use std::collections::{BTreeMap, HashMap, HashSet};

use super::*;
use crate::memory::region::Source;

fn hashes(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    })
}

/// An index of so many shards with room for so many slots.
fn index_of(shards: usize, slots: usize) -> Index {
    Index::new(shards, slots, 1 << 30, false, &mut Source::System).unwrap()
}

fn find(index: &Index, hash: u64, loc: Loc) -> bool {
    let position = index.position(hash);
    index.find_loc(position, loc, &index.lock(position)).is_some()
}

/// Inserts and grows as the cache does; what the index had to give up.
fn insert(index: &Index, hash: u64, loc: Loc) -> Vec<Loc> {
    let position = index.position(hash);
    let mut lock = index.lock(position);
    let mut lost = Vec::new();
    if index.insert(position, loc, &mut lock).is_err() {
        lost.push(loc);
    }
    step(index, position.shard, &mut lock, &mut lost);
    lost
}

fn step(index: &Index, shard: u32, lock: &mut Guard<'_>, lost: &mut Vec<Loc>) {
    if index.is_moving(shard, lock) {
        for _ in 0..2 {
            if index.is_moving(shard, lock) {
                index.advance(shard, lock, |_, loc| lost.push(loc));
            }
        }
    } else {
        index.grow(shard, lock, |_| true);
    }
}

#[test]
fn every_item_is_found_at_every_moment_of_growth() {
    // Addresses as they are in a small memory, and at the end of one of half a tebibyte.
    for end in [1 << 20, 1 << 37] {
        let index = Index::new(2, 40_000, end, false, &mut Source::System).unwrap();
        let mut items = HashMap::new();
        for (n, hash) in (1..).zip(hashes(1).take(20_000)) {
            let loc = end - n;
            items.insert(loc, hash);
            for lost in insert(&index, hash, loc) {
                items.remove(&lost);
            }
            if n % 500 == 0 {
                assert!(items.iter().all(|(&loc, &hash)| find(&index, hash, loc)), "at {loc}");
            }
        }
        assert!(items.len() == 20_000, "{} of 20000 kept", items.len());
        let (_, slots) = index.size();
        assert!(slots < 20_000 * 100 / 80, "{slots} slots");
    }
}

#[test]
fn the_items_of_the_sample_are_counted_however_they_come_and_go() {
    let index = index_of(2, 40_000);
    let items: Vec<_> = (1..).zip(hashes(3).take(20_000)).collect();
    let (first, rest) = items.split_at(5_000);
    let below = |items: &[(Loc, u64)], bound: u32| {
        items.iter().filter(|(_, hash)| index.position(*hash).at < bound).count() as u32
    };
    let fill = |items: &[(Loc, u64)]| {
        items.iter().for_each(|&(loc, hash)| assert!(insert(&index, hash, loc).is_empty()));
    };
    fill(first);
    assert_eq!(index.sampled(), 0, "there is no sample yet");
    for bound in [1 << 29, 1 << 30, 0, 1 << 28] {
        assert_eq!(index.sample_below(bound), below(first, bound), "below {bound}");
        assert_eq!(index.sampled(), below(first, bound));
    }
    fill(rest);
    assert_eq!(index.sampled(), below(&items, 1 << 28));
    for &(loc, hash) in &items[..10_000] {
        let position = index.position(hash);
        let mut lock = index.lock(position);
        let slot = index.find_loc(position, loc, &lock).unwrap();
        index.remove(position, slot, &mut lock);
    }
    assert_eq!(index.sampled(), below(&items[10_000..], 1 << 28));
}

/// A race that needs many steps on both sides, so it is run rather than modelled.
/// The groups of a small shard are filled as unevenly as happens to one of some thousand shards:
/// the stash is full before the shard as a whole is.
#[test]
fn a_shard_grows_before_chance_fills_its_stash() {
    let index = index_of(1, 40_000);
    let groups = u64::from(index.groups(0));
    assert_eq!(groups, 16);
    // Items of every group: first of the sparse ones, then of the others in turn.
    let sparse = (0..66_u64).map(|i| (i % 6, i / 6));
    let crowded = (0..600).map(|i| (6 + i % 10, i / 10));
    let mut lost = Vec::new();
    for (loc, (group, i)) in (1..).zip(sparse.chain(crowded)) {
        let hash = ((group << 32) + (i << 25)).div_ceil(groups);
        lost.extend(insert(&index, hash, loc));
    }
    assert!(lost.is_empty());
    assert!(index.groups(0) > 16);
}

#[test]
fn colliding_keys_do_not_make_the_index_grow() {
    let index = index_of(1, 40_000);
    let lost: usize = (1..2000).map(|loc| insert(&index, 5, loc).len()).sum();
    assert!(lost > 1900, "{lost} items had no place");
    assert_eq!(index.groups(0), 16);
}

#[test]
fn keys_are_found_while_their_shard_is_resized() {
    let index = index_of(1, 40_000);
    let keys: Vec<u64> = hashes(5).take(900).collect();
    for (loc, &hash) in (1..).zip(&keys) {
        insert(&index, hash, loc);
    }
    let small = index.groups(0);
    std::thread::scope(|scope| {
        let resizer = scope.spawn(|| {
            for round in 0..600 {
                let mut lock = index.lock(index.position(0));
                index.resize_to(0, small * (1 + round % 2 * 3), &mut lock);
                drop(lock);
                while {
                    let mut lock = index.lock(index.position(0));
                    if index.is_moving(0, &lock) {
                        index.advance(0, &mut lock, |_, loc| panic!("lost {loc}"));
                    }
                    index.is_moving(0, &lock)
                } {}
            }
        });
        while !resizer.is_finished() {
            for (loc, &hash) in (1..).zip(&keys) {
                let found = index.search(index.position(hash), |slot| match slot.loc() == loc {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(Certainty::Stable),
                });
                assert!(!matches!(found, Ok(None)), "missed {loc}");
            }
        }
    });
}

#[test]
fn removal_leaves_the_others_and_shrinking_keeps_them() {
    let index = index_of(1, 40_000);
    let mut items = HashMap::new();
    for (loc, hash) in (1..).zip(hashes(2).take(20_000)) {
        items.insert(loc, hash);
        for lost in insert(&index, hash, loc) {
            items.remove(&lost);
        }
    }
    let before = index.size().0;
    let gone: Vec<_> = items.keys().copied().filter(|loc| loc % 10 != 0).collect();
    for loc in gone {
        let hash = items.remove(&loc).unwrap();
        let position = index.position(hash);
        let mut lock = index.lock(position);
        let slot = index.find_loc(position, loc, &lock).unwrap();
        index.remove(position, slot, &mut lock);
        drop(lock);
        assert!(!find(&index, hash, loc));
    }
    let mut freed = 0;
    let position = index.position(0);
    let mut lock = index.lock(position);
    for _ in 0..3 {
        while index.is_moving(0, &lock) {
            let lost = |_, loc| {
                items.remove(&loc);
            };
            freed += index.advance(0, &mut lock, lost).unwrap_or(0);
        }
        if !index.is_moving(0, &lock) {
            index.shrink(0, false, &mut lock);
        }
    }
    drop(lock);
    assert!(items.len() == 2_000, "{} of 2000 kept", items.len());
    assert!(items.iter().all(|(&loc, &hash)| find(&index, hash, loc)));
    assert!(freed > 0 && index.size().0 < before / 4);
}

#[test]
fn positions_are_recovered_from_group_and_tag() {
    for (count, end) in [(16, 1), (25, 1), (38, 1), (1024, 1 << 40), (65_537, LOC_MAX)] {
        let mask = Words::new(end).tag_mask();
        for hash in hashes(3).take(2_000) {
            let at = hash as u32;
            let group = Group { number: scale(at, count), count };
            assert_eq!(group.position(at & mask, mask), at);
            assert!(
                group.end().is_none_or(|end| end > at && scale(end, count) == group.number + 1)
            );
        }
    }
}

#[test]
fn ghosts_are_recalled_once_with_their_uses_and_the_oldest_is_forgotten() {
    let index = index_of(1, 1);
    let position = |at| Position { shard: 0, at };
    let mut lock = index.lock(position(0));
    for at in 0..5 {
        index.insert_ghost(position(at), at * 5, &mut lock);
    }
    let mut take = |at| index.take_ghost(position(at), &mut lock);
    // Four are remembered. Tag 0 would look like no ghost, so key 0 has the tag of key 1.
    assert_eq!((take(1), take(0), take(1)), (Some(5), None, None));
    assert_eq!((take(4), take(2), take(3), take(4)), (Some(15), Some(10), Some(15), None));
}

#[test]
fn ghosts_move_with_their_groups() {
    let index = index_of(1, 100_000);
    let mut lock = index.lock(Position { shard: 0, at: 0 });
    let position = |i: u32| Position { shard: 0, at: i.wrapping_mul(0x9e37_79b9) };
    for groups in [48, 32, 64] {
        (0..100).for_each(|i| index.insert_ghost(position(i), i % 16, &mut lock));
        index.resize_to(0, groups, &mut lock);
        while index.is_moving(0, &lock) {
            index.advance(0, &mut lock, |_, loc| panic!("lost {loc}"));
        }
        let found = (0..100).filter(|&i| index.take_ghost(position(i), &mut lock) == Some(i % 16));
        assert!(found.count() >= 95, "{groups} groups");
    }
}

#[test]
fn visiting_the_groups_meets_every_item_once() {
    let index = index_of(4, 10_000);
    let mut kept = HashSet::new();
    for (loc, hash) in (1..).zip(hashes(4).take(3_000)) {
        kept.insert(loc);
        for lost in insert(&index, hash, loc) {
            kept.remove(&lost);
        }
    }
    let mut met = Vec::new();
    for shard in 0..index.shards() {
        let mut next = Some(0);
        while let Some(at) = next {
            let position = Position { shard, at };
            let lock = index.lock(position);
            next = index.visit_group(position, &lock, |_, loc| met.push(loc));
        }
    }
    assert_eq!(met.len(), kept.len());
    assert!(met.iter().all(|loc| kept.contains(loc)));
}

#[test]
fn a_full_group_refuses_and_stays_whole() {
    let index = index_of(1, 1);
    let position = Position { shard: 0, at: 5 };
    let mut lock = index.lock(position);
    let room = (LINES * LINE) as u64 + stash_of_groups(index.groups(0) as usize) as u64;
    for loc in 1..=room {
        index.insert(position, loc, &mut lock).unwrap();
    }
    assert!(index.insert(position, room + 1, &mut lock).is_err());
    for loc in 1..=room {
        let slot = index.find_loc(position, loc, &lock).unwrap();
        index.remove(position, slot, &mut lock);
    }
    assert!(index.insert(position, 1, &mut lock).is_ok());
    assert_eq!(lock.items, 1);
}

/// The marks of the keys that went past lines, counted as far as can be, and of those in the stash.
fn marks_wanted(
    index: &Index,
    items: &BTreeMap<Loc, u64>,
    lock: &Guard<'_>,
) -> HashMap<usize, u64> {
    let mut marks = HashMap::new();
    for (&loc, &hash) in items {
        let position = index.position(hash);
        let at = index.find_loc(position, loc, lock).unwrap().at;
        let home = index.home(position);
        let passed = home.path().take_while(move |&line| at < STASH && line != home.line_of(at));
        for line in passed {
            let mark = marks.entry(line + stray_mark(position.at)).or_insert(0);
            *mark = (*mark + 1).min(MARK);
        }
        if at >= STASH {
            marks.insert(home.line + stash_mark(position.at), 1);
        }
    }
    marks
}

fn marks_set(index: &Index) -> HashMap<usize, u64> {
    let groups = 0..index.groups_in_use(0);
    let starts = groups.map(|group| index.start(0, group));
    starts
        .flat_map(|start| start..start + LINE * LINES)
        .map(|at| (at, index.slots.at(at).load(Ordering::Relaxed) & MARK))
        .filter(|&(_, mark)| mark != 0)
        .collect()
}

#[test]
fn marks_are_those_of_the_keys_that_are_elsewhere() {
    let index = index_of(1, 40_000);
    let mut lock = index.lock(Position { shard: 0, at: 0 });
    let mut items = BTreeMap::new();
    let mut counts = HashSet::new();
    for (loc, hash) in (1..).zip(hashes(7).take(2000)) {
        if index.insert(index.position(hash), loc, &mut lock).is_ok() {
            items.insert(loc, hash);
        }
        match loc {
            // From an empty shard to one that is as full as can be, and in the middle of a change.
            600 => index.resize_to(0, 16, &mut lock),
            900 => index.resize_to(0, 24, &mut lock),
            _ => {}
        }
        if index.is_moving(0, &lock) {
            index.advance(0, &mut lock, |_, loc| assert!(items.remove(&loc).is_some()));
        }
        let removed = (loc % 3 == 0).then(|| items.pop_first()).flatten();
        if let Some((loc, hash)) = removed {
            let position = index.position(hash);
            let slot = index.find_loc(position, loc, &lock).unwrap();
            index.remove(position, slot, &mut lock);
        }
        if loc % 20 == 0 {
            let marks = marks_set(&index);
            assert_eq!(marks, marks_wanted(&index, &items, &lock), "at {loc}");
            counts.extend(marks.into_values());
        }
    }
    // All eight, as one alone would send every lookup elsewhere.
    let kinds: HashSet<_> = marks_set(&index).into_keys().map(|slot| slot % LINE).collect();
    assert_eq!(kinds.len(), LINE);
    assert_eq!(counts.len(), MARK as usize, "one, two, and more");
}

/// What had no room in its group returns to it; otherwise the stash would fill up.
#[test]
fn the_stash_stays_small_while_keys_come_and_go() {
    let index = index_of(1, 40_000);
    let mut lock = index.lock(Position { shard: 0, at: 0 });
    index.resize_to(0, 200, &mut lock);
    while index.is_moving(0, &lock) {
        index.advance(0, &mut lock, |_, loc| panic!("lost {loc}"));
    }
    let most = 200 * LINES * LINE * 85 / 100;
    let hashes: Vec<u64> = hashes(9).take(6 * most).collect();
    for (n, &hash) in hashes.iter().enumerate() {
        let position = index.position(hash);
        assert!(index.insert(position, n as Loc + 1, &mut lock).is_ok(), "at {n}");
        if let Some(oldest) = n.checked_sub(most) {
            let position = index.position(hashes[oldest]);
            let slot = index.find_loc(position, oldest as Loc + 1, &lock).unwrap();
            index.remove(position, slot, &mut lock);
        }
    }
    assert!(lock.stash.len() < most / 50, "{} of {most}", lock.stash.len());
}

/// Vectors like to take twice what they need, and to keep what they once had.
#[test]
fn the_stash_takes_no_more_memory_than_is_accounted_for() {
    let index = index_of(1, 40_000);
    let position = Position { shard: 0, at: 5 };
    for groups in [153, 652, 38] {
        let mut lock = index.lock(position);
        index.resize_to(0, groups, &mut lock);
        while index.is_moving(0, &lock) {
            index.advance(0, &mut lock, |_, _| {});
        }
        while index.insert(position, 1, &mut lock).is_ok() {}
        let most = stash_of_groups(groups as usize);
        assert_eq!(lock.stash.between(0, None).len(), most);
        assert!(lock.stash.capacity() <= most, "{} of {most}", lock.stash.capacity());
    }
}

/// Readers load the words of a mapping one after the other: any combination may come up.
#[test]
fn words_of_different_moments_are_no_harm() {
    let index = index_of(1, 40_000);
    let mapping = &index.shards[0].shared.0;
    let counts = [16, 25, 38, index.groups_max];
    for (old, new) in counts.iter().flat_map(|&old| counts.map(|new| (old, new))) {
        for moved in [0, 1, 15, 16, 37, index.groups_max, u32::MAX] {
            mapping.old.store(old, Ordering::Relaxed);
            mapping.new.store(new, Ordering::Relaxed);
            mapping.moved.store(moved, Ordering::Relaxed);
            for at in [0, 1, u32::MAX / 3, u32::MAX] {
                let home = index.home(Position { shard: 0, at });
                assert!(home.line + LINE <= index.slots.len());
            }
        }
    }
}
