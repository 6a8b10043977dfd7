//! The cases that are answered otherwise on purpose, and why.

use std::fs;
use std::path::Path;

/// All of them.
#[derive(Debug)]
pub(crate) struct Exceptions {
    titles: Vec<String>,
    patterns: Vec<Pattern>,
}

/// The ids of some cases.
#[derive(Debug)]
struct Pattern {
    /// An id, in which `~` stands for any characters.
    id: String,
    /// Which difference this is.
    title: usize,
    /// Whether a case was excused by it.
    used: bool,
}

impl Exceptions {
    /// Reads a file in which `== TITLE` begins a difference, `#` a remark, and every other line is
    /// the id of a case.
    pub(crate) fn read(path: &Path) -> Self {
        let mut exceptions = Self { titles: Vec::new(), patterns: Vec::new() };
        for line in fs::read_to_string(path).unwrap().lines() {
            if let Some(title) = line.strip_prefix("== ") {
                exceptions.titles.push(title.to_owned());
            } else if !line.is_empty() && !line.starts_with('#') {
                let title = exceptions.titles.len().checked_sub(1).expect("a title comes first");
                let pattern = Pattern { id: line.to_owned(), title, used: false };
                exceptions.patterns.push(pattern);
            }
        }
        exceptions
    }

    /// What the differences are.
    pub(crate) fn titles(&self) -> &[String] {
        &self.titles
    }

    /// Which difference excuses a case that failed.
    pub(crate) fn excuse(&mut self, id: &str) -> Option<String> {
        let pattern = self.patterns.iter_mut().find(|pattern| is_like(id, &pattern.id))?;
        pattern.used = true;
        Some(self.titles[pattern.title].clone())
    }

    /// A complaint if a case that passed is listed.
    pub(crate) fn stale(&self, id: &str) -> Option<String> {
        let pattern = self.patterns.iter().find(|pattern| is_like(id, &pattern.id))?;
        Some(format!("{id} is listed as {}, but is answered as recorded", pattern.id))
    }

    /// Complaints about ids that excused nothing.
    pub(crate) fn unused(&self) -> Vec<String> {
        let unused = self.patterns.iter().filter(|pattern| !pattern.used);
        unused
            .map(|pattern| format!("{} is listed, but no case of it differs", pattern.id))
            .collect()
    }
}

/// Whether `id` is `pattern`, in which `~` stands for any characters.
fn is_like(id: &str, pattern: &str) -> bool {
    let Some((front, rest)) = pattern.split_once('~') else { return id == pattern };
    let Some(mut id) = id.strip_prefix(front) else { return false };
    let mut pieces = rest.split('~').collect::<Vec<_>>();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some((_, behind)) = id.split_once(piece) else { return false };
        id = behind;
    }
    id.ends_with(last)
}

#[test]
fn a_tilde_stands_for_anything() {
    for (id, pattern, expected) in [
        ("a/b", "a/b", true),
        ("a/b", "a/", false),
        ("a/b", "a/~", true),
        ("a/bc", "~c", true),
        ("a/bc", "a~b~c", true),
        ("a/bc", "a~c~b", false),
        ("a/bc", "b~", false),
    ] {
        assert_eq!(is_like(id, pattern), expected, "{id} {pattern}");
    }
}
