//! Variables of the environment as settings: `MEMSERVER_THREADS` for `--threads`, and those that
//! charts and images of memcached have long used.

use std::path::Path;

use super::context::ParseContext;
use super::error::StartupError;
use super::getopt;
use super::options::Options;
use super::row::{Policy, Takes};
use super::setting::{Assignment, Given, PREFIX, Setting};
use super::{assignments, expand};
use crate::config::Login;
use crate::os::reason;

/// Variables of charts and images, and what each sets.
const OLDER: [(&str, &str); 6] = [
    ("MEMCACHED_CACHE_SIZE", "memory-limit"),
    ("MEMCACHED_MAX_CONNECTIONS", "conn-limit"),
    ("MEMCACHED_THREADS", "threads"),
    ("MEMCACHED_MAX_ITEM_SIZE", "max-item-size"),
    ("MEMCACHED_PORT_NUMBER", "port"),
    ("MEMCACHED_LISTEN_ADDRESS", "listen"),
];
/// Flags as on the command line, separated by blanks.
const EXTRA_FLAGS: &str = "MEMCACHED_EXTRA_FLAGS";
/// A user and a password. Together they have clients log in.
const USERNAME: &str = "MEMCACHED_USERNAME";
const PASSWORD: &str = "MEMCACHED_PASSWORD";
/// A file whose first line is the password.
const PASSWORD_FILE: &str = "MEMCACHED_PASSWORD_FILE";
/// The user where only a password is given, as in the image that the variables come from.
const USERNAME_DEFAULT: &str = "root";

/// Variables as names and values. Empty ones count as not set: charts leave them behind.
pub(super) type Variables = [(String, String)];

/// What the variables set, the weakest layer first.
///
/// # Errors
/// A variable of ours that does not exist, or a value that is none.
pub(super) fn layers(
    variables: &Variables,
    options: &mut Options,
) -> Result<[Vec<Assignment>; 3], StartupError> {
    let older = OLDER.iter().filter_map(|(name, setting)| {
        Some(assign(Setting::named(setting)?, name, value(variables, name)?, options))
    });
    let older: Result<Vec<_>, _> = older.collect();
    Ok([older?.concat(), extra_flags(variables, options)?, own(variables, options)?])
}

/// The user that the variables name.
///
/// # Errors
/// A user without a password, or a file that can't be read.
pub(super) fn login(context: &ParseContext) -> Result<Option<Login>, StartupError> {
    let variables = &context.variables;
    let user = value(variables, USERNAME);
    let in_file = || {
        let path = value(variables, PASSWORD_FILE)?;
        Some(first_line(path, context))
    };
    let password = match value(variables, PASSWORD) {
        Some(password) => Some(password.to_owned()),
        None => in_file().transpose()?,
    };
    match (user, password) {
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(StartupError::usage(format!("{USERNAME} needs {PASSWORD}: nobody could log in")))
        }
        (user, Some(password)) => {
            let user = user.unwrap_or(USERNAME_DEFAULT).to_owned();
            Ok(Some(Login { user, password }))
        }
    }
}

/// The first line of a file with a password.
fn first_line(path: &str, context: &ParseContext) -> Result<String, StartupError> {
    let wrong = |why: &str| StartupError::usage(format!("{PASSWORD_FILE}: {path}: {why}"));
    let bytes = (context.read)(Path::new(path)).map_err(|error| wrong(&reason(&error)))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))?;
    let line = text.lines().next().filter(|line| !line.is_empty());
    line.map(str::to_owned).ok_or_else(|| wrong("it has no password"))
}

fn value<'a>(variables: &'a Variables, name: &str) -> Option<&'a str> {
    let found = variables.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
}

fn extra_flags(
    variables: &Variables,
    options: &mut Options,
) -> Result<Vec<Assignment>, StartupError> {
    let text = value(variables, EXTRA_FLAGS).unwrap_or_default();
    let args: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let within =
        |error: StartupError| StartupError { message: format!("{EXTRA_FLAGS}: {error}"), ..error };
    let given = getopt::split(&args).map_err(within)?;
    if let Some(ask) =
        given.flags.iter().find(|given| matches!(given.flag.policy, Policy::ConfigAction))
    {
        let message = format!("{EXTRA_FLAGS}: {} is for the command line only", ask.spelled);
        return Err(StartupError::usage(message));
    }
    assignments(given, options).map_err(within)
}

/// What variables of ours set.
fn own(variables: &Variables, options: &mut Options) -> Result<Vec<Assignment>, StartupError> {
    let mut found = Vec::new();
    for (name, text) in variables.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        let setting = Setting::all().find(|setting| setting.variable() == *name);
        let text = text.trim();
        match setting {
            _ if text.is_empty() || is_service(name, text) => {}
            Some(setting) => found.extend(assign(setting, name, text, options)?),
            None => return Err(unknown(name)),
        }
    }
    Ok(found)
}

fn assign(
    setting: Setting,
    name: &str,
    text: &str,
    options: &mut Options,
) -> Result<Vec<Assignment>, StartupError> {
    let on = match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    };
    let given = match (setting.takes(), on) {
        (Takes::Nothing | Takes::Count, Some(true)) => Given::On,
        (Takes::Nothing | Takes::Count, Some(false)) => Given::Off,
        (Takes::Nothing, None) => {
            return Err(StartupError::usage(format!("{name} is true or false, not {text:?}")));
        }
        _ => Given::Value(text.to_owned()),
    };
    let (spelled, label) = (name.to_owned(), name.to_owned());
    expand::expand(Assignment { setting, spelled, label, given }, options)
}

/// Whether a variable was set by Kubernetes, which announces a service `memserver` or
/// `memserver-sessions` to all containers of its namespace in variables such as
/// `MEMSERVER_PORT=tcp://10.0.0.7:11211` and `MEMSERVER_SESSIONS_PORT_11211_TCP_ADDR`.
fn is_service(name: &str, value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let named = ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| {
        let (before, behind) = name.rsplit_once(protocol).unwrap_or_default();
        let port = before.rsplit_once("_PORT_").map_or("", |(_, port)| port);
        is_number(port) && ["", "_PROTO", "_PORT", "_ADDR"].contains(&behind)
    });
    let service = name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_");
    service || named || (name.ends_with("_PORT") && address)
}

fn unknown(name: &str) -> StartupError {
    let hint = match Setting::nearest(name, Setting::variable) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("its name is {PREFIX} and that of a flag or -o word, which -h lists"),
    };
    StartupError::illegal(format!("Illegal variable {name}; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::FLAGS;

    #[test]
    fn variables_of_services_are_told_from_settings() {
        for (name, value) in [
            ("MEMSERVER_SERVICE_HOST", "10.0.0.7"),
            ("MEMSERVER_SERVICE_PORT", "11211"),
            ("MEMSERVER_SERVICE_PORT_MEMCACHE", "11211"),
            ("MEMSERVER_PORT", "tcp://10.0.0.7:11211"),
            ("MEMSERVER_PORT_11211_TCP", "tcp://10.0.0.7:11211"),
            ("MEMSERVER_PORT_11211_TCP_PROTO", "tcp"),
            ("MEMSERVER_PORT_11211_UDP_ADDR", "10.0.0.7"),
            ("MEMSERVER_SESSIONS_PORT", "udp://10.0.0.7:11211"),
            ("MEMSERVER_SESSIONS_PORT_11211_TCP_PORT", "11211"),
        ] {
            assert!(is_service(name, value), "{name}");
        }
        for (name, value) in [
            ("MEMSERVER_PORT", "11211"),
            ("MEMSERVER_UDP_PORT", "0"),
            ("MEMSERVER_PORTS", "tcp://10.0.0.7:11211"),
            ("MEMSERVER_PORT_TCP", "1"),
            ("MEMSERVER_TCP", "1"),
        ] {
            assert!(!is_service(name, value), "{name}");
        }
    }

    #[test]
    fn no_setting_looks_like_a_service() {
        for setting in Setting::all() {
            assert!(!is_service(&setting.variable(), "1"), "{}", setting.name());
        }
        let names: std::collections::HashSet<_> = Setting::all().map(Setting::variable).collect();
        assert_eq!(names.len(), Setting::all().count(), "two settings share a variable");
        assert!(FLAGS.iter().all(|flag| !flag.long.is_empty()));
        assert!(OLDER.iter().all(|(_, name)| Setting::named(name).is_some()));
    }
}
