//! The value of `-o`: a list of words becomes the words. What they mean is not known here.

use super::error::StartupError;
use super::options::Options;
use super::row::Takes::{Nothing, Value as Takes1};
use super::setting::{Assignment, Given, Setting};
use super::suggest;
use super::value::Value;
use super::words::{WORDS, Word};

/// A list of `-o` becomes the words, whose values are there if they have to be.
///
/// # Errors
/// A word that does not exist, or one without its value.
pub(super) fn expand(
    assignment: Assignment,
    options: &mut Options,
) -> Result<Vec<Assignment>, StartupError> {
    match (assignment.setting, &assignment.given) {
        (Setting::Flag(flag), Given::Value(list)) if flag.short == Some('o') => {
            let list = Value { name: &assignment.spelled, text: list };
            split(options, list)
        }
        (Setting::Flag(_), _) => Ok(vec![assignment]),
        (Setting::Word(word), _) => Ok(vec![whole(options, word, assignment)?]),
    }
}

fn split(options: &mut Options, list: Value<'_>) -> Result<Vec<Assignment>, StartupError> {
    let mut found = Vec::new();
    let words = list.text.strip_suffix(',').unwrap_or(list.text);
    for text in words.split(',').map(str::trim) {
        if text.is_empty() {
            options.warn(format!("empty parts of {} are ignored", list.name));
            continue;
        }
        let (name, given) = match text.split_once('=') {
            Some((name, value)) => (name, Given::Value(value.to_owned())),
            None => (text, Given::On),
        };
        let word = WORDS.iter().find(|word| word.name == name);
        let word = word.ok_or_else(|| unknown(name))?;
        let spelled = format!("-o {name}");
        let setting = Setting::Word(word);
        let assignment = Assignment { setting, label: spelled.clone(), spelled, given };
        found.push(whole(options, word, assignment)?);
    }
    Ok(found)
}

/// The assignment, if its value is there when it has to be.
fn whole(
    options: &mut Options,
    word: &Word,
    assignment: Assignment,
) -> Result<Assignment, StartupError> {
    // What is refused anyway gets the reason for that, not a complaint about its value.
    if word.policy.refuses() {
        return Ok(assignment);
    }
    let name = &assignment.spelled;
    match (word.takes, &assignment.given) {
        (Takes1(_), Given::On) => Err(StartupError::illegal(format!("{name} requires a value"))),
        (Takes1(_), Given::Value(value)) if value.is_empty() => {
            Err(StartupError::illegal(format!("{name} requires a value")))
        }
        (Nothing, Given::Value(value)) => {
            let value = value.escape_debug();
            options.warn(format!("{name} takes no value: ={value} is ignored"));
            Ok(Assignment { given: Given::On, ..assignment })
        }
        _ => Ok(assignment),
    }
}

/// The error for a word that does not exist, with the nearest one that does.
fn unknown(name: &str) -> StartupError {
    let hint = match suggest::nearest(name, WORDS.iter().map(|word| word.name)) {
        Some(near) => format!("did you mean {near}?"),
        None => "-h lists all of them".to_owned(),
    };
    StartupError::illegal(format!("Illegal suboption {name:?}; {hint}"))
}
