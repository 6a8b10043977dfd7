//! The in-process comparison's command line: a table on standard output, the goals beside it.

use std::process::ExitCode;

use argh::FromArgs;
use bench::chase::Ring;
use bench::inprocess::{Crowd, Engine, Kind, Measured, Needs, Task, Time, engines, fill, measure};
use bench::ratio::{Ratio, median};

/// Measures the cache in process beside other caches (feature `rivals`), in turns.
#[derive(Debug, FromArgs)]
struct Args {
    /// rounds (default 5)
    #[argh(option, default = "5")]
    rounds: usize,
    /// operations of a thread in a measurement (default 1000000)
    #[argh(option, default = "1_000_000")]
    operations: u32,
    /// items of the cases that fit into little memory (default 1048576)
    #[argh(option, default = "1 << 20")]
    items: u32,
    /// items of the cold cases: with 120 bytes and what a cache adds to each, 1 GiB (default
    /// 6900000)
    #[argh(option, default = "6_900_000")]
    cold_items: u32,
    /// how many MiB the cases that evict have (default 64)
    #[argh(option, default = "64")]
    mib: u64,
    /// let the cache do without huge pages
    #[argh(switch)]
    no_huge_pages: bool,
    /// count processor time of the threads, for a machine that others use as well
    #[argh(switch)]
    cpu_time: bool,
    /// only cases whose name contains this
    #[argh(option, default = "String::new()")]
    only: String,
}

fn main() -> ExitCode {
    let args: Args = argh::from_env();
    if args.rounds == 0 || args.operations < 16 || args.items == 0 || args.cold_items == 0 {
        eprintln!("inprocess: rounds and items start at 1, operations at 16");
        return ExitCode::from(2);
    }
    for world in [World::Warm, World::Cold, World::Full] {
        let cases: Vec<&Case> =
            CASES.iter().filter(|c| c.world == world && c.name.contains(&args.only)).collect();
        if !cases.is_empty() {
            run(&args, world, &cases);
        }
    }
    ExitCode::SUCCESS
}

/// What the caches hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum World {
    /// Some items.
    Warm,
    /// A gigabyte of items.
    Cold,
    /// As much as fits: every new item evicts.
    Full,
}

/// A line of the table.
#[derive(Debug)]
struct Case {
    name: &'static str,
    world: World,
    kind: Kind,
    zipf: f64,
    threads: usize,
    /// At most this share of what `against` took.
    goal: Option<(f64, &'static str)>,
}

const fn case(name: &'static str, world: World, kind: Kind, zipf: f64, threads: usize) -> Case {
    Case { name, world, kind, zipf, threads, goal: None }
}

const fn goal(case: Case, share: f64, against: &'static str) -> Case {
    Case { goal: Some((share, against)), ..case }
}

const ZIPF: f64 = 0.99;
const QUICK: &str = "quick_cache";
const HOP: &str = "hop";
const SINGLE: &str = "single get";

const CASES: [Case; 14] = [
    goal(case("get zipf", World::Warm, Kind::Hit, ZIPF, 1), 0.70, QUICK),
    goal(case("get zipf", World::Warm, Kind::Hit, ZIPF, 2), 0.65, QUICK),
    case("miss", World::Warm, Kind::Miss, ZIPF, 1),
    case("miss", World::Warm, Kind::Miss, ZIPF, 2),
    goal(case("overwrite", World::Warm, Kind::Overwrite, ZIPF, 1), 0.60, QUICK),
    case("overwrite", World::Warm, Kind::Overwrite, ZIPF, 2),
    case("mix 95:5", World::Warm, Kind::Mix, ZIPF, 1),
    goal(case("mix 95:5", World::Warm, Kind::Mix, ZIPF, 2), 0.50, QUICK),
    goal(case("mix 95:5 p99.9", World::Warm, Kind::TimedMix, ZIPF, 2), 0.34, QUICK),
    goal(case("get cold", World::Cold, Kind::Hit, 0.0, 1), 0.60, QUICK),
    goal(case("get cold", World::Cold, Kind::Hit, 0.0, 1), 2.5, HOP),
    goal(case("get_many(16) cold", World::Cold, Kind::HitMany, 0.0, 1), 0.30, SINGLE),
    goal(case("insert, evicting", World::Full, Kind::Insert, 0.0, 1), 1.0, QUICK),
    goal(case("insert, evicting", World::Full, Kind::Insert, 0.0, 2), 1.0, QUICK),
];

fn run(args: &Args, world: World, cases: &[&Case]) {
    let (needs, keys, title) = match world {
        World::Warm => (Needs::Items(args.items), args.items, "items"),
        World::Cold => (Needs::Items(args.cold_items), args.cold_items, "items, uniform"),
        World::Full => (Needs::Bytes(args.mib << 20), args.items, "items offered before"),
    };
    let time = if args.cpu_time { Time::Processor } else { Time::Wall };
    let engines = engines(needs, !args.no_huge_pages);
    engines.iter().for_each(|engine| fill(&**engine, keys));
    let mut ring = (world == World::Cold).then(|| Ring::new(RING));
    println!("{keys} {title}");
    for case in cases {
        let task =
            Task { kind: case.kind, keys, zipf: case.zipf, operations: args.operations, time };
        let mut columns: Vec<Column> = engines.iter().map(|engine| column(&**engine)).collect();
        let mut crowd = Crowd::new(&task, case.threads);
        let yardstick = match case.goal {
            Some((_, name @ (HOP | SINGLE))) => Some(name),
            _ => None,
        };
        columns.extend(yardstick.map(|name| Column { name, numbers: Vec::new() }));
        for round in 0..args.rounds {
            for i in 0..engines.len() {
                let i = (i + round) % engines.len();
                let number = number(&measure(&*engines[i], &task, &mut crowd), case, &*engines[i]);
                columns[i].numbers.push(number);
            }
            if let Some(name) = yardstick {
                let number = match &mut ring {
                    Some(ring) if name == HOP => ring.hop_ns(args.operations, time),
                    _ => {
                        let single = Task { kind: Kind::Hit, ..task };
                        number(&measure(&*engines[0], &single, &mut crowd), case, &*engines[0])
                    }
                };
                columns[engines.len()].numbers.push(number);
            }
        }
        print_case(case, &columns);
    }
    println!();
}

/// One engine's numbers for a case, a round each.
struct Column {
    name: &'static str,
    numbers: Vec<f64>,
}

fn column(engine: &dyn Engine) -> Column {
    Column { name: engine.name(), numbers: Vec::new() }
}

fn number(measured: &Measured, case: &Case, engine: &dyn Engine) -> f64 {
    if case.kind != Kind::Miss && measured.hits < 0.999 {
        eprintln!("inprocess: {}: only {:.4} found in {}", engine.name(), measured.hits, case.name);
    }
    match case.kind {
        Kind::TimedMix => measured.latency.quantile(0.999) as f64,
        _ => measured.ns,
    }
}

fn print_case(case: &Case, columns: &[Column]) {
    let threads = if case.threads == 1 { "1 thread" } else { "2 threads" };
    print!("  {:<18}{threads:<10}", case.name);
    let [own, others @ ..] = columns else { return };
    print!("{} {:.0} ns", own.name, median(&own.numbers));
    for other in others {
        let Some(ratio) = Ratio::of(&own.numbers, &other.numbers) else { continue };
        print!("; {} {:.0} ns: {ratio}", other.name, median(&other.numbers));
        if let Some((share, against)) = case.goal
            && against == other.name
        {
            let met = if ratio.median <= share { "met" } else { "MISSED" };
            print!(" [goal {share}: {met}]");
        }
    }
    println!();
}

const RING: usize = 1 << 30;
