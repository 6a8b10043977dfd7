//! `memserver hash-password`: a password becomes the hash that a file of users has in its place.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use argh::FromArgs;

use super::complain;
use crate::auth::hash::Hash;
use crate::os::random;

/// Print the hash of the password on standard input.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "hash-password")]
pub(super) struct HashPassword {}

impl HashPassword {
    /// Prints the hash of the line that standard input has.
    pub(super) fn run(self) -> ExitCode {
        if io::stdin().is_terminal() {
            complain("type the password and press enter; it is shown");
        }
        match hashed(io::stdin().lock()) {
            Ok(hash) => {
                // A reader that wanted nothing may have closed the pipe.
                let _ = writeln!(io::stdout(), "{hash}");
                ExitCode::SUCCESS
            }
            Err(reason) => {
                complain(&reason);
                ExitCode::FAILURE
            }
        }
    }
}

fn hashed(mut input: impl BufRead) -> Result<String, String> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line).map_err(|error| format!("can't read: {error}"))?;
    while line.pop_if(|byte| matches!(byte, b'\n' | b'\r')).is_some() {}
    if line.is_empty() || line.contains(&0) {
        return Err("a password is not empty, and has no byte 0".to_owned());
    }
    let mut salt = [0; 16];
    random::fill(&mut salt).map_err(|error| format!("can't get random bytes: {error}"))?;
    Hash::of(&line, &salt).map_err(|error| format!("can't hash it: {error}"))
}
