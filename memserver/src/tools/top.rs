//! `memserver top`: what any memcached does, second by second, in a terminal.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use argh::FromArgs;

use super::access::Access;
use super::client::{Client, Timeout};
use super::stats::{self, List};
use super::{address, complain, seconds};
use crate::config::endpoint::Endpoint;
use crate::human::{bytes, count, duration, percent, percent_of, rate, share_of};
use crate::os::reason;

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Hot keys that are shown.
const HOTTEST: usize = 10;
/// Goes to the corner of the terminal; clears what is below.
const HOME: &str = "\x1b[H";
const CLEAR: &str = "\x1b[J";

/// Show what a server does, until it is interrupted.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "top")]
pub(super) struct Top {
    /// the server: HOST, HOST:PORT, [IPV6]:PORT or unix:PATH (default: 127.0.0.1:11211)
    #[argh(positional, from_str_fn(address::parse), default = "address::default()")]
    server: Endpoint,
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
    /// seconds between two looks (default: 1)
    #[argh(option, default = "Duration::from_secs(1)", from_str_fn(seconds))]
    interval: Duration,
    /// end after this number of refreshes (default: never)
    #[argh(option)]
    count: Option<u64>,
}

/// A server at one moment.
struct Look {
    at: Instant,
    /// How long the answer took.
    took: Duration,
    stats: HashMap<String, String>,
    /// Keys that are asked for most, if the server tells.
    hot: List,
}

impl Top {
    /// Looks until something ends it.
    pub(super) fn run(self) -> ExitCode {
        match self.watch() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&format!("top: {}: {}", self.server, reason(&error)));
                ExitCode::FAILURE
            }
        }
    }

    fn watch(&self) -> io::Result<()> {
        let tls = [&self.tls_ca, &self.tls_cert, &self.tls_key];
        let access = Access::new(tls, self.login.as_ref())?;
        let mut client = access.connect(&self.server, Timeout::Each(TIMEOUT))?;
        let is_terminal = io::stdout().is_terminal();
        let mut before = look(&mut client)?;
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            left -= 1;
            thread::sleep(self.interval);
            let now = look(&mut client)?;
            let text = page(&self.server, &before, &now);
            let text = match is_terminal {
                // Line by line, so that nothing flickers.
                true => format!("{HOME}{}{CLEAR}", text.replace('\n', "\x1b[K\n")),
                false => text + "\n",
            };
            let mut out = io::stdout();
            if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
                // Whoever read has seen enough.
                return Ok(());
            }
            before = now;
        }
        Ok(())
    }
}

fn look(client: &mut Client) -> io::Result<Look> {
    let at = Instant::now();
    let stats = stats::ask(client, "")?;
    let took = at.elapsed();
    // Others don't know this section, and answer with one line.
    let hot = stats::ask(client, "hotkeys").unwrap_or_default();
    Ok(Look { at, took, stats: stats.into_iter().collect(), hot })
}

impl Look {
    fn text(&self, name: &str) -> &str {
        self.stats.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(0)
    }

    /// Seconds of processor time.
    fn time(&self, name: &str) -> f64 {
        self.text(name).parse().unwrap_or(0.0)
    }
}

/// What is shown of the time between two looks.
fn page(server: &Endpoint, before: &Look, now: &Look) -> String {
    let secs = now.at.duration_since(before.at).as_secs_f64().max(1e-3);
    let more = |names: &[&str]| -> u64 {
        let sum = |look: &Look| names.iter().map(|name| look.number(name)).sum::<u64>();
        sum(now).saturating_sub(sum(before))
    };
    let each = |names: &[&str]| rate(more(names) as f64 / secs);
    let traffic = |name| format!("{}/s", bytes(more(&[name]) as f64 / secs));
    let busy = |name| percent((now.time(name) - before.time(name)).max(0.0) / secs);
    let (items, limit) = (now.number("bytes"), now.number("limit_maxbytes"));
    let mut text = format!(
        "{server}  memcached {}  up {}  answers in {:.1} ms\n\n",
        now.text("version"),
        duration(now.number("uptime")),
        now.took.as_secs_f64() * 1e3
    );
    let rows: [[(&str, String); 4]; 4] = [
        [
            ("hit ratio", percent_of(more(&["get_hits"]), more(&["cmd_get"]))),
            ("get", each(&["cmd_get"])),
            ("set", each(&["cmd_set"])),
            ("delete", each(&["delete_hits", "delete_misses"])),
        ],
        [
            ("incr, decr", each(&["incr_hits", "incr_misses", "decr_hits", "decr_misses"])),
            ("touch", each(&["cmd_touch"])),
            ("evicted", each(&["evictions"])),
            ("expired", each(&["reclaimed"])),
        ],
        [
            ("items", count(now.number("curr_items"))),
            ("bytes", bytes(items as f64)),
            ("limit", bytes(limit as f64)),
            ("in use", percent(share_of(items, limit).unwrap_or_default())),
        ],
        [
            ("clients", count(now.number("curr_connections"))),
            ("at most", count(now.number("max_connections"))),
            ("new", each(&["total_connections"])),
            ("refused", each(&["rejected_connections"])),
        ],
    ];
    for row in rows {
        push_row(&mut text, &row);
    }
    push_row(
        &mut text,
        &[
            ("received", traffic("bytes_read")),
            ("sent", traffic("bytes_written")),
            ("user", busy("rusage_user")),
            ("system", busy("rusage_system")),
        ],
    );
    push_hot_keys(&mut text, &now.hot);
    text
}

fn push_row(text: &mut String, row: &[(&str, String)]) {
    for (name, value) in row {
        // Writing to a string can't fail.
        let _ = write!(text, "{name:<10} {value:>10}   ");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
}

fn push_hot_keys(text: &mut String, hot: &List) {
    let found: HashMap<&str, &str> =
        hot.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for rank in 1..=HOTTEST {
        let of = |what| found.get(format!("hotkeys:{rank}:{what}").as_str()).copied();
        let (Some(name), Some(percent)) = (of("name"), of("percent")) else { return };
        if rank == 1 {
            text.push_str("\nhot keys, of all lookups\n");
        }
        let _ = writeln!(text, "{percent:>8} %  {}", name.escape_debug());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at: Instant, stats: &[(&str, &str)]) -> Look {
        let stats = stats.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let hot = vec![
            ("hotkeys:1:name".to_owned(), "users:1".to_owned()),
            ("hotkeys:1:percent".to_owned(), "21.40".to_owned()),
        ];
        Look { at, took: Duration::from_micros(400), stats, hot }
    }

    #[test]
    fn what_happens_each_second_is_shown() {
        let start = Instant::now();
        let before = [("cmd_get", "100"), ("get_hits", "50"), ("rusage_user", "1.000000")];
        let after = [
            ("cmd_get", "300"),
            ("get_hits", "200"),
            ("rusage_user", "1.500000"),
            ("version", "1.6.45"),
            ("uptime", "61"),
            ("bytes", "1024"),
            ("limit_maxbytes", "4096"),
        ];
        let later = start + Duration::from_secs(2);
        let server = Endpoint::Tcp("cache".into(), 11211);
        let text = page(&server, &seen(start, &before), &seen(later, &after));
        assert!(text.starts_with("cache:11211  memcached 1.6.45  up 1 min 1 s  answers in 0.4 ms"));
        for part in [
            "hit ratio      75.0 %   get             100/s   set               0/s",
            "in use         25.0 %",
            "user           25.0 %",
            "hot keys, of all lookups\n   21.40 %  users:1\n",
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }
}
