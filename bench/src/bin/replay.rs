//! The trace replayer's command line. One JSON object per engine on standard output.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use argh::FromArgs;
use bench::client::Client;
use bench::launch::{Recipe, Server};
use bench::lru::Price;
use bench::process;
use bench::replay::{Counts, Embedded, Replay, Simulated, replay, replay_wire};
use bench::trace::{self, Synthetic, Trace, synthetic};
use serde_json::json;

/// Replays a trace against servers, the cache in process and plain LRU at the same budget.
#[derive(Debug, FromArgs)]
struct Args {
    /// trace file (MCT1)
    #[argh(option)]
    trace: Option<PathBuf>,
    /// instead of a file: zipf-distributed keys with ETC sizes
    #[argh(switch)]
    synthetic: bool,
    /// synthetic: number of keys (default 1000000)
    #[argh(option, default = "1_000_000")]
    keys: u32,
    /// synthetic: number of requests (default 5000000)
    #[argh(option, default = "5_000_000")]
    requests: u32,
    /// synthetic: exponent of the zipf distribution (default 1.0)
    #[argh(option, default = "1.0")]
    zipf: f64,
    /// synthetic: seed of every random choice (default 1)
    #[argh(option, default = "1")]
    seed: u64,
    /// replay only this number of requests of the trace
    #[argh(option)]
    first: Option<usize>,
    /// interleaved copies of the trace, each with keys of its own (default 1)
    #[argh(option)]
    copies: Option<u8>,
    /// with --percent: as many copies, up to 255, as give a budget of this many MiB
    #[argh(option)]
    least_mib: Option<u64>,
    /// budget in MiB
    #[argh(option)]
    mib: Option<u64>,
    /// budget in percent of the working set of all copies, rounded to whole MiB
    #[argh(option)]
    percent: Option<f64>,
    /// requests on their way at most (default 128)
    #[argh(option, default = "128")]
    window: usize,
    /// a server to replay against, NAME=COMMAND with {port} and {mib}; may be repeated
    #[argh(option)]
    server: Vec<Recipe>,
    /// port that the servers get (default 11411)
    #[argh(option, default = "11411")]
    port: u16,
    /// leave out what runs in this process
    #[argh(switch)]
    servers_only: bool,
}

fn main() -> ExitCode {
    match run(&argh::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("replay: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let (name, trace) = load(args)?;
    let (copies, mib) = budget(args, trace.working_set())?;
    let working_set = trace.working_set() * u64::from(copies);
    let print = |engine: &str, counts: &Counts, began: Instant, resident: u64| {
        let line = json!({
            "trace": &name,
            "copies": copies,
            "working_set": working_set,
            "mib": mib,
            "engine": engine,
            "hit_ratio": counts.hit_ratio(),
            "byte_hit_ratio": counts.byte_hit_ratio(),
            "gets": counts.gets,
            "hits": counts.hits,
            "refused": counts.refused,
            "seconds": began.elapsed().as_secs_f64(),
            "resident": resident,
        });
        println!("{line}");
    };
    for recipe in &args.server {
        let server = Server::start(&recipe.with("{mib}", mib), args.port, None)?;
        let began = Instant::now();
        let wanted = Replay { trace: &trace, copies, window: args.window };
        let counts = replay_wire(server.addr, &wanted)?;
        let limit = Client::connect(server.addr)?.stat("limit_maxbytes")?;
        if limit != mib * MIB {
            return Err(format!("{} has a limit of {limit} bytes", server.name).into());
        }
        print(&server.name, &counts, began, process::memory(server.pid())?.resident);
    }
    if args.servers_only {
        return Ok(());
    }
    let began = Instant::now();
    let mut embedded = Embedded::new((mib * MIB) as usize)?;
    let counts = replay(&trace, copies, &mut embedded);
    print("memcore", &counts, began, embedded.cache().stats().used as u64);
    for (engine, price) in
        [("lru at memcached's cost", Price::Memcached), ("lru without overhead", Price::Bytes)]
    {
        let began = Instant::now();
        let counts = replay(&trace, copies, &mut Simulated::new(mib * MIB, price));
        print(engine, &counts, began, mib * MIB);
    }
    Ok(())
}

/// How many copies share how many MiB, when one copy asks for `working_set` bytes.
fn budget(args: &Args, working_set: u64) -> Result<(u8, u64), &'static str> {
    let (copies, mib) = match (args.mib, args.percent) {
        (Some(mib), None) => (args.copies.unwrap_or(1), mib),
        (None, Some(percent)) => {
            let one = working_set as f64 * percent / 100.0 / MIB as f64;
            let wanted = args.least_mib.map_or(1.0, |least| (least as f64 / one).ceil());
            let copies = args.copies.unwrap_or(wanted.clamp(1.0, 255.0) as u8);
            (copies, (one * f64::from(copies)).round() as u64)
        }
        _ => return Err("give either --mib or --percent"),
    };
    if mib == 0 || copies == 0 || args.window == 0 {
        return Err("the budget, copies and window start at 1");
    }
    Ok((copies, mib))
}

fn load(args: &Args) -> Result<(String, Trace), Box<dyn std::error::Error>> {
    let Args { keys, requests, zipf: exponent, seed, .. } = *args;
    let (name, mut trace) = match (&args.trace, args.synthetic) {
        (Some(path), false) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (name.split('.').next().unwrap_or_default().to_owned(), trace::read(path)?)
        }
        (None, true) if keys > 0 && exponent > 0.0 => {
            let wanted = Synthetic { keys, requests, exponent, seed };
            (format!("zipf {exponent}"), synthetic(&wanted))
        }
        (None, true) => return Err("keys and the exponent must be above 0".into()),
        _ => return Err("give either --trace FILE or --synthetic".into()),
    };
    if let Some(first) = args.first {
        trace.requests.truncate(first);
    }
    Ok((name, trace))
}

const MIB: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Args {
        let words: Vec<_> = text.split(' ').collect();
        Args::from_args(&["replay"], &words).unwrap()
    }

    #[test]
    fn copies_fill_the_least_budget() {
        let budget = |text: &str| budget(&parsed(text), 100 * MIB);
        assert_eq!(budget("--mib 7"), Ok((1, 7)));
        assert_eq!(budget("--percent 10"), Ok((1, 10)));
        assert_eq!(budget("--percent 10 --copies 3"), Ok((3, 30)));
        assert_eq!(budget("--percent 10 --least-mib 25"), Ok((3, 30)));
        assert_eq!(budget("--percent 50 --least-mib 25"), Ok((1, 50)));
        assert!(budget("--mib 7 --percent 10").is_err());
        assert!(budget("--percent 0.1").is_err());
    }
}
