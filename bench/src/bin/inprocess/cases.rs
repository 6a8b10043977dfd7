//! What is measured.

use bench::inprocess::{Kind, Needs};

use crate::Args;

/// What the caches hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum World {
    /// Some items.
    Warm,
    /// A gigabyte of items.
    Cold,
    /// As much as fits: every new item evicts.
    Full,
}

impl World {
    /// What a cache must be able to hold.
    pub(crate) fn needs(self, args: &Args) -> Needs {
        match self {
            Self::Warm | Self::Cold => Needs::Items(self.keys(args)),
            Self::Full => Needs::Bytes(args.mib << 20),
        }
    }

    /// How many keys are stored before.
    pub(crate) fn keys(self, args: &Args) -> u32 {
        match self {
            Self::Warm | Self::Full => args.items,
            Self::Cold => args.cold_items,
        }
    }
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) world: World,
    pub(crate) kind: Kind,
    pub(crate) zipf: f64,
    pub(crate) threads: usize,
    pub(crate) goal: Option<Goal>,
    pub(crate) yardstick: Option<Yardstick>,
}

/// At most this share of what the other one took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) share: f64,
    pub(crate) against: &'static str,
}

/// What is measured beside a case that is no cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Yardstick {
    /// One dependent access to memory.
    Hop,
    /// The same lookups one by one.
    SingleGet,
}

impl Yardstick {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hop => "hop",
            Self::SingleGet => "single get",
        }
    }
}

const fn case(name: &'static str, world: World, kind: Kind, zipf: f64, threads: usize) -> Case {
    Case { name, world, kind, zipf, threads, goal: None, yardstick: None }
}

const fn goal(case: Case, share: f64) -> Case {
    Case { goal: Some(Goal { share, against: "quick_cache" }), ..case }
}

const fn beside(case: Case, yardstick: Yardstick, share: f64) -> Case {
    let goal = Some(Goal { share, against: yardstick.name() });
    Case { goal, yardstick: Some(yardstick), ..case }
}

const ZIPF: f64 = 0.99;

pub(crate) const CASES: [Case; 16] = [
    goal(case("get zipf", World::Warm, Kind::Hit, ZIPF, 1), 0.70),
    goal(case("get zipf", World::Warm, Kind::Hit, ZIPF, 2), 0.65),
    case("miss", World::Warm, Kind::Miss, ZIPF, 1),
    case("miss", World::Warm, Kind::Miss, ZIPF, 2),
    goal(case("overwrite", World::Warm, Kind::Overwrite, ZIPF, 1), 0.60),
    case("overwrite", World::Warm, Kind::Overwrite, ZIPF, 2),
    case("mix 95:5", World::Warm, Kind::Mix, ZIPF, 1),
    goal(case("mix 95:5", World::Warm, Kind::Mix, ZIPF, 2), 0.50),
    goal(case("mix 95:5 p99.9", World::Warm, Kind::TimedMix, ZIPF, 2), 0.34),
    goal(case("get cold", World::Cold, Kind::Hit, 0.0, 1), 0.60),
    case("get cold", World::Cold, Kind::Hit, 0.0, 2),
    beside(case("get cold", World::Cold, Kind::Hit, 0.0, 1), Yardstick::Hop, 2.5),
    beside(
        case("get_many(16) cold", World::Cold, Kind::HitMany, 0.0, 1),
        Yardstick::SingleGet,
        0.3,
    ),
    case("get_many(16) cold", World::Cold, Kind::HitMany, 0.0, 2),
    goal(case("insert, evicting", World::Full, Kind::Insert, 0.0, 1), 1.0),
    goal(case("insert, evicting", World::Full, Kind::Insert, 0.0, 2), 1.0),
];
