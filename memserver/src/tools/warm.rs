//! `memserver warm`: copies the items of one server to another.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;

use super::access::Access;
use super::client::{Client, Timeout};
use super::copy::{Tally, copy};
use super::keys::Keys;
use super::snapshot::{list, scratch};
use super::source::Server;
use super::target::Target;
use super::{address, finish, seconds};
use crate::config::endpoint::Endpoint;
use crate::os::reason;

/// Copy the items of a running memcached or memserver to another server, as long as that evicts
/// nothing for them. Keys that it has are left alone.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "warm")]
pub(super) struct Warm {
    /// the server to copy from: HOST, HOST:PORT, [IPV6]:PORT or unix:PATH
    #[argh(option, from_str_fn(address::parse))]
    from: Endpoint,
    /// the server to copy to (default: 127.0.0.1:11211)
    #[argh(option, from_str_fn(address::parse), default = "address::default()")]
    to: Endpoint,
    /// speak TLS to both servers, whose certificates come from an authority in this file
    #[argh(option)]
    tls_ca: Option<PathBuf>,
    /// show it the certificate in this file
    #[argh(option)]
    tls_cert: Option<PathBuf>,
    /// the key of that certificate (default: in the same file)
    #[argh(option)]
    tls_key: Option<PathBuf>,
    /// log in to both as the first user of this file, whose lines are NAME:PASSWORD
    #[argh(option)]
    login: Option<PathBuf>,
    /// items per second, at most (default: 100000); 0 for as many as there are
    #[argh(option, default = "100_000")]
    rate: u32,
    /// keep in this file which keys are left, and go on there if it exists
    #[argh(option)]
    state: Option<PathBuf>,
    /// go on when the server begins to evict
    #[argh(switch)]
    evict: bool,
    /// seconds that a server may take for an answer (default: 30)
    #[argh(option, from_str_fn(seconds), default = "Duration::from_secs(30)")]
    timeout: Duration,
}

impl Warm {
    /// Copies; the exit status says how it went.
    pub(super) fn run(self) -> ExitCode {
        finish("warm", "copied", self.copy())
    }

    fn copy(&self) -> io::Result<Tally> {
        let tls = [&self.tls_ca, &self.tls_cert, &self.tls_key];
        let access = Access::new(tls, self.login.as_ref())?;
        // Before the keys are listed, which may take a while.
        let mut to = Target::new(self.connect(&access, &self.to)?, self.evict)?;
        let keys = match &self.state {
            Some(path) => self.resume(&access, path)?,
            None => list(&mut self.connect(&access, &self.from)?, &std::env::temp_dir())?,
        };
        let mut from = Server::new(self.connect(&access, &self.from)?, keys);
        let tally = copy(&mut from, &mut to, (self.rate > 0).then_some(self.rate))?;
        if let Some(path) = self.state.as_ref().filter(|_| !tally.full) {
            fs::remove_file(path)?;
        }
        Ok(tally)
    }

    fn connect(&self, access: &Access, address: &Endpoint) -> io::Result<Client> {
        let in_words = |error| io::Error::other(format!("{address}: {}", reason(&error)));
        access.connect(address, Timeout::Each(self.timeout)).map_err(in_words)
    }

    /// The keys that a file says are left, or all keys.
    fn resume(&self, access: &Access, path: &Path) -> io::Result<Keys> {
        let about = format!("{} to {}", self.from, self.to);
        let in_words = |error| io::Error::other(format!("{}: {}", path.display(), reason(&error)));
        let mut open = OpenOptions::new();
        open.read(true).write(true).create(true).mode(0o600);
        let file = open.open(path).map_err(in_words)?;
        if let Some(keys) = Keys::resume(file, &about).map_err(in_words)? {
            return Ok(keys);
        }
        let file = open.truncate(true).open(path).map_err(in_words)?;
        let others = scratch(&std::env::temp_dir())?;
        Keys::list(&mut self.connect(access, &self.from)?, file, others, &about, true)
    }
}
