//! Random streams of requests, good and bad, sent to two servers: whatever they answer differently
//! is a mistake of one of them. Without another server, ours is compared with itself: in other
//! segmentations, with and without sockets.
//!
//! ```text
//! MEMCACHED_REFERENCE=/usr/bin/memcached \
//!     cargo test -p memserver --test differential -- --nocapture
//! ```
//!
//! `DIFFERENTIAL_STREAMS` says how many streams there are, `DIFFERENTIAL_SECONDS` for how long at
//! most, `DIFFERENTIAL_SEED` which ones. The first difference is shortened and printed as a
//! transcript of `conformance/`.

mod admin;
mod binary;
mod classic;
mod compare;
mod excuse;
mod material;
mod meta;
mod play;
#[path = "../program/mod.rs"]
mod program;
mod random;
mod reply;
mod server;
mod shrink;
mod stream;
mod tally;
mod transcript;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use memserver::TestServer;
use memserver::fuzzing::Stage;

use compare::{Difference, Verdict, compare};
use play::play;
use program::Program;
use random::Random;
use server::{Remote, Server, Staged};
use stream::Unit;
use tally::Tally;

/// Units of a stream, at most.
const UNITS: usize = 40;
/// Differences that are shown at once.
const SHOWN: usize = 10;
/// How often a difference has to show again: seconds end while a stream is played.
const LOOKS: usize = 3;
/// How long a reply may take, and how long at the second look.
const PATIENCE: Duration = Duration::from_millis(120);
const MORE_PATIENCE: Duration = Duration::from_millis(800);

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// One stream; it has what only `recent` servers know if they are recent.
fn stream(seed: u64, number: u64, recent: bool) -> Vec<Unit> {
    let random = &mut Random::new(seed, number);
    // In hundredths: classic, meta, binary requests.
    let shares = random.pick(&[[90, 10, 0], [10, 90, 0], [50, 50, 0], [0, 0, 100], [30, 30, 40]]);
    let count = 1 + random.below(UNITS);
    let unit = |random: &mut Random| match random.below(100) {
        at if at < shares[0] => classic::unit(random),
        at if at < shares[0] + shares[1] => meta::unit(random, recent),
        _ => binary::unit(random),
    };
    let mut units = Vec::new();
    if random.percent(80) {
        units.extend((0..3).map(|_| classic::fill(random)));
    }
    for _ in 0..count {
        let unit = unit(random);
        if random.percent(70) {
            units.extend(unit.lookup());
        }
        units.push(unit);
    }
    if !recent {
        let mut flushed = false;
        units.retain(|unit| {
            let again = flushed && excuse::flushes(unit);
            flushed |= excuse::flushes(unit);
            !again && !excuse::hides(unit)
        });
    }
    units
}

/// Two servers.
struct Pair {
    ours: Box<dyn Server>,
    theirs: Box<dyn Server>,
    /// Whether the other one is another program.
    foreign: bool,
}

impl Pair {
    fn compare(&mut self, stream: &[Unit]) -> Verdict {
        let (ours, theirs) = (play(&mut *self.ours, stream), play(&mut *self.theirs, stream));
        compare(stream, &ours, &theirs, self.foreign)
    }

    /// What goes wrong with a stream, as short as it can be shown.
    fn explain(&mut self, stream: &[Unit], found: &Difference) -> String {
        let same = |difference: Option<Difference>| match (found, difference) {
            (Difference::Reply(_), Some(Difference::Reply(_))) => true,
            (Difference::Counter(name), Some(Difference::Counter(other))) => *name == other,
            _ => false,
        };
        let short = shrink::shrink(stream, |stream| same(self.compare(stream).difference));
        let (ours, theirs) = (play(&mut *self.ours, &short), play(&mut *self.theirs, &short));
        let difference = compare(&short, &ours, &theirs, self.foreign).difference;
        let counters = ours.counters.iter().zip(&theirs.counters);
        let counters = counters.filter(|(mine, other)| mine != other);
        let counters: Vec<_> = counters.map(|(mine, other)| (mine.0, mine.1, other.1)).collect();
        format!(
            "{difference:?}, counters {counters:?}\n== the other one\n{}\n== ours\n{}",
            transcript::print(&short, &theirs.replies),
            transcript::print(&short, &ours.replies)
        )
    }
}

/// Compares `quick` pairs on many streams; what `careful` ones differ in as well is a mistake.
fn run(name: &str, streams: u64, recent: bool, pair: impl Fn(Duration) -> Pair) {
    let seed = setting("DIFFERENTIAL_SEED", 1);
    let limit = Duration::from_secs(setting("DIFFERENTIAL_SECONDS", 3600));
    let (mut quick, mut careful) = (pair(PATIENCE), pair(MORE_PATIENCE));
    let (mut tally, start) = (Tally::default(), Instant::now());
    let mut failures = Vec::new();
    while tally.streams < streams && start.elapsed() < limit && failures.len() < SHOWN {
        let number = tally.streams;
        let stream = stream(seed, number, recent);
        let mut verdict = quick.compare(&stream);
        if verdict.difference.is_some() {
            // Perhaps only the clock has moved on, or somebody was slow.
            verdict = careful.compare(&stream);
        }
        if let Some(difference) = &verdict.difference
            && (0..LOOKS).all(|_| careful.compare(&stream).difference.as_ref() == Some(difference))
        {
            let explained = careful.explain(&stream, difference);
            failures.push(format!("stream {number} of seed {seed}: {explained}"));
        }
        tally.add(&stream, &verdict);
    }
    assert!(failures.is_empty(), "{name}: {} differences\n{}", failures.len(), failures.join("\n"));
    println!("{name}, seed {seed}: {tally}");
}

fn staged(pieces: Option<u64>) -> Box<dyn Server> {
    Box::new(Staged { stage: Stage::new(&[]), pieces })
}

fn remote(address: SocketAddr, timeout: Duration) -> Box<dyn Server> {
    Box::new(Remote { address, timeout })
}

#[test]
fn segmentation_makes_no_difference() {
    run("segmentation", setting("DIFFERENTIAL_STREAMS", 400), true, |_| Pair {
        ours: staged(None),
        theirs: staged(Some(1)),
        foreign: false,
    });
}

#[test]
fn sockets_make_no_difference() {
    let server = TestServer::start().unwrap();
    run("sockets", setting("DIFFERENTIAL_STREAMS", 400), true, |timeout| Pair {
        ours: staged(None),
        theirs: remote(server.address(), timeout),
        foreign: false,
    });
}

#[test]
fn a_reference_server_makes_no_difference() {
    let Some(reference) = program::reference() else { return };
    // It changes numbers in place unless somebody holds them, perhaps the thread that sorts items.
    let flags = ["-m", "1024", "-o", "no_lru_maintainer"].map(String::from);
    let reference = Program::reference(&reference, &flags);
    let server = TestServer::start().unwrap();
    run("reference", setting("DIFFERENTIAL_STREAMS", 2000), false, |timeout| Pair {
        ours: remote(server.address(), timeout),
        theirs: remote(reference.address(), timeout),
        foreign: true,
    });
}
