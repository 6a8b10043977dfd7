//! The laboratory's command line: tables of hit ratios on standard output, charts on request.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use argh::FromArgs;
use bench::lab::mixture::WINDOWS;
use bench::lab::pattern::{KEY, PATTERNS, VALUE};
use bench::lab::policy::Kind;
use bench::lab::run::charge;
use bench::lab::{
    Chart, Curve, Pattern, Scores, Threads, over_wire, simulate, simulate_trace, threads,
};
use bench::launch::{Recipe, Server};
use bench::replay::{Counts, Embedded, Replay, replay, replay_wire};
use bench::trace;
use memcore::{Attrs, Cache, ManualClock, Moment};

/// What a cache keeps, beside published policies in equal real bytes.
#[derive(Debug, FromArgs)]
struct Args {
    #[argh(subcommand)]
    what: What,
}

#[derive(Debug, FromArgs)]
#[argh(subcommand)]
enum What {
    Traces(Traces),
    Patterns(Patterns),
    Mixtures(Mixtures),
}

/// Hit ratios on traces.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "traces")]
struct Traces {
    /// trace files (MCT1)
    #[argh(positional)]
    files: Vec<PathBuf>,
    /// budgets in percent of the working set (default 1 10 30); may be repeated
    #[argh(option)]
    percent: Vec<f64>,
    /// as many interleaved copies as give a budget of so many MiB (default 16)
    #[argh(option, default = "16")]
    least_mib: u64,
    /// bytes that a simulated item costs beyond key and value (default 28)
    #[argh(option, default = "28")]
    charge: u64,
    /// leave out the simulated policies but LRU and Belady
    #[argh(switch)]
    brief: bool,
    /// a server, NAME=COMMAND with {port} and {mib}; may be repeated
    #[argh(option)]
    server: Vec<Recipe>,
    /// port that the servers get (default 11411)
    #[argh(option, default = "11411")]
    port: u16,
    /// how much sizes count in the cache's eviction, from 0 to 1 (default its own)
    #[argh(option)]
    size_weight: Option<f32>,
    /// folder for a chart of each trace
    #[argh(option)]
    plots: Option<PathBuf>,
}

/// Hit ratios on generated patterns.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "patterns")]
struct Patterns {
    /// patterns whose names begin so; all if there are none
    #[argh(positional)]
    names: Vec<String>,
    /// the cache's limit in MiB (default 8; the pattern of sizes takes 32)
    #[argh(option, default = "8")]
    mib: u64,
    /// threads that use the cache, and connections to each server (default 1)
    #[argh(option, default = "1")]
    threads: usize,
    /// all simulated policies, not only FIFO, LRU and Belady
    #[argh(switch)]
    policies: bool,
    /// a server, NAME=COMMAND with {port} and {mib}; may be repeated
    #[argh(option)]
    server: Vec<Recipe>,
    /// port that the servers get (default 11411)
    #[argh(option, default = "11411")]
    port: u16,
    /// folder for a chart of each pattern of more than one window
    #[argh(option)]
    plots: Option<PathBuf>,
}

/// Hits in random mixtures beside those of LRU and FIFO: the phases with the fewest, and all.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "mixtures")]
struct Mixtures {
    /// number of the first mixture (default 1)
    #[argh(option, default = "1")]
    first: u64,
    /// how many there are (default 300)
    #[argh(option, default = "300")]
    count: u64,
    /// phases that are shown (default 20)
    #[argh(option, default = "20")]
    show: usize,
    /// the cache's limit in MiB (default 8)
    #[argh(option, default = "8")]
    mib: u64,
    /// threads that use the cache (default 1)
    #[argh(option, default = "1")]
    threads: usize,
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const MIB: u64 = 1 << 20;
/// Bytes that a simulated item costs beyond key and value.
const CHARGE: u64 = 28;

fn main() -> ExitCode {
    let done = match argh::from_env::<Args>().what {
        What::Traces(args) => args.run(),
        What::Patterns(args) => args.run(),
        What::Mixtures(args) => args.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Traces {
    fn run(&self) -> Outcome<()> {
        let percents = if self.percent.is_empty() { &[1.0, 10.0, 30.0][..] } else { &self.percent };
        let mut first = true;
        let (mut gaps, mut rows) = (0.0, 0);
        for file in &self.files {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let name = name.split('.').next().unwrap_or_default().to_owned();
            let trace = trace::read(file)?;
            let mut curves: Vec<Curve> = Vec::new();
            for &percent in percents {
                let columns = self.row(&trace, percent)?;
                if std::mem::take(&mut first) {
                    let names = columns.iter().map(|(name, _)| format!(" {name} |"));
                    println!("| trace | MiB |{} gap closed |", names.collect::<String>());
                    println!("|---|---|{}", "---|".repeat(columns.len() + 1));
                }
                let ratio = |wanted: &str| {
                    let found = columns.iter().find(|(name, _)| name == wanted);
                    found.map_or(f64::NAN, |(_, counts)| counts.hit_ratio())
                };
                let (lru, best) = (ratio("LRU"), ratio("Belady"));
                let gap = (ratio("memcore") - lru) / (best - lru);
                (gaps, rows) = (gaps + gap, rows + 1);
                let cells = columns.iter().map(|(_, counts)| {
                    format!(" {:.4} / {:.4} |", counts.hit_ratio(), counts.byte_hit_ratio())
                });
                let (_, mib) = self.budget(trace.working_set(), percent);
                println!("| {name} {percent} % | {mib} |{} {gap:.3} |", cells.collect::<String>());
                for (i, (name, counts)) in columns.iter().enumerate() {
                    if curves.len() <= i {
                        curves.push(Curve { name: name.clone(), points: Vec::new() });
                    }
                    curves[i].points.push((percent, counts.hit_ratio()));
                }
            }
            if let Some(folder) = &self.plots {
                let across = "budget, per cent of the working set".to_owned();
                Chart { title: name.clone(), across, curves }
                    .write(&folder.join(format!("trace-{name}.svg")))?;
            }
        }
        println!("\nmean gap closed: {:.4}", gaps / f64::from(rows));
        Ok(())
    }

    fn budget(&self, working_set: u64, percent: f64) -> (u8, u64) {
        let one = working_set as f64 * percent / 100.0 / MIB as f64;
        let copies = (self.least_mib as f64 / one).ceil().clamp(1.0, 255.0) as u8;
        (copies, (one * f64::from(copies)).round().max(1.0) as u64)
    }

    /// What every cache made of a trace at a budget.
    fn row(&self, trace: &trace::Trace, percent: f64) -> Outcome<Vec<(String, Counts)>> {
        let (copies, mib) = self.budget(trace.working_set(), percent);
        let one = mib * MIB / u64::from(copies);
        let mut columns = Vec::new();
        let mut lru = Kind::Lru.build(one, trace.keys.len());
        let counts = simulate_trace(trace, lru.as_mut(), charge(None));
        columns.push(("LRU at memcached's cost".to_owned(), counts));
        let brief = [Kind::Lru, Kind::Belady];
        let kinds = if self.brief { &brief[..] } else { &Kind::ALL };
        for kind in kinds {
            let mut policy = kind.build(one, trace.keys.len());
            let counts = simulate_trace(trace, policy.as_mut(), charge(Some(self.charge)));
            columns.push((kind.name().to_owned(), counts));
        }
        let bytes = (mib * MIB) as usize;
        let mut embedded = match self.size_weight {
            Some(weight) => Embedded::with_size_weight(bytes, weight)?,
            None => Embedded::new(bytes)?,
        };
        columns.push(("memcore".to_owned(), replay(trace, copies, &mut embedded)));
        for recipe in &self.server {
            let server = Server::start(&recipe.with("{mib}", mib), self.port, None)?;
            let counts = replay_wire(server.addr, &Replay { trace, copies, window: 128 })?;
            columns.push((server.name.clone(), counts));
        }
        Ok(columns)
    }
}

impl Patterns {
    fn run(&self) -> Outcome<()> {
        let wanted = |name: &str| {
            self.names.is_empty() || self.names.iter().any(|prefix| name.starts_with(prefix))
        };
        let mut first = true;
        for (name, _) in PATTERNS.iter().filter(|(name, _)| wanted(name)) {
            let mib = if *name == "sizes" { 32 } else { self.mib };
            let capacity = capacity(mib)?;
            let pattern = Pattern::named(name, capacity).ok_or("no such pattern")?;
            let columns = self.row(&pattern, mib, capacity)?;
            if std::mem::take(&mut first) {
                let names = columns.iter().map(|(name, _)| format!(" {name} |"));
                println!(
                    "| pattern |{} of the better of LRU and FIFO |",
                    names.collect::<String>()
                );
                println!("|---|{}", "---|".repeat(columns.len() + 1));
            }
            let ratio = |wanted: &str| {
                let found = columns.iter().find(|(name, _)| name == wanted);
                found.map_or(f64::NAN, |(_, scores)| scores.ratio())
            };
            let yardstick = ratio("LRU").max(ratio("FIFO"));
            let cells = columns.iter().map(|(_, scores)| format!(" {} |", describe(scores)));
            let share = ratio("memcore") / yardstick;
            println!("| {name} |{} {share:.3} |", cells.collect::<String>());
            if let Some(folder) = self.plots.as_ref().filter(|_| pattern.groups > 3) {
                plot(name, &columns, folder)?;
            }
        }
        Ok(())
    }

    fn row(&self, pattern: &Pattern, mib: u64, capacity: u32) -> Outcome<Vec<(String, Scores)>> {
        let mut columns = Vec::new();
        // The same number of items of the usual size, in bytes.
        let budget = match pattern.keys.iter().any(|info| info.value_size != VALUE) {
            true => mib * MIB * 97 / 100,
            false => budget_of(capacity),
        };
        let brief = [Kind::Fifo, Kind::Lru, Kind::Belady];
        for kind in if self.policies { &Kind::ALL[..] } else { &brief } {
            columns.push((kind.name().to_owned(), simulated(*kind, pattern, budget)));
        }
        columns.push(("memcore".to_owned(), in_process(pattern, mib, self.threads)?));
        for recipe in &self.server {
            let server = Server::start(&recipe.with("{mib}", mib), self.port, None)?;
            let scores = over_wire(pattern, server.addr, self.threads)?;
            columns.push((server.name.clone(), scores));
        }
        Ok(columns)
    }
}

/// The last window of a mixture's phase.
struct Phase {
    mixture: u64,
    phase: usize,
    /// Hit ratios.
    fifo: f64,
    lru: f64,
    belady: f64,
    memcore: f64,
}

impl Phase {
    fn of_better(&self) -> f64 {
        self.memcore / self.fifo.max(self.lru)
    }
}

impl Mixtures {
    fn run(&self) -> Outcome<()> {
        let capacity = capacity(self.mib)?;
        let mut phases = Vec::new();
        for mixture in self.first..self.first + self.count {
            self.add(mixture, capacity, &mut phases)?;
        }
        // Where next to nothing can be hit, ratios say nothing.
        phases.retain(|phase| phase.fifo.max(phase.lru) > 0.05);
        phases.sort_by(|a, b| a.of_better().total_cmp(&b.of_better()));
        println!("| mixture, phase | FIFO | LRU | Belady | memcore | of the better one |");
        println!("|---|---|---|---|---|---|");
        for phase in phases.iter().take(self.show) {
            let ratios = [phase.fifo, phase.lru, phase.belady, phase.memcore, phase.of_better()];
            let cells: String = ratios.map(|ratio| format!(" {ratio:.3} |")).concat();
            println!("| {}, {} |{cells}", phase.mixture, phase.phase);
        }
        let below = phases.iter().filter(|phase| phase.of_better() < 0.95).count();
        let mean =
            |of: fn(&Phase) -> f64| phases.iter().map(of).sum::<f64>() / phases.len().max(1) as f64;
        println!(
            "\n{} phases, {below} of them below 0.95 of the better one; mean hits: \
             the better one {:.3}, memcore {:.3}, Belady {:.3}",
            phases.len(),
            mean(|phase| phase.fifo.max(phase.lru)),
            mean(|phase| phase.memcore),
            mean(|phase| phase.belady),
        );
        Ok(())
    }

    fn add(&self, mixture: u64, capacity: u32, phases: &mut Vec<Phase>) -> Outcome<()> {
        let pattern = Pattern::mixture(mixture, capacity);
        let [fifo, lru, belady] = [Kind::Fifo, Kind::Lru, Kind::Belady]
            .map(|kind| simulated(kind, &pattern, budget_of(capacity)));
        let memcore = in_process(&pattern, self.mib, self.threads)?;
        for (phase, last) in (1..).zip((WINDOWS - 1..memcore.0.len()).step_by(WINDOWS)) {
            let [fifo, lru, belady, memcore] =
                [&fifo, &lru, &belady, &memcore].map(|scores| scores.0[last].ratio());
            phases.push(Phase { mixture, phase, fifo, lru, belady, memcore });
        }
        Ok(())
    }
}

/// Bytes for so many items of the usual size.
fn budget_of(capacity: u32) -> u64 {
    u64::from(capacity) * (u64::from(VALUE) + u64::from(KEY) + CHARGE)
}

/// What a simulated cache makes of a pattern.
fn simulated(kind: Kind, pattern: &Pattern, budget: u64) -> Scores {
    let mut policy = kind.build(budget, pattern.keys.len());
    simulate(pattern, policy.as_mut(), CHARGE)
}

/// What the cache of this workspace makes of a pattern.
fn in_process(pattern: &Pattern, mib: u64, count: usize) -> Outcome<Scores> {
    let clock = ManualClock::new(Moment::default());
    let cache = Cache::builder((mib * MIB) as usize).clock(clock.clone()).seed(1).build()?;
    Ok(threads(pattern, &Threads { cache: &cache, clock: &clock, threads: count }))
}

/// How many items of the usual size a cache holds when it first evicts one.
fn capacity(mib: u64) -> Outcome<u32> {
    let cache = Cache::builder((mib * MIB) as usize).build()?;
    let value = vec![0; VALUE as usize];
    for key in 0_u32.. {
        let mut bytes = [b'k'; KEY as usize];
        bytes[..4].copy_from_slice(&key.to_le_bytes());
        cache.set(bytes, &value, Attrs::new())?;
        if key % 64 == 0 && cache.stats().total.evicted > 0 {
            return Ok(cache.stats().total.items as u32);
        }
    }
    Err("nothing was evicted".into())
}

/// A single ratio, or those of a few windows.
fn describe(scores: &Scores) -> String {
    let groups: Vec<_> = match scores.0.len() {
        1..=8 => scores.0.iter().map(|group| format!("{:.3}", group.ratio())).collect(),
        _ => vec![format!("{:.3}", scores.ratio())],
    };
    groups.join(" ")
}

fn plot(name: &str, columns: &[(String, Scores)], folder: &Path) -> Outcome<()> {
    let curves = columns.iter().map(|(name, scores)| Curve {
        name: name.clone(),
        points: (1..).zip(&scores.0).map(|(at, group)| (f64::from(at), group.ratio())).collect(),
    });
    let across = "windows".to_owned();
    Chart { title: name.to_owned(), across, curves: curves.collect() }
        .write(&folder.join(format!("pattern-{name}.svg")))
}
