//! No request makes the parsers allocate, whatever it is and however it arrives.

use std::hint::black_box;

use allocation_counter::measure;
use memproto::binary::{self, Header, Opcode};
use memproto::{Limits, Request, Scan, Step, text};

/// A line of every kind, right and wrong.
const LINES: &[&str] = &[
    "get a\r\n",
    "get a b c d e f g h i j k l m n o p q r s t u v w x y z\r\n",
    "gets a b\n",
    "gat 5 a b\r\n",
    "gats 5 a\r\n",
    "gat x a\r\n",
    "set k 1 2 3\r\n",
    "set k 1 2 3 noreply\r\n",
    "set  k 1 -2 3\r\n",
    "set k 1 2 x\r\n",
    "add k 1 2 3\r\n",
    "replace k 1 2 3\r\n",
    "append k 1 2 3\r\n",
    "prepend k 1 2 3\r\n",
    "cas k 1 2 3 4\r\n",
    "incr k 1\r\n",
    "decr k 1 noreply\r\n",
    "incr k x\r\n",
    "touch k 1\r\n",
    "delete k\r\n",
    "flush_all 5 noreply\r\n",
    "version\r\n",
    "verbosity 1\r\n",
    "quit\r\n",
    "shutdown graceful\r\n",
    "stats items\r\n",
    "lru_crawler metadump all\r\n",
    "cache_memlimit 64\r\n",
    "watch fetchers\r\n",
    "mg k v f t c k s O123 q\r\n",
    "mg YWJj b k v\r\n",
    "mg k  v\r\n",
    "mg k v v\r\n",
    "ms k 3 T30 F5 C7 MA\r\n",
    "md k I T5 q\r\n",
    "ma k N0 J5 D2 MD\r\n",
    "ma k y\r\n",
    "me k\r\n",
    "mn\r\n",
    "nonsense of some kind\r\n",
    "GET / HTTP/1.1\r\n",
    "\r\n",
];

/// Parses `line`, of which the first `cut` bytes come alone, and looks at all there is.
fn read(line: &[u8], cut: usize, limits: &Limits) {
    let mut scan = Scan::new();
    for end in [cut, line.len()] {
        match text::parse(&line[..end], &mut scan, limits) {
            Step::Request { request: Request::Get { keys, .. }, .. } => {
                assert!(black_box(keys).count() > 0);
            }
            Step::Request { request: Request::Meta(meta), .. } => {
                black_box(meta.key.bytes(&mut [0; 250]));
                black_box(meta.flags.count());
            }
            Step::Reject { error, .. } => {
                black_box(error.reply());
            }
            step => {
                black_box(step);
            }
        }
    }
}

#[test]
fn text() {
    let long = ["get ", &"k".repeat(251), " a\r\n"].concat();
    let too_long = ["set ", &"k".repeat(3000), " 0 0 1\r\n"].concat();
    for line in LINES.iter().copied().chain([long.as_str(), &too_long]) {
        let info = measure(|| {
            for cut in 0..=line.len() {
                read(line.as_bytes(), cut, &Limits::default());
            }
        });
        assert_eq!(info.count_total, 0, "{line:?}");
    }
}

#[test]
fn binary() {
    let limits = Limits::default();
    let shapes = [(0, 0, 0), (3, 0, 0), (3, 4, 0), (3, 8, 2), (3, 20, 0), (300, 0, 0)];
    for opcode in 0..=u8::MAX {
        for (key_len, extras_len, more) in shapes {
            let body_len = u32::from(extras_len) + u32::from(key_len) + more;
            let magic = binary::REQUEST_MAGIC;
            let header =
                Header { magic, opcode, key_len, extras_len, body_len, ..Header::default() };
            let frame = [&header.encode()[..], &vec![0; body_len as usize]].concat();
            let info = measure(|| {
                let mut scan = Scan::new();
                for end in [10, 25, frame.len()] {
                    let seen = &frame[..end.min(frame.len())];
                    black_box(binary::parse(seen, &mut scan, &limits));
                }
            });
            assert_eq!(info.count_total, 0, "{:?}", Opcode::from_byte(opcode));
        }
    }
}

#[test]
fn the_count_works() {
    assert_eq!(measure(|| drop(black_box(Box::new(1)))).count_total, 1);
}
