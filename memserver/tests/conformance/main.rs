//! Plays the transcripts of `conformance/` on the session without sockets, on the server over TCP,
//! and on a reference server, if there is one:
//!
//! ```text
//! MEMCACHED_REFERENCE=/usr/bin/memcached cargo test -p memserver --test conformance
//! MEMCACHED_REFERENCE=127.0.0.1:11211    cargo test -p memserver --test conformance
//! ```
//!
//! A path is started anew for every transcript; a server that runs already is flushed before
//! each, and takes part in those that need no flags and no time.

#[cfg(feature = "rustls")]
mod encrypted {
    //! What the transcripts need to be played over TLS, and that they are.

    pub(crate) use keys::{Authority, Encrypted};

    #[path = "../../encrypted/mod.rs"]
    mod keys;
    mod transcripts;
}
mod notation;
mod pattern;
mod peer;
#[path = "../program/mod.rs"]
mod program;
mod script;

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use memserver::TestServer;
use memserver::fuzzing::Stage;

use pattern::Names;
use peer::{Cuts, Direct, Peer, Remote, User};
use program::Program;
use script::{Case, Step};

/// Transcripts that send no more than this are cut at every byte.
const SHORT: usize = 150;
/// Transcripts that send no more than this are sent byte by byte.
const LONG: usize = 100_000;
/// Seconds that a real clock is waited for.
const REAL_TIME: u32 = 4;
/// Servers at once.
const CROWD: usize = 4;

/// Plays `case` with connections from `connect`; returns how much was sent.
fn play<P: Peer>(
    case: &Case,
    mut connect: impl FnMut() -> P,
    mut advance: impl FnMut(u32),
) -> Result<usize, String> {
    let mut peers: BTreeMap<usize, P> = BTreeMap::new();
    let (mut current, mut names, mut sent) = (1, Names::new(), 0);
    let mut ended = Vec::new();
    peers.insert(current, connect());
    for step in &case.steps {
        let peer = peers.get_mut(&current).unwrap();
        match step {
            Step::Send(pattern) => {
                let bytes = pattern.render(&names);
                sent += bytes.len();
                peer.send(&bytes);
            }
            Step::Expect(expected) => peer.answer(expected, &mut names).map_err(|found| {
                format!("{}\n  expected {}\n  found    {}", case.place, say(expected), show(&found))
            })?,
            Step::Closed => {
                if !peer.is_closed() {
                    return Err(format!("{}\n  is not closed", case.place));
                }
                ended.push(current);
            }
            Step::Clock(seconds) => advance(*seconds),
            Step::Connection(number) => {
                current = *number;
                peers.entry(current).or_insert_with(&mut connect);
            }
        }
    }
    for (_, peer) in peers.iter_mut().filter(|(number, _)| !ended.contains(number)) {
        let rest = peer.rest();
        if !rest.is_empty() {
            return Err(format!("{}\n  nobody expected {}", case.place, show(&rest)));
        }
    }
    Ok(sent)
}

/// Plays many cases at once and panics with everything that went wrong.
fn play_all(cases: &[Case], play: impl Fn(&Case) -> Result<(), String> + Sync) {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..CROWD {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = catch_unwind(AssertUnwindSafe(|| play(case)));
                    let outcome = outcome.unwrap_or_else(|_| Err(case.place.clone() + " panics"));
                    failures.lock().unwrap().extend(outcome.err());
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    report(cases);
}

/// Tells how many were played.
fn report(cases: &[Case]) {
    let mut groups = BTreeMap::new();
    cases.iter().for_each(|case| *groups.entry(&case.group).or_insert(0) += 1);
    println!("{} transcripts: {groups:?}", cases.len());
}

fn directly(case: &Case, cuts: Cuts) -> Result<usize, String> {
    let flags: Vec<&str> = case.flags.iter().map(String::as_str).collect();
    let stage = Stage::new(&flags);
    play(case, || Direct::new(&stage, cuts), |seconds| stage.advance(seconds))
}

#[test]
fn on_the_session_in_whole_and_in_pieces() {
    play_all(&script::all(), |case| {
        let sent = directly(case, Cuts::None)?;
        let in_pieces = |error| format!("in pieces: {error}");
        if sent <= SHORT {
            for at in 1..sent {
                directly(case, Cuts::At(at)).map_err(in_pieces)?;
            }
        }
        if sent <= LONG {
            directly(case, Cuts::Everywhere).map_err(in_pieces)?;
        }
        Ok(())
    });
}

/// Whether a transcript says itself who may do what.
fn has_users(case: &Case) -> bool {
    let flags = case.flags.join(" ");
    ["-Y", "-S", "accounts"].iter().any(|word| flags.contains(word))
}

#[test]
fn by_a_user_who_may_do_everything() {
    let mut cases = script::all();
    cases.retain(|case| !case.plain && !has_users(case));
    let accounts = script::accounts();
    play_all(&cases, |case| {
        let accounts = format!("-oaccounts={accounts}");
        let flags = case.flags.iter().map(String::as_str).chain([&accounts[..]]);
        let stage = Stage::new(&flags.collect::<Vec<_>>());
        let connect = || User::new(Direct::new(&stage, Cuts::None));
        play(case, connect, |seconds| stage.advance(seconds)).map(drop)
    });
}

#[test]
fn over_tcp() {
    let cases: Vec<Case> = script::all()
        .into_iter()
        .filter(|case| case.flags.is_empty() || case.duration() <= REAL_TIME)
        .collect();
    play_all(&cases, |case| {
        if case.flags.is_empty() {
            let server = TestServer::start().unwrap();
            // Replies tell seconds, and the machine may be slow.
            server.pause();
            let connect = || Remote::connect(server.address());
            let advance = |seconds: u32| server.advance(Duration::from_secs(seconds.into()));
            return play(case, connect, advance).map(drop);
        }
        let flags: Vec<&str> = case.flags.iter().map(String::as_str).collect();
        let program = Program::start(&flags);
        play(case, || Remote::connect(program.address()), wait).map(drop)
    });
}

#[test]
fn on_a_reference_server() {
    let Some(reference) = program::reference() else { return };
    let mut cases = script::all();
    cases.retain(|case| case.is_common() && case.duration() <= REAL_TIME);
    if reference.contains('/') {
        play_all(&cases, |case| {
            let program = Program::reference(&reference, &case.flags);
            play(case, || Remote::connect(program.address()), wait).map(drop)
        });
        return;
    }
    let address = reference.to_socket_addrs().unwrap().next().unwrap();
    cases.retain(|case| case.flags.is_empty() && !case.fresh && case.duration() == 0);
    for case in &cases {
        let mut names = Names::new();
        let mut sweeper = Remote::connect(address);
        sweeper.send(b"flush_all\r\n");
        sweeper.answer(&notation::text("OK"), &mut names).unwrap();
        play(case, || Remote::connect(address), wait).map(drop).unwrap();
    }
    report(&cases);
}

/// Nobody can move another program's clock.
fn wait(seconds: u32) {
    thread::sleep(Duration::from_secs(seconds.into()));
}

fn say(expected: &pattern::Pattern) -> String {
    let parts = expected.0.iter().map(|part| match part {
        pattern::Part::Bytes(bytes) => show(bytes),
        other => format!("{other:?}"),
    });
    parts.collect()
}

fn show(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if text.len() <= 1_000 { text } else { format!("{}... {} bytes", &text[..600], bytes.len()) }
}
