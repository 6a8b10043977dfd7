//! `memserver dump`: the keys of a server with size and time to live, one a line.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use argh::FromArgs;
use memproto::key::push_base64;
use percent_encoding::percent_decode_str;

use super::access::Access;
use super::client::Timeout;
use super::keys::list;
use super::{address, complain, seconds};
use crate::config::endpoint::Endpoint;
use crate::os::{json, reason};

/// Print the keys of a server, their sizes and their seconds to live.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "dump")]
pub(super) struct Dump {
    /// the server: HOST, HOST:PORT, [IPV6]:PORT or unix:PATH (default: 127.0.0.1:11211)
    #[argh(option, from_str_fn(address::parse), default = "address::default()")]
    addr: Endpoint,
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
    /// each line is an object of JSON
    #[argh(switch)]
    json: bool,
    /// seconds that a server may take for an answer (default: 30)
    #[argh(option, from_str_fn(seconds), default = "Duration::from_secs(30)")]
    timeout: Duration,
}

/// An item of which a server tells, in its own spelling.
#[derive(Debug, PartialEq, Eq)]
struct Item<'l> {
    /// With `%XX` for some of its bytes.
    key: &'l str,
    size: u64,
    /// Seconds since 1970.
    expiry: Option<u64>,
}

impl Dump {
    /// Asks and prints.
    pub(super) fn run(self) -> ExitCode {
        match self.print(&mut BufWriter::new(io::stdout().lock())) {
            // A reader that wanted only the first lines may have closed the pipe.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                complain(&format!("dump: {}: {}", self.addr, reason(&error)));
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        }
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let tls = [&self.tls_ca, &self.tls_cert, &self.tls_key];
        let access = Access::new(tls, self.login.as_ref())?;
        let mut client = access.connect(&self.addr, Timeout::Each(self.timeout))?;
        list(&mut client, &mut |line| {
            let Some(item) = Item::parse(line) else { return Ok(false) };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let text = if self.json { item.object(now) } else { item.line(now) };
            out.write_all(text.as_bytes())?;
            Ok(true)
        })?;
        out.flush()
    }
}

impl<'l> Item<'l> {
    /// Reads a line `key=KEY exp=TIME ... size=SIZE ...`.
    fn parse(line: &'l [u8]) -> Option<Self> {
        let mut words = str::from_utf8(line).ok()?.split(' ');
        let key = words.next()?.strip_prefix("key=").filter(|key| !key.is_empty())?;
        let of = |name| words.clone().find_map(|word| word.strip_prefix(name));
        // For ever is -1.
        let expiry = of("exp=")?.parse::<i64>().ok()?.try_into().ok();
        Some(Self { key, size: of("size=")?.parse().ok()?, expiry })
    }

    fn ttl(&self, now: u64) -> Option<u64> {
        self.expiry.map(|expiry| expiry.saturating_sub(now))
    }

    fn line(&self, now: u64) -> String {
        let ttl = self.ttl(now).map_or("-1".to_owned(), |ttl| ttl.to_string());
        format!("{} {} {ttl}\n", self.key, self.size)
    }

    fn object(&self, now: u64) -> String {
        let ttl = self.ttl(now).map_or("null".to_owned(), |ttl| ttl.to_string());
        let (name, key) = match String::from_utf8(percent_decode_str(self.key).collect()) {
            Ok(key) => ("key", key),
            Err(error) => {
                let mut base64 = Vec::new();
                push_base64(&mut base64, error.as_bytes());
                ("key_base64", String::from_utf8_lossy(&base64).into_owned())
            }
        };
        format!("{{\"{name}\":\"{}\",\"size\":{},\"ttl\":{ttl}}}\n", json::Escaped(key), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_json_can_say_them() {
        for (line, object, text) in [
            (
                "key=a%20%22 exp=130 la=1 cas=2 fetch=no cls=1 size=67",
                r#"{"key":"a \"","size":67,"ttl":30}"#,
                "a%20%22 67 30",
            ),
            (
                "key=%ff exp=-1 la=1 cas=2 fetch=no cls=1 size=6 flags=5 ",
                r#"{"key_base64":"/w==","size":6,"ttl":null}"#,
                "%ff 6 -1",
            ),
            ("key=a exp=99 size=1", r#"{"key":"a","size":1,"ttl":0}"#, "a 1 0"),
        ] {
            let item = Item::parse(line.as_bytes()).unwrap();
            assert_eq!(item.object(100), format!("{object}\n"));
            assert_eq!(item.line(100), format!("{text}\n"));
        }
        for line in ["END", "key= exp=-1 size=1", "key=a size=1", "key=a exp=-1 size=x"] {
            assert_eq!(Item::parse(line.as_bytes()), None, "{line}");
        }
    }
}
