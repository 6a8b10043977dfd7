//! A read-through cache in front of SQLite: the same requests with it and without.
//!
//! `cargo run --release --example query_cache [ORDERS]`

use std::error::Error;
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use memcore::typed::{LoadError, TypedCache};
use memcore::{Cache, mib};
use rusqlite::{Connection, OptionalExtension as _, Result as Sql};

/// Orders in the database, if nothing else is asked for, and requests for each four of them.
const ORDERS: u32 = 200_000;
const CUSTOMERS: u32 = 2_000;
const THREADS: usize = 8;

/// How long the cache keeps a report, and that there is none.
const FOUND_TTL: Duration = Duration::from_secs(60);
const ABSENT_TTL: Duration = Duration::from_secs(10);

/// Reports in JSON, by customer.
type Reports = TypedCache<u32, Vec<u8>>;

fn reports(cache: Cache) -> Reports {
    TypedCache::builder(cache).ttl(FOUND_TTL).absent_ttl(ABSENT_TTL).build()
}

fn main() -> Result<(), Box<dyn Error>> {
    let orders = std::env::args().nth(1).map_or(Ok(ORDERS), |orders| orders.parse())?;
    let requests = (orders / 4).max(1);
    let direct = serve(&Shop::open(None, orders)?, requests)?;
    let cache = Cache::new(mib(16))?;
    let cached = serve(&Shop::open(Some(reports(cache.clone())), orders)?, requests)?;

    println!("{requests} requests to a table of {orders} orders, 1 % of them add another one");
    println!("without cache {:>9.2?} a request", direct / requests);
    println!("with cache    {:>9.2?} a request", cached / requests);
    println!("speed-up      {:>8.1}x", direct.as_secs_f64() / cached.as_secs_f64());
    println!("hit ratio     {:>8.1}%", 100.0 * cache.stats().total.hit_ratio().unwrap_or(0.0));

    let queries = miss_together()?;
    println!("{THREADS} threads miss a report together: databases are asked {queries} time(s)");
    Ok(())
}

/// All threads ask for the report that none of them finds, each with a shop of its own in front of
/// one cache; how often a database was asked.
fn miss_together() -> Result<u64, Box<dyn Error>> {
    let reports = reports(Cache::new(mib(16))?);
    let start = Barrier::new(THREADS);
    let ask = || {
        let shop = Shop::open(Some(reports.clone()), 10 * CUSTOMERS);
        start.wait();
        let report = shop.map_err(|error| error.to_string())?.report(7);
        report.map_err(|error| error.to_string())
    };
    let answers: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread that asks")).collect()
    });
    for answer in answers {
        answer?.ok_or("a customer without a report")?;
    }
    Ok(reports.load_stats().count())
}

/// Orders in a database, and reports about them in a cache, if there is one.
struct Shop {
    database: Connection,
    reports: Option<Reports>,
}

impl Shop {
    /// A shop with this number of orders.
    fn open(reports: Option<Reports>, orders: u32) -> Sql<Self> {
        let database = Connection::open_in_memory()?;
        database.execute_batch(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, cents INTEGER);
             CREATE INDEX by_customer ON orders (customer);
             BEGIN;",
        )?;
        let shop = Self { database, reports };
        let mut rng = Rng::with_seed(1);
        for _ in 0..orders {
            shop.order(rng.u32(..CUSTOMERS), rng.u32(..10_000))?;
        }
        shop.database.execute_batch("COMMIT")?;
        Ok(shop)
    }

    /// What a customer bought, as JSON; `None` without an order. Whoever asks while another one
    /// queries the database for the same report waits for that. What was queried before an order
    /// came in is not kept: see [`order`](Self::order).
    fn report(&self, customer: u32) -> Result<Option<Vec<u8>>, LoadError<rusqlite::Error>> {
        match &self.reports {
            Some(reports) => reports.get_or_find(&customer, || self.query(customer)),
            None => self.query(customer).map_err(|error| LoadError::Failed(Arc::new(error))),
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
        if let Some(reports) = &self.reports {
            reports.remove(&customer);
        }
        Ok(())
    }
}

/// How long the requests take: most are about few customers, and some about unknown ones.
fn serve(shop: &Shop, requests: u32) -> Result<Duration, Box<dyn Error>> {
    let mut rng = Rng::with_seed(2);
    let began = Instant::now();
    for _ in 0..requests {
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

    fn reports_with_clock() -> (Reports, ManualClock) {
        let clock = ManualClock::new(Moment::from_secs(1_000));
        (reports(Cache::builder(mib(8)).clock(clock.clone()).build().unwrap()), clock)
    }

    #[test]
    fn what_is_there_and_what_is_not_are_loaded_once_per_lifetime() {
        for (source, ttl) in [(Some(b"row".to_vec()), FOUND_TTL), (None, ABSENT_TTL)] {
            let (reports, clock) = reports_with_clock();
            let mut loads = 0;
            let mut read = || {
                let load = || {
                    loads += 1;
                    Ok::<_, ()>(source.clone())
                };
                assert_eq!(reports.get_or_find(&7, load).unwrap(), source);
                loads
            };
            for life in 1..3 {
                assert_eq!([read(), read(), read()], [life; 3]);
                clock.advance(ttl - Duration::from_secs(1));
                assert_eq!(read(), life);
                clock.advance(Duration::from_secs(1));
            }
        }
    }

    #[test]
    fn threads_that_miss_together_query_once() {
        assert_eq!(miss_together().unwrap(), 1);
    }

    #[test]
    fn a_report_that_was_queried_before_an_order_is_not_kept() {
        let (reports, _) = reports_with_clock();
        let shop = Shop::open(Some(reports.clone()), 0).unwrap();
        let old = reports.get_or_find(&7, || {
            let queried = shop.query(7);
            shop.order(7, 100).unwrap();
            queried
        });
        assert_eq!(old.unwrap(), None);
        let new = shop.report(7).unwrap().expect("there is an order");
        assert_eq!(new, br#"{"orders":1,"cents":100,"most":100}"#);
    }

    #[test]
    fn a_shop_answers_the_same_with_a_cache() {
        let (reports, _) = reports_with_clock();
        let with = Shop::open(Some(reports.clone()), 50).unwrap();
        let without = Shop::open(None, 50).unwrap();
        let mut rng = Rng::with_seed(3);
        for _ in 0..5_000 {
            let customer = rng.u32(..100);
            if rng.u32(..10) == 0 {
                let cents = rng.u32(..10_000);
                with.order(customer, cents).unwrap();
                without.order(customer, cents).unwrap();
            }
            assert_eq!(with.report(customer).unwrap(), without.report(customer).unwrap());
        }
        let stats = reports.cache().stats().total;
        assert!(stats.hits_small + stats.hits_main > 1_000, "{stats:?}");
    }
}
