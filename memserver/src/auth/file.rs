//! The two files of names and passwords that memcached knows: bytes in, entries out.

use std::collections::HashSet;

use thiserror::Error;

/// A name and its password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The name.
    pub(crate) user: &'a [u8],
    /// The password.
    pub(crate) password: &'a [u8],
}

/// What is wrong with a file, and in which line, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum FileError {
    /// A line without a colon.
    #[error("line {line} has no colon; each line has to be user:password")]
    NoColon {
        /// The line.
        line: usize,
    },
    /// Nothing before the colon.
    #[error("line {line} has no user before the colon")]
    NoUser {
        /// The line.
        line: usize,
    },
}

/// The file of `-Y`: lines `user:password`, in which the password goes on to the end of the line. A
/// user may have several.
///
/// # Errors
/// [`FileError`].
pub(crate) fn text(bytes: &[u8]) -> Result<Vec<Entry<'_>>, FileError> {
    let mut entries = Vec::new();
    for (line, content) in lines(bytes) {
        let at =
            content.iter().position(|&byte| byte == b':').ok_or(FileError::NoColon { line })?;
        if at == 0 {
            return Err(FileError::NoUser { line });
        }
        entries.push(Entry { user: &content[..at], password: &content[at + 1..] });
    }
    Ok(entries)
}

/// The file of `MEMCACHED_SASL_PWDB`: lines `user:password`, perhaps with more behind another
/// colon. Other lines are ignored, and the first line of a user counts.
pub(crate) fn sasl(bytes: &[u8]) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut seen = HashSet::new();
    for (_, content) in lines(bytes) {
        let mut fields = content.split(|&byte| byte == b':');
        let (Some(user), Some(password)) = (fields.next(), fields.next()) else { continue };
        if !user.is_empty() && seen.insert(user) {
            entries.push(Entry { user, password });
        }
    }
    entries
}

/// The lines that are not empty, with their numbers.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = bytes.split(|&byte| byte == b'\n').enumerate();
    lines.filter_map(|(index, line)| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (!line.is_empty()).then_some((index + 1, line))
    })
}

impl std::fmt::Debug for Entry<'_> {
    /// Without the password, which has no place in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("user", &self.user.escape_ascii()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs<'a>(entries: &[Entry<'a>]) -> Vec<(&'a str, &'a str)> {
        let text = |bytes| str::from_utf8(bytes).unwrap();
        entries.iter().map(|entry| (text(entry.user), text(entry.password))).collect()
    }

    #[test]
    fn text_files() {
        let read = |file: &'static str| text(file.as_bytes()).map(|found| pairs(&found));
        assert_eq!(
            read("a:b\nc:d:e\r\n\n f : g \n"),
            Ok(vec![("a", "b"), ("c", "d:e"), (" f ", " g ")])
        );
        assert_eq!(read("a:b"), Ok(vec![("a", "b")]));
        assert_eq!(read("a:\n"), Ok(vec![("a", "")]));
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(read("a:b\n\nwrong\n"), Err(FileError::NoColon { line: 3 }));
        assert_eq!(read(":b\n"), Err(FileError::NoUser { line: 1 }));
        let nine: String = (0..9).map(|number| format!("u{number}:p\n")).collect();
        assert_eq!(text(nine.as_bytes()).unwrap().len(), 9);
    }

    #[test]
    fn sasl_files() {
        let read = |file: &'static str| pairs(&sasl(file.as_bytes()));
        assert_eq!(read("a:b:more:\nnothing\n:x\na:c\nd@h:e"), [("a", "b"), ("d@h", "e")]);
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown = format!("{:?}", text(b"user:secret").unwrap());
        assert!(shown.contains("user") && !shown.contains("secret"), "{shown}");
    }
}
