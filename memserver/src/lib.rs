//! A memcached-compatible cache server, as a program and as a library.
//!
//! The library serves a [`memcore::Cache`] over the network that the program goes on using in
//! process:
//!
//! ```
//! use std::io::{Read, Write};
//!
//! let cache = memcore::Cache::new(64 << 20)?;
//! let server = memserver::Server::builder(cache.clone()).listen("127.0.0.1:0").start()?;
//!
//! cache.set(b"greeting", b"hello", memcore::Attrs::new())?;
//! # let address = server.local_addr().unwrap();
//! let mut client = std::net::TcpStream::connect(address)?;
//! client.write_all(b"get greeting\r\nquit\r\n")?;
//! let mut reply = String::new();
//! client.read_to_string(&mut reply)?;
//! assert_eq!(reply, "VALUE greeting 0 5\r\nhello\r\nEND\r\n");
//! server.stop()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Threads
//!
//! ```text
//!                clients                                      the program itself
//!                   |                                                  |
//!   acceptor  accepts, counts, hands over in turn                      |
//!                   |                                                  |
//!       +-----------+-----------+                                      |
//!       v           v           v                                      |
//!   worker-0    worker-1    worker-2 ...   one event loop each;        |
//!       |           |           |          a connection stays with     |
//!       |           |           |          its worker                  |
//!       +-----------+-----------+--------------+-----------------------+
//!                                              v
//!                                        memcore::Cache  <--  maintenance: clock, expiry
//! ```
//!
//! A worker's turn reads every connection that is ready, cuts the bytes into requests, prefetches
//! all their keys together, executes them in order, and answers each connection with one write.
//! Nothing but the cache and a few counters is shared between workers.

#![forbid(unsafe_code)]

mod admin;
mod auth;
mod cli;
mod client;
mod config;
mod event_loop;
mod exec;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod human;
mod net;
mod os;
mod program;
mod report;
mod server;
mod session;
mod state;
mod tls;
mod tools;
#[cfg(feature = "udp")]
mod udp;
#[cfg(not(feature = "udp"))]
#[path = "udp/absent.rs"]
mod udp;
mod watch;

pub use client::{Client, ClientError, Item, Swapped};
#[doc(hidden)]
pub use memsys::heap::Heap;
pub use net::listener::ListenError;
#[doc(hidden)]
pub use program::main;
pub use report::metrics::{Kind, Metric, Section, Unit, Value};
pub use server::test_server::TestServer;
pub use server::{Builder, Protocol, Server, StartError, StopHandle};
pub use watch::Evictions;
