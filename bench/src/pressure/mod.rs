//! How a server behaves towards its other clients while some of them put it under pressure: large
//! values, slow uploads, unread replies, unfinished lines, long commands, a log that nobody reads,
//! items that expire together, growth.
//!
//! `scenario` has the attacks, `conn` a client's connection, `probe` the healthy clients whose
//! waits are measured. This file conducts a run: start, prepare, attack, settle, stop.

mod conn;
mod probe;
mod scenario;

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::launch::{Recipe, Server};
use crate::process::{self, Memory};

pub use probe::Waits;
pub use scenario::{
    Expiry, Growth, LargeReads, LogPipe, LongCommands, PartialLines, Shrink, SlowUploads,
    UnreadReplies,
};

/// An attack on a server.
pub trait Scenario {
    /// Flags that are appended to the server's command.
    fn flags(&self) -> Vec<String>;

    /// Stores what the attack needs, before anything is measured.
    ///
    /// # Errors
    /// If the server refuses it.
    fn prepare(&self, addr: SocketAddr) -> io::Result<()> {
        let _ = addr;
        Ok(())
    }

    /// Attacks. All of its connections are closed when it returns.
    ///
    /// # Errors
    /// If the attack could not be carried out.
    fn attack(&self, addr: SocketAddr) -> io::Result<Tally>;

    /// Gives the server work that is still in progress when it is told to stop.
    ///
    /// # Errors
    /// If the server refuses it.
    fn before_stop(&self, addr: SocketAddr) -> io::Result<()> {
        let _ = addr;
        Ok(())
    }

    /// Whether the server's log is a pipe from which nobody reads.
    fn blocks_log(&self) -> bool {
        false
    }
}

/// What the clients of an attack counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests that were answered as they should be.
    pub answered: u64,
    /// Requests that were answered with an error.
    pub errors: u64,
    /// Connections that the server closed, or on which it did not answer in time.
    pub closed: u64,
    /// How long single commands took.
    pub commands: Vec<(&'static str, Duration)>,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.errors += other.errors;
        self.closed += other.closed;
        self.commands.extend_from_slice(&other.commands);
    }
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The server's name.
    pub server: String,
    /// The attack's counts.
    pub tally: Tally,
    /// How long the healthy clients waited for replies.
    pub waits: Waits,
    /// Resident memory in bytes before the attack; `None` if the server had ended.
    pub before: Option<u64>,
    /// The most resident memory that the process ever had, in bytes.
    pub peak: Option<u64>,
    /// Resident memory in bytes, ten seconds after the attack.
    pub after: Option<u64>,
    /// The longest time for which a worker did not look at its other clients; `None` if the server
    /// does not tell.
    pub slice: Option<Duration>,
    /// How the server ended.
    pub exit: Exit,
}

/// How a server ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// So long after SIGTERM.
    After(Duration),
    /// It had to be killed, because it was still running [`EXIT_TIMEOUT`] after SIGTERM.
    Killed,
    /// It had ended before it was told to, with this status.
    Died(String),
}

/// Runs a scenario against a server that is started for it at `port`. In its command `{admin}`
/// stands for the next port, where it is asked for its metrics.
///
/// # Errors
/// If the server can't be started or the attack can't be carried out.
pub fn run(scenario: &dyn Scenario, recipe: &Recipe, port: u16) -> io::Result<Report> {
    allow_descriptors()?;
    let metrics = port.checked_add(1).filter(|_| recipe.has(ADMIN));
    let mut recipe = recipe.with(ADMIN, metrics.unwrap_or(port));
    recipe.words.extend(scenario.flags());
    let log = if scenario.blocks_log() { Stdio::piped() } else { Stdio::null() };
    let mut server = Server::start_logging_to(&recipe, port, None, log)?;
    let addr = server.addr;
    scenario.prepare(addr)?;
    let memory = |server: &Server| process::memory(server.pid()).ok();
    let before = memory(&server);
    let probe = probe::start(addr)?;
    let tally = scenario.attack(addr);
    let waits = probe.stop();
    let tally = tally?;
    thread::sleep(SETTLE);
    let after = memory(&server);
    // Fails if the server has ended, which the next lines report.
    let _ = scenario.before_stop(addr);
    let peak = memory(&server);
    let slice = metrics.and_then(|port| longest_slice(port).ok());
    let alive = peak.is_some();
    let exit = match server.terminate(EXIT_TIMEOUT)? {
        Some((time, _)) if alive => Exit::After(time),
        Some((_, status)) => Exit::Died(status.to_string()),
        None => Exit::Killed,
    };
    let resident = |memory: Option<Memory>| memory.map(|memory| memory.resident);
    Ok(Report {
        server: recipe.name,
        tally,
        waits,
        before: resident(before),
        peak: peak.map(|memory| memory.peak),
        after: resident(after),
        slice,
        exit,
    })
}

/// Asks a server for the longest slice of a worker since it was started.
fn longest_slice(port: u16) -> io::Result<Duration> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(conn::TIMEOUT))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    let value =
        page.lines().find_map(|line| line.strip_prefix("memserver_worker_longest_slice_seconds "));
    let seconds = value.and_then(|value| value.parse().ok());
    let slice = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    slice.ok_or_else(|| io::Error::other("no longest slice among the metrics"))
}

/// Raises the limit of descriptors of this process, and of the servers that it starts, as far as
/// that is allowed.
pub(crate) fn allow_descriptors() -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// What stands for the port of the metrics in a server's command.
const ADMIN: &str = "{admin}";
/// The time that a server has to give memory back.
const SETTLE: Duration = Duration::from_secs(10);
/// The time that a server has to end.
pub const EXIT_TIMEOUT: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use argh::FromArgs;
    use memserver::TestServer;

    use super::conn::Conn;
    use super::*;

    fn attacked<S: Scenario + FromArgs>(args: &str) -> Tally {
        let words: Vec<_> = args.split_whitespace().collect();
        let scenario = S::from_args(&["pressure"], &words).unwrap();
        let server = TestServer::start().unwrap();
        scenario.prepare(server.address()).unwrap();
        scenario.attack(server.address()).unwrap()
    }

    #[test]
    fn large_values_are_read_whole() {
        let tally = attacked::<LargeReads>("--values 2 --size 200000 --clients 2 --seconds 0.2");
        assert!(tally.answered > 0, "{tally:?}");
        assert_eq!((tally.errors, tally.closed), (0, 0));
    }

    #[test]
    fn others_are_served_beside_a_few_bad_clients() {
        for tally in [
            attacked::<UnreadReplies>("--connections 3 --seconds 0.2"),
            attacked::<SlowUploads>("--clients 3 --seconds 0.2 --every-ms 50"),
        ] {
            assert!(tally.answered > 0, "{tally:?}");
            assert_eq!((tally.errors, tally.closed), (0, 0));
        }
    }

    #[test]
    fn unfinished_lines_are_taken() {
        assert_eq!(attacked::<PartialLines>("--clients 5 --seconds 0").answered, 5);
    }

    #[test]
    fn long_commands_are_timed() {
        assert_eq!(attacked::<Shrink>("--items 1000 --to 32").commands.len(), 1);
        let tally = attacked::<LongCommands>("--prefixes 100 --size 100000 --appends 3");
        assert_eq!((tally.commands.len(), tally.answered), (3, 3), "{tally:?}");
    }

    #[test]
    fn requests_are_answered_while_the_server_logs() {
        assert!(attacked::<LogPipe>("--seconds 0.01").answered > 0);
    }

    #[test]
    fn a_server_tells_its_longest_slice() {
        let cache = memcore::Cache::new(64 << 20).unwrap();
        let builder = memserver::Server::builder(cache).listen("127.0.0.1:0");
        let server = builder.admin("127.0.0.1:0").start().unwrap();
        Conn::open(server.local_addr().unwrap()).unwrap().set("k", 100).unwrap();
        let slice = longest_slice(server.admin_addr().unwrap().port()).unwrap();
        assert!(slice > Duration::ZERO && slice < conn::TIMEOUT, "{slice:?}");
    }

    #[test]
    fn healthy_clients_measure_their_waits() {
        let server = TestServer::start().unwrap();
        let probe = probe::start(server.address()).unwrap();
        thread::sleep(Duration::from_millis(50));
        let waits = probe.stop();
        assert!(waits.latency.total() > 4 && waits.failures == 0, "{waits:?}");
    }
}
