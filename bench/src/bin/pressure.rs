//! The command line of the pressure scenarios: one table per scenario, one row per server.

use std::process::ExitCode;

use argh::FromArgs;
use bench::launch::Recipe;
use bench::pressure::{
    Exit, Expiry, Growth, LargeReads, LogPipe, LongCommands, PartialLines, Report, Scenario,
    Shrink, SlowUploads, UnreadReplies, run,
};

/// Puts servers under pressure and reports what their other clients notice.
#[derive(Debug, FromArgs)]
struct Args {
    /// a server, NAME=COMMAND with {port}, and {admin} for the port of its metrics if it has some;
    /// repeated; the scenario appends its flags
    #[argh(option)]
    server: Vec<Recipe>,
    /// port that the servers get (default 11411)
    #[argh(option, default = "11411")]
    port: u16,
    #[argh(subcommand)]
    scenario: Attack,
}

#[derive(Debug, FromArgs)]
#[argh(subcommand)]
enum Attack {
    LargeReads(LargeReads),
    UnreadReplies(UnreadReplies),
    SlowUploads(SlowUploads),
    PartialLines(PartialLines),
    Shrink(Shrink),
    Expiry(Expiry),
    Growth(Growth),
    LongCommands(LongCommands),
    LogPipe(LogPipe),
}

impl Attack {
    fn scenario(&self) -> &dyn Scenario {
        match self {
            Self::LargeReads(scenario) => scenario,
            Self::UnreadReplies(scenario) => scenario,
            Self::SlowUploads(scenario) => scenario,
            Self::PartialLines(scenario) => scenario,
            Self::Shrink(scenario) => scenario,
            Self::Expiry(scenario) => scenario,
            Self::Growth(scenario) => scenario,
            Self::LongCommands(scenario) => scenario,
            Self::LogPipe(scenario) => scenario,
        }
    }
}

fn main() -> ExitCode {
    let args: Args = argh::from_env();
    if args.server.is_empty() {
        eprintln!("pressure: at least one --server NAME=COMMAND is needed");
        return ExitCode::from(2);
    }
    let scenario = args.scenario.scenario();
    println!(
        "{:<12} {:>9} {:>8} {:>7} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9}  exit",
        "server",
        "answered",
        "errors",
        "closed",
        "wait max",
        "p99.9 ms",
        "failures",
        "MiB",
        "peak",
        "10 s on",
        "slice ms"
    );
    let mut result = ExitCode::SUCCESS;
    for recipe in &args.server {
        match run(scenario, recipe, args.port) {
            Ok(report) => print(&report),
            Err(error) => {
                println!("{:<12} {error}", recipe.name);
                result = ExitCode::FAILURE;
            }
        }
    }
    result
}

fn print(report: &Report) {
    let tally = &report.tally;
    let ms = |nanoseconds: u64| nanoseconds as f64 / 1e6;
    let mib = |bytes: Option<u64>| match bytes {
        Some(bytes) => format!("{:.1}", bytes as f64 / f64::from(1 << 20)),
        None => "-".to_owned(),
    };
    let slice = match report.slice {
        Some(slice) => format!("{:.1}", slice.as_secs_f64() * 1e3),
        None => "-".to_owned(),
    };
    let exit = match &report.exit {
        Exit::After(time) => format!("{:.0} ms", time.as_secs_f64() * 1e3),
        Exit::Killed => "killed".to_owned(),
        Exit::Died(status) => format!("died before: {status}"),
    };
    println!(
        "{:<12} {:>9} {:>8} {:>7} {:>9.1} {:>9.1} {:>8} {:>8} {:>8} {:>8} {slice:>9}  {exit}",
        report.server,
        tally.answered,
        tally.errors,
        tally.closed,
        ms(report.waits.latency.max()),
        ms(report.waits.latency.quantile(0.999)),
        report.waits.failures,
        mib(report.before),
        mib(report.peak),
        mib(report.after),
    );
    for (command, time) in &tally.commands {
        println!("{:<12}   {command}: {:.1} ms", "", time.as_secs_f64() * 1e3);
    }
}
