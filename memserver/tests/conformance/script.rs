//! Transcripts read from their files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::notation;
use crate::pattern::{Part, Pattern};

/// One transcript.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// File, line and title, for messages.
    pub(crate) place: String,
    /// Which file it stands in.
    pub(crate) group: String,
    /// Arguments that the server needs.
    pub(crate) flags: Vec<String>,
    /// The versions that answer so.
    pub(crate) dialect: Dialect,
    /// The server must not have served anybody else.
    pub(crate) fresh: bool,
    /// The server must have neither TLS nor users.
    pub(crate) plain: bool,
    pub(crate) steps: Vec<Step>,
}

/// Who answers as a transcript says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Every memcached of the 1.6 series.
    Common,
    /// memcached since 1.6.41.
    Recent,
    /// This server on purpose; `docs/compatibility.md` says why.
    Ours,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Send(Pattern),
    Expect(Pattern),
    /// The server ends the connection.
    Closed,
    /// Time goes by.
    Clock(u32),
    /// From here on the client uses this connection.
    Connection(usize),
}

impl Case {
    /// Seconds that go by.
    pub(crate) fn duration(&self) -> u32 {
        let seconds = self.steps.iter().map(|step| match step {
            Step::Clock(seconds) => *seconds,
            _ => 0,
        });
        seconds.sum()
    }

    /// Whether replies are of one kind of server only.
    pub(crate) fn is_common(&self) -> bool {
        self.dialect == Dialect::Common
    }
}

/// All transcripts, in the order of their files.
pub(crate) fn all() -> Vec<Case> {
    let folder = folder();
    let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "txt")).collect();
    files.sort();
    let cases: Vec<Case> = files.iter().flat_map(|file| read(file)).collect();
    assert!(cases.len() > 100, "only {} transcripts in {}", cases.len(), folder.display());
    cases
}

/// A file of users with their rights.
pub(crate) fn accounts() -> String {
    folder().join("accounts.toml").display().to_string()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance")
}

fn read(file: &Path) -> Vec<Case> {
    let group = file.file_stem().unwrap().to_str().unwrap();
    let text = fs::read_to_string(file).unwrap();
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{group}.txt:{}", number + 1);
        if let Some(title) = line.strip_prefix("== ") {
            cases.push(head(group, &place, title));
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            let steps = &mut cases.last_mut().expect("a title comes first").steps;
            let read = std::panic::catch_unwind(|| step(line));
            let read = read.unwrap_or_else(|_| panic!("{place}: {line}"));
            match (steps.last_mut(), read) {
                (Some(Step::Send(last)), Step::Send(next))
                | (Some(Step::Expect(last)), Step::Expect(next)) => last.extend(next),
                (_, read) => steps.push(read),
            }
        }
    }
    let open_end = |step: &Step| match step {
        Step::Expect(pattern) => pattern.0.last() == Some(&Part::Lines),
        _ => false,
    };
    for case in &cases {
        assert!(!case.steps.iter().any(open_end), "{}: where do the lines end?", case.place);
    }
    cases
}

/// Reads `title | attribute attribute`.
fn head(group: &str, place: &str, title: &str) -> Case {
    let (title, attributes) = title.split_once(" | ").unwrap_or((title, ""));
    let mut case = Case {
        place: format!("{place}: {title}"),
        group: group.to_owned(),
        flags: Vec::new(),
        dialect: Dialect::Common,
        fresh: false,
        plain: false,
        steps: Vec::new(),
    };
    for attribute in attributes.split_whitespace() {
        match attribute.split_once('=') {
            Some(("flags", list)) => {
                let (users, accounts) = (folder().join("users").display().to_string(), accounts());
                let whole = list.replace("{users}", &users).replace("{accounts}", &accounts);
                case.flags = whole.split(';').map(str::to_owned).collect();
            }
            Some(("only", "1.6.45")) => case.dialect = Dialect::Recent,
            Some(("only", "ours")) => case.dialect = Dialect::Ours,
            None if attribute == "fresh" => case.fresh = true,
            None if attribute == "plain" => case.plain = true,
            _ => panic!("{place}: what is {attribute}?"),
        }
    }
    case
}

fn step(line: &str) -> Step {
    let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
    match mark {
        ">" => Step::Send(notation::text(rest)),
        "<" => Step::Expect(notation::text(rest)),
        ">x" => Step::Send(notation::binary(rest)),
        "<x" => Step::Expect(notation::binary(rest)),
        "closed" => Step::Closed,
        "clock" => Step::Clock(rest.parse().expect("seconds")),
        "connection" => Step::Connection(rest.parse().expect("a number")),
        _ => panic!("an unknown line"),
    }
}
