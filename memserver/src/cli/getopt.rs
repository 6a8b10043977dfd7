//! Arguments in the manner of `getopt_long`: bundles, glued values, long names with or without
//! `=`, abbreviations, any order. It must never know what a flag means.

use super::flags::{FLAGS, Flag};
use super::{Policy, Refusal, Takes, suggest};

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

/// Splits `args` up to the first one that can't be understood.
///
/// # Errors
/// That argument's [`Refusal`] comes instead of everything, unless `-h`, `-i` or `-V` stands
/// before it, which end the reading as they do in memcached.
pub(super) fn split(args: &[String]) -> Result<Vec<Given>, Refusal> {
    let mut found = Vec::new();
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        if arg == "--" {
            return args.next().map_or(Ok(found), |word| Err(stray(word)));
        } else if let Some(long) = arg.strip_prefix("--") {
            found.push(long_flag(long, &mut args)?);
        } else if let Some(letters) = arg.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            bundle(letters, &mut args, &mut found)?;
        } else {
            return Err(stray(arg));
        }
        if found.iter().any(|given| ends_reading(given.flag)) {
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
) -> Result<(), Refusal> {
    for (at, letter) in letters.char_indices() {
        let spelled = format!("-{letter}");
        let Some(flag) = FLAGS.iter().find(|flag| flag.short == Some(letter)) else {
            return Err(suggest::unknown_flag(&spelled));
        };
        if flag.takes == Takes::Nothing {
            found.push(Given { flag, spelled, value: String::new() });
            if ends_reading(flag) {
                break;
            }
            continue;
        }
        let glued = letters.get(at + letter.len_utf8()..).filter(|glued| !glued.is_empty());
        let value = glued.or_else(|| args.next()).ok_or_else(|| missing(&spelled))?;
        found.push(Given { flag, spelled, value: value.trim().to_owned() });
        return Ok(());
    }
    Ok(())
}

/// Reads `memory-limit=64` or `memory-limit 64` or `mem=64`.
fn long_flag<'a>(text: &str, args: &mut impl Iterator<Item = &'a str>) -> Result<Given, Refusal> {
    let (name, glued) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let flag = by_long_name(name)?;
    let spelled = format!("--{}", flag.long);
    let value = match (flag.takes, glued) {
        (Takes::Nothing, None) => "",
        (Takes::Nothing, Some(_)) => {
            return Err(Refusal::illegal(format!("{spelled} takes no value")));
        }
        (_, Some(value)) => value,
        (_, None) => args.next().ok_or_else(|| missing(&spelled))?,
    };
    Ok(Given { flag, spelled, value: value.trim().to_owned() })
}

/// The flag with this long name, or the only one whose name begins so. Flags that are refused
/// anyway have to be spelled out: they don't make others ambiguous.
fn by_long_name(name: &str) -> Result<&'static Flag, Refusal> {
    if let Some(flag) = FLAGS.iter().find(|flag| !flag.long.is_empty() && flag.long == name) {
        return Ok(flag);
    }
    let usable = |flag: &&Flag| !matches!(flag.policy, Policy::Refuse(_));
    let begins = |flag: &&Flag| !name.is_empty() && flag.long.starts_with(name);
    let candidates: Vec<_> = FLAGS.iter().filter(usable).filter(begins).collect();
    match candidates.as_slice() {
        [flag] => Ok(flag),
        [] => match FLAGS.iter().filter(begins).collect::<Vec<_>>().as_slice() {
            [flag] => Ok(flag),
            _ => Err(suggest::unknown_flag(&format!("--{name}"))),
        },
        several => {
            let names: Vec<_> = several.iter().map(|flag| format!("--{}", flag.long)).collect();
            let message = format!("--{name} is ambiguous: {}", names.join(" or "));
            Err(Refusal::illegal(message))
        }
    }
}

fn missing(spelled: &str) -> Refusal {
    Refusal::illegal(format!("{spelled} requires a value"))
}

fn stray(word: &str) -> Refusal {
    Refusal::usage(format!("unexpected argument {word:?}: a server takes only flags, see -h"))
}
