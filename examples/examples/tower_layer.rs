//! A layer of tower that caches what the service behind it answers, for whatever speaks tower:
//! axum, tonic, hyper's clients. One request is made for many that ask at once, and stale answers
//! are served while one request renews them.
//!
//! `cargo run --release -p examples --example tower_layer`

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use memcore::typed::{LoadError, TypedCache};
use memcore::{Cache, ManualClock, Moment, mib};
use tower::{Layer, Service, ServiceBuilder, ServiceExt as _, service_fn};

/// What a request and its answer are here: a path, and a page.
type Pages = TypedCache<str, String>;

/// Wraps a service in a [`Cached`].
#[derive(Clone)]
struct CacheLayer {
    pages: Pages,
}

impl<S> Layer<S> for CacheLayer {
    type Service = Cached<S>;

    fn layer(&self, inner: S) -> Cached<S> {
        Cached { pages: self.pages.clone(), inner }
    }
}

/// Answers from the cache, and asks the service behind it for what is missing.
#[derive(Clone)]
struct Cached<S> {
    pages: Pages,
    inner: S,
}

impl<S> Service<String> for Cached<S>
where
    S: Service<String, Response = String> + Clone + Send + 'static,
    S::Error: Send + Sync + 'static,
    S::Future: Send,
{
    type Response = String;
    type Error = LoadError<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<String, Self::Error>> + Send>>;

    /// Whether the service behind it is ready matters only for what is missing.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, path: String) -> Self::Future {
        let Self { pages, inner } = self.clone();
        Box::pin(async move {
            let request = path.clone();
            pages.get_or_load_async(path.as_str(), inner.oneshot(request)).await
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A clock that is moved by hand; leave it out to use the machine's.
    let clock = ManualClock::new(Moment::from_secs(1_000_000));
    let cache = Cache::builder(mib(8)).clock(clock.clone()).build()?;
    let pages: Pages = TypedCache::builder(cache)
        .ttl(Duration::from_secs(60))
        .fresh_for(Duration::from_secs(10))
        .build();

    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let slow = service_fn(move |path: String| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<_, Infallible>(format!("{path}, drawn {number}"))
        }
    });
    let service = ServiceBuilder::new().layer(CacheLayer { pages }).service(slow);

    let mut requests = tokio::task::JoinSet::new();
    (0..100).for_each(|_| _ = requests.spawn(service.clone().oneshot("/home".to_owned())));
    while let Some(page) = requests.join_next().await {
        assert_eq!(page??, "/home, drawn 1");
    }
    println!("100 requests, the service was asked {} time", asked.load(Ordering::Relaxed));

    clock.advance(Duration::from_secs(20));
    let renews = tokio::spawn(service.clone().oneshot("/home".to_owned()));
    tokio::time::sleep(Duration::from_millis(5)).await;
    println!("meanwhile: {}", service.clone().oneshot("/home".to_owned()).await?);
    println!("who renews it: {}", renews.await??);
    Ok(())
}
