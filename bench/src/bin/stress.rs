//! The stress run's command line; prints totals as one JSON object, or what went wrong.

use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;
use bench::stress::{Stress, Totals, run};
use serde_json::{Value, json};

/// Mixed traffic over connections and in process against one cache; every byte is checked.
#[derive(Debug, FromArgs)]
struct Args {
    /// minutes (default 10)
    #[argh(option, default = "10.0")]
    minutes: f64,
    /// memory limit in MiB (default 64)
    #[argh(option, default = "64")]
    mib: usize,
    /// connections (default 8)
    #[argh(option, default = "8")]
    connections: usize,
    /// threads that use the cache in process (default 4)
    #[argh(option, default = "4")]
    threads: usize,
    /// number of keys (default 500000)
    #[argh(option, default = "500_000")]
    keys: u32,
    /// seed of every random choice (default 1)
    #[argh(option, default = "1")]
    seed: u64,
}

fn main() -> ExitCode {
    let Args { minutes, mib, connections, threads, keys, seed } = argh::from_env();
    // Every actor needs a key of its own.
    let enough = (connections + threads) * 8;
    let Ok(time) = Duration::try_from_secs_f64(minutes * 60.0) else {
        eprintln!("stress: {minutes} is no number of minutes");
        return ExitCode::from(2);
    };
    if connections + threads == 0 || (keys as usize) < enough {
        eprintln!("stress: at least one connection or thread and {enough} keys are needed");
        return ExitCode::from(2);
    }
    match run(&Stress { limit: mib << 20, connections, threads, keys, time, seed }) {
        Ok(totals) => {
            println!("{}", report(&totals));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("stress: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report(totals: &Totals) -> Value {
    json!({
        "reads": totals.reads,
        "hits": totals.hits,
        "misses": totals.misses,
        "bytes": totals.bytes,
        "stored": totals.stored,
        "refused": totals.refused,
        "deletes_and_touches": totals.others,
        // Anything else ends the run with an error.
        "wrong": 0,
    })
}
