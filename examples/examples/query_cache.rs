//! A read-through cache in front of SQLite: the same requests with it and without.
//!
//! `cargo run --release --example query_cache`

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use fastrand::Rng;
use memcore::{Attrs, Cache, Expiry, Fetch, Fetched, Store};
use rusqlite::{Connection, OptionalExtension as _, Result as Sql};

const ORDERS: u32 = 200_000;
const CUSTOMERS: u32 = 2_000;
const REQUESTS: u32 = 50_000;

/// The flags of an item say what it contains. Zero is a placeholder while its owner loads.
const FOUND: u32 = 1;
const ABSENT: u32 = 2;
/// How long the cache keeps a result, the absence of one, and a placeholder.
const FOUND_TTL: Duration = Duration::from_secs(60);
const ABSENT_TTL: Duration = Duration::from_secs(10);
const PLACEHOLDER_TTL: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    let direct = serve(&Shop::open(None, ORDERS)?)?;
    let cache = Cache::new(16 << 20)?;
    let cached = serve(&Shop::open(Some(cache.clone()), ORDERS)?)?;

    let stats = cache.stats().total;
    let hits = (stats.hits_small + stats.hits_main) as f64;
    println!("{REQUESTS} requests to a table of {ORDERS} orders, 1 % of them add another one");
    println!("without cache {:>9.2?} a request", direct / REQUESTS);
    println!("with cache    {:>9.2?} a request", cached / REQUESTS);
    println!("speed-up      {:>8.1}x", direct.as_secs_f64() / cached.as_secs_f64());
    println!("hit ratio     {:>8.1}%", 100.0 * hits / (hits + stats.misses as f64));
    Ok(())
}

/// Returns the cached result, or the result of `load`.
///
/// The database may change between a load and the store of its result. A reader that misses
/// therefore creates a placeholder first, and stores the result only if the placeholder is still
/// there: an invalidation deletes it, and the outdated result is not cached.
fn read_through<E>(
    cache: &Cache,
    key: &str,
    load: impl FnOnce() -> Result<Option<Vec<u8>>, E>,
) -> Result<Option<Vec<u8>>, E> {
    let how = Fetch::new().lease(true).create(Expiry::after(PLACEHOLDER_TTL));
    let mut value = Vec::new();
    let placeholder = match cache.fetch(key, &how, &mut value, |_, _| {}) {
        Fetched::Copied(hit) if hit.meta.flags == FOUND => return Ok(Some(value)),
        Fetched::Copied(hit) if hit.meta.flags == ABSENT => return Ok(None),
        Fetched::Copied(hit) if hit.won => Some(hit.meta.version),
        // Another reader owns the placeholder: load without storing.
        _ => None,
    };
    let loaded = load()?;
    if placeholder.is_some() {
        let (flags, ttl) = if loaded.is_some() { (FOUND, FOUND_TTL) } else { (ABSENT, ABSENT_TTL) };
        let attrs = Attrs::new().flags(flags).ttl(ttl);
        let how = Store::new().expected(placeholder);
        // If the cache has no room for it, the next reader loads it again.
        let _ = cache.store(key, loaded.as_deref().unwrap_or_default(), attrs, &how);
    }
    Ok(loaded)
}

/// Orders in a database, and reports about them in a cache, if there is one.
struct Shop {
    database: Connection,
    cache: Option<Cache>,
}

impl Shop {
    /// A shop with this number of orders.
    fn open(cache: Option<Cache>, orders: u32) -> Sql<Self> {
        let database = Connection::open_in_memory()?;
        database.execute_batch(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, cents INTEGER);
             CREATE INDEX by_customer ON orders (customer);
             BEGIN;",
        )?;
        let shop = Self { database, cache };
        let mut rng = Rng::with_seed(1);
        for _ in 0..orders {
            shop.order(rng.u32(..CUSTOMERS), rng.u32(..10_000))?;
        }
        shop.database.execute_batch("COMMIT")?;
        Ok(shop)
    }

    /// What a customer bought, as JSON; `None` without an order.
    fn report(&self, customer: u32) -> Sql<Option<Vec<u8>>> {
        match &self.cache {
            Some(cache) => read_through(cache, &Self::key(customer), || self.query(customer)),
            None => self.query(customer),
        }
    }

    fn query(&self, customer: u32) -> Sql<Option<Vec<u8>>> {
        let mut statement = self.database.prepare_cached(
            "SELECT json_object('orders', count(*), 'cents', sum(cents), 'most', max(cents))
             FROM orders WHERE customer = ? GROUP BY customer",
        )?;
        statement.query_row([customer], |row| row.get(0).map(String::into_bytes)).optional()
    }

    /// Adds an order. The cache is invalidated after the database has changed, not before.
    fn order(&self, customer: u32, cents: u32) -> Sql<()> {
        let sql = "INSERT INTO orders (customer, cents) VALUES (?, ?)";
        self.database.prepare_cached(sql)?.execute([customer, cents])?;
        if let Some(cache) = &self.cache {
            cache.delete(Self::key(customer));
        }
        Ok(())
    }

    fn key(customer: u32) -> String {
        format!("report:{customer}")
    }
}

/// How long the requests take: most are about few customers, and some about unknown ones.
fn serve(shop: &Shop) -> Sql<Duration> {
    let mut rng = Rng::with_seed(2);
    let began = Instant::now();
    for _ in 0..REQUESTS {
        let most = rng.u32(..CUSTOMERS + CUSTOMERS / 20);
        let customer = rng.u32(..most + 1);
        match rng.u32(..100) {
            0 => shop.order(customer, rng.u32(..10_000))?,
            _ => drop(black_box(shop.report(customer)?)),
        }
    }
    Ok(began.elapsed())
}

#[cfg(test)]
mod tests {
    use memcore::{ManualClock, Moment};

    use super::*;

    type Outcome = Result<Option<Vec<u8>>, &'static str>;

    fn cache() -> (Cache, ManualClock) {
        let clock = ManualClock::new(Moment::from_secs(1_000));
        (Cache::builder(8 << 20).clock(clock.clone()).build().unwrap(), clock)
    }

    /// Reads through to `source`, counting how often that is asked.
    fn read(cache: &Cache, source: &Outcome, loads: &mut u32) -> Outcome {
        read_through(cache, "key", || {
            *loads += 1;
            source.clone()
        })
    }

    #[test]
    fn what_is_there_and_what_is_not_are_loaded_once_per_lifetime() {
        for (source, ttl) in [(Some(b"row".to_vec()), FOUND_TTL), (None, ABSENT_TTL)] {
            let ((cache, clock), mut loads, source) = (cache(), 0, Ok(source));
            for life in 1..3 {
                for _ in 0..3 {
                    assert_eq!(read(&cache, &source, &mut loads), source);
                }
                clock.advance(ttl - Duration::from_secs(1));
                assert_eq!(read(&cache, &source, &mut loads), source);
                assert_eq!(loads, life);
                clock.advance(Duration::from_secs(1));
            }
        }
    }

    #[test]
    fn a_write_during_a_load_is_not_hidden_by_it() {
        let (cache, _) = cache();
        let old: Outcome = read_through(&cache, "key", || {
            cache.delete("key");
            Ok(Some(b"old".to_vec()))
        });
        assert_eq!(old, Ok(Some(b"old".to_vec())));
        assert!(!cache.contains("key"));
    }

    #[test]
    fn a_load_that_fails_is_tried_again() {
        let ((cache, clock), mut loads) = (cache(), 0);
        assert_eq!(read(&cache, &Err("locked"), &mut loads), Err("locked"));
        let source = Ok(Some(b"row".to_vec()));
        assert_eq!(read(&cache, &source, &mut loads), source);
        clock.advance(PLACEHOLDER_TTL);
        assert_eq!(read(&cache, &source, &mut loads), source);
        assert_eq!(read(&cache, &source, &mut loads), source);
        assert_eq!(loads, 3);
    }

    #[test]
    fn a_shop_answers_the_same_with_a_cache() {
        let (with, without) = (Shop::open(Some(cache().0), 50), Shop::open(None, 50));
        let (with, without, mut rng) = (with.unwrap(), without.unwrap(), Rng::with_seed(3));
        for _ in 0..5_000 {
            let customer = rng.u32(..100);
            if rng.u32(..10) == 0 {
                let cents = rng.u32(..10_000);
                with.order(customer, cents).unwrap();
                without.order(customer, cents).unwrap();
            }
            assert_eq!(with.report(customer).unwrap(), without.report(customer).unwrap());
        }
        let stats = with.cache.unwrap().stats().total;
        assert!(stats.hits_small + stats.hits_main > 1_000, "{stats:?}");
    }
}
