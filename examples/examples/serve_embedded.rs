//! One cache, used in process and over the wire at once.
//!
//! `cargo run --release -p examples --example serve_embedded`

use std::error::Error;

use memcore::{Attrs, Cache};
use memserver::{Client, Server};

fn main() -> Result<(), Box<dyn Error>> {
    let cache = Cache::new(64 << 20)?;
    let server = Server::builder(cache.clone()).listen("127.0.0.1:0").start()?;
    let address = server.local_addr().ok_or("it listens nowhere")?;

    cache.set("from-the-program", b"hello", Attrs::new())?;

    // Any client of memcached will do; this one comes with the library.
    let mut client = Client::connect(address)?;
    println!("the wire says {:?}", client.get("from-the-program")?.map(String::from_utf8));
    client.set("from-the-wire", b"hi", None)?;

    println!("the program sees {:?}", cache.get("from-the-wire").map(String::from_utf8));
    server.stop()?;
    Ok(())
}
