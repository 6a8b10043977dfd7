//! A file of settings, in TOML: text in, settings out. Its keys are the long names of flags, and
//! the words of `-o`.

use toml::Value as Toml;

use super::error::StartupError;
use super::options::Options;
use super::row::Takes;
use super::setting::{Assignment, Given, Setting};
use super::{CONFIG, expand};
use crate::config::document;

/// Reads the text of the file that messages call `file`.
///
/// # Errors
/// It is no TOML, has a key that does not exist, or a value of the wrong kind.
pub(super) fn parse(
    text: &str,
    file: &str,
    options: &mut Options,
) -> Result<Vec<Assignment>, StartupError> {
    let table: toml::Table =
        document::parse(text).map_err(|reason| StartupError::usage(format!("{file}: {reason}")))?;
    let mut found = Vec::new();
    for (key, value) in table {
        let setting = Setting::named(&key).filter(|setting| setting.name() != CONFIG);
        let setting = setting.ok_or_else(|| unknown(file, &key))?;
        let wrong = || {
            let wanted = wanted(setting.takes());
            StartupError::usage(format!("{key} in {file} takes {wanted}"))
        };
        for given in given(setting.takes(), value).ok_or_else(wrong)? {
            let spelled = format!("{key} in {file}");
            let assignment = Assignment { setting, label: spelled.clone(), spelled, given };
            found.extend(expand::expand(assignment, options)?);
        }
    }
    Ok(found)
}

/// The values that a setting is given.
fn given(takes: Takes, value: Toml) -> Option<Vec<Given>> {
    Some(match (takes, value) {
        (Takes::List(_), Toml::Array(values)) => {
            let each = values.into_iter().map(|value| one(takes, value));
            each.collect::<Option<_>>()?
        }
        (_, value) => vec![one(takes, value)?],
    })
}

fn one(takes: Takes, value: Toml) -> Option<Given> {
    Some(match (takes, value) {
        (Takes::Nothing | Takes::Count | Takes::Maybe(_), Toml::Boolean(is_on)) => {
            if is_on {
                Given::On
            } else {
                Given::Off
            }
        }
        (Takes::Nothing, _) => return None,
        (Takes::Count, Toml::Integer(number)) => Given::Value(number.to_string()),
        (Takes::Count, _) => return None,
        (_, Toml::Integer(number)) => Given::Value(number.to_string()),
        (_, Toml::Float(number)) => Given::Value(number.to_string()),
        (_, Toml::String(text)) => Given::Value(text.trim().to_owned()),
        _ => return None,
    })
}

fn wanted(takes: Takes) -> &'static str {
    match takes {
        Takes::Nothing => "true or false",
        Takes::Count => "a number, true or false",
        Takes::Value(_) => "a string or a number",
        Takes::List(_) => "a string or a list of strings",
        Takes::Maybe(_) => "a string, a number, true or false",
    }
}

fn unknown(file: &str, key: &str) -> StartupError {
    let hint = match Setting::nearest(key, |setting| setting.name().to_owned()) {
        Some(near) if near != CONFIG => format!("did you mean {near}?"),
        _ => "keys are the long names of flags, and the words of -o, which -h lists".to_owned(),
    };
    StartupError::illegal(format!("Illegal key {key:?} in {file}; {hint}"))
}
