//! One cache, used in process and over the wire at once.
//!
//! `cargo run --release -p examples --example serve_embedded`

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;

use memcore::{Attrs, Cache};
use memserver::Server;

fn main() -> Result<(), Box<dyn Error>> {
    let cache = Cache::new(64 << 20)?;
    let server = Server::builder(cache.clone()).listen("127.0.0.1:0").start()?;
    let address = server.local_addr().ok_or("it listens nowhere")?;

    cache.set("from-the-program", b"hello", Attrs::new())?;

    let mut client = TcpStream::connect(address)?;
    client.write_all(b"get from-the-program\r\nset from-the-wire 0 0 2\r\nhi\r\nquit\r\n")?;
    let mut replies = String::new();
    client.read_to_string(&mut replies)?;
    print!("the wire says\n{replies}");

    println!("the program sees {:?}", cache.get("from-the-wire").map(String::from_utf8));
    server.stop()?;
    Ok(())
}
