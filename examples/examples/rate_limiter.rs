//! A rate limiter: each client may make so many requests a minute. Memory is bounded, however many
//! clients there are.
//!
//! `cargo run --release -p examples --example rate_limiter`

use std::error::Error;
use std::time::Duration;

use memcore::{Cache, Counter, ManualClock, Moment, mib};

const REQUESTS: u64 = 100;
const WINDOW: Duration = Duration::from_secs(60);

struct RateLimiter {
    counts: Counter,
}

impl RateLimiter {
    fn new(cache: &Cache) -> Self {
        Self { counts: Counter::new(cache).ttl(WINDOW) }
    }

    /// Whether the client may make another request now.
    fn admits(&self, client: &str) -> bool {
        // A client that can't be counted is served.
        self.counts.add(client, 1).map_or(true, |count| count <= REQUESTS)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // A clock that is moved by hand; leave it out to use the machine's.
    let clock = ManualClock::new(Moment::from_secs(1_000_000));
    let cache = Cache::builder(mib(8)).clock(clock.clone()).build()?;
    let limiter = RateLimiter::new(&cache);

    let admitted = |client: &str| (0..150).filter(|_| limiter.admits(client)).count();
    println!("of 150 requests of 192.0.2.1, {} are admitted", admitted("192.0.2.1"));
    println!("of 150 requests of 192.0.2.2, {} are admitted", admitted("192.0.2.2"));

    // Counts end a minute after their first request, whatever came since.
    clock.advance(WINDOW);
    println!("a minute later, {} of 192.0.2.1", admitted("192.0.2.1"));

    // A flood of addresses takes no more memory than the limit. Those who keep sending are
    // remembered: their counts are in use.
    for flood in 0..300_000_u32 {
        limiter.admits(&format!("flood-{flood}"));
        if flood % 1_000 == 0 {
            limiter.admits("192.0.2.1");
        }
    }
    let stats = cache.stats();
    println!("after 300,000 other clients: {} MiB are in use", stats.used >> 20);
    println!("192.0.2.1 is {}", if limiter.admits("192.0.2.1") { "forgotten" } else { "refused" });
    Ok(())
}
