//! What is sent and what is expected, as data: bytes with holes. It must never know where the bytes
//! go to or come from.

use std::collections::HashMap;

/// Numbers that earlier replies gave a name.
pub(crate) type Names = HashMap<String, u64>;

/// A part of a transcript line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Exactly these bytes.
    Bytes(Vec<u8>),
    /// A named number plus something, in decimal or as eight bytes.
    Named { name: String, plus: i64, binary: bool },
    /// Digits, which get a name or differ from a named number.
    Digits { name: Option<String>, not: Option<String> },
    /// So many bytes; eight of them may get a name as a number.
    Any { count: usize, name: Option<String> },
    /// Anything up to the end of the line.
    Line,
    /// Whole lines, as few as possible.
    Lines,
}

/// Parts in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pattern(pub(crate) Vec<Part>);

impl Pattern {
    /// The bytes to send.
    pub(crate) fn render(&self, names: &Names) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in &self.0 {
            match part {
                Part::Bytes(own) => bytes.extend_from_slice(own),
                Part::Named { name, plus, binary } => {
                    bytes.extend(spell(names, name, *plus, *binary));
                }
                other => panic!("{other:?} can't be sent"),
            }
        }
        bytes
    }

    /// Whether `found` is what is expected; names are given if it is.
    pub(crate) fn matches(&self, found: &[u8], names: &mut Names) -> bool {
        let mut given = names.clone();
        let fits = fits(&self.0, found, &mut given);
        if fits {
            *names = given;
        }
        fits
    }

    /// Adds what stands on the next line.
    pub(crate) fn extend(&mut self, more: Self) {
        for part in more.0 {
            match (self.0.last_mut(), part) {
                (Some(Part::Bytes(last)), Part::Bytes(next)) => last.extend(next),
                (_, part) => self.0.push(part),
            }
        }
    }
}

fn spell(names: &Names, name: &str, plus: i64, binary: bool) -> Vec<u8> {
    let number = names.get(name).unwrap_or_else(|| panic!("nothing is called {name}"));
    let number = number.wrapping_add_signed(plus);
    if binary { number.to_be_bytes().to_vec() } else { number.to_string().into_bytes() }
}

fn fits(parts: &[Part], found: &[u8], names: &mut Names) -> bool {
    let Some((part, rest)) = parts.split_first() else { return found.is_empty() };
    match part {
        Part::Bytes(bytes) => {
            found.strip_prefix(&bytes[..]).is_some_and(|found| fits(rest, found, names))
        }
        Part::Named { name, plus, binary } => {
            let bytes = spell(names, name, *plus, *binary);
            found.strip_prefix(&bytes[..]).is_some_and(|found| fits(rest, found, names))
        }
        Part::Digits { name, not } => {
            let len = found.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (digits, found) = found.split_at(len);
            let Ok(number) = String::from_utf8_lossy(digits).parse::<u64>() else { return false };
            if not.as_ref().is_some_and(|name| names[name] == number) {
                return false;
            }
            names.extend(name.iter().map(|name| (name.clone(), number)));
            fits(rest, found, names)
        }
        Part::Any { count, name } => {
            let Some((bytes, found)) = found.split_at_checked(*count) else { return false };
            if let Some(name) = name {
                let number = u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
                names.insert(name.clone(), number);
            }
            fits(rest, found, names)
        }
        Part::Line => {
            let len = found.iter().take_while(|byte| !b"\r\n".contains(byte)).count();
            fits(rest, &found[len..], names)
        }
        Part::Lines => {
            let mut found = found;
            loop {
                let mut given = names.clone();
                if fits(rest, found, &mut given) {
                    *names = given;
                    return true;
                }
                let Some(end) = found.iter().position(|&byte| byte == b'\n') else { return false };
                found = &found[end + 1..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::{binary, text};

    fn fits(pattern: &Pattern, found: &str) -> bool {
        pattern.matches(found.as_bytes(), &mut Names::from([("v".to_owned(), 7)]))
    }

    #[test]
    fn what_is_expected_is_told_from_what_is_not() {
        for (line, good, bad) in [
            ("END", "END\r\n", "END\n"),
            ("open\\", "open", "open\r\n"),
            ("{3*ab}", "ababab\r\n", "abab\r\n"),
            ("a{#}", "a17\r\n", "a\r\n"),
            ("{#!v}", "8\r\n", "7\r\n"),
            ("c{v} {v+1} {v-1}", "c7 8 6\r\n", "c7 8 7\r\n"),
            ("{*}", "anything\r\n", "two\r\nlines\r\n"),
            ("\\x41\\s\\{\\0", "A {\0\r\n", "A  \0\r\n"),
        ] {
            assert!(fits(&text(line), good), "{line}");
            assert!(!fits(&text(line), bad), "{line}");
        }
        let mut lines = text("{...}");
        lines.extend(text("STAT b {#}"));
        assert!(fits(&lines, "STAT a 1\r\nSTAT b 2\r\n"));
        assert!(!fits(&lines, "STAT a 1\r\nSTAT c 2\r\n"));
        assert!(!fits(&lines, "STAT b 2\r\nSTAT c 2\r\n"));
    }

    #[test]
    fn names_are_given_by_one_reply_and_used_in_the_next() {
        let mut names = Names::new();
        assert!(text("cas {c=#}").matches(b"cas 258\r\n", &mut names));
        assert!(!text("cas {c=#} x").matches(b"cas 9 y\r\n", &mut names));
        assert_eq!(text("set {c+1}").render(&names), b"set 259\r\n");
        assert_eq!(
            binary("80 {c} \"a_b\" {2*ff}").render(&names),
            b"\x80\0\0\0\0\0\0\x01\x02a b\xff\xff"
        );
        assert!(binary("{c=#} {2}").matches(&[0, 0, 0, 0, 0, 0, 0, 9, 1, 2], &mut names));
        assert_eq!(names["c"], 9);
        assert!(!binary("{2}").matches(&[1], &mut names));
    }
}
