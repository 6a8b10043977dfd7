//! A cache in process: items with a time to live, and what the cache counted.
//!
//! `cargo run --release -p examples --example embed`

use std::error::Error;
use std::time::Duration;

use memcore::{Attrs, Cache, ManualClock, Moment};

fn main() -> Result<(), Box<dyn Error>> {
    // A clock that is moved by hand; leave it out to use the machine's.
    let clock = ManualClock::new(Moment::from_secs(1_000_000));
    let cache = Cache::builder(64 << 20).clock(clock.clone()).build()?;

    for user in 0..1_000_u64 {
        let attrs = Attrs::new().ttl(Duration::from_secs(60 + user % 60));
        cache.set(format!("session:{user}"), b"logged in", attrs)?;
    }
    println!("session:7 is {:?}", cache.get("session:7").map(String::from_utf8));

    clock.advance(Duration::from_secs(90));
    // Nobody asked for the expired ones; housekeeping finds them.
    while cache.maintain(1_000) {}
    println!("session:7 is {:?} after 90 seconds", cache.get("session:7"));

    let stats = cache.stats();
    println!(
        "{} items in {} of {} bytes, {} expired, {} hits, {} misses",
        stats.total.items,
        stats.used,
        stats.limit,
        stats.total.expired,
        stats.total.hits_small + stats.total.hits_main,
        stats.total.misses,
    );
    Ok(())
}
