//! What a misspelt name may have meant. It must never decide anything.

use super::Refusal;
use super::flags::FLAGS;
use super::words::WORDS;

/// The refusal of a flag that does not exist, with the nearest one that does.
pub(super) fn unknown_flag(spelled: &str) -> Refusal {
    let names = FLAGS.iter().filter(|flag| !flag.long.is_empty()).map(|flag| flag.long);
    let hint = match spelled.strip_prefix("--").and_then(|name| nearest(name, names)) {
        Some(name) => format!("did you mean --{name}?"),
        None => "-h lists all flags".to_owned(),
    };
    Refusal::illegal(format!("Illegal argument {spelled:?}; {hint}"))
}

/// The refusal of an `-o` word that does not exist, with the nearest one that does.
pub(super) fn unknown_word(name: &str) -> Refusal {
    let hint = match nearest(name, WORDS.iter().map(|word| word.name)) {
        Some(name) => format!("did you mean {name}?"),
        None => "-h lists all of them".to_owned(),
    };
    Refusal::illegal(format!("Illegal suboption {name:?}; {hint}"))
}

/// The candidate with the fewest edits from `name`, unless it takes more than a third of it.
fn nearest(name: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let close = candidates.map(|candidate| (edits(name, candidate), candidate)).min()?;
    (close.0 <= name.len().max(3) / 3).then_some(close.1)
}

/// Insertions, deletions and substitutions that turn one word into the other.
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (from, to, count) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(edits(from, to), count, "{from} {to}");
        }
    }

    #[test]
    fn hints_are_near_or_absent() {
        assert!(unknown_flag("--treads").message.contains("did you mean --threads?"));
        assert!(unknown_flag("--memory-limt").message.contains("--memory-limit?"));
        assert!(!unknown_flag("--zzzzzzzzz").message.contains("did you mean"));
        assert!(unknown_word("idle_timout").message.contains("did you mean idle_timeout?"));
    }
}
