//! Attacks on what protects a server: handshakes of TLS that come in floods or stop half-way,
//! passwords that are guessed, clients that read slowly over TLS or do nothing. What a healthy
//! client notices of each is measured beside the same without the attack.
//!
//! `ground` has certificates, users and ways to connect, `healthy` the client that is measured,
//! `swarm` many clients in one thread, `scenario` the attacks. This file conducts a run.

mod ground;
mod healthy;
mod scenario;
mod swarm;

use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::hist::Latencies;
use crate::launch::{Recipe, Server, pin};
use crate::pressure::allow_descriptors;
use crate::process;

use ground::{Ground, Stream};

pub use scenario::{HalfHandshakes, Handshakes, Idle, Passwords, SlowReaders};

/// An attack on a server.
pub trait Scenario: Sync {
    /// What is put before and behind the server's command: over TLS, unless a scenario says else.
    ///
    /// # Errors
    /// If a file that the server is to read can't be written.
    fn words(&self, ground: &Ground) -> io::Result<(Vec<String>, Vec<String>)> {
        Ok((Vec::new(), scenario::encrypted_words(ground)))
    }

    /// A healthy client's connection, and what it asks again and again.
    ///
    /// # Errors
    /// If the server refuses it.
    fn healthy(
        &self,
        ground: &Ground,
        addr: SocketAddr,
    ) -> io::Result<(Box<dyn Stream>, Question)> {
        scenario::healthy_encrypted(ground, addr)
    }

    /// Attacks until a moment. All of its connections are closed when it returns.
    ///
    /// # Errors
    /// If the attack could not be carried out.
    fn attack(&self, ground: &Ground, addr: SocketAddr, until: Instant) -> io::Result<Tally>;

    /// Connections that stay open during the attack, for the memory of each.
    fn held(&self) -> Option<usize> {
        None
    }
}

/// What a healthy client asks.
#[derive(Clone, Debug)]
pub struct Question {
    /// The bytes of the request.
    pub request: Vec<u8>,
    /// The number of bytes of the reply.
    pub reply: usize,
}

/// What an attack has come to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Handshakes, guesses or connections.
    pub done: u64,
    /// Connections that the server closed.
    pub closed: u64,
    /// How long each took that was done, in nanoseconds.
    pub took: Latencies,
    /// How long logins with the right password took meanwhile.
    pub logins: Latencies,
    /// Logins with the right password that did not succeed.
    pub locked_out: u64,
}

/// What was measured over all rounds.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The server's name.
    pub server: String,
    /// Waits of the healthy client without the attack, and how many failed.
    pub quiet: Latencies,
    /// The same during the attack.
    pub attacked: Latencies,
    /// Waits that ended without a reply.
    pub failures: u64,
    /// The attack.
    pub tally: Tally,
    /// Processor time of the server during the attack, in nanoseconds.
    pub cpu: u64,
    /// Resident bytes before the attack, in the last round.
    pub before: u64,
    /// The most resident bytes during the attack, in the last round.
    pub most: u64,
    /// Quotients of the 99.9th percentiles, one a round.
    pub ratios: Vec<f64>,
}

/// Where the parts of a run are pinned.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The port that servers get.
    pub port: u16,
    /// The processor of the server.
    pub server: usize,
    /// The processor of all clients.
    pub clients: usize,
}

/// Runs a scenario so many rounds, against a server that is started anew for each.
///
/// # Errors
/// If the server can't be started or the attack can't be carried out.
pub fn run(
    scenario: &dyn Scenario,
    recipe: &Recipe,
    places: Places,
    rounds: u32,
    time: Duration,
) -> io::Result<Report> {
    allow_descriptors()?;
    let ground = Ground::new()?;
    let (before, behind) = scenario.words(&ground)?;
    let mut recipe = recipe.clone();
    recipe.words.splice(0..0, before);
    recipe.words.extend(behind);
    let mut report = Report { server: recipe.name.clone(), ..Report::default() };
    for _ in 0..rounds {
        let Places { port, server: core, .. } = places;
        let server = Server::start_logging_to(&recipe, port, Some(core), Stdio::null())?;
        pin(places.clients)?;
        one_round(scenario, &ground, &server, time, &mut report)?;
    }
    report.ratios.sort_by(f64::total_cmp);
    Ok(report)
}

fn one_round(
    scenario: &dyn Scenario,
    ground: &Ground,
    server: &Server,
    time: Duration,
    report: &mut Report,
) -> io::Result<()> {
    let addr = server.addr;
    let measured = |time: Duration| -> io::Result<healthy::Probe> {
        let (stream, question) = scenario.healthy(ground, addr)?;
        Ok(healthy::start(stream, question, Instant::now() + time))
    };
    let quiet = measured(time)?.wait();
    let before = process::memory(server.pid())?.resident;
    let cpu = process::cpu_ns(server.pid())?;
    let until = Instant::now() + time;
    let probe = measured(time)?;
    let (tally, most) = thread::scope(|scope| -> io::Result<_> {
        let attack = scope.spawn(|| scenario.attack(ground, addr, until));
        let mut most = 0;
        // The last look is before the connections are closed.
        while Instant::now() + LOOK < until {
            thread::sleep(LOOK);
            most = most.max(process::memory(server.pid())?.resident);
        }
        report.cpu += process::cpu_ns(server.pid())? - cpu;
        let tally = attack.join().map_err(|_| io::Error::other("the attack panicked"))??;
        Ok((tally, most))
    })?;
    let attacked = probe.wait();
    report.ratios.push(ratio(&quiet.latency, &attacked.latency));
    report.quiet.merge(&quiet.latency);
    report.attacked.merge(&attacked.latency);
    report.failures += quiet.failures + attacked.failures;
    report.tally.add(&tally);
    (report.before, report.most) = (before, most);
    Ok(())
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.closed += other.closed;
        self.took.merge(&other.took);
        self.logins.merge(&other.logins);
        self.locked_out += other.locked_out;
    }
}

fn ratio(quiet: &Latencies, attacked: &Latencies) -> f64 {
    attacked.quantile(0.999) as f64 / quiet.quantile(0.999).max(1) as f64
}

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
