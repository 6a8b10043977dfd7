//! The comparison's command line: one table per scenario on standard output.

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;
use bench::compare::{Contender, SCENARIOS, Sample, Setup, compare};
use bench::launch::{Recipe, pin};
use bench::ratio::Ratio;

/// Puts the same load on several servers in turns and prints ratios with their spread.
#[derive(Debug, FromArgs)]
struct Args {
    /// a server, NAME=COMMAND with {port} and {mib}; repeated; ratios are first to others
    #[argh(option)]
    server: Vec<Recipe>,
    /// the floor server's program (default: `floor` beside this program; `none` leaves it out)
    #[argh(option)]
    floor: Option<PathBuf>,
    /// only this scenario; may be repeated (get, get-pipelined, multiget, multiget-1g, set-evict,
    /// mix, mix-64k, mix-1m)
    #[argh(option)]
    scenario: Vec<String>,
    /// rounds (default 5)
    #[argh(option, default = "5")]
    rounds: usize,
    /// seconds of each measurement (default 2)
    #[argh(option, default = "2.0")]
    seconds: f64,
    /// processor of the servers (default 0)
    #[argh(option, default = "0")]
    server_core: usize,
    /// processor of the load (default 1)
    #[argh(option, default = "1")]
    load_core: usize,
    /// first of the ports that the servers get (default 11411)
    #[argh(option, default = "11411")]
    port: u16,
}

fn main() -> ExitCode {
    match run(&argh::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    if args.server.is_empty() || args.rounds == 0 {
        return Err("at least one --server NAME=COMMAND and one round are needed".into());
    }
    if let Some(name) = args.scenario.iter().find(|name| SCENARIOS.iter().all(|s| s.name != **name))
    {
        return Err(format!("there is no scenario {name}").into());
    }
    pin(args.load_core)?;
    let floor = floor(args)?;
    let setup = Setup {
        rounds: args.rounds,
        seconds: args.seconds,
        server_core: Some(args.server_core),
        port: args.port,
    };
    for scenario in &SCENARIOS {
        if args.scenario.is_empty() || args.scenario.iter().any(|name| name == scenario.name) {
            println!("{}: {} rounds of {} s", scenario.name, args.rounds, args.seconds);
            print_table(&compare(&setup, scenario, &args.server, floor.as_ref())?);
        }
    }
    Ok(())
}

fn floor(args: &Args) -> Result<Option<Recipe>, Box<dyn std::error::Error>> {
    let program = match &args.floor {
        Some(path) if path.as_os_str() == "none" => return Ok(None),
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("floor"),
    };
    let program = program.to_str().ok_or("the floor server's path is not text")?.to_owned();
    let words = vec![program, "--listen".to_owned(), "127.0.0.1:{port}".to_owned()];
    Ok(Some(Recipe { name: "floor".to_owned(), words }))
}

/// A column: its heading and the number that it shows.
type Column = (&'static str, fn(&Sample) -> f64);

const COLUMNS: [Column; 4] = [
    ("server cpu ns/key", |sample| sample.cpu_ns),
    ("keys/s", |sample| sample.throughput),
    ("p99.9 us, paced", |sample| sample.p999_us),
    ("resident MiB", |sample| sample.resident_mib),
];

fn print_table(contenders: &[Contender]) {
    print!("  {:<28}", "");
    COLUMNS.iter().for_each(|(heading, _)| print!("{heading:>26}"));
    println!("{:>8}", "hits");
    for contender in contenders {
        print!("  {:<28}", contender.server.name);
        for (_, of) in COLUMNS {
            print!("{:>26.1}", contender.median(of));
        }
        println!("{:>8.4}", contender.median(|sample| sample.hits));
    }
    let [first, others @ ..] = contenders else { return };
    for other in others {
        print!("  {:<28}", format!("{} / {}", first.server.name, other.server.name));
        for (_, of) in COLUMNS {
            match Ratio::of(&first.all(of), &other.all(of)) {
                Some(ratio) => print!("{ratio:>26}"),
                None => print!("{:>26}", "-"),
            }
        }
        println!();
    }
    println!();
}
