//! The nearest name to a misspelt one.

/// The candidate with the fewest edits from `name`, unless they are more than a third of it.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let distances = candidates.map(|candidate| (strsim::levenshtein(name, candidate), candidate));
    let (edits, candidate) = distances.min()?;
    // One edit is allowed even in the shortest name.
    (edits <= name.chars().count().max(3) / 3).then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_near_or_absent() {
        let nearest = |name| nearest(name, ["threads", "memory-limit", "port"].into_iter());
        assert_eq!(nearest("treads"), Some("threads"));
        assert_eq!(nearest("memory-limt"), Some("memory-limit"));
        assert_eq!(nearest("zzzzzzzzz"), None);
        assert_eq!(nearest(""), None);
    }
}
