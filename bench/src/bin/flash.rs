//! What servers find of items that have no room in memory and may go to flash: hit ratio, memory
//! and writes, and how long items in memory take meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use argh::FromArgs;
use bench::client::Client;
use bench::hist::Latencies;
use bench::launch::{Recipe, Server};
use bench::rng::seeded;
use bench::value::{is_value, push_key, push_value};
use bench::wire::{Reply, push_set_line};
use bench::zipf::Zipf;

/// Bytes of a key.
const KEY: usize = 20;
/// Keys that are asked for at once.
const BATCH: usize = 16;
/// Keys that are asked for again and again while flash is busy.
const HOT: u32 = 500;

/// Asks servers for items of which memory holds a small part, and stores what is missing.
#[derive(Debug, FromArgs)]
struct Args {
    /// a server, NAME=COMMAND with {port}, {mib} and {file}; repeated
    #[argh(option)]
    server: Vec<Recipe>,
    /// memory limit in MiB (default 64)
    #[argh(option, default = "64")]
    mib: u64,
    /// how many times as large as memory all items are (default 20)
    #[argh(option, default = "20")]
    times: u64,
    /// bytes of a value (default 4000)
    #[argh(option, default = "4000")]
    value: usize,
    /// requests for each item, on average, of which the first half is not counted (default 6)
    #[argh(option, default = "6")]
    rounds: u64,
    /// exponent of the popularity (default 0.9)
    #[argh(option, default = "0.9")]
    zipf: f64,
    /// folder of the flash files (default /tmp)
    #[argh(option, default = "PathBuf::from(\"/tmp\")")]
    folder: PathBuf,
    /// port that the servers get (default 11411)
    #[argh(option, default = "11411")]
    port: u16,
}

/// What is kept of a run.
#[derive(Debug, Default)]
struct Counts {
    asked: u64,
    found: u64,
    stored: u64,
}

fn main() -> ExitCode {
    match run(&argh::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flash: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    for recipe in &args.server {
        let path = args.folder.join(format!("flash-{}-{}", recipe.name, std::process::id()));
        let result = measure(args, recipe, &path);
        // A server without flash has not made it.
        let _ = fs::remove_file(&path);
        result?;
    }
    Ok(())
}

fn measure(args: &Args, recipe: &Recipe, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let recipe = recipe.with("{mib}", args.mib).with("{file}", path.display());
    let server = Server::start(&recipe, args.port, None)?;
    let mut client = Client::connect(server.addr)?;
    let keys = u32::try_from((args.mib << 20) * args.times / (args.value + KEY) as u64)?;
    let zipf = Zipf::new(keys, args.zipf);
    let mut rng = seeded(7);
    let batches = args.rounds * u64::from(keys) / BATCH as u64;
    let mut counts = Counts::default();
    let mut next = || zipf.rank(&mut rng);
    for batch in 0..batches {
        if batch == batches / 2 {
            counts = Counts::default();
        }
        let batch: [u32; BATCH] = std::array::from_fn(|_| next());
        look_aside(args, &mut client, &batch, &mut counts)?;
    }
    let stat = |client: &mut Client, name: &str| client.stat(name).unwrap_or(0);
    let items = stat(&mut client, "extstore_objects_used");
    let table = stat(&mut client, "extstore_table");
    let written = stat(&mut client, "extstore_bytes_written");
    let put = stat(&mut client, "extstore_objects_written") * (args.value + KEY) as u64;
    let alone = latency(args, server.addr, keys, false)?;
    let busy = latency(args, server.addr, keys, true)?;
    println!(
        "{:<12} {keys} keys: {:5.2}% hits; {} sets; {items} on flash, {:.2} bytes of memory each; \
         written {:.3} times;\n             resident {} MiB; gets of hot keys: p50 {} us, \
         p99.9 {} us, flash busy: p50 {} us, p99.9 {} us",
        server.name,
        100.0 * counts.found as f64 / counts.asked as f64,
        counts.stored,
        table as f64 / items.max(1) as f64,
        written as f64 / put.max(1) as f64,
        resident(server.pid())? >> 10,
        alone.quantile(0.5) / 1000,
        alone.quantile(0.999) / 1000,
        busy.quantile(0.5) / 1000,
        busy.quantile(0.999) / 1000,
    );
    Ok(())
}

/// Kilobytes of memory of a process.
fn resident(pid: u32) -> Result<u64, Box<dyn std::error::Error>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Asks for keys, and stores what is missing.
fn look_aside(
    args: &Args,
    client: &mut Client,
    keys: &[u32],
    counts: &mut Counts,
) -> Result<(), Box<dyn std::error::Error>> {
    for &key in keys {
        push_get(client.output(), key);
    }
    client.send()?;
    let mut missing = Vec::new();
    for &key in keys {
        counts.asked += 1;
        match receive(client, key)? {
            true => counts.found += 1,
            false => missing.push(key),
        }
    }
    counts.stored += missing.len() as u64;
    for &key in &missing {
        push_set(client.output(), key, args.value);
    }
    client.send()?;
    for _ in missing {
        client.receive(|_| ())?;
    }
    Ok(())
}

fn push_get(out: &mut Vec<u8>, key: u32) {
    out.extend_from_slice(b"get ");
    push_key(out, key, KEY);
    out.extend_from_slice(b"\r\n");
}

fn push_set(out: &mut Vec<u8>, key: u32, len: usize) {
    let mut name = Vec::new();
    push_key(&mut name, key, KEY);
    push_set_line(out, &name, 0, len);
    push_value(out, key, len);
    out.extend_from_slice(b"\r\n");
}

/// Whether the key's item is there; its value is checked.
fn receive(client: &mut Client, key: u32) -> Result<bool, Box<dyn std::error::Error>> {
    let mut found = false;
    loop {
        let ends = client.receive(|reply| match reply {
            Reply::Value { data, .. } => {
                found = true;
                if is_value(data, key) { Ok(false) } else { Err("a wrong value") }
            }
            _ => Ok(true),
        })??;
        if ends {
            return Ok(found);
        }
    }
}

/// How long gets of keys take that are in memory, while others are read from flash or not.
fn latency(
    args: &Args,
    addr: std::net::SocketAddr,
    keys: u32,
    busy: bool,
) -> Result<Latencies, Box<dyn std::error::Error>> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        if busy {
            for seed in 0..2 {
                let stop = &stop;
                scope.spawn(move || {
                    let mut rng = seeded(99 + seed);
                    let mut client = Client::connect(addr).expect("the server listens");
                    let uniform = Zipf::new(keys, 0.0);
                    while !stop.load(Ordering::Relaxed) {
                        let batch: [u32; BATCH] =
                            std::array::from_fn(|_| uniform.rank(&mut rng) % keys);
                        let done = look_aside(args, &mut client, &batch, &mut Counts::default());
                        done.expect("every request is answered");
                    }
                });
            }
        }
        let timed = time_hot(args, addr);
        stop.store(true, Ordering::Relaxed);
        timed
    })
}

fn time_hot(
    args: &Args,
    addr: std::net::SocketAddr,
) -> Result<Latencies, Box<dyn std::error::Error>> {
    let mut client = Client::connect(addr)?;
    let mut times = Latencies::default();
    for round in 0..60 {
        for key in (u32::MAX - HOT)..u32::MAX {
            let began = Instant::now();
            push_get(client.output(), key);
            client.send()?;
            let found = receive(&mut client, key)?;
            if !found {
                push_set(client.output(), key, args.value);
                client.send()?;
                client.receive(|_| ())?;
            } else if round >= 5 {
                times.record(began.elapsed().as_nanos() as u64);
            }
        }
    }
    Ok(times)
}
