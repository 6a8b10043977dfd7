//! Nanoseconds per request from bytes to reply, cache included and sockets left out, as a plain
//! program.
//!
//! `cargo bench -p memserver` prints a table; with a name and a count it serves one case that
//! often, for `bench/instructions.sh memserver requests`, which counts instructions.

use std::hint::black_box;
use std::time::Instant;

use memserver::fuzzing::{Dialogue, Stage};

/// Requests per pipeline, so that what is done once for all of them does not count.
const PIPELINE: usize = 100;

/// Pipelines per timed round.
const ROUND: usize = 1_000;

/// Timed rounds, of which the fastest counts: the others were disturbed.
const ROUNDS: usize = 25;

/// A name, and what is sent in turns. `V` is a value of 100 bytes, `K` fifty keys.
type Case = (&'static str, &'static [&'static str]);

const CASES: [Case; 12] = [
    ("get_hit", &["get key:0123456789abcdef\r\n"]),
    ("get_miss", &["get nil:0123456789abcdef\r\n"]),
    ("get_50_hits", &["get K\r\n"]),
    ("gets_hit", &["gets key:0123456789abcdef\r\n"]),
    ("set", &["set key:0123456789abcdef 0 0 100\r\nV\r\n"]),
    ("incr", &["incr num:0123456789abcdef 1\r\n"]),
    ("touch", &["touch key:0123456789abcdef 0\r\n"]),
    ("mg_v", &["mg key:0123456789abcdef v\r\n"]),
    ("mg_6_flags", &["mg key:0123456789abcdef v f t c k O1234\r\n"]),
    ("ms", &["ms key:0123456789abcdef 100\r\nV\r\n"]),
    ("delete_miss", &["delete nil:0123456789abcdef\r\n"]),
    (
        "set_delete",
        &["set new:0123456789abcdef 0 0 100\r\nV\r\n", "delete new:0123456789abcdef\r\n"],
    ),
];

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let mut client = Stage::new(&[]).connect();
    client.feed(lines(&["set key:0123456789abcdef 5 0 100\r\nV\r\n"]).as_slice());
    client.feed(b"set num:0123456789abcdef 0 0 9\r\n100000000\r\n");
    if let Some(name) = args.next() {
        let count = args.next().and_then(|count| count.parse().ok()).unwrap_or(PIPELINE);
        let case = CASES.iter().find(|(case, _)| *case == name);
        let (_, requests) = case.unwrap_or_else(|| panic!("no case {name}"));
        return serve(&mut client, &lines(requests), count / PIPELINE);
    }
    for (name, requests) in CASES {
        println!("{name:<20} {:>8.1} ns", fastest(&mut client, &lines(requests)));
    }
}

/// One pipeline.
fn lines(requests: &[&str]) -> Vec<u8> {
    let value = "v".repeat(100);
    let keys = ["key:0123456789abcdef"; 50].join(" ");
    let sent = requests.iter().cycle().take(PIPELINE);
    sent.flat_map(|line| line.replace('V', &value).replace('K', &keys).into_bytes()).collect()
}

fn fastest(client: &mut Dialogue, pipeline: &[u8]) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        serve(client, pipeline, ROUND);
        start.elapsed()
    });
    let nanoseconds = rounds.min().unwrap_or_default().as_secs_f64() * 1e9;
    nanoseconds / (ROUND * PIPELINE) as f64
}

fn serve(client: &mut Dialogue, pipeline: &[u8], count: usize) {
    for _ in 0..count {
        let reply = client.feed(black_box(pipeline));
        assert!(!reply.is_empty() && !reply.starts_with(b"CLIENT_ERROR"));
        black_box(reply);
    }
}
