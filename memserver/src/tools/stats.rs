//! `memserver stats`: the statistics of any memcached, as lines or as an object of JSON.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use argh::FromArgs;

use super::access::Access;
use super::client::{Client, Timeout, unexpected};
use super::{address, complain, seconds};
use crate::config::endpoint::Endpoint;
use crate::os::{json, reason};

/// Print the statistics of a server.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "stats")]
pub(super) struct Stats {
    /// what to ask for: settings, items, slabs, conns, hotkeys (default: the general ones)
    #[argh(positional)]
    section: Vec<String>,
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
    /// as an object of JSON
    #[argh(switch)]
    json: bool,
    /// seconds for all of it (default: 3)
    #[argh(option, default = "Duration::from_secs(3)", from_str_fn(seconds))]
    timeout: Duration,
}

/// Names and values, in the order of the server.
pub(super) type List = Vec<(String, String)>;

impl Stats {
    /// Asks and prints.
    pub(super) fn run(self) -> ExitCode {
        match self.ask() {
            Ok(list) => {
                let text = if self.json { object(&list) } else { lines(&list) };
                // A reader that wanted only the first lines may have closed the pipe.
                let _ = io::stdout().write_all(text.as_bytes());
                ExitCode::SUCCESS
            }
            Err(error) => {
                complain(&format!("stats: {}: {}", self.addr, reason(&error)));
                ExitCode::FAILURE
            }
        }
    }

    fn ask(&self) -> io::Result<List> {
        let timeout = Timeout::Until(Instant::now() + self.timeout);
        let tls = [&self.tls_ca, &self.tls_cert, &self.tls_key];
        let access = Access::new(tls, self.login.as_ref())?;
        ask(&mut access.connect(&self.addr, timeout)?, &self.section.join(" "))
    }
}

/// Asks for a section of statistics.
///
/// # Errors
/// There is no such section, or no answer in time.
pub(super) fn ask(client: &mut Client, section: &str) -> io::Result<List> {
    if section.contains(['\r', '\n']) {
        return Err(io::Error::other("the name of a section has no line breaks"));
    }
    client.send(format!("stats {section}").trim_end().as_bytes())?;
    client.send(b"\r\n")?;
    let mut list = List::new();
    loop {
        let line = client.line()?;
        if line == b"END" {
            return Ok(list);
        }
        let text = String::from_utf8_lossy(line);
        let stat =
            text.strip_prefix("STAT ").map(|stat| stat.split_once(' ').unwrap_or((stat, "")));
        let (name, value) = stat.ok_or_else(|| unexpected(line))?;
        list.push((name.to_owned(), value.to_owned()));
    }
}

fn lines(list: &List) -> String {
    list.iter().map(|(name, value)| format!("{name} {value}\n")).collect()
}

fn object(list: &List) -> String {
    let mut text = String::from("{");
    for (index, (name, value)) in list.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let name = json::Escaped(name);
        // Writing to a string can't fail.
        let _ = match is_number(value) {
            true => write!(text, "{comma}\n  \"{name}\": {value}"),
            false => write!(text, "{comma}\n  \"{name}\": \"{}\"", json::Escaped(value)),
        };
    }
    text.push_str(if list.is_empty() { "}\n" } else { "\n}\n" });
    text
}

/// Whether this is a number in JSON: no zero in front, and digits on both sides of a point.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numbers_and_other_values_text() {
        for number in ["0", "17", "-1", "0.25", "3.000020", "18446744073709551615"] {
            assert!(is_number(number), "{number}");
        }
        for text in ["", "-", "1.6.45", "0700", "1.", ".5", "yes", "0x1", "1e5", "+1"] {
            assert!(!is_number(text), "{text}");
        }
        let list = vec![("a".to_owned(), "1".to_owned()), ("b\"".to_owned(), "x".to_owned())];
        assert_eq!(object(&list), "{\n  \"a\": 1,\n  \"b\\\"\": \"x\"\n}\n");
        assert_eq!(object(&Vec::new()), "{}\n");
    }
}
