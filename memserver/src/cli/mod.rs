//! The command line, in memcached's spelling: arguments in, complete settings out. Nothing is
//! opened, bound or started here.
//!
//! Two stages: [`getopt`] splits the arguments as `getopt_long` does (`-m64`, `-vvk`,
//! `--mem=64`), then the rows of [`flags`] and [`words`] turn each into a setting and [`check`]
//! looks at all of them together. The rows are the only list of flags: the help is made of them.

mod check;
mod commands;
mod error;
mod flags;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod getopt;
mod help;
mod listen;
mod options;
mod row;
mod suggest;
mod value;
mod words;

use row::{Applied, apply};
use value::Value;

#[cfg(test)]
pub(crate) use commands::COMMANDS;
pub(crate) use commands::command;
pub(crate) use error::{Exit, StartupError};
pub(crate) use help::Name;
pub(crate) use options::{Options, Process, Wish};

/// What the arguments ask for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Serve.
    Serve(Box<Options>),
    /// Print this on standard output and end.
    Print(String),
}

/// Reads the arguments, the program's own name first.
///
/// # Errors
/// [`StartupError`], with memcached's exit status.
pub(crate) fn parse(args: &[String]) -> Result<Command, StartupError> {
    let (name, rest) = Name::take(args);
    let mut options = Options::default();
    let mut lacking = None;
    let given = getopt::split(rest)?;
    for word in given.strays {
        options.warn(format!("argument {word:?} is ignored: the server takes flags only"));
    }
    for given in given.flags {
        match given.flag.short {
            // These three win over what this build lacks (`--enable-ssl --version`).
            Some('h') => return Ok(Command::Print(help::usage(name))),
            Some('i') => return Ok(Command::Print(help::license(name))),
            Some('V') => return Ok(Command::Print(help::version(name))),
            _ => {}
        }
        let value = Value { name: &given.spelled, text: &given.value };
        let label = given.flag.label();
        match apply(&mut options, &label, given.flag.policy, given.flag.set, value)? {
            Applied::Done => {}
            Applied::Lacking(error) => {
                lacking.get_or_insert(error);
            }
        }
    }
    if let Some(error) = lacking {
        return Err(error);
    }
    check::together(&mut options)?;
    Ok(Command::Serve(Box::new(options)))
}

#[cfg(test)]
mod tests;
