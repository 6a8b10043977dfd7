//! Bytes with marks in between, which stand for what is not the same every time.

use std::collections::BTreeMap;
use std::fmt;

/// Seconds that a time may be off.
const TOLERANCE: u64 = 2;

/// The versions that replies have had, by name.
pub(crate) type Versions = BTreeMap<String, u64>;

/// Something to send or to be received.
#[derive(Debug)]
pub(crate) struct Template {
    parts: Vec<Part>,
    /// Versions are eight bytes instead of decimal numbers.
    is_binary: bool,
}

#[derive(Debug)]
enum Part {
    Bytes(Vec<u8>),
    /// `v1`: a version.
    Version(String),
    /// `~60`: a number of seconds.
    Seconds(u64),
    /// `<2147483647`: seconds until this Unix time.
    Until(u64),
    /// `n`: any number.
    Number,
    /// `w`: a word.
    Word,
    /// `*`: anything.
    Anything,
}

impl Template {
    /// A template in which each character is one byte.
    pub(crate) fn text(text: &str) -> Self {
        let byte = |char: char| u8::try_from(u32::from(char)).unwrap();
        Self::new(text, false, |text| text.chars().map(byte).collect())
    }

    /// A template in hexadecimal digits.
    pub(crate) fn hex(text: &str) -> Self {
        Self::new(text, true, from_hex)
    }

    fn new(text: &str, is_binary: bool, to_bytes: impl Fn(&str) -> Vec<u8>) -> Self {
        let mut parts = Vec::new();
        for (index, part) in text.split(['\u{2039}', '\u{203a}']).enumerate() {
            if index % 2 == 1 {
                parts.push(Part::mark(part));
            } else if !part.is_empty() {
                parts.push(Part::Bytes(to_bytes(part)));
            }
        }
        Self { parts, is_binary }
    }

    /// Whether the first bytes are these.
    pub(crate) fn begins_with(&self, start: &[u8]) -> bool {
        matches!(self.parts.first(), Some(Part::Bytes(bytes)) if bytes.starts_with(start))
    }

    /// The bytes of a request.
    pub(crate) fn to_bytes(&self, versions: &Versions) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &self.parts {
            match part {
                Part::Bytes(bytes) => out.extend_from_slice(bytes),
                Part::Version(name) if self.is_binary => out.extend(versions[name].to_be_bytes()),
                Part::Version(name) => out.extend(versions[name].to_string().bytes()),
                other => panic!("{other:?} in a request"),
            }
        }
        out
    }

    /// Whether `found` is what is expected at the time `now`. It gives values to the versions that
    /// have none, if it is.
    pub(crate) fn matches(&self, found: &[u8], versions: &mut Versions, now: u32) -> bool {
        let mut after = versions.clone();
        let is_expected = self.all_match(found, &mut after, now);
        if is_expected {
            *versions = after;
        }
        is_expected
    }

    fn all_match(&self, found: &[u8], versions: &mut Versions, now: u32) -> bool {
        let mut rest = found;
        for (index, part) in self.parts.iter().enumerate() {
            let next = match self.parts.get(index + 1) {
                Some(Part::Bytes(bytes)) => bytes.as_slice(),
                _ => b"",
            };
            let Some(left) = self.part_matches(part, rest, next, versions, now) else {
                return false;
            };
            rest = left;
        }
        rest.is_empty() && are_distinct(versions)
    }

    /// What is left of `rest` behind `part`, if it begins like that.
    fn part_matches<'a>(
        &self,
        part: &Part,
        rest: &'a [u8],
        next: &[u8],
        versions: &mut Versions,
        now: u32,
    ) -> Option<&'a [u8]> {
        match part {
            Part::Bytes(bytes) => rest.strip_prefix(bytes.as_slice()),
            Part::Version(name) => {
                let (version, rest) = if self.is_binary {
                    let (bytes, rest) = rest.split_first_chunk()?;
                    (u64::from_be_bytes(*bytes), rest)
                } else {
                    number(rest)?
                };
                let known = versions.entry(name.clone()).or_insert(version);
                (*known == version).then_some(rest)
            }
            Part::Seconds(expected) => seconds(rest, *expected),
            Part::Until(moment) => seconds(rest, moment.checked_sub(now.into())?),
            Part::Number => number(rest.strip_prefix(b"-").unwrap_or(rest)).map(|(_, rest)| rest),
            Part::Word => {
                let is_end = |byte: &u8| b" \r\n".contains(byte);
                let end = rest.iter().position(is_end).unwrap_or(rest.len());
                (end > 0).then(|| &rest[end..])
            }
            Part::Anything if next.is_empty() => Some(b""),
            Part::Anything => {
                let at = rest.windows(next.len()).position(|window| window == next)?;
                Some(&rest[at..])
            }
        }
    }
}

impl Part {
    fn mark(mark: &str) -> Self {
        if let Some((byte, count)) = mark.split_once('*')
            && !byte.is_empty()
        {
            return Self::Bytes(from_hex(byte).repeat(count.parse().unwrap()));
        }
        let (kind, argument) = mark.split_at(1);
        match kind {
            "v" => Self::Version(argument.to_owned()),
            "~" => Self::Seconds(argument.parse().unwrap()),
            "<" => Self::Until(argument.parse().unwrap()),
            "n" => Self::Number,
            "w" => Self::Word,
            "*" => Self::Anything,
            _ => panic!("the mark {mark} is unknown"),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Bytes(bytes) => f.write_str(&crate::shown(bytes))?,
                other => write!(f, "<{other:?}>")?,
            }
        }
        Ok(())
    }
}

fn from_hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// A decimal number at the front of `bytes`, and what follows it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    let (digits, rest) = bytes.split_at(end);
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// The same for a number of seconds that is about right.
fn seconds(bytes: &[u8], expected: u64) -> Option<&[u8]> {
    let (found, rest) = number(bytes)?;
    (found.abs_diff(expected) <= TOLERANCE).then_some(rest)
}

/// Whether other names have other values.
fn are_distinct(versions: &Versions) -> bool {
    let mut values: Vec<u64> = versions.values().copied().collect();
    values.sort_unstable();
    values.windows(2).all(|pair| pair[0] != pair[1])
}

#[test]
fn marks_are_what_they_stand_for() {
    let mut versions = Versions::new();
    let mut check = |template: &str, found: &[u8]| {
        Template::text(template).matches(found, &mut versions, 1_000)
    };
    assert!(check("c\u{2039}v1\u{203a} t\u{2039}~60\u{203a}\r\n", b"c7 t59\r\n"));
    assert!(!check("c\u{2039}v1\u{203a}", b"c8"), "the same name, another number");
    assert!(!check("c\u{2039}v2\u{203a}", b"c7"), "another name, the same number");
    assert!(check("\u{2039}61*3\u{203a}\u{e9}", b"aaa\xe9"));
    assert!(check("t\u{2039}<1100\u{203a}", b"t100") && !check("t\u{2039}~9\u{203a}", b"t12"));
    assert!(check("\u{2039}w\u{203a} \u{2039}n\u{203a}\r\n", b"1.6.45 -9\r\n"));
    assert!(check("a\u{2039}*\u{203a}b", b"axxb") && !check("a", b"ab") && !check("ab", b"a"));
    let version = Versions::from([("v".to_owned(), 258)]);
    assert_eq!(Template::hex("80\u{2039}vv\u{203a}").to_bytes(&version)[7..], [1, 2]);
}
