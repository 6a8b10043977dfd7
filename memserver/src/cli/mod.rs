//! The command line, in memcached's spelling: arguments in, complete settings out. It must never
//! open, bind or start anything.
//!
//! Two stages: [`getopt`] splits the arguments as `getopt_long` does (`-m64`, `-vvk`,
//! `--mem=64`), then the rows of [`flags`] and [`words`] turn each into a setting and [`check`]
//! looks at all of them together. The rows are the only list of flags: help and documentation are
//! made of them.

mod check;
mod flags;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod getopt;
mod help;
mod listen;
mod suggest;
mod value;
mod words;

use std::path::PathBuf;

use crate::config::Config;
use value::Value;

pub(crate) use help::Name;

/// What the arguments ask for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Serve.
    Serve(Box<Options>),
    /// Print this on standard output and leave.
    Print(String),
}

/// Everything the arguments say about serving.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// The server's settings.
    pub(crate) config: Config,
    /// The process's settings.
    pub(crate) process: Process,
    /// Network queues to spread over the workers.
    pub(crate) napi_ids: usize,
    /// Whether a port for TCP was named.
    pub(crate) port_given: bool,
    /// What the user has to know about the arguments, a line each.
    pub(crate) warnings: Vec<String>,
}

/// What concerns the process rather than the server.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Process {
    /// The user to become.
    pub(crate) user: Option<String>,
    /// Where to write the process number.
    pub(crate) pid_file: Option<PathBuf>,
    /// Keep everything out of swap.
    pub(crate) lock_memory: bool,
}

/// Why the program ends before it serves: one line for standard error, and an exit status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    /// The exit status.
    pub(crate) exit: Exit,
    /// What is wrong and what to do instead.
    pub(crate) message: String,
}

/// Exit statuses, with memcached's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// An unknown flag or word, or a number that memcached refuses with this status.
    Illegal = 1,
    /// Any other wrong use.
    Usage = 64,
    /// There is no such user.
    NoUser = 67,
    /// The system said no.
    System = 71,
}

impl Refusal {
    /// An unknown flag, an unknown word, or a number out of range.
    pub(crate) fn illegal(message: impl Into<String>) -> Self {
        Self { exit: Exit::Illegal, message: message.into() }
    }

    /// Any other wrong use.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// The system said no.
    pub(crate) fn system(message: impl Into<String>) -> Self {
        Self { exit: Exit::System, message: message.into() }
    }
}

/// What a row does.
#[derive(Clone, Copy, Debug)]
enum Policy {
    /// It has its effect.
    Act,
    /// Its value is checked, and one warning says why nothing changes.
    Ignore(&'static str),
    /// The server does not start, and one line says why.
    Refuse(&'static str),
}

/// Whether a value follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// None.
    Nothing,
    /// One, shown like this in the help.
    Value(&'static str),
    /// Perhaps one.
    Maybe(&'static str),
}

type Set = fn(&mut Options, Value<'_>) -> Result<(), Refusal>;

/// Reads the arguments, the program's own name first.
///
/// # Errors
/// [`Refusal`], with memcached's exit status.
pub(crate) fn parse(args: &[String]) -> Result<Command, Refusal> {
    let (name, rest) = Name::take(args);
    let mut options = Options::default();
    let mut refused = None;
    for given in getopt::split(rest)? {
        match given.flag.short {
            // These three win over what can't be had (`--enable-ssl --version`), as they stand
            // alone.
            Some('h') => return Ok(Command::Print(help::usage(name))),
            Some('i') => return Ok(Command::Print(help::license(name))),
            Some('V') => return Ok(Command::Print(help::version(name))),
            _ => {}
        }
        let value = Value { name: &given.spelled, text: &given.value };
        let row = (given.flag.policy, given.flag.set);
        if let Some(refusal) = apply(&mut options, &given.flag.label(), row, value)? {
            refused.get_or_insert(refusal);
        }
    }
    match refused {
        Some(refusal) => Err(refusal),
        None => {
            check::together(&mut options)?;
            Ok(Command::Serve(Box::new(options)))
        }
    }
}

/// Applies one row; the inner value is the refusal of a feature that does not exist.
fn apply(
    options: &mut Options,
    label: &str,
    (policy, set): (Policy, Set),
    value: Value<'_>,
) -> Result<Option<Refusal>, Refusal> {
    match policy {
        Policy::Refuse(why) => return Ok(Some(Refusal::usage(format!("{label}: {why}")))),
        Policy::Ignore(why) => {
            set(options, value)?;
            options.warn(format!("{label} has no effect: {why}"));
        }
        Policy::Act => set(options, value)?,
    }
    Ok(None)
}

impl Options {
    /// Remembers a line for the user, once.
    fn warn(&mut self, line: String) {
        if !self.warnings.contains(&line) {
            self.warnings.push(line);
        }
    }
}

#[cfg(test)]
mod tests;
