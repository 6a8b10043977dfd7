//! How many items a server holds in how much memory: filled beyond its limit with a thousand
//! connections open, then counted by its own account and by reading back.

use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;
use bench::client::Client;
use bench::launch::{Recipe, Server};
use bench::load::{self, Bound, Load};
use bench::value::Sizes;

/// Fills servers beyond their limit and counts what they hold in how much memory.
#[derive(Debug, FromArgs)]
struct Args {
    /// a server, NAME=COMMAND with {port} and {mib}; repeated; ratios are first to others
    #[argh(option)]
    server: Vec<Recipe>,
    /// memory limit in MiB; may be repeated (default 64)
    #[argh(option)]
    mib: Vec<u64>,
    /// bytes of a value; may be repeated (default 10, 100, 1000, 10000)
    #[argh(option)]
    value: Vec<u32>,
    /// bytes of a key, 8 to 250 (default 20)
    #[argh(option, default = "20")]
    key_size: usize,
    /// connections (default 1000)
    #[argh(option, default = "1000")]
    connections: usize,
    /// keys that are read back (default 200000)
    #[argh(option, default = "200_000")]
    sample: u64,
    /// how many MiB the process may take beyond the limit (default 24)
    #[argh(option, default = "24")]
    allowance: u64,
    /// port that the servers get (default 11411)
    #[argh(option, default = "11411")]
    port: u16,
}

fn main() -> ExitCode {
    match run(&argh::from_env()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("memory: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a full server holds.
struct Held {
    counted: u64,
    readable: f64,
    peak: u64,
}

/// True if the first server kept within its bound everywhere.
fn run(args: &Args) -> Result<bool, Box<dyn std::error::Error>> {
    let or = |given: &[u64], usual: &[u64]| if given.is_empty() { usual } else { given }.to_vec();
    let values: Vec<u64> = args.value.iter().map(|&size| size.into()).collect();
    let limits = or(&args.mib, &[64]);
    let values = or(&values, &[10, 100, 1000, 10_000]);
    if args.server.is_empty() {
        return Err("at least one --server NAME=COMMAND is needed".into());
    }
    println!(
        "{:>6} {:>6}  {:<12} {:>11} {:>11} {:>9} {:>7}  items, first to this",
        "MiB", "value", "server", "curr_items", "read back", "peak MiB", "bound"
    );
    let mut kept = true;
    for (&mib, &value) in limits.iter().flat_map(|m| values.iter().map(move |v| (m, v))) {
        let mut first = None;
        for (i, recipe) in args.server.iter().enumerate() {
            let held = fill(args, recipe, mib, value as u32)?;
            let within = held.peak <= (mib + args.allowance) << 20;
            kept &= within || i > 0;
            let first = *first.get_or_insert(held.readable);
            println!(
                "{mib:>6} {value:>6}  {:<12} {:>11} {:>11.0} {:>9.1} {:>7}  {:.3}",
                recipe.name,
                held.counted,
                held.readable,
                held.peak as f64 / f64::from(1 << 20),
                if within { "kept" } else { "BROKEN" },
                first / held.readable,
            );
        }
    }
    Ok(kept)
}

fn fill(
    args: &Args,
    recipe: &Recipe,
    mib: u64,
    value: u32,
) -> Result<Held, Box<dyn std::error::Error>> {
    let server = Server::start(&recipe.with("{mib}", mib), args.port, None)?;
    let least = u64::from(value) + args.key_size as u64 + LEAST_OVERHEAD;
    let keys = (mib << 20) * 6 / 5 / least;
    let load = Load {
        addr: server.addr,
        connections: args.connections,
        threads: 1,
        depth: 16,
        keys: u32::try_from(keys)?,
        key_size: args.key_size,
        sizes: Sizes::Fixed(value),
        zipf: 0.0,
        gets: 1.0,
        width: 1,
        preload: true,
        verify: true,
        rate: None,
        warmup: Duration::ZERO,
        bound: Bound::Requests(args.sample),
        seed: 1,
        server_pid: Some(server.pid()),
    };
    let outcome = load::run(&load)?;
    let counts = &outcome.counts;
    if counts.misses == 0 {
        return Err(format!("{keys} keys did not fill {}", server.name).into());
    }
    Ok(Held {
        counted: Client::connect(server.addr)?.stat("curr_items")?,
        readable: counts.hits as f64 / counts.requests as f64 * keys as f64,
        peak: outcome.server_memory.unwrap_or_default().peak,
    })
}

/// No server can hold an item in less beyond key and value, so that more is offered than fits.
const LEAST_OVERHEAD: u64 = 16;
