//! Operations of the cache in this process.

use std::hint::black_box;

use memcore::{Attrs, Cache, Count};

use crate::Run;

/// A name, the memory limit, and the loop over a number of operations.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    limit: usize,
    run: fn(&mut State, usize),
}

const fn case(name: &'static str, limit: usize, run: fn(&mut State, usize)) -> Case {
    Case { name, limit, run }
}

pub(crate) const CASES: [Case; 8] = [
    case("process/get_hit", ROOMY, |state, count| {
        for i in 0..count {
            state.out.clear();
            let hit = state.cache.get_into(&state.keys[i % KEYS], &mut state.out);
            black_box(hit.expect("a key that was stored"));
        }
    }),
    case("process/get_owned", ROOMY, |state, count| {
        for i in 0..count {
            black_box(state.cache.get(&state.keys[i % KEYS]).expect("a key that was stored"));
        }
    }),
    case("process/get_miss", ROOMY, |state, count| {
        for i in 0..count {
            state.out.clear();
            let hit = state.cache.get_into(&state.fresh[i % FRESH], &mut state.out);
            assert!(black_box(hit).is_none());
        }
    }),
    case("process/get_many_16", ROOMY, |state, count| {
        for batch in 0..count.div_ceil(BATCH) {
            state.out.clear();
            let start = batch * BATCH % KEYS;
            let out = &mut state.out;
            state.cache.get_many(&state.keys[start..start + BATCH], |_, _, value| {
                out.extend_from_slice(value);
            });
            assert_eq!(black_box(&state.out).len(), BATCH * VALUE.len());
        }
    }),
    case("process/contains", ROOMY, |state, count| {
        for i in 0..count {
            assert!(black_box(state.cache.contains(&state.keys[i % KEYS])));
        }
    }),
    case("process/set", ROOMY, |state, count| {
        for i in 0..count {
            let stored = state.cache.set(&state.keys[i % KEYS], &VALUE, Attrs::new());
            black_box(stored.expect("room for the value"));
        }
    }),
    case("process/set_evicting", FULL, |state, count| {
        for _ in 0..count {
            let key = &state.fresh[state.next % FRESH];
            state.next += 1;
            black_box(state.cache.set(key, &VALUE, Attrs::new()).expect("evictions"));
        }
    }),
    case("process/incr", ROOMY, |state, count| {
        let how = Count::increment(1);
        for _ in 0..count {
            black_box(state.cache.count(NUMBER, &how).expect("a number"));
        }
    }),
];

impl Case {
    pub(crate) fn open(&self) -> Run {
        let mut state = State::new(self.limit);
        // Fills the cache that evicts, and saturates the use counters of the other one.
        (self.run)(&mut state, WARM_UP);
        let run = self.run;
        Box::new(move |count| run(&mut state, count))
    }
}

/// A cache with keys that it holds, and with keys that it does not hold.
pub(crate) struct State {
    cache: Cache,
    keys: Vec<String>,
    fresh: Vec<String>,
    next: usize,
    out: Vec<u8>,
}

impl State {
    fn new(limit: usize) -> Self {
        let cache = Cache::builder(limit).seed(1).build().expect("a limit that is large enough");
        let keys: Vec<String> = (0..KEYS).map(|i| format!("key:{i:016x}")).collect();
        for key in &keys {
            cache.set(key, &VALUE, Attrs::new()).expect("room for the value");
        }
        cache.set(NUMBER, b"100000000", Attrs::new()).expect("room for the number");
        let fresh = (0..FRESH).map(|i| format!("new:{i:016x}")).collect();
        Self { cache, keys, fresh, next: 0, out: Vec::with_capacity(1 << 12) }
    }
}

const NUMBER: &str = "num:0123456789abcdef";
const VALUE: [u8; 100] = [b'v'; 100];
const KEYS: usize = 64;
const BATCH: usize = 16;
/// More keys than the full cache can hold, so that each one is new when its turn comes again.
const FRESH: usize = 20_000;
const WARM_UP: usize = 20_000;
const ROOMY: usize = 64 << 20;
const FULL: usize = 1 << 20;
