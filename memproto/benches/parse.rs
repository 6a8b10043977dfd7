//! Nanoseconds per request for the parsers and writers, as a plain program.
//!
//! `cargo bench -p memproto` prints a table; with a name and a count it runs one case that often,
//! and with `--list` it prints the names: for `bench/instructions.sh`, which counts instructions.

use std::hint::black_box;
use std::time::Instant;

use memproto::{Limits, Scan, Step, binary, text};

/// Requests per timed round.
const ROUND: usize = 100_000;

/// Timed rounds, of which the fastest counts: the others were disturbed.
const ROUNDS: usize = 25;

type Case = (&'static str, fn(usize));

const CASES: [Case; 12] = [
    ("parse/get", |n| text_requests(b"get key:0123456789abcdef\r\n", n)),
    ("parse/get_10_byte_key", |n| text_requests(b"get key:012345\r\n", n)),
    ("parse/get_100_byte_key", |n| text_requests(LONG_KEY, n)),
    ("parse/get_16_keys", |n| text_requests(MULTI_GET, n)),
    ("parse/set_header", |n| text_requests(b"set key:0123456789abcdef 0 3600 100\r\n", n)),
    ("parse/cas_header", |n| text_requests(b"cas key:0123456789abcdef 0 3600 100 123456\r\n", n)),
    ("parse/incr", |n| text_requests(b"incr key:0123456789abcdef 1\r\n", n)),
    ("parse/mg_6_flags", |n| text_requests(b"mg key:0123456789abcdef v f t c k O1234\r\n", n)),
    ("parse/mg_v", |n| text_requests(b"mg key:0123456789abcdef v\r\n", n)),
    ("parse/ms_header", |n| text_requests(b"ms key:0123456789abcdef 100 T3600 F5\r\n", n)),
    ("parse/binary_getk", binary_getk),
    ("parse/value_line", value_lines),
];

const LONG_KEY: &[u8] = b"get key:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
    0123456789abcdef0123456789abcdef\r\n";

const MULTI_GET: &[u8] = b"get key:00 key:01 key:02 key:03 key:04 key:05 key:06 key:07 key:08 \
    key:09 key:10 key:11 key:12 key:13 key:14 key:15\r\n";

fn main() {
    let list = std::env::args().any(|arg| arg == "--list");
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    if list {
        return CASES.iter().for_each(|(name, _)| println!("{name}"));
    }
    if let Some(name) = args.next() {
        let count = args.next().and_then(|count| count.parse().ok()).unwrap_or(ROUND);
        let case = CASES.iter().find(|(case, _)| *case == name);
        let (_, run) = case.unwrap_or_else(|| panic!("no case {name}"));
        return run(count);
    }
    for (name, run) in CASES {
        println!("{name:<24} {:>8.1} ns", fastest(run));
    }
}

fn fastest(run: fn(usize)) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        run(ROUND);
        start.elapsed()
    });
    rounds.min().unwrap_or_default().as_secs_f64() * 1e9 / ROUND as f64
}

/// Parses `line` again and again and looks at what a server looks at.
fn text_requests(line: &[u8], count: usize) {
    let (mut scan, limits) = (Scan::new(), Limits::default());
    for _ in 0..count {
        let step = text::parse(black_box(line), &mut scan, &limits);
        let Step::Request { consumed, request } = &step else { panic!("{step:?}") };
        if let memproto::Request::Get { keys, .. } = request {
            for key in *keys {
                black_box(key.is_ok());
            }
        }
        black_box((consumed, request));
    }
}

fn binary_getk(count: usize) {
    let header = binary::Header {
        magic: binary::REQUEST_MAGIC,
        opcode: binary::Opcode::GetK as u8,
        key_len: 20,
        body_len: 20,
        ..binary::Header::default()
    };
    let frame = [&header.encode()[..], b"key:0123456789abcdef"].concat();
    let (mut scan, limits) = (Scan::new(), Limits::default());
    for _ in 0..count {
        let step = binary::parse(black_box(&frame), &mut scan, &limits);
        let binary::Step::Request { consumed, request } = &step else { panic!("{step:?}") };
        black_box((consumed, request));
    }
}

fn value_lines(count: usize) {
    let mut out = Vec::with_capacity(4096);
    for _ in 0..count {
        if out.len() > 3800 {
            out.clear();
        }
        text::write::value(&mut out, black_box(b"key:0123456789abcdef"), black_box(0), 100);
    }
    black_box(out);
}
