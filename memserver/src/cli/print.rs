//! What `--print-config` prints: a file for `--config` with which a server has the same settings.

use std::fmt::Write as _;

use super::help::{Name, version};
use super::options::Options;
use super::row::Takes;
use super::setting::{Assignment, Given, Setting};
use super::{CONFIG, memory};

/// All settings, those that were given as lines and the others as comments.
pub(super) fn settings(given: &[Assignment], options: &Options) -> String {
    let mut text = format!("# {}", version(Name::Memserver));
    for setting in Setting::all().filter(|setting| !setting.policy().refuses()) {
        let name = setting.name();
        // Its words stand for `extended`, and its keys for the file.
        if [CONFIG, "extended"].contains(&name) {
            continue;
        }
        let mine = |one: &&Assignment| one.setting.name() == name;
        let mine: Vec<&Assignment> = given.iter().filter(mine).collect();
        let Some(last) = mine.last() else {
            let default = match setting.default() {
                "" => String::new(),
                default => format!(" (default: {default})"),
            };
            // Writing to a string can't fail.
            let _ = writeln!(text, "# {name}{default}");
            continue;
        };
        let _ = writeln!(text, "{name} = {} # {}", value(setting.takes(), &mine), last.spelled);
    }
    if let Some(login) = &options.config.users.login {
        let user = quoted(&login.user);
        let _ = writeln!(text, "# MEMCACHED_USERNAME is {user}, MEMCACHED_PASSWORD is not shown");
    }
    if let Some(arithmetic) = memory::shown(options) {
        let _ = writeln!(text, "# Memory, {arithmetic}");
    }
    text
}

/// The value of a setting that was given at least once.
fn value(takes: Takes, given: &[&Assignment]) -> String {
    let mut texts = given.iter().map(|one| match &one.given {
        Given::Value(text) => Some(text.as_str()),
        Given::On | Given::Off => None,
    });
    match takes {
        Takes::Nothing => "true".to_owned(),
        Takes::Count => {
            let count = |count: u32, text: Option<&str>| {
                text.map_or(count + 1, |text| text.parse().unwrap_or(count))
            };
            texts.fold(0, count).to_string()
        }
        Takes::List(_) => {
            let each: Vec<String> = texts.flatten().map(quoted).collect();
            format!("[{}]", each.join(", "))
        }
        // The last one counts.
        Takes::Value(_) | Takes::Maybe(_) => match texts.next_back().flatten() {
            None => "true".to_owned(),
            Some(text) if text.parse::<i64>().is_ok_and(|number| number.to_string() == text) => {
                text.to_owned()
            }
            Some(text) => quoted(text),
        },
    }
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
