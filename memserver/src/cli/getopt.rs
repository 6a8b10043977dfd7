//! Arguments in the manner of `getopt_long`: bundles, glued values, long names with or without
//! `=`, abbreviations, any order. What a flag means is not known here.

use super::error::StartupError;
use super::flags::{FLAGS, Flag};
use super::row::Policy;
use super::suggest;

/// One flag as it was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// Its row.
    pub(super) flag: &'static Flag,
    /// Its name as the user wrote it, for messages.
    pub(super) spelled: String,
    /// Its value, without blanks around it; empty if it takes none.
    pub(super) value: String,
}

/// All arguments, split.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// The flags in their order.
    pub(super) flags: Vec<Given>,
    /// The words between and behind them.
    pub(super) strays: Vec<String>,
}

/// Splits `args` up to the first one that can't be understood.
///
/// # Errors
/// That argument's [`StartupError`] comes instead of everything, unless `-h`, `-i` or `-V` stands
/// before it, which end the reading as they do in memcached.
pub(super) fn split(args: &[String]) -> Result<Split, StartupError> {
    let mut found = Split::default();
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        if arg == "--" {
            found.strays.extend(args.by_ref().map(str::to_owned));
        } else if let Some(long) = arg.strip_prefix("--") {
            found.flags.push(long_flag(long, &mut args)?);
        // A lone `-` is not a flag.
        } else if let Some(letters) = arg.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            bundle(letters, &mut args, &mut found.flags)?;
        } else {
            found.strays.push(arg.to_owned());
        }
        if found.flags.iter().any(|given| ends_reading(given.flag)) {
            break;
        }
    }
    Ok(found)
}

/// Whether nothing behind `flag` is looked at, because it prints something and that is all.
fn ends_reading(flag: &Flag) -> bool {
    matches!(flag.short, Some('h' | 'i' | 'V'))
}

/// Reads `vvk` or `m64` or `vm 64`.
fn bundle<'a>(
    letters: &str,
    args: &mut impl Iterator<Item = &'a str>,
    found: &mut Vec<Given>,
) -> Result<(), StartupError> {
    for (at, letter) in letters.char_indices() {
        let spelled = format!("-{letter}");
        let Some(flag) = FLAGS.iter().find(|flag| flag.short == Some(letter)) else {
            return Err(unknown(&spelled));
        };
        if !flag.takes.has_value() {
            found.push(Given { flag, spelled, value: String::new() });
            if ends_reading(flag) {
                break;
            }
            continue;
        }
        // What is left of the bundle is the value, as in `-m64`.
        let glued = letters.get(at + letter.len_utf8()..).filter(|glued| !glued.is_empty());
        let value = glued.or_else(|| args.next()).ok_or_else(|| missing(&spelled))?;
        found.push(Given { flag, spelled, value: value.trim().to_owned() });
        return Ok(());
    }
    Ok(())
}

/// Reads `memory-limit=64` or `memory-limit 64` or `mem=64`.
fn long_flag<'a>(
    text: &str,
    args: &mut impl Iterator<Item = &'a str>,
) -> Result<Given, StartupError> {
    let (name, glued) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let flag = by_long_name(name)?;
    let spelled = format!("--{}", flag.long);
    let value = match (flag.takes.has_value(), glued) {
        (false, None) => "",
        (false, Some(_)) => {
            return Err(StartupError::illegal(format!("{spelled} takes no value")));
        }
        (_, Some(value)) => value,
        (_, None) => args.next().ok_or_else(|| missing(&spelled))?,
    };
    Ok(Given { flag, spelled, value: value.trim().to_owned() })
}

/// The flag with this long name, or the only one whose name begins so. Flags that are refused
/// anyway, and those that memcached does not have, have to be spelled out: they don't make others
/// ambiguous.
fn by_long_name(name: &str) -> Result<&'static Flag, StartupError> {
    if let Some(flag) = FLAGS.iter().find(|flag| flag.long == name) {
        return Ok(flag);
    }
    let usable = |flag: &&Flag| !matches!(flag.policy, Policy::Refuse(_));
    let begins =
        |flag: &&Flag| flag.short.is_some() && !name.is_empty() && flag.long.starts_with(name);
    let candidates: Vec<_> = FLAGS.iter().filter(usable).filter(begins).collect();
    match candidates.as_slice() {
        [flag] => Ok(flag),
        // Perhaps one that is refused: its reason says more than that it is unknown.
        [] => match FLAGS.iter().filter(begins).collect::<Vec<_>>().as_slice() {
            [flag] => Ok(flag),
            _ => Err(unknown(&format!("--{name}"))),
        },
        several => {
            let names: Vec<_> = several.iter().map(|flag| format!("--{}", flag.long)).collect();
            let message = format!("--{name} is ambiguous: {}", names.join(" or "));
            Err(StartupError::illegal(message))
        }
    }
}

fn missing(spelled: &str) -> StartupError {
    StartupError::illegal(format!("{spelled} requires a value"))
}

/// The error for a flag that does not exist, with the nearest one that does.
fn unknown(spelled: &str) -> StartupError {
    let names = FLAGS.iter().map(|flag| flag.long);
    let hint = match spelled.strip_prefix("--").and_then(|name| suggest::nearest(name, names)) {
        Some(near) => format!("did you mean --{near}?"),
        None => "-h lists all flags".to_owned(),
    };
    StartupError::illegal(format!("Illegal argument {spelled:?}; {hint}"))
}
