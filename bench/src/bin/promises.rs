//! What the library promises, at the size at which it matters: one load for a thousand who ask, and
//! a tag of a million items that is invalidated. Exits with an error if a promise is broken.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use argh::FromArgs;
use memcore::typed::{LoadError, TypedCache};
use memcore::{Attrs, Cache, mib};

/// Checks what the library promises about loads and tags, and says how long it took.
#[derive(Debug, FromArgs)]
struct Args {
    /// threads that ask for one key at once (default 1000)
    #[argh(option, default = "1000")]
    waiters: usize,
    /// items that have the tag (default 1000000); as many have another one
    #[argh(option, default = "1_000_000")]
    items: u32,
}

fn main() -> ExitCode {
    let args: Args = argh::from_env();
    match loads(args.waiters).and_then(|()| tags(args.items)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("promises: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How long a load takes.
const LOAD: Duration = Duration::from_millis(50);
/// Bytes of an item with a tag, more or less.
const BYTES: usize = 165;
/// Bytes of stack of a thread that only asks.
const STACK: usize = 128 << 10;

fn loads(waiters: usize) -> Result<(), Box<dyn Error>> {
    println!("{waiters} threads ask for one key at once; a load takes {} ms", LOAD.as_millis());
    let words: TypedCache<str, String> = TypedCache::new(Cache::new(mib(16))?);
    for (name, is_error) in [("value", false), ("error", true)] {
        let loads = AtomicU64::new(0);
        let answers = AtomicU64::new(0);
        let start = Barrier::new(waiters + 1);
        let mut began = Instant::now();
        thread::scope(|scope| {
            let ask = || {
                start.wait();
                let loaded = words.get_or_load(name, || {
                    loads.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(LOAD);
                    if is_error { Err("down") } else { Ok("value".to_owned()) }
                });
                let is_right = match loaded {
                    Ok(value) => !is_error && value == "value",
                    Err(LoadError::Failed(error)) => is_error && *error == "down",
                    Err(_) => false,
                };
                answers.fetch_add(is_right.into(), Ordering::Relaxed);
            };
            for _ in 0..waiters {
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, ask)?;
            }
            start.wait();
            began = Instant::now();
            Ok::<(), std::io::Error>(())
        })?;
        let (loads, answers) = (loads.into_inner(), answers.into_inner());
        println!(
            "  {name}: {loads} load(s), {answers} right answers, the last one after {:?}",
            began.elapsed()
        );
        if answers != waiters as u64 || !is_error && loads != 1 {
            return Err(format!("{name}: {loads} loads, {answers} answers").into());
        }
    }
    println!("  {:?}", words.load_stats());
    Ok(())
}

fn tags(items: u32) -> Result<(), Box<dyn Error>> {
    println!("{items} items have a tag, {items} another one, {items} none");
    // There is room for them, and not for as many others.
    let cache = Cache::new(items as usize * 3 * BYTES + mib(8))?;
    let before = cache.tagged(&["doomed"])?;
    let other = cache.tagged(&["other"])?;
    for item in 0..items {
        let value = [item as u8; 100];
        before.set(key("doomed", item), &value, Attrs::new())?;
        other.set(key("other", item), &value, Attrs::new())?;
        cache.set(key("none", item), &value, Attrs::new())?;
    }
    let count = |kind| (0..items).filter(|&item| cache.contains(key(kind, item))).count();
    let all = items as usize;
    expect("before", [count("doomed"), count("other"), count("none")], [all; 3])?;

    let began = Instant::now();
    cache.invalidate_tag("doomed");
    println!("  invalidated in {:?}", began.elapsed());
    expect("after", [count("doomed"), count("other"), count("none")], [0, all, all])?;

    // Neither does a late writer bring anything back, nor does the same word.
    before.set(key("late", 0), b"v", Attrs::new())?;
    cache.tagged(&["doomed"])?.set(key("new", 0), b"v", Attrs::new())?;
    let late = [count("late"), count("new"), count("doomed")];
    expect("of the same word later", late, [0, 1, 0])?;

    // Their memory comes back as that of others does: when it is their turn to be evicted.
    let fresh = cache.tagged(&["fresh"])?;
    for item in 0..items {
        fresh.set(key("fresh", item), &[0; 100], Attrs::new())?;
    }
    let total = cache.stats().total;
    println!(
        "  {items} new ones: {} invalidated items went for them, {} others",
        total.invalidated, total.evicted
    );
    println!("  left: {} new, {} other, {} without", count("fresh"), count("other"), count("none"));
    Ok(())
}

fn expect(when: &str, found: [usize; 3], expected: [usize; 3]) -> Result<(), String> {
    println!("  {when}: {found:?} are there");
    if found == expected { Ok(()) } else { Err(format!("{when}: {found:?}, not {expected:?}")) }
}

fn key(kind: &str, item: u32) -> String {
    format!("{kind}:{item:010}")
}
