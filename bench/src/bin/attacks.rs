//! The command line of the attacks: two rows per server, without the attack and during it.

use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;
use bench::attacks::{
    HalfHandshakes, Handshakes, Idle, Passwords, Places, Report, Scenario, SlowReaders, run,
};
use bench::hist::Latencies;
use bench::launch::Recipe;

/// Attacks servers and reports what a healthy client notices, with and without the attack.
#[derive(Debug, FromArgs)]
struct Args {
    /// a server, NAME=COMMAND with {port}; repeated; the scenario appends its flags
    #[argh(option)]
    server: Vec<Recipe>,
    /// port that the servers get (default 11511)
    #[argh(option, default = "11511")]
    port: u16,
    /// processor of the server (default 0)
    #[argh(option, default = "0")]
    server_core: usize,
    /// processor of all clients (default 1)
    #[argh(option, default = "1")]
    client_core: usize,
    /// rounds (default 3)
    #[argh(option, default = "3")]
    rounds: u32,
    /// seconds without the attack, and as many with it, a round (default 10)
    #[argh(option, default = "10.0")]
    seconds: f64,
    #[argh(subcommand)]
    scenario: Attack,
}

#[derive(Debug, FromArgs)]
#[argh(subcommand)]
enum Attack {
    Handshakes(Handshakes),
    HalfHandshakes(HalfHandshakes),
    Idle(Idle),
    SlowReaders(SlowReaders),
    Passwords(Passwords),
}

impl Attack {
    fn scenario(&self) -> &dyn Scenario {
        match self {
            Self::Handshakes(scenario) => scenario,
            Self::HalfHandshakes(scenario) => scenario,
            Self::Idle(scenario) => scenario,
            Self::SlowReaders(scenario) => scenario,
            Self::Passwords(scenario) => scenario,
        }
    }
}

fn main() -> ExitCode {
    let args: Args = argh::from_env();
    if args.server.is_empty() || args.rounds == 0 {
        eprintln!("attacks: at least one --server NAME=COMMAND and one round are needed");
        return ExitCode::from(2);
    }
    let scenario = args.scenario.scenario();
    let places = Places { port: args.port, server: args.server_core, clients: args.client_core };
    println!(
        "{:<12} {:<7} {:>8} {:>9} {:>9} {:>9} {:>9}  microseconds",
        "server", "", "replies", "p50", "p99", "p99.9", "max"
    );
    let time = Duration::from_secs_f64(args.seconds);
    let mut result = ExitCode::SUCCESS;
    for recipe in &args.server {
        match run(scenario, recipe, places, args.rounds, time) {
            Ok(report) => print(&report, scenario.held(), args.seconds * f64::from(args.rounds)),
            Err(error) => {
                println!("{:<12} {error}", recipe.name);
                result = ExitCode::FAILURE;
            }
        }
    }
    result
}

fn print(report: &Report, held: Option<usize>, seconds: f64) {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    row(&report.server, "quiet", &report.quiet);
    row(&report.server, "attack", &report.attacked);
    let tally = &report.tally;
    println!(
        "    p99.9, attack/quiet a round: {}; {} waits failed",
        report.ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(" "),
        report.failures
    );
    println!(
        "    attack: {} done ({:.0} a second), {} closed by the server; {:.2} s of server CPU a \
         second; {:.1} MiB before, {:.1} at most",
        tally.done,
        tally.done as f64 / seconds,
        tally.closed,
        report.cpu as f64 / 1e9 / seconds,
        mib(report.before),
        mib(report.most)
    );
    if tally.took.total() > 0 {
        row("", "each", &tally.took);
    }
    if tally.logins.total() + tally.locked_out > 0 {
        row("", "logins", &tally.logins);
        println!("    logins with the right password that failed: {}", tally.locked_out);
    }
    if let Some(held) = held.filter(|held| *held > 0) {
        let kib = report.most.saturating_sub(report.before) as f64 / 1024.0 / held as f64;
        println!("    {held} connections held, {kib:.1} KiB each");
    }
}

fn row(server: &str, what: &str, waits: &Latencies) {
    let us = |nanoseconds: u64| nanoseconds as f64 / 1e3;
    println!(
        "{server:<12} {what:<7} {:>8} {:>9.1} {:>9.1} {:>9.1} {:>9.1}",
        waits.total(),
        us(waits.quantile(0.5)),
        us(waits.quantile(0.99)),
        us(waits.quantile(0.999)),
        us(waits.max()),
    );
}
