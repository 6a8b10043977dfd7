//! What `-h`, `-i` and `-V` print, made of the rows.

use std::fmt::Write as _;

use memproto::MEMCACHED_VERSION;

use super::commands::COMMANDS;
use super::flags::{FLAGS, Flag};
use super::row::{Policy, Takes};
use super::words::WORDS;

/// The name that the program was called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// Its own.
    Memserver,
    /// The one that it stands in for.
    Memcached,
}

impl Name {
    /// Takes the name off the arguments. An image's arguments may begin with the name once more.
    pub(super) fn take(args: &[String]) -> (Self, &[String]) {
        let (program, rest) = match args {
            [program, rest @ ..] => (program.as_str(), rest),
            [] => ("", args),
        };
        let base = program.rsplit('/').next().unwrap_or_default();
        match rest {
            [word, rest @ ..] if word == "memcached" => (Self::Memcached, rest),
            [word, rest @ ..] if word == "memserver" => (Self::Memserver, rest),
            _ if base == "memcached" => (Self::Memcached, rest),
            _ => (Self::Memserver, rest),
        }
    }

    /// The word that says so in front of the flags.
    #[cfg(feature = "fuzzing")]
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Memserver => "memserver",
            Self::Memcached => "memcached",
        }
    }
}

/// The line that names the program.
pub(crate) fn version(name: Name) -> String {
    match name {
        Name::Memcached => format!("memcached {MEMCACHED_VERSION}\n"),
        Name::Memserver => {
            let own = env!("CARGO_PKG_VERSION");
            format!("memserver {own} (memcached {MEMCACHED_VERSION} compatible)\n")
        }
    }
}

/// The licence.
pub(super) fn license(name: Name) -> String {
    let licenses = env!("CARGO_PKG_LICENSE");
    version(name) + "Free software, to be used under the terms of " + licenses + ".\n"
}

/// All flags and words that the program takes. Scripts look here for what it was built with.
pub(super) fn usage(name: Name) -> String {
    let mut text = version(name);
    text.push_str("\nCommands, as the first word (COMMAND --help says more):\n");
    for (name, about) in COMMANDS {
        entry(&mut text, name, about, "", Policy::Act);
    }
    text.push_str("\nFlags of the server, which starts without a command:\n");
    for flag in FLAGS.iter().filter(|flag| flag.policy.is_listed()) {
        entry(&mut text, &spelling(flag), flag.about, flag.default, flag.policy);
    }
    text.push_str("\nWords of -o:\n");
    for word in WORDS.iter().filter(|word| word.policy.is_listed()) {
        let name = match word.takes {
            Takes::Nothing | Takes::Count => word.name.to_owned(),
            Takes::Value(value) | Takes::List(value) => format!("{}={value}", word.name),
            Takes::Maybe(value) => format!("{}[={value}]", word.name),
        };
        entry(&mut text, &name, word.about, word.default, word.policy);
    }
    text
}

fn spelling(flag: &Flag) -> String {
    let value = flag.takes.placeholder();
    let short = flag.short.map(|letter| format!("-{letter}"));
    let long = format!("--{}", flag.long);
    match (short, value) {
        (Some(short), Some(value)) => format!("{short}, {long}={value}"),
        (Some(short), None) => format!("{short}, {long}"),
        (None, Some(value)) => format!("{long} {value}"),
        (None, None) => long,
    }
}

/// Where the explanations begin.
const COLUMN: usize = 30;
/// Where lines end.
const WIDTH: usize = 92;

fn entry(text: &mut String, name: &str, about: &str, default: &str, policy: Policy) {
    let mut words = about.to_owned();
    if !default.is_empty() {
        let _ = write!(words, " (default: {default})");
    }
    match policy {
        Policy::Act | Policy::Unlisted | Policy::ConfigAction | Policy::Refuse(_) => {}
        Policy::Ignore(_) => words.push_str(" (accepted, without effect)"),
    }
    let mut line = format!("{name:COLUMN$}");
    // A long name has a line of its own.
    if name.len() >= COLUMN {
        let _ = write!(line, "\n{:COLUMN$}", "");
    }
    let mut used = COLUMN;
    for word in words.split(' ') {
        if used + word.len() > WIDTH {
            line.truncate(line.trim_end().len());
            let _ = write!(line, "\n{:COLUMN$}", "");
            used = COLUMN;
        }
        line.push_str(word);
        line.push(' ');
        used += word.len() + 1;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}
