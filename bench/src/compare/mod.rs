//! Comparing servers: the same load on each in turns, so that what the machine does to one it does
//! to all, and ratios round by round.

mod scenario;

use std::io;

use crate::launch::{Recipe, Server};
use crate::load::{self, Bound, Load, LoadError};
use crate::ratio::median;

pub use scenario::{SCENARIOS, Scenario};

/// What was measured of one server in one round.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Processor time of the server per key, in nanoseconds.
    pub cpu_ns: f64,
    /// Keys per second at full load.
    pub throughput: f64,
    /// Latency at the common paced rate that one in a thousand requests exceeds, in microseconds.
    pub p999_us: f64,
    /// Resident memory in MiB.
    pub resident_mib: f64,
    /// Share of the keys asked for that were found.
    pub hits: f64,
}

/// A server in a comparison, with its samples.
#[derive(Debug)]
pub struct Contender {
    /// The process.
    pub server: Server,
    /// Whether its replies mean something; the floor server's don't.
    pub genuine: bool,
    /// One per round.
    pub samples: Vec<Sample>,
}

/// How a comparison is made.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Rounds; each visits every server.
    pub rounds: usize,
    /// Seconds of each measurement.
    pub seconds: f64,
    /// Processor of the servers.
    pub server_core: Option<usize>,
    /// The servers listen here and at the ports that follow.
    pub port: u16,
}

/// Why a comparison was given up.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A server did not start, or its accounts can't be read.
    #[error(transparent)]
    Server(#[from] io::Error),
    /// A load failed.
    #[error("{name}: {source}")]
    Load {
        /// The server's name.
        name: String,
        /// What happened.
        source: LoadError,
    },
}

/// Runs one scenario against all servers, and against the floor where it knows how to answer.
///
/// # Errors
/// [`CompareError`] if a server does not start or fails under load.
pub fn compare(
    setup: &Setup,
    scenario: &Scenario,
    recipes: &[Recipe],
    floor: Option<&Recipe>,
) -> Result<Vec<Contender>, CompareError> {
    let mut contenders = Vec::new();
    let genuine = recipes.iter().map(|recipe| (scenario.recipe(recipe), true));
    let floor = floor.and_then(|floor| scenario.floor(floor)).map(|floor| (floor, false));
    for ((recipe, genuine), port) in genuine.chain(floor).zip(setup.port..) {
        let server = Server::start(&recipe, port, setup.server_core)?;
        contenders.push(Contender { server, genuine, samples: Vec::new() });
    }
    for contender in contenders.iter().filter(|contender| contender.genuine) {
        let store = Load { preload: true, ..scenario.load(contender) };
        run(contender, &store)?;
    }
    for round in 0..setup.rounds {
        measure_round(setup, scenario, &mut contenders, round)?;
    }
    Ok(contenders)
}

/// Every server at full load, then every server at a rate that suits the slowest. Each round begins
/// with another server, so that none always follows the same one.
fn measure_round(
    setup: &Setup,
    scenario: &Scenario,
    contenders: &mut [Contender],
    round: usize,
) -> Result<(), CompareError> {
    let count = contenders.len();
    let mut slowest = f64::INFINITY;
    let order = |i: usize| (round + i) % count;
    let bound = Bound::Time(std::time::Duration::from_secs_f64(setup.seconds));
    for i in (0..count).map(order) {
        let contender = &mut contenders[i];
        let load = Load { bound, ..scenario.load(contender) };
        let outcome = run(contender, &load)?;
        let counts = &outcome.counts;
        let seconds = outcome.elapsed.as_secs_f64();
        let found = counts.hits + counts.misses;
        let keys = (found + counts.stored + counts.errors) as f64;
        slowest = slowest.min(counts.requests as f64 / seconds);
        contender.samples.push(Sample {
            cpu_ns: outcome.server_cpu_ns.unwrap_or_default() as f64 / keys,
            throughput: keys / seconds,
            p999_us: f64::NAN,
            resident_mib: outcome.server_memory.unwrap_or_default().resident as f64 / MIB,
            hits: counts.hits as f64 / found as f64,
        });
    }
    for i in (0..count).map(order) {
        let contender = &mut contenders[i];
        let rate = Some(slowest * PACED_SHARE);
        let load = Load { bound, rate, ..scenario.load(contender) };
        let p999 = run(contender, &load)?.counts.latency.quantile(0.999);
        contender.samples[round].p999_us = p999 as f64 / 1e3;
    }
    Ok(())
}

fn run(contender: &Contender, load: &Load) -> Result<load::Outcome, CompareError> {
    load::run(load).map_err(|source| {
        let name = contender.server.name.clone();
        CompareError::Load { name, source }
    })
}

impl Contender {
    /// The number that `of` picks, from every round.
    #[must_use]
    pub fn all(&self, of: impl Fn(&Sample) -> f64) -> Vec<f64> {
        self.samples.iter().map(of).collect()
    }

    /// The median over the rounds of the number that `of` picks.
    #[must_use]
    pub fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        median(&self.all(of))
    }
}

/// Of the slowest server's full load: low enough that queues are short.
const PACED_SHARE: f64 = 0.5;
const MIB: f64 = (1 << 20) as f64;
