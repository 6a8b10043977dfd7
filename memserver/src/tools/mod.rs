//! Commands of our own, as the first word, which end when they have done their work. How a server
//! works inside is not known here.

mod address;
mod client;
mod hash_password;
mod healthcheck;

use std::io::{self, Write as _};
use std::process::ExitCode;

use argh::FromArgs;

use self::hash_password::HashPassword;
use self::healthcheck::Healthcheck;

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
    HashPassword(HashPassword),
    Healthcheck(Healthcheck),
}

/// Runs the command that `words` begin with.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match Tools::from_args(&["memserver"], &words) {
        Ok(Tools { tool: Tool::HashPassword(hash_password) }) => hash_password.run(),
        Ok(Tools { tool: Tool::Healthcheck(healthcheck) }) => healthcheck.run(),
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
    // Without a standard error the exit status has to do.
    let _ = writeln!(io::stderr(), "{text}");
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
        assert_eq!(listed.filter(|line| !line.trim().is_empty()).count(), COMMANDS.len());
    }
}
