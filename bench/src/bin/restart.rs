//! How long servers take to stop and to start again with the same items, which lie in a file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use argh::FromArgs;
use bench::client::Client;
use bench::launch::{Recipe, Server};
use bench::load::{self, Bound, Load};
use bench::value::Sizes;
use rustix::fs::{Advice, fadvise};

/// Bytes of a key.
const KEY_SIZE: usize = 20;
/// Longest time that a server may take to stop.
const STOP_MAX: Duration = Duration::from_secs(300);

/// Stops full servers whose memory lies in a file, and starts them again.
#[derive(Debug, FromArgs)]
struct Args {
    /// a server, NAME=COMMAND with {port}, {mib} and {file}; repeated
    #[argh(option)]
    server: Vec<Recipe>,
    /// memory limit in MiB; may be repeated (default 1024)
    #[argh(option)]
    mib: Vec<u64>,
    /// bytes of a value (default 1000)
    #[argh(option, default = "1000")]
    value: u32,
    /// folder of the file (default /dev/shm)
    #[argh(option, default = "PathBuf::from(\"/dev/shm\")")]
    folder: PathBuf,
    /// before each start, have the system forget what it keeps of the file in memory
    #[argh(switch)]
    cold: bool,
    /// rounds, of which the median is shown (default 3)
    #[argh(option, default = "3")]
    rounds: usize,
    /// seconds between stop and start, which memcached needs (default 5)
    #[argh(option, default = "5")]
    pause: u64,
    /// port that the servers get (default 11411)
    #[argh(option, default = "11411")]
    port: u16,
}

fn main() -> ExitCode {
    match run(&argh::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("restart: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A stop and a start.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    stop: Duration,
    start: Duration,
    /// Requests of a thousand that were hits after that.
    hits: f64,
    items: u64,
}

fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let limits = if args.mib.is_empty() { &[1024][..] } else { &args.mib };
    println!(
        "{:>6}  {:<12} {:>10} {:>8} {:>8} {:>6}",
        "MiB", "server", "items", "stop", "start", "hits"
    );
    for &mib in limits {
        let mut all = vec![Vec::new(); args.server.len()];
        for _ in 0..args.rounds {
            for (recipe, all) in args.server.iter().zip(&mut all) {
                all.push(restart(args, recipe, mib)?);
            }
        }
        for (recipe, times) in args.server.iter().zip(&mut all) {
            times.sort_by_key(|times| times.start);
            let Times { stop, start, hits, items } = times[times.len() / 2];
            let [stop, start] = [stop, start].map(|time| time.as_secs_f64());
            println!(
                "{mib:>6}  {:<12} {items:>10} {stop:>7.2}s {start:>7.2}s {hits:>5.1}%",
                recipe.name
            );
        }
    }
    Ok(())
}

fn restart(args: &Args, recipe: &Recipe, mib: u64) -> Result<Times, Box<dyn std::error::Error>> {
    let path = args.folder.join(format!("restart-{}-{}", recipe.name, std::process::id()));
    let files = Files(&path);
    let recipe = recipe.with("{mib}", mib).with("{file}", path.display());
    let mut server = Server::start(&recipe, args.port, None)?;
    // As much as fits into any server without evictions.
    let keys = (mib << 20) * 3 / 4 / (u64::from(args.value) + KEY_SIZE as u64);
    fill(args, &server, keys, true)?;
    let items = Client::connect(server.addr)?.stat("curr_items")?;
    // memcached does not take a file if all of this happens within about a second.
    thread::sleep(Duration::from_secs(args.pause));
    let Some(stop) = server.stop_gracefully(STOP_MAX)? else {
        return Err(format!("{} does not stop", recipe.name).into());
    };
    drop(server);
    if args.cold {
        let file = File::open(&path)?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    thread::sleep(Duration::from_secs(args.pause));
    let began = Instant::now();
    let server = Server::start(&recipe, args.port, None)?;
    let mut client = Client::connect(server.addr)?;
    let kept = client.stat("curr_items")?;
    let start = began.elapsed();
    if kept != items {
        return Err(format!("{} has {kept} of {items} items", recipe.name).into());
    }
    let hits = fill(args, &server, keys, false)?;
    if hits < 100.0 {
        return Err(format!("{} has lost values: {hits}% hits", recipe.name).into());
    }
    drop(files);
    Ok(Times { stop, start, hits, items })
}

/// Stores all keys, or asks for some; the percentage of hits.
fn fill(
    args: &Args,
    server: &Server,
    keys: u64,
    preload: bool,
) -> Result<f64, Box<dyn std::error::Error>> {
    let load = Load {
        addr: server.addr,
        connections: 8,
        threads: 1,
        depth: 16,
        keys: u32::try_from(keys)?,
        key_size: KEY_SIZE,
        sizes: Sizes::Fixed(args.value),
        zipf: 0.0,
        gets: 1.0,
        width: 1,
        preload,
        verify: true,
        rate: None,
        warmup: Duration::ZERO,
        bound: Bound::Requests(if preload { 1 } else { 100_000 }),
        seed: 1,
        server_pid: Some(server.pid()),
    };
    let counts = load::run(&load)?.counts;
    Ok(counts.hits as f64 * 100.0 / counts.requests as f64)
}

/// The files of a server, which go away with this.
struct Files<'p>(&'p Path);

impl Drop for Files<'_> {
    fn drop(&mut self) {
        // memcached keeps a second one, and others do not.
        let mut meta = self.0.as_os_str().to_owned();
        meta.push(".meta");
        for path in [self.0, Path::new(&meta)] {
            let _ = fs::remove_file(path);
        }
    }
}
