//! The load generator: closed or paced load over many connections, every reply verified.
//!
//! `source` decides what is asked next, `conn` owns one socket and checks its replies, `worker` is
//! one thread's event loop, `run` conducts the phases. `slo` searches the rate that keeps a
//! latency, `large` measures a load beside gets of a large value. Nothing here starts or measures a
//! server beyond reading its accounts in `/proc`.

mod conn;
pub mod large;
mod run;
pub mod slo;
mod source;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::hist::Latencies;
use crate::process::Memory;
use crate::value::Sizes;
use crate::wire::WireError;

pub use run::run;

/// What load to make.
#[derive(Clone, Debug)]
pub struct Load {
    /// The server.
    pub addr: SocketAddr,
    /// Connections in total, spread over the threads.
    pub connections: usize,
    /// Threads.
    pub threads: usize,
    /// Requests that a connection may have on their way.
    pub depth: usize,
    /// How many keys there are.
    pub keys: u32,
    /// Bytes of a key.
    pub key_size: usize,
    /// Bytes of a value.
    pub sizes: Sizes,
    /// Exponent of the zipf distribution of keys; 0 is uniform.
    pub zipf: f64,
    /// Share of the requests that are gets.
    pub gets: f64,
    /// Keys in a get.
    pub width: usize,
    /// Store every key once, first.
    pub preload: bool,
    /// Check keys and values; without it any well-formed reply will do.
    pub verify: bool,
    /// Requests per second in total; `None` sends as fast as replies arrive.
    pub rate: Option<f64>,
    /// Load before the measurement.
    pub warmup: Duration,
    /// When the measurement ends.
    pub bound: Bound,
    /// Decides every random choice.
    pub seed: u64,
    /// The server's process, to read its accounts.
    pub server_pid: Option<u32>,
}

/// When a phase ends.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// After a time.
    Time(Duration),
    /// After this number of requests of all threads together.
    Requests(u64),
}

/// What a phase counted.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Requests answered; a get of many keys is one.
    pub requests: u64,
    /// Keys found.
    pub hits: u64,
    /// Keys not found.
    pub misses: u64,
    /// Values stored.
    pub stored: u64,
    /// Requests that the server refused with an error line.
    pub errors: u64,
    /// Bytes of values read.
    pub bytes_read: u64,
    /// Nanoseconds from when a request was due to its last byte.
    pub latency: Latencies,
}

impl Counts {
    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.hits += other.hits;
        self.misses += other.misses;
        self.stored += other.stored;
        self.errors += other.errors;
        self.bytes_read += other.bytes_read;
        self.latency.merge(&other.latency);
    }
}

/// The outcome of a whole run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What the measured phase counted.
    pub counts: Counts,
    /// How long it took.
    pub elapsed: Duration,
    /// Processor time that the server used meanwhile.
    pub server_cpu_ns: Option<u64>,
    /// The server's memory at the end.
    pub server_memory: Option<Memory>,
}

/// Why a run was given up.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The connection failed.
    #[error("connection: {0}")]
    Io(#[from] io::Error),
    /// The server sent something that is no reply.
    #[error("protocol: {0}")]
    Wire(#[from] WireError),
    /// The server sent a reply that does not answer the request.
    #[error("unexpected reply: {0}")]
    Unexpected(String),
    /// The server sent bytes that nobody stored under this key.
    #[error("WRONG BYTES under key {key} ({len} bytes)")]
    WrongBytes {
        /// The key's number.
        key: u32,
        /// Length of what came.
        len: usize,
    },
    /// Another thread had given up.
    #[error("another thread gave up")]
    Stopped,
}

#[cfg(test)]
pub(crate) mod tests {
    use memcore::Attrs;
    use memserver::TestServer;

    use super::*;
    use crate::value::push_key;

    /// A thousand gets of keys that are there.
    pub(crate) fn load(server: &TestServer) -> Load {
        Load {
            addr: server.address(),
            connections: 3,
            threads: 2,
            depth: 4,
            keys: 100,
            key_size: 20,
            sizes: Sizes::Uniform(0, 5000),
            zipf: 0.99,
            gets: 1.0,
            width: 1,
            preload: true,
            verify: true,
            rate: None,
            warmup: Duration::ZERO,
            bound: Bound::Requests(1000),
            seed: 1,
            server_pid: None,
        }
    }

    #[test]
    fn what_was_stored_is_found() {
        let server = TestServer::start().unwrap();
        let counts = run(&load(&server)).unwrap().counts;
        assert_eq!((counts.requests, counts.hits, counts.misses), (1000, 1000, 0));
        assert_eq!(counts.latency.total(), 1000);
        assert_eq!(server.cache().stats().total.items, 100);
    }

    #[test]
    fn a_get_of_many_keys_is_one_request() {
        let server = TestServer::start().unwrap();
        let counts = run(&Load { width: 50, zipf: 0.0, ..load(&server) }).unwrap().counts;
        assert_eq!((counts.requests, counts.hits), (1000, 50_000));
    }

    #[test]
    fn misses_are_counted_even_between_hits() {
        let server = TestServer::start().unwrap();
        let wanted = Load { width: 10, ..load(&server) };
        let counts = run(&Load { preload: false, ..wanted.clone() }).unwrap().counts;
        assert_eq!((counts.hits, counts.misses), (0, 10_000));
        run(&wanted).unwrap();
        let mut key = Vec::new();
        for index in (0..100).step_by(2) {
            key.clear();
            push_key(&mut key, index, 20);
            assert!(server.cache().delete(&key[..]));
        }
        let counts = run(&Load { preload: false, ..wanted }).unwrap().counts;
        assert!(counts.hits > 1000 && counts.misses > 1000, "{counts:?}");
        assert_eq!(counts.hits + counts.misses, 10_000);
    }

    #[test]
    fn a_mix_has_its_share_of_gets() {
        let server = TestServer::start().unwrap();
        let counts = run(&Load { gets: 0.8, ..load(&server) }).unwrap().counts;
        assert_eq!(counts.hits + counts.stored, 1000);
        assert!((150..250).contains(&counts.stored), "{}", counts.stored);
    }

    #[test]
    fn wrong_bytes_end_the_run() {
        let server = TestServer::start().unwrap();
        let mut key = Vec::new();
        push_key(&mut key, 7, 20);
        server.cache().set(&key[..], b"not the value of 7", Attrs::new()).unwrap();
        let wanted = Load { preload: false, zipf: 0.0, ..load(&server) };
        let error = run(&wanted).unwrap_err();
        assert!(matches!(error, LoadError::WrongBytes { key: 7, len: 18 }), "{error}");
        run(&Load { verify: false, ..wanted }).unwrap();
    }

    #[test]
    fn a_paced_request_is_never_sent_before_it_is_due() {
        let server = TestServer::start().unwrap();
        let wanted = Load { threads: 1, rate: Some(10_000.0), ..load(&server) };
        let outcome = run(&Load { bound: Bound::Requests(300), ..wanted }).unwrap();
        assert_eq!(outcome.counts.requests, 300);
        assert!(outcome.elapsed > Duration::from_millis(29), "{:?}", outcome.elapsed);
    }
}
