//! The settings of the program: arguments in memcached's spelling, the environment and a file in,
//! complete settings out. Nothing is opened, bound or started here.
//!
//! ```text
//!   FILE.toml ---- file -------------.
//!   MEMCACHED_*, MEMSERVER_* -- environment --> assignments --> merge --> Options --> check
//!   arguments ---- getopt, expand ---'              rows of flags and words
//! ```
//!
//! [`getopt`] splits the arguments as `getopt_long` does (`-m64`, `-vvk`, `--mem=64`). What all
//! layers give, the strongest last, is applied by the rows of [`flags`] and [`words`], and
//! [`check`] looks at all of it together. The rows are the only list of settings: variables, keys
//! and the help are made of them.

mod check;
mod commands;
mod context;
mod environment;
mod error;
mod expand;
mod file;
mod flags;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod getopt;
mod help;
mod listen;
mod memory;
mod options;
mod print;
mod row;
mod setting;
mod suggest;
mod value;
mod words;

use std::path::Path;

use getopt::Split;
use setting::{Assignment, Given, Setting};

#[cfg(test)]
pub(crate) use commands::COMMANDS;
pub(crate) use commands::command;
pub(crate) use context::ParseContext;
pub(crate) use error::{Exit, StartupError};
pub(crate) use help::Name;
pub(crate) use options::{Options, Process, SandboxMode};

use crate::os::reason;
use options::ConfigAction;

/// The flag that names a file of settings.
const CONFIG: &str = "config";

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Serve.
    Serve(Box<Options>),
    /// Say whether a server could start with this, and end.
    Check(Box<Options>),
    /// Print this on standard output and end.
    Print(String),
}

/// Reads the arguments, the program's own name first, and what counts beside them.
///
/// # Errors
/// [`StartupError`], with memcached's exit status.
pub(crate) fn parse(args: &[String], context: &ParseContext) -> Result<Command, StartupError> {
    let (name, rest) = Name::take(args);
    let given = getopt::split(rest)?;
    // These three win over whatever is wrong elsewhere (`--enable-ssl --version`).
    let asked = given.flags.iter().find_map(|given| match given.flag.short {
        Some('h') => Some(help::usage(name)),
        Some('i') => Some(help::license(name)),
        Some('V') => Some(help::version(name)),
        _ => None,
    });
    if let Some(text) = asked {
        return Ok(Command::Print(text));
    }
    let mut options = Options::default();
    options.memory.available = context.memory;
    if let Some(quota) = context.quota {
        options.config.threads = flags::threads_for(quota);
    }
    let assignments = collect(given, context, &mut options)?;
    for assignment in &assignments {
        assignment.apply(&mut options)?;
    }
    options.config.users.login = environment::login(context)?;
    check::together(&mut options)?;
    Ok(match options.ask {
        None => Command::Serve(Box::new(options)),
        Some(ConfigAction::Check) => Command::Check(Box::new(options)),
        Some(ConfigAction::Print) => Command::Print(print::settings(&assignments, &options)),
    })
}

/// All that is set: by a file, by variables, by arguments.
fn collect(
    given: Split,
    context: &ParseContext,
    options: &mut Options,
) -> Result<Vec<Assignment>, StartupError> {
    let [older, extra, own] = environment::layers(&context.variables, options)?;
    let args = assignments(given, options)?;
    let path = own.iter().chain(&args).rev().find_map(|assignment| match &assignment.given {
        Given::Value(path) if assignment.setting.name() == CONFIG => Some(path),
        _ => None,
    });
    let file = path.map(|path| read(path, context, options)).transpose()?;
    Ok(setting::merge([file.unwrap_or_default(), older, extra, own, args]))
}

fn read(
    path: &str,
    context: &ParseContext,
    options: &mut Options,
) -> Result<Vec<Assignment>, StartupError> {
    let unreadable = |why: &str| StartupError::usage(format!("--config: can't read {path}: {why}"));
    let bytes = (context.read)(Path::new(path)).map_err(|error| unreadable(&reason(&error)))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8"))?;
    file::parse(&text, path, options)
}

/// What flags as on a command line set.
fn assignments(given: Split, options: &mut Options) -> Result<Vec<Assignment>, StartupError> {
    for word in given.strays {
        options.warn(format!("argument {word:?} is ignored: the server takes flags only"));
    }
    let mut found = Vec::new();
    for getopt::Given { flag, spelled, value } in given.flags {
        let (setting, label) = (Setting::Flag(flag), flag.label());
        let given = if flag.takes.has_value() { Given::Value(value) } else { Given::On };
        found.extend(expand::expand(Assignment { setting, spelled, label, given }, options)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
