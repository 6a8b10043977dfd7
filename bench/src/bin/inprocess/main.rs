//! The in-process comparison's command line: a table on standard output, the goals beside it.

mod bytes;
mod cases;
mod print;
mod run;

use std::process::ExitCode;

use argh::FromArgs;

use crate::cases::{CASES, Case, World};
use crate::run::Row;

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
    /// only beside the caches whose name contains this
    #[argh(option, default = "String::new()")]
    beside: String,
    /// print a table of ratios in markdown, as README.md has it
    #[argh(switch)]
    markdown: bool,
    /// print how many bytes each cache takes for an item beyond key and value, and nothing else
    #[argh(switch)]
    bytes: bool,
    /// the cache whose bytes this process counts; `--bytes` starts one for each
    #[argh(option)]
    bytes_of: Option<String>,
}

fn main() -> ExitCode {
    let args: Args = argh::from_env();
    if args.rounds == 0 || args.operations < 16 || args.items == 0 || args.cold_items == 0 {
        eprintln!("inprocess: rounds and items start at 1, operations at 16");
        return ExitCode::from(2);
    }
    let done = match &args.bytes_of {
        Some(name) => bytes::count(&args, name),
        None if args.bytes => bytes::count_all(&args),
        None => {
            compare(&args);
            Ok(())
        }
    };
    if let Err(error) = done {
        eprintln!("inprocess: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn compare(args: &Args) {
    let mut rows: Vec<Row> = Vec::new();
    for world in [World::Warm, World::Cold, World::Full] {
        let is_wanted = |case: &&Case| case.world == world && case.name.contains(&args.only);
        let cases: Vec<&'static Case> = CASES.iter().filter(is_wanted).collect();
        if cases.is_empty() {
            continue;
        }
        let done = run::run(args, world, &cases);
        if !args.markdown {
            print::plain(args, world, &done);
        }
        rows.extend(done);
    }
    if args.markdown {
        print::markdown(args, &rows);
    }
}
