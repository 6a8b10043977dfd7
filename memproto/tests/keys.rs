//! Which key a request means: exactly the bytes between spaces. A byte that ended a key early would
//! let a client reach another one's item, or run its data as commands.

use memproto::{Limits, Request, Scan, Step, limits, text};
use proptest::collection::vec;
use proptest::prelude::*;

/// Lines with the key in the place of `?`.
const LINES: [&str; 20] = [
    "get ?",
    "gets ?",
    "gat 9 ?",
    "gats 9 ?",
    "set ? 0 0 5",
    "add ? 0 0 5 noreply",
    "replace ? 0 0 5",
    "append ? 0 0 5",
    "prepend ? +0 0 5",
    "cas ? 0 0 5 7",
    "incr ? 1",
    "decr ? 1 noreply",
    "touch ? 9",
    "delete ?",
    "delete ? 0",
    "mg ? v",
    "ms ? 5 T9",
    "md ? q",
    "ma ? D2",
    "me ?",
];

/// The only key of a request.
fn key<'a>(request: &Request<'a>) -> &'a [u8] {
    match *request {
        Request::Get { keys, .. } => {
            let mut keys = keys;
            let key = keys.next().unwrap().unwrap();
            assert_eq!(keys.next(), None);
            key
        }
        Request::Store(store) => store.key,
        Request::Arith { key, .. } | Request::Touch { key, .. } | Request::Delete { key, .. } => {
            key
        }
        Request::Meta(meta) => meta.key.raw,
        other => panic!("{other:?} has no key"),
    }
}

/// Every command means `expected`, with CRLF and with a bare line feed.
fn assert_meant(expected: &[u8]) {
    for line in LINES {
        let (before, behind) = line.split_once('?').unwrap();
        for end in ["\r\n", "\n"] {
            let line = [before.as_bytes(), expected, behind.as_bytes(), end.as_bytes()].concat();
            let step = text::parse(&line, &mut Scan::new(), &Limits::default());
            let Step::Request { consumed, request } = step else {
                panic!("{} becomes {step:?}", line.escape_ascii());
            };
            assert_eq!(consumed, line.len(), "{}", line.escape_ascii());
            assert_eq!(key(&request), expected, "{}", line.escape_ascii());
        }
    }
}

/// Bytes that are part of a key wherever they stand.
fn is_ordinary(byte: u8) -> bool {
    !b" \r\n".contains(&byte)
}

#[test]
fn every_byte_but_space_cr_and_lf_is_part_of_the_key() {
    for byte in (0..=255).filter(|&byte| is_ordinary(byte)) {
        for key in [vec![byte], vec![byte, b'k'], vec![b'k', byte], vec![b'k', byte, b'k']] {
            assert_meant(&key);
        }
        assert_meant(&[byte; limits::MAX_KEY]);
    }
}

/// A carriage return is part of a key as well, but for the one in front of a line feed.
#[test]
fn a_carriage_return_inside_a_key_is_part_of_it() {
    assert_meant(b"a\rb");
    assert_meant(b"\rb");
    let step = text::parse(b"get a\r\r\n", &mut Scan::new(), &Limits::default());
    let Step::Request { request, .. } = step else { panic!("{step:?}") };
    assert_eq!(key(&request), b"a\r");
}

fn ordinary() -> impl Strategy<Value = u8> {
    any::<u8>().prop_filter("ordinary", |&byte| is_ordinary(byte))
}

proptest! {
    #[test]
    fn any_key_is_meant_as_it_was_sent(key in vec(ordinary(), 1..=limits::MAX_KEY)) {
        prop_assume!(key != b"noreply");
        assert_meant(&key);
    }
}
