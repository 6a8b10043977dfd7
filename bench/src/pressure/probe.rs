//! Healthy clients: each asks for one small value again and again, and notes how long it waits.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::conn::{Conn, TIMEOUT};
use crate::hist::Latencies;

/// How long healthy clients waited.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    /// The waits for a reply, in nanoseconds. A failure counts with the time until it was noticed.
    pub latency: Latencies,
    /// Waits that ended without a reply: after a timeout of ten seconds, or by a closed connection.
    pub failures: u64,
}

/// Running healthy clients.
#[derive(Debug)]
pub(super) struct Probe {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Waits>>,
}

/// Starts the healthy clients.
pub(super) fn start(addr: SocketAddr) -> io::Result<Probe> {
    Conn::open(addr)?.set(KEY, 100)?;
    let stop = Arc::new(AtomicBool::new(false));
    let conns: Vec<Conn> = (0..CLIENTS).map(|_| Conn::open(addr)).collect::<io::Result<_>>()?;
    let threads = conns
        .into_iter()
        .map(|conn| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || ask(addr, conn, &stop))
        })
        .collect();
    Ok(Probe { stop, threads })
}

impl Probe {
    /// Ends the clients and adds up what they noted.
    pub(super) fn stop(self) -> Waits {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Waits::default();
        for thread in self.threads {
            let waits = thread.join().expect("a healthy client");
            sum.latency.merge(&waits.latency);
            sum.failures += waits.failures;
        }
        sum
    }
}

fn ask(addr: SocketAddr, conn: Conn, stop: &AtomicBool) -> Waits {
    let mut waits = Waits::default();
    let mut conn = Some(conn);
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answered = conn.as_mut().is_some_and(|conn| conn.get(KEY).is_ok());
        waits.latency.record(began.elapsed().as_nanos() as u64);
        if !answered {
            waits.failures += 1;
            conn = Conn::open(addr).ok();
        }
        thread::sleep(PAUSE);
    }
    waits
}

const KEY: &str = "healthy";
/// More than the servers have workers, so that each of them has a healthy client.
const CLIENTS: usize = 8;
const PAUSE: Duration = Duration::from_millis(2);
const _: () = assert!(TIMEOUT.as_secs() == 10, "the documentation names the timeout");
