//! One client that gets a large value again and again, beside a load: what others notice of it.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Load, LoadError, run};
use crate::client::Client;
use crate::hist::Latencies;
use crate::value::{is_value, push_value};
use crate::wire::Reply;

/// The value, and how often it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Large {
    /// Its bytes.
    pub size: usize,
    /// Gets per second.
    pub rate: f64,
}

/// Latencies of a load, alone and beside the gets of a large value, in turns.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// A round each, alone.
    pub alone: Vec<Latencies>,
    /// A round each, beside the others.
    pub beside: Vec<Latencies>,
    /// Those of the gets of the large value.
    pub large: Latencies,
}

impl Large {
    /// Measures the load alone and beside such gets, `rounds` times.
    ///
    /// # Errors
    /// The first failure; wrong bytes are one.
    pub fn measure(self, load: &Load, rounds: usize) -> Result<Beside, LoadError> {
        let mut client = Client::connect(load.addr)?;
        self.store(&mut client)?;
        let mut measured = Beside::default();
        for round in 0..rounds {
            let load = Load { preload: load.preload && round == 0, ..load.clone() };
            measured.alone.push(run(&load)?.counts.latency);
            let stop = AtomicBool::new(false);
            let load = Load { preload: false, ..load };
            let (outcome, gets) = thread::scope(|scope| {
                let gets = scope.spawn(|| self.ask(load.addr, &stop));
                let outcome = run(&load);
                // Only a flag.
                stop.store(true, Ordering::Relaxed);
                (outcome, gets.join())
            });
            measured.beside.push(outcome?.counts.latency);
            measured.large.merge(&gets.map_err(|_| LoadError::Stopped)??);
        }
        Ok(measured)
    }

    fn store(self, client: &mut Client) -> io::Result<()> {
        let output = client.output();
        output.extend_from_slice(format!("set {KEY} 0 0 {}\r\n", self.size).as_bytes());
        push_value(output, NUMBER, self.size);
        output.extend_from_slice(b"\r\n");
        client.send()?;
        match client.receive(|reply| reply == Reply::Stored)? {
            true => Ok(()),
            false => Err(io::Error::other("the large value was not stored")),
        }
    }

    /// Asks by the clock, and not before the last value is there.
    fn ask(self, addr: SocketAddr, stop: &AtomicBool) -> Result<Latencies, LoadError> {
        let mut client = Client::connect(addr)?;
        let mut latencies = Latencies::default();
        let began = Instant::now();
        for number in 0_u32.. {
            let due = Duration::from_secs_f64(f64::from(number) / self.rate);
            thread::sleep(due.saturating_sub(began.elapsed()));
            if stop.load(Ordering::Relaxed) {
                break;
            }
            client.output().extend_from_slice(format!("get {KEY}\r\n").as_bytes());
            client.send()?;
            let mut len = 0;
            let mut right = false;
            while client.receive(|reply| match reply {
                Reply::Value { data, .. } => {
                    len = data.len();
                    right = len == self.size && is_value(data, NUMBER);
                    true
                }
                _ => false,
            })? {}
            if !right {
                return Err(LoadError::WrongBytes { key: NUMBER, len });
            }
            latencies.record((began.elapsed() - due).as_nanos() as u64);
        }
        Ok(latencies)
    }
}

const KEY: &str = "large";
/// Decides its bytes.
const NUMBER: u32 = 7;

#[cfg(test)]
mod tests {
    use memserver::TestServer;

    use super::*;
    use crate::load::{Bound, tests};
    use crate::value::Sizes;

    fn load(server: &TestServer) -> Load {
        Load {
            threads: 1,
            sizes: Sizes::Fixed(100),
            zipf: 0.0,
            bound: Bound::Requests(500),
            ..tests::load(server)
        }
    }

    #[test]
    fn a_load_is_measured_alone_and_beside_large_values() {
        let server = TestServer::start().unwrap();
        let large = Large { size: 500_000, rate: 1_000.0 };
        let measured = large.measure(&load(&server), 2).unwrap();
        let totals = |all: &[Latencies]| all.iter().map(Latencies::total).collect::<Vec<_>>();
        assert_eq!(totals(&measured.alone), [500, 500]);
        assert_eq!(totals(&measured.beside), [500, 500]);
        assert!(measured.large.total() >= 2);
    }

    #[test]
    fn a_server_that_does_not_take_the_value_ends_the_run() {
        let server = TestServer::start().unwrap();
        let large = Large { size: 50 << 20, rate: 10.0 };
        assert!(large.measure(&load(&server), 1).is_err());
    }
}
