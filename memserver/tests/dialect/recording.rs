//! The recorded cases, read from their files.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::template::Template;

/// One exchange on a connection of its own.
#[derive(Debug)]
pub(crate) struct Case {
    /// File, then what is tried.
    pub(crate) id: String,
    /// Arguments of the server.
    pub(crate) args: Vec<String>,
    pub(crate) steps: Vec<Step>,
    /// Whether the server closes the connection.
    pub(crate) closed: bool,
    /// Whether nothing may have happened in the server before.
    pub(crate) is_fresh: bool,
}

/// What is sent at once, and what is answered.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) send: Template,
    pub(crate) receive: Template,
}

impl Step {
    fn read(fields: &Value) -> Self {
        let template = |name: &str| match &fields[name] {
            Value::String(text) => Template::text(text),
            _ => Template::hex(fields[format!("{name}_hex")].as_str().unwrap()),
        };
        Self { send: template("send"), receive: template("recv") }
    }
}

impl Case {
    fn read(line: &str) -> Self {
        let fields: Value = serde_json::from_str(line).unwrap();
        let list = |name: &str| fields[name].as_array().into_iter().flatten();
        let first = Step::read(&fields);
        Self {
            id: fields["id"].as_str().unwrap().to_owned(),
            args: list("args").map(|arg| arg.as_str().unwrap().to_owned()).collect(),
            steps: std::iter::once(first).chain(list("then").map(Step::read)).collect(),
            closed: fields["closed"].as_bool().unwrap_or(false),
            is_fresh: fields["fresh"].as_bool().unwrap_or(false),
        }
    }

    /// Whether `next` may be played on the same server.
    pub(crate) fn may_follow(&self, next: &Self) -> bool {
        let file = |case: &Self| case.id.split('/').next().map(str::to_owned);
        !self.is_fresh && !next.is_fresh && file(self) == file(next) && self.args == next.args
    }
}

/// All cases below `folder`.
pub(crate) fn all(folder: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "gz")).collect();
    files.sort();
    for path in files {
        let lines = BufReader::new(GzDecoder::new(File::open(&path).unwrap())).lines();
        cases.extend(lines.map(|line| Case::read(&line.unwrap())));
    }
    let ids: HashSet<&str> = cases.iter().map(|case: &Case| case.id.as_str()).collect();
    assert_eq!(ids.len(), cases.len(), "some cases have the same name");
    assert!(cases.len() > 17_000, "only {} cases in {}", cases.len(), folder.display());
    cases
}
