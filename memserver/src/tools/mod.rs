//! The commands of the program, which the first argument names. They know a server only through its
//! protocols.

mod access;
mod address;
mod client;
mod copy;
mod dump;
mod hash_password;
mod healthcheck;
mod keys;
mod requests;
mod snapshot;
mod source;
mod stats;
mod target;
mod top;
mod warm;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;

use self::copy::Tally;
use self::dump::Dump;
use self::hash_password::HashPassword;
use self::healthcheck::Healthcheck;
use self::snapshot::Snapshot;
use self::stats::Stats;
use self::top::Top;
use self::warm::Warm;
use crate::os::reason;

/// A memcached-compatible cache server. Without a command it serves: `memserver -h` lists the
/// flags.
#[derive(Debug, FromArgs)]
#[argh(help_triggers("-h", "--help"))]
struct Tools {
    #[argh(subcommand)]
    tool: Tool,
}

#[derive(Debug, FromArgs)]
#[argh(subcommand)]
enum Tool {
    Dump(Dump),
    HashPassword(HashPassword),
    Healthcheck(Healthcheck),
    Snapshot(Snapshot),
    Stats(Stats),
    Top(Top),
    Warm(Warm),
}

/// Longest time to wait, in seconds.
const TIMEOUT_MAX: f64 = 3600.0;

/// Runs the command that `words` begin with.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match Tools::from_args(&["memserver"], &words) {
        Ok(Tools { tool: Tool::Dump(dump) }) => dump.run(),
        Ok(Tools { tool: Tool::HashPassword(hash_password) }) => hash_password.run(),
        Ok(Tools { tool: Tool::Healthcheck(healthcheck) }) => healthcheck.run(),
        Ok(Tools { tool: Tool::Snapshot(snapshot) }) => snapshot.run(),
        Ok(Tools { tool: Tool::Stats(stats) }) => stats.run(),
        Ok(Tools { tool: Tool::Top(top) }) => top.run(),
        Ok(Tools { tool: Tool::Warm(warm) }) => warm.run(),
        Err(exit) if exit.status.is_ok() => {
            // A reader that wanted only the first lines may have closed the pipe.
            let _ = io::stdout().write_all(exit.output.as_bytes());
            ExitCode::SUCCESS
        }
        Err(exit) => {
            complain(exit.output.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// Says on standard error why a command fails.
fn complain(text: &str) {
    // Without a standard error only the exit status tells.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Says how a copy went.
fn finish(command: &str, done: &str, result: io::Result<Tally>) -> ExitCode {
    match result {
        Ok(tally) => {
            complain(&format!("{done}: {tally}"));
            if tally.full {
                complain("the server began to evict, so the rest was left out (--evict continues)");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("{command}: {}", reason(&error)));
            ExitCode::FAILURE
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let secs = text.parse().ok().filter(|secs| *secs > 0.0 && *secs <= TIMEOUT_MAX);
    secs.map(Duration::from_secs_f64).ok_or_else(|| format!("{text:?} is not a time in seconds"))
}

/// A number of items per second.
fn rate(text: &str) -> Result<u32, String> {
    let rate = text.parse().ok().filter(|rate| *rate > 0);
    rate.ok_or_else(|| format!("{text:?} is not a number of items"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::COMMANDS;

    #[test]
    fn every_command_that_is_listed_exists() {
        for (name, _) in COMMANDS {
            let exit = Tools::from_args(&["memserver"], &[name, "--help"]).unwrap_err();
            assert!(exit.status.is_ok() && exit.output.contains(name), "{}", exit.output);
        }
        let exit = Tools::from_args(&["memserver"], &["--help"]).unwrap_err();
        let listed = exit.output.split_once("Commands:").unwrap().1.lines();
        // What goes on in another line is further to the right.
        let is_first = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
        assert_eq!(listed.filter(is_first).count(), COMMANDS.len());
    }
}
