//! Plays the exchanges that were recorded with memcached 1.6.45, `conformance/dialect`, on the
//! session without sockets. Every answer has to be the recorded one, but for the differences that
//! `conformance/dialect/exceptions.txt` lists with their reasons.

#[cfg(feature = "rustls")]
#[path = "../encrypted/mod.rs"]
mod encrypted;
mod exceptions;
#[cfg(feature = "rustls")]
mod over_tls;
#[cfg(feature = "rustls")]
#[path = "../program/mod.rs"]
mod program;
mod recording;
mod template;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use memserver::fuzzing::Stage;

use exceptions::Exceptions;
use recording::Case;
use template::Versions;

/// Threads that play at once.
const THREADS: usize = 4;
/// Failures that are printed in full.
const SHOWN: usize = 40;

/// Where the recordings are.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../conformance/dialect")
}

/// How a case was answered otherwise than it should have been.
struct Difference<'a> {
    case: &'a Case,
    text: String,
}

/// A server without sockets, and an age: versions are no longer as low as those in requests.
fn start(args: &[String], is_fresh: bool) -> Stage {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let stage = Stage::new(&args);
    if !is_fresh {
        stage.connect().feed(&b"set some_key 0 0 0\r\n\r\n".repeat(100));
    }
    stage
}

/// Plays a case on a new connection.
fn play(case: &Case, stage: &Stage) -> Result<(), String> {
    let mut client = stage.connect();
    let mut versions = Versions::default();
    for step in &case.steps {
        let request = step.send.to_bytes(&versions);
        let found = client.feed(&request);
        if !step.receive.matches(&found, &mut versions, stage.now()) {
            let (sent, expected, found) = (shown(&request), &step.receive, shown(&found));
            return Err(format!("  sent     {sent}\n  expected {expected}\n  found    {found}"));
        }
    }
    // A watcher's connection is handed to another thread, which there is not without sockets.
    let is_watched = case.steps.iter().any(|step| step.send.begins_with(b"watch"));
    if client.is_closed() != case.closed && !is_watched {
        return Err(format!("  the connection is {}closed", if case.closed { "not " } else { "" }));
    }
    Ok(())
}

/// Plays all cases; returns those that were answered otherwise.
fn play_all(cases: &[Case]) -> Vec<Difference<'_>> {
    // Each group has a server.
    let groups: Vec<&[Case]> = cases.chunk_by(|a, b| a.may_follow(b)).collect();
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let stage = start(&group[0].args, group[0].is_fresh);
                    for case in *group {
                        if let Err(text) = play(case, &stage) {
                            found.lock().unwrap().push(Difference { case, text });
                        }
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort_by(|a, b| a.case.id.cmp(&b.case.id));
    found
}

fn shown(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if text.len() <= 1_000 { text } else { format!("{}... {} bytes", &text[..600], bytes.len()) }
}

#[test]
fn every_recorded_answer_is_given() {
    let cases = recording::all(&folder());
    let mut exceptions = Exceptions::read(&folder().join("exceptions.txt"));
    let differences = play_all(&cases);

    let mut complaints = Vec::new();
    let mut excused: BTreeMap<String, usize> = BTreeMap::new();
    for Difference { case, text } in &differences {
        match exceptions.excuse(&case.id) {
            Some(title) => *excused.entry(title).or_default() += 1,
            None => complaints.push(format!("{} {:?}\n{text}", case.id, case.args)),
        }
    }
    let failed = complaints.len();
    let passed = cases.len() - differences.len();
    println!("{passed} passed, {} differ on purpose: {excused:#?}", differences.len() - failed);
    complaints.truncate(SHOWN);

    let different = |id: &str| differences.iter().any(|difference| difference.case.id == id);
    let same = cases.iter().filter(|case| !different(&case.id));
    complaints.extend(same.filter_map(|case| exceptions.stale(&case.id)));
    complaints.extend(exceptions.unused());
    assert!(complaints.is_empty(), "{failed} failed\n{}", complaints.join("\n"));
}

/// Who reads the documentation learns of every difference, and of none that is gone.
#[test]
fn every_exception_is_documented() {
    let exceptions = Exceptions::read(&folder().join("exceptions.txt"));
    let path = folder().join("../../docs/compatibility.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once("\n## Recorded exchanges\n").expect("such a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let listed: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("- ")).collect();
    assert_eq!(listed, exceptions.titles());
}
