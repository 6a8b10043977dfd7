//! The load generator's command line; its result is one JSON object on standard output.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;
use bench::hist::Latencies;
use bench::load::large::{Beside, Large};
use bench::load::slo::{self, Slo};
use bench::load::{self, Bound, Load, LoadError, Outcome};
use bench::ratio::{Ratio, median};
use bench::value::{KEY_SIZE_MAX, KEY_SIZE_MIN, Sizes};
use serde_json::{Value, json};

/// Loads a memcached-compatible server, verifies every reply, prints JSON.
#[derive(Debug, FromArgs)]
struct Args {
    /// address of the server (default 127.0.0.1:11211)
    #[argh(option, default = "SocketAddr::from(([127, 0, 0, 1], 11211))")]
    addr: SocketAddr,
    /// connections in total (default 16)
    #[argh(option, default = "16")]
    connections: usize,
    /// threads (default 1)
    #[argh(option, default = "1")]
    threads: usize,
    /// requests on their way per connection (default 1)
    #[argh(option, default = "1")]
    depth: usize,
    /// number of keys (default 100000)
    #[argh(option, default = "100_000")]
    keys: u32,
    /// bytes of a key, 8 to 250 (default 20)
    #[argh(option, default = "20")]
    key_size: usize,
    /// bytes of a value: `100`, `10-1000` or `etc` (default 100)
    #[argh(option, default = "Sizes::Fixed(100)")]
    sizes: Sizes,
    /// exponent of the zipf distribution of keys, 0 for uniform (default 0.99)
    #[argh(option, default = "0.99")]
    zipf: f64,
    /// share of gets among the requests, 0 to 1 (default 1)
    #[argh(option, default = "1.0")]
    gets: f64,
    /// keys in a get (default 1)
    #[argh(option, default = "1")]
    width: usize,
    /// store every key first
    #[argh(switch)]
    preload: bool,
    /// accept any well-formed reply, for the floor server
    #[argh(switch)]
    no_verify: bool,
    /// requests per second in total; latency then counts from when a request was due
    #[argh(option)]
    rate: Option<f64>,
    /// search the highest rate at which a share of all requests takes at most so long, as in
    /// p999=1ms; reports every attempt on standard error
    #[argh(option)]
    slo: Option<Slo>,
    /// measure the latency in turns alone and beside a client that gets a value of this many bytes
    #[argh(option)]
    large: Option<usize>,
    /// gets of the large value per second (default 10)
    #[argh(option, default = "10.0")]
    large_rate: f64,
    /// rounds alone and beside the large value (default 3)
    #[argh(option, default = "3")]
    rounds: usize,
    /// seconds of load before the measurement (default 1)
    #[argh(option, default = "1.0")]
    warmup: f64,
    /// seconds of measurement (default 5)
    #[argh(option, default = "5.0")]
    seconds: f64,
    /// measure this number of requests instead of a time
    #[argh(option)]
    requests: Option<u64>,
    /// seed of every random choice (default 1)
    #[argh(option, default = "1")]
    seed: u64,
    /// process of the server, to report its processor time and memory
    #[argh(option)]
    server_pid: Option<u32>,
}

fn main() -> ExitCode {
    let args: Args = argh::from_env();
    let load = match checked(&args) {
        Ok(load) => load,
        Err(problem) => {
            eprintln!("loadgen: {problem}");
            return ExitCode::from(2);
        }
    };
    match perform(&args, &load) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("loadgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(args: &Args, load: &Load) -> Result<Value, LoadError> {
    if let Some(slo) = args.slo {
        return search(slo, load);
    }
    match args.large {
        None => Ok(report(load, &load::run(load)?)),
        Some(size) => {
            let large = Large { size, rate: args.large_rate };
            Ok(report_beside(&large.measure(load, args.rounds)?))
        }
    }
}

fn search(slo: Slo, load: &Load) -> Result<Value, LoadError> {
    let best = slo.search(load, |attempt| {
        let us = attempt.outcome.counts.latency.quantile(slo.quantile) as f64 / 1e3;
        let verdict = if attempt.kept { "kept" } else { "missed" };
        let answered = slo::per_second(&attempt.outcome);
        eprintln!("{:.0} per second: {us:.0} us, {answered:.0} answered: {verdict}", attempt.rate);
    })?;
    Ok(match best {
        None => json!({ "rate": 0 }),
        Some(best) => {
            let mut found = json!({ "rate": best.rate });
            let parts = report(load, &best.outcome);
            let parts = parts.as_object().into_iter().flatten();
            parts.for_each(|(name, value)| found[name] = value.clone());
            found
        }
    })
}

fn report_beside(measured: &Beside) -> Value {
    let quantiles = |q: f64| {
        let us = |all: &[Latencies]| all.iter().map(|one| one.quantile(q) as f64 / 1e3).collect();
        let (alone, beside): (Vec<f64>, Vec<f64>) = (us(&measured.alone), us(&measured.beside));
        let ratio = Ratio::of(&beside, &alone).map(|ratio| ratio.to_string());
        json!({ "alone_us": median(&alone), "beside_us": median(&beside), "ratio": ratio })
    };
    json!({
        "p50": quantiles(0.5),
        "p99": quantiles(0.99),
        "p999": quantiles(0.999),
        "large_gets": measured.large.total(),
        "large_p50_us": measured.large.quantile(0.5) as f64 / 1e3,
        "large_max_us": measured.large.max() as f64 / 1e3,
    })
}

fn checked(args: &Args) -> Result<Load, &'static str> {
    let Args { connections, threads, depth, width, keys, .. } = *args;
    if threads == 0 || connections < threads || depth == 0 || width == 0 || keys == 0 {
        return Err("threads, depth, width and keys start at 1, connections at the threads");
    }
    if args.rounds == 0 || args.large_rate.is_nan() || args.large_rate <= 0.0 {
        return Err("rounds start at 1, and a large value is asked for more than 0 times a second");
    }
    if !(KEY_SIZE_MIN..=KEY_SIZE_MAX).contains(&args.key_size) {
        return Err("a key has 8 to 250 bytes");
    }
    if !(0.0..=1.0).contains(&args.gets) || !(0.0..10.0).contains(&args.zipf) {
        return Err("gets is a share, zipf an exponent below 10");
    }
    let duration = |seconds| Duration::try_from_secs_f64(seconds).map_err(|_| "not a duration");
    let bound = match args.requests {
        Some(requests) => Bound::Requests(requests),
        None => Bound::Time(duration(args.seconds)?),
    };
    Ok(Load {
        addr: args.addr,
        connections,
        threads,
        depth,
        keys,
        key_size: args.key_size,
        sizes: args.sizes,
        zipf: args.zipf,
        gets: args.gets,
        width,
        preload: args.preload,
        verify: !args.no_verify,
        rate: args.rate.filter(|&rate| rate > 0.0),
        warmup: duration(args.warmup)?,
        bound,
        seed: args.seed,
        server_pid: args.server_pid,
    })
}

fn report(load: &Load, outcome: &Outcome) -> Value {
    let counts = &outcome.counts;
    let seconds = outcome.elapsed.as_secs_f64();
    let keys = counts.hits + counts.misses + counts.stored;
    let us = |q| counts.latency.quantile(q) as f64 / 1e3;
    let mut report = json!({
        "seconds": seconds,
        "requests": counts.requests,
        "keys": keys,
        "hits": counts.hits,
        "misses": counts.misses,
        "stored": counts.stored,
        "errors": counts.errors,
        "bytes_read": counts.bytes_read,
        "verified": u64::from(load.verify),
        "requests_per_second": counts.requests as f64 / seconds,
        "keys_per_second": keys as f64 / seconds,
        "mean_us": counts.latency.mean() / 1e3,
        "p50_us": us(0.5),
        "p99_us": us(0.99),
        "p999_us": us(0.999),
        "p9999_us": us(0.9999),
        "max_us": counts.latency.max() as f64 / 1e3,
    });
    if let (Some(cpu), Some(memory)) = (outcome.server_cpu_ns, outcome.server_memory) {
        report["server_cpu_ns"] = cpu.into();
        report["server_ns_per_request"] = (cpu as f64 / counts.requests.max(1) as f64).into();
        report["server_ns_per_key"] = (cpu as f64 / keys.max(1) as f64).into();
        report["server_resident"] = memory.resident.into();
        report["server_peak"] = memory.peak.into();
    }
    report
}
