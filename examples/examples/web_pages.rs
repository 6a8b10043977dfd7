//! A web service whose pages are cached. A page is fresh for a second; for a minute after that it
//! is still served, while one of the requests draws it anew.
//!
//! `cargo run --release -p examples --example web_pages` asks for some pages itself and ends;
//! `... --example web_pages -- 127.0.0.1:8080` serves at this address until it is stopped.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::get;
use memcore::typed::TypedCache;
use memcore::{Cache, mib};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn Error + Send + Sync>;

struct Site {
    pages: TypedCache<str, String>,
    drawn: AtomicUsize,
}

impl Site {
    /// Stands for a database, templates and so on.
    async fn draw(&self, name: &str) -> Result<String, std::io::Error> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let number = self.drawn.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(format!("<h1>{name}</h1><p>page {number} that was drawn</p>"))
    }
}

async fn page(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
) -> Result<Html<String>, StatusCode> {
    let page = site.pages.get_or_load_async(name.as_str(), site.draw(&name)).await;
    page.map(Html).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let pages = TypedCache::builder(Cache::new(mib(64))?)
        .ttl(Duration::from_secs(61))
        .fresh_for(Duration::from_secs(1))
        .build();
    let site = Arc::new(Site { pages, drawn: AtomicUsize::new(0) });
    let app = Router::new().route("/{name}", get(page)).with_state(Arc::clone(&site));

    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:0")).await?;
    let local = listener.local_addr()?;
    println!("pages at http://{local}/NAME");
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    if address.is_some() {
        server.await??;
        return Ok(());
    }

    // A hundred requests at once: the page is drawn once.
    let mut requests = tokio::task::JoinSet::new();
    (0..100).for_each(|_| _ = requests.spawn(ask(local, "news")));
    while let Some(body) = requests.join_next().await {
        assert_eq!(body??, "<h1>news</h1><p>page 1 that was drawn</p>");
    }
    println!("100 requests, drawn {} time", site.drawn.load(Ordering::Relaxed));

    // Stale: one request draws it anew, the other does not wait for that.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let first = tokio::spawn(ask(local, "news"));
    tokio::time::sleep(Duration::from_millis(10)).await;
    println!("meanwhile {}", ask(local, "news").await?);
    println!("the one that renews {}", first.await??);
    Ok(())
}

/// The body of a page.
async fn ask(address: std::net::SocketAddr, name: &'static str) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /{name} HTTP/1.1\r\nhost: example\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    let (_, body) = reply.split_once("\r\n\r\n").ok_or("no body")?;
    Ok(body.to_owned())
}
