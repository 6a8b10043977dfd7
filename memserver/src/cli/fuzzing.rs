//! Target `argv`: whatever is given as arguments is understood or refused, and means the same in
//! every spelling. It is not part of the API.

use super::getopt::{self, Given};
use super::help::Name;
use super::{Command, Exit, Options, ParseContext, parse};

/// The lines of `data` are the arguments.
///
/// # Panics
/// If one spelling is read in another way than the others, or if settings are accepted that no
/// server can work with.
pub fn argv(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut args = vec!["memserver".to_owned()];
    args.extend(text.split('\n').map(str::to_owned));
    let (name, rest) = Name::take(&args);
    let meant = outcome(&args);
    let Ok(given) = getopt::split(rest) else {
        return assert!(meant.starts_with("refused"), "{args:?} became {meant}");
    };
    let flags = &given.flags[..];
    for mut spelling in [separate(flags), glued(flags), bundled(flags), long(flags)] {
        if !given.strays.is_empty() {
            // Behind this they can't be taken for flags or values.
            spelling.push("--".to_owned());
            spelling.extend_from_slice(&given.strays);
        }
        let again = getopt::split(&spelling).expect("flags that were understood before");
        assert_eq!(sequence(&again.flags), sequence(flags), "{spelling:?} for {rest:?}");
        let named = [vec!["memserver".to_owned(), name.word().to_owned()], spelling].concat();
        assert_eq!(outcome(&named), meant, "{named:?} for {args:?}");
    }
}

/// What the arguments come to, apart from lines that quote them.
fn outcome(args: &[String]) -> String {
    match parse(args, &ParseContext::default()) {
        Ok(Command::Serve(options) | Command::Check(options)) => {
            check(&options);
            let Options {
                config, process, incoming_cpu, port_given, protocol_given, warnings, ..
            } = *options;
            format!(
                "{config:?} {process:?} {incoming_cpu} {port_given} {protocol_given} {}",
                warnings.len()
            )
        }
        Ok(Command::Print(text)) => text,
        Err(error) => {
            assert!(!error.message.is_empty() && !error.message.contains('\n'));
            let exit = error.exit;
            assert!(matches!(exit, Exit::Illegal | Exit::Usage | Exit::System));
            format!("refused {exit:?}")
        }
    }
}

fn check(options: &Options) {
    let config = &options.config;
    assert!((1..=1024).contains(&config.threads));
    assert!((1 << 10..=config.memory_limit / 2).contains(&config.item_size_max));
    assert!(config.max_connections > 0 && config.max_reqs_per_event > 0);
    assert!(options.warnings.iter().all(|line| !line.contains('\n')), "{:?}", options.warnings);
}

fn sequence(given: &[Given]) -> Vec<(Option<char>, &str)> {
    given.iter().map(|one| (one.flag.short, one.value.as_str())).collect()
}

/// `-m 64 -v -v`
fn separate(given: &[Given]) -> Vec<String> {
    let words = given.iter().flat_map(|one| {
        let value = one.flag.takes.has_value().then(|| one.value.clone());
        [Some(word(one)), value]
    });
    words.flatten().collect()
}

/// `-m64 -v -v`
fn glued(given: &[Given]) -> Vec<String> {
    given.iter().flat_map(|one| with_value(word(one), one)).collect()
}

/// `-vvm64`
fn bundled(given: &[Given]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_open = false;
    for one in given {
        let open = if is_open { words.pop() } else { None };
        let (word, is_short) = match (open, one.flag.short) {
            (Some(mut open), Some(letter)) => {
                open.push(letter);
                (open, true)
            }
            (open, short) => {
                words.extend(open);
                (word(one), short.is_some())
            }
        };
        is_open = is_short && !one.flag.takes.has_value();
        words.extend(with_value(word, one));
    }
    words
}

/// `--memory-limit=64 --verbose --verbose`
fn long(given: &[Given]) -> Vec<String> {
    let word = |one: &Given| match one.flag.takes.has_value() {
        false => format!("--{}", one.flag.long),
        true => format!("--{}={}", one.flag.long, one.value),
    };
    given.iter().map(word).collect()
}

/// `-m`, or `--admin-addr` of a flag that has no letter.
fn word(one: &Given) -> String {
    one.flag.short.map_or_else(|| format!("--{}", one.flag.long), |letter| format!("-{letter}"))
}

/// A word with the value of its flag behind it, if that takes one.
fn with_value(word: String, one: &Given) -> Vec<String> {
    let value = one.value.as_str();
    match one.flag.short {
        _ if !one.flag.takes.has_value() => vec![word],
        None => vec![format!("{word}={value}")],
        // Nothing can't be glued to anything.
        Some(_) if value.is_empty() => vec![word, String::new()],
        Some(_) => vec![word + value],
    }
}
