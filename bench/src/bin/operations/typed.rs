//! The same operations through a typed cache: what they need beyond `process/get_hit`,
//! `process/get_owned` and `process/set` is the typed layer, the codec and the value that is made.

use std::hint::black_box;

use memcore::Cache;
use memcore::typed::{Codec, Plain, Pod, Postcard, TypedCache};
use serde::{Deserialize, Serialize};

use crate::Run;

/// A name, and what brings the case into its steady state.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) open: fn() -> Run,
}

const fn case(name: &'static str, open: fn() -> Run) -> Case {
    Case { name, open }
}

pub(crate) const CASES: [Case; 11] = [
    case("typed/get_string", || get::<_, Plain>(text())),
    case("typed/get_bytes", || get::<_, Plain>(text().into_bytes())),
    case("typed/get_u64", || get::<_, Pod>(42_u64)),
    case("typed/get_pod_96", || get::<_, Pod>([7_u64; 12])),
    case("typed/get_postcard", || get::<_, Postcard>(User::new())),
    case("typed/insert_string", || insert::<_, Plain>(text())),
    case("typed/insert_u64", || insert::<_, Pod>(42_u64)),
    case("typed/insert_pod_96", || insert::<_, Pod>([7_u64; 12])),
    case("typed/insert_postcard", || insert::<_, Postcard>(User::new())),
    case("typed/get_or_load_hit", get_or_load),
    case("typed/remove_insert", || {
        let (cache, value) = (filled::<_, Plain>(text()), text());
        looped(move |key| {
            black_box(cache.remove(key).expect("a value that was stored"));
            cache.insert(key, &value).expect("room for the value");
        })
    }),
];

#[derive(Clone, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
    mail: String,
    visits: Vec<u32>,
}

impl User {
    fn new() -> Self {
        let visits = (0..8).map(|day| day * 1_000).collect();
        Self { id: 7, name: "Ann Example".into(), mail: "ann@example.com".into(), visits }
    }
}

fn text() -> String {
    "v".repeat(100)
}

fn get<V: Clone + 'static, C: Codec<V> + Default + 'static>(value: V) -> Run {
    let cache = filled::<V, C>(value);
    looped(move |key| {
        black_box(cache.get(key).expect("a value that was stored"));
    })
}

fn insert<V: Clone + 'static, C: Codec<V> + Default + 'static>(value: V) -> Run {
    let cache = filled::<V, C>(value.clone());
    looped(move |key| cache.insert(key, black_box(&value)).expect("room for the value"))
}

fn get_or_load() -> Run {
    let cache = filled::<_, Plain>(text());
    looped(move |key| {
        let loaded = cache.get_or_load(key, || Err("it is there"));
        black_box(loaded.expect("a value that was stored"));
    })
}

fn filled<V: Clone, C: Codec<V> + Default>(value: V) -> TypedCache<str, V, C> {
    let cache = Cache::builder(64 << 20).seed(1).build().expect("a limit that is large enough");
    let typed = TypedCache::new(cache);
    for key in keys() {
        typed.insert(key.as_str(), &value).expect("room for the value");
    }
    typed
}

fn keys() -> Vec<String> {
    (0..KEYS).map(|i| format!("key:{i:016x}")).collect()
}

/// Does something with each key in turn, beginning with enough to saturate the use counters.
fn looped(operation: impl Fn(&str) + 'static) -> Run {
    let keys = keys();
    let run = move |count: usize| (0..count).for_each(|i| operation(&keys[i % KEYS]));
    run(WARM_UP);
    Box::new(run)
}

const KEYS: usize = 64;
const WARM_UP: usize = 20_000;
