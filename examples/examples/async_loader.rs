//! A thousand tasks ask for one value that is missing: it is loaded once. The cache needs no
//! particular runtime; this one is tokio's.
//!
//! `cargo run --release -p examples --example async_loader`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use memcore::typed::TypedCache;
use memcore::{Cache, mib};

type Reports = TypedCache<str, String>;

/// The report of a day, which takes a while to make.
async fn report(
    reports: &Reports,
    day: &str,
    made: &AtomicUsize,
) -> Result<String, Box<dyn Error + Send + Sync>> {
    let make = async {
        made.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok::<_, std::io::Error>(format!("what happened on {day}"))
    };
    Ok(reports.get_or_load_async(day, make).await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let reports = Reports::builder(Cache::new(mib(8))?).ttl(Duration::from_secs(60)).build();
    let (reports, made) = (Arc::new(reports), Arc::new(AtomicUsize::new(0)));

    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let (reports, made) = (Arc::clone(&reports), Arc::clone(&made));
        tasks.spawn(async move { report(&reports, "Monday", &made).await });
    }
    let mut answers = 0;
    while let Some(answer) = tasks.join_next().await {
        assert_eq!(answer??, "what happened on Monday");
        answers += 1;
    }
    println!("{answers} answers, made {} times", made.load(Ordering::Relaxed));

    // A task that gives up does not take the value from the others: one of them makes it.
    let impatient = report(&reports, "Tuesday", &made);
    let patient = report(&reports, "Tuesday", &made);
    let cut_off = tokio::time::timeout(Duration::from_millis(10), impatient);
    let (cut_off, answer) = tokio::join!(cut_off, patient);
    println!("one gave up: {}, the other has {:?}", cut_off.is_err(), answer?);
    Ok(())
}
