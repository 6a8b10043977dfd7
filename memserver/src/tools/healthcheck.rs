//! `memserver healthcheck`: does a server answer? For images without a shell.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use argh::FromArgs;
use memproto::client::binary::Frame;
use memproto::limits::BINARY_HEADER;

use super::access::Access;
use super::address::{self, Local};
use super::client::{Client, Timeout, unexpected};
use super::{complain, seconds};
use crate::config::endpoint::Endpoint;
use crate::os::reason;

/// Seconds after which the server drops the item of a check that could not delete it.
const ITEM_TTL: u32 = 10;

/// Exit with status 0 if a server answers, otherwise with 1.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "healthcheck")]
pub(super) struct Healthcheck {
    /// the server: HOST, HOST:PORT, [IPV6]:PORT or unix:PATH (default: the server that is process 1
    /// here, as in a container, or else 127.0.0.1:11211)
    #[argh(option, from_str_fn(address::parse))]
    addr: Option<Endpoint>,
    /// speak TLS to a server whose certificate comes from an authority in this file
    #[argh(option)]
    tls_ca: Option<PathBuf>,
    /// show it the certificate in this file
    #[argh(option)]
    tls_cert: Option<PathBuf>,
    /// the key of that certificate (default: in the same file)
    #[argh(option)]
    tls_key: Option<PathBuf>,
    /// log in as the first user of this file, whose lines are NAME:PASSWORD
    #[argh(option)]
    login: Option<PathBuf>,
    /// also store an item, read it back and delete it
    #[argh(switch)]
    set_get: bool,
    /// the server speaks the binary protocol only
    #[argh(switch)]
    binary: bool,
    /// seconds for all of it (default: 3)
    #[argh(option, default = "Duration::from_secs(3)", from_str_fn(seconds))]
    timeout: Duration,
}

impl Healthcheck {
    /// Asks; the exit status says how it went.
    pub(super) fn run(self) -> ExitCode {
        let mut server = match &self.addr {
            Some(address) => Local { address: address.clone(), is_binary: false },
            None => Local::find(),
        };
        server.is_binary |= self.binary;
        match self.check(&server) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&format!("healthcheck: {}: {}", server.address, reason(&error)));
                ExitCode::FAILURE
            }
        }
    }

    fn check(&self, server: &Local) -> io::Result<()> {
        if server.is_binary && (self.set_get || self.login.is_some()) {
            let why = "--set-get and --login can't ask a server that speaks binary only";
            return Err(io::Error::other(why));
        }
        let timeout = Timeout::Until(Instant::now() + self.timeout);
        let tls = [&self.tls_ca, &self.tls_cert, &self.tls_key];
        let access = Access::new(tls, self.login.as_ref())?;
        let mut client = Client::connect(&server.address, access.trust(), timeout)?;
        if server.is_binary {
            return version_in_binary(&mut client);
        }
        first_answer(&mut client, access.login(), self.set_get)?;
        if self.set_get { round_trip(&mut client) } else { Ok(()) }
    }
}

/// The answer to a login, or else to a request for the version.
fn first_answer(client: &mut Client, login: Option<&[u8]>, set_get: bool) -> io::Result<()> {
    client.send(login.unwrap_or(b"version\r\n"))?;
    let line = client.line()?;
    // Both are refusals of a server that lives and does what it was set up to do. To restart it
    // because it is full would make matters worse.
    let lives = line.starts_with(b"ERROR Too many open connections")
        || login.is_none() && line.starts_with(b"CLIENT_ERROR unauthenticated");
    let serves = match login {
        Some(_) => line == b"STORED",
        None => line.starts_with(b"VERSION "),
    };
    if serves || lives && !set_get { Ok(()) } else { Err(unexpected(line)) }
}

fn version_in_binary(client: &mut Client) -> io::Result<()> {
    let mut request = Vec::new();
    Frame::version().write(&mut request).map_err(io::Error::other)?;
    client.send(&request)?;
    let mut header = [0; BINARY_HEADER];
    client.fill(&mut header)?;
    match header {
        [0x81, 0x0b, _, _, _, _, 0, 0, ..] => Ok(()),
        _ => Err(io::Error::other("the answer is not a version in the binary protocol")),
    }
}

/// Stores an item that nobody else has, and reads it back.
fn round_trip(client: &mut Client) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let value = format!("{}-{}", std::process::id(), now.as_nanos());
    let key = format!("memserver-healthcheck-{value}");
    let len = value.len();
    expect(client, &format!("set {key} 0 {ITEM_TTL} {len}\r\n{value}\r\n"), &["STORED"])?;
    let header = format!("VALUE {key} 0 {len}");
    expect(client, &format!("get {key}\r\n"), &[&header, &value, "END"])?;
    expect(client, &format!("delete {key}\r\n"), &["DELETED"])
}

fn expect(client: &mut Client, request: &str, lines: &[&str]) -> io::Result<()> {
    client.send(request.as_bytes())?;
    for expected in lines {
        let line = client.line()?;
        if line != expected.as_bytes() {
            return Err(unexpected(line));
        }
    }
    Ok(())
}
