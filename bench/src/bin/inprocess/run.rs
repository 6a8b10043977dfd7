//! The measurements. Each other cache is measured in turns with this workspace's, and is gone
//! before the next one is filled: seven caches of a gigabyte of items are more than a small machine
//! has.

use bench::chase::Ring;
use bench::inprocess::{
    Candidate, Crowd, Engine, Kind, Measured, Task, Time, fill, measure, own, rivals,
};

use crate::Args;
use crate::cases::{Case, World, Yardstick};

/// A case's numbers.
pub(crate) struct Row {
    pub(crate) case: &'static Case,
    /// This workspace's cache, over all rounds.
    pub(crate) own: Vec<f64>,
    pub(crate) others: Vec<Column>,
}

/// Another cache's numbers for a case, a round each, and those of this workspace's in the same
/// rounds.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) own: Vec<f64>,
    pub(crate) numbers: Vec<f64>,
}

/// A case that is being measured.
struct Running {
    case: &'static Case,
    task: Task,
    /// Kept for all caches, so that new keys are new to each.
    crowd: Crowd,
}

impl Running {
    fn new(args: &Args, case: &'static Case) -> Self {
        let (kind, zipf, operations) = (case.kind, case.zipf, args.operations);
        let task = Task { kind, keys: case.world.keys(args), zipf, operations, time: time(args) };
        Self { case, task, crowd: Crowd::new(&task, case.threads) }
    }

    fn number(&mut self, engine: &dyn Engine, name: &str) -> f64 {
        let measured = measure(engine, &self.task, &mut self.crowd);
        self.warn_of_misses(&measured, name);
        match self.task.kind {
            Kind::TimedMix => measured.latency.quantile(0.999) as f64,
            _ => measured.ns,
        }
    }

    fn warn_of_misses(&self, measured: &Measured, name: &str) {
        if self.task.kind != Kind::Miss && measured.hits < 0.999 {
            eprintln!("inprocess: {name}: only {:.4} found in {}", measured.hits, self.case.name);
        }
    }
}

fn time(args: &Args) -> Time {
    if args.cpu_time { Time::Processor } else { Time::Wall }
}

pub(crate) fn run(args: &Args, world: World, cases: &[&'static Case]) -> Vec<Row> {
    let mut running: Vec<Running> = cases.iter().map(|case| Running::new(args, case)).collect();
    let mut rows: Vec<Row> =
        cases.iter().map(|case| Row { case, own: Vec::new(), others: Vec::new() }).collect();
    let own = filled(own(!args.no_huge_pages), args, world);
    beside_yardsticks(args, &*own, &mut running, &mut rows);
    for candidate in rivals() {
        if !candidate.name.contains(&args.beside) || world == World::Full && !candidate.evicts {
            continue;
        }
        let other = filled(candidate, args, world);
        for (running, row) in running.iter_mut().zip(&mut rows) {
            if row.case.yardstick != Some(Yardstick::Hop) {
                let column = in_turns(args, running, &*own, &*other, candidate.name);
                row.own.extend(&column.own);
                row.others.push(column);
            }
        }
    }
    rows
}

fn filled(candidate: Candidate, args: &Args, world: World) -> Box<dyn Engine> {
    let engine = candidate.build(world.needs(args));
    fill(&*engine, world.keys(args));
    engine
}

fn in_turns(
    args: &Args,
    running: &mut Running,
    own: &dyn Engine,
    other: &dyn Engine,
    name: &'static str,
) -> Column {
    let mut column = Column { name, own: Vec::new(), numbers: Vec::new() };
    for round in 0..args.rounds {
        if round % 2 == 0 {
            column.own.push(running.number(own, OWN));
            column.numbers.push(running.number(other, name));
        } else {
            column.numbers.push(running.number(other, name));
            column.own.push(running.number(own, OWN));
        }
    }
    column
}

/// Measures what has no other cache beside it: cases with a yardstick, and all cases of a build
/// without other caches.
fn beside_yardsticks(args: &Args, own: &dyn Engine, running: &mut [Running], rows: &mut [Row]) {
    let mut ring =
        rows.iter().any(|row| row.case.yardstick == Some(Yardstick::Hop)).then(|| Ring::new(RING));
    let is_alone = rivals().is_empty();
    for (running, row) in running.iter_mut().zip(rows) {
        let Some(yardstick) = row.case.yardstick else {
            if is_alone {
                row.own.extend((0..args.rounds).map(|_| running.number(own, OWN)));
            }
            continue;
        };
        let mut column = Column { name: yardstick.name(), own: Vec::new(), numbers: Vec::new() };
        let single = Task { kind: Kind::Hit, ..running.task };
        for _ in 0..args.rounds {
            column.own.push(running.number(own, OWN));
            column.numbers.push(match (yardstick, &mut ring) {
                (Yardstick::Hop, Some(ring)) => ring.hop_ns(args.operations, time(args)),
                _ => measure(own, &single, &mut running.crowd).ns,
            });
        }
        row.own.extend(&column.own);
        row.others.push(column);
    }
}

const OWN: &str = "memcore";
const RING: usize = 1 << 30;
