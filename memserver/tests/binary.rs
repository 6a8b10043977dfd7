//! The binary protocol, frame by frame.

mod common;

use memserver::fuzzing::Dialogue;

/// A request frame.
#[derive(Clone, Default)]
struct Frame {
    opcode: u8,
    extras: Vec<u8>,
    key: &'static str,
    value: Vec<u8>,
    opaque: u32,
    cas: u64,
}

impl Frame {
    fn new(opcode: u8, key: &'static str) -> Self {
        Self { opcode, key, opaque: 0xdead_0000 | u32::from(opcode), ..Self::default() }
    }

    fn store(opcode: u8, key: &'static str, value: &str) -> Self {
        let extras = [5_u32.to_be_bytes(), 0_u32.to_be_bytes()].concat();
        Self { extras, value: value.into(), ..Self::new(opcode, key) }
    }

    fn arith(opcode: u8, key: &'static str, delta: u64, initial: u64, expiry: u32) -> Self {
        let mut extras = [delta.to_be_bytes(), initial.to_be_bytes()].concat();
        extras.extend(expiry.to_be_bytes());
        Self { extras, ..Self::new(opcode, key) }
    }

    fn bytes(&self) -> Vec<u8> {
        let body = (self.extras.len() + self.key.len() + self.value.len()) as u32;
        let mut bytes = vec![0x80, self.opcode];
        bytes.extend((self.key.len() as u16).to_be_bytes());
        bytes.extend([self.extras.len() as u8, 0, 0, 0]);
        bytes.extend(body.to_be_bytes());
        bytes.extend(self.opaque.to_be_bytes());
        bytes.extend(self.cas.to_be_bytes());
        bytes.extend(&self.extras);
        bytes.extend(self.key.as_bytes());
        bytes.extend(&self.value);
        bytes
    }
}

/// A reply frame taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    opcode: u8,
    status: u16,
    opaque: u32,
    cas: u64,
    extras: Vec<u8>,
    key: String,
    value: Vec<u8>,
}

impl Reply {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.value).unwrap()
    }
}

fn replies(mut bytes: &[u8]) -> Vec<Reply> {
    let mut list = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(bytes[0], 0x81);
        let number = |at: usize, len: usize| {
            bytes[at..at + len].iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let (key_len, extras_len, body) = (number(2, 2), number(4, 1), number(8, 4));
        let (key_at, value_at) = (24 + extras_len as usize, 24 + (extras_len + key_len) as usize);
        let end = 24 + body as usize;
        list.push(Reply {
            opcode: bytes[1],
            status: number(6, 2) as u16,
            opaque: number(12, 4) as u32,
            cas: number(16, 8),
            extras: bytes[24..key_at].to_vec(),
            key: String::from_utf8(bytes[key_at..value_at].to_vec()).unwrap(),
            value: bytes[value_at..end].to_vec(),
        });
        bytes = &bytes[end..];
    }
    list
}

/// Sends `frames` at once and returns what is answered; every reply repeats its request's opaque.
fn talk(server: &mut Dialogue, frames: &[Frame]) -> Vec<Reply> {
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
    let list = replies(&server.feed(&bytes));
    for reply in &list {
        assert_eq!(reply.opaque, 0xdead_0000 | u32::from(reply.opcode));
    }
    list
}

fn one(server: &mut Dialogue, frame: Frame) -> Reply {
    let mut list = talk(server, &[frame]);
    assert_eq!(list.len(), 1, "{list:?}");
    list.remove(0)
}

#[test]
fn storage_and_retrieval() {
    let mut server = Dialogue::for_test();
    let stored = one(&mut server, Frame::store(0x01, "a", "abc"));
    assert_eq!((stored.status, stored.value.len()), (0, 0));
    assert_ne!(stored.cas, 0);
    let hit = one(&mut server, Frame::new(0x00, "a"));
    assert_eq!((hit.status, hit.text(), hit.key.as_str()), (0, "abc", ""));
    assert_eq!((hit.extras.as_slice(), hit.cas), (&[0, 0, 0, 5][..], stored.cas));
    assert_eq!(one(&mut server, Frame::new(0x0c, "a")).key, "a");
    let miss = one(&mut server, Frame::new(0x00, "b"));
    assert_eq!((miss.status, miss.text()), (1, "Not found"));
    let miss = one(&mut server, Frame::new(0x0c, "b"));
    assert_eq!((miss.status, miss.key.as_str(), miss.value.len()), (1, "b", 0));
    assert_eq!(one(&mut server, Frame::store(0x02, "a", "x")).status, 2);
    assert_eq!(one(&mut server, Frame::store(0x02, "b", "x")).status, 0);
    assert_eq!(one(&mut server, Frame::store(0x03, "c", "x")).status, 1);
    assert_eq!(one(&mut server, Frame::store(0x03, "b", "y")).status, 0);
    let append = Frame { value: b"z".to_vec(), ..Frame::new(0x0e, "b") };
    assert_eq!(one(&mut server, append).status, 0);
    let prepend = Frame { value: b"x".to_vec(), ..Frame::new(0x0f, "c") };
    assert_eq!(one(&mut server, prepend).status, 5);
    assert_eq!(one(&mut server, Frame::new(0x00, "b")).text(), "yz");
}

#[test]
fn versions_are_compared() {
    let mut server = Dialogue::for_test();
    let version = one(&mut server, Frame::store(0x01, "a", "abc")).cas;
    let with = |cas| Frame { cas, ..Frame::store(0x01, "a", "new") };
    assert_eq!(one(&mut server, with(version + 1)).status, 2);
    assert_eq!(one(&mut server, with(version)).status, 0);
    assert_eq!(one(&mut server, Frame { cas: 9, ..Frame::store(0x01, "no", "x") }).status, 1);
    assert_eq!(one(&mut server, Frame { cas: version, ..Frame::new(0x04, "a") }).status, 2);
    assert_eq!(one(&mut server, Frame::new(0x04, "a")).status, 0);
    assert_eq!(one(&mut server, Frame::new(0x04, "a")).status, 1);
}

#[test]
fn arithmetic_and_touch() {
    let mut server = Dialogue::for_test();
    assert_eq!(one(&mut server, Frame::arith(0x05, "n", 1, 7, u32::MAX)).status, 1);
    let created = one(&mut server, Frame::arith(0x05, "n", 1, 7, 0));
    assert_eq!((created.status, created.value), (0, 7_u64.to_be_bytes().to_vec()));
    let grown = one(&mut server, Frame::arith(0x05, "n", 10, 0, 0));
    assert_eq!(grown.value, 17_u64.to_be_bytes());
    let shrunk = one(&mut server, Frame::arith(0x06, "n", 100, 0, 0));
    assert_eq!(shrunk.value, 0_u64.to_be_bytes());
    one(&mut server, Frame::store(0x01, "s", "x"));
    let refused = one(&mut server, Frame::arith(0x05, "s", 1, 0, 0));
    assert_eq!(refused.status, 6);
    assert_eq!(refused.text(), "Non-numeric server-side value for incr or decr");
    let touch =
        |opcode, key| Frame { extras: 100_u32.to_be_bytes().to_vec(), ..Frame::new(opcode, key) };
    let touched = one(&mut server, touch(0x1c, "s"));
    assert_eq!((touched.status, touched.extras), (0, vec![0, 0, 0, 5]));
    assert_eq!(one(&mut server, touch(0x1c, "none")).status, 1);
    assert_eq!(one(&mut server, touch(0x1d, "s")).text(), "x");
    assert_eq!(one(&mut server, touch(0x23, "s")).key, "s");
}

#[test]
fn quiet_commands_answer_errors_only() {
    let mut server = Dialogue::for_test();
    let list = talk(
        &mut server,
        &[
            Frame::store(0x11, "a", "abc"),
            Frame::new(0x09, "none"),
            Frame::new(0x09, "a"),
            Frame::store(0x12, "a", "x"),
            Frame::store(0x13, "none", "x"),
            Frame::arith(0x15, "n", 1, 1, 0),
            Frame::new(0x14, "a"),
            Frame::new(0x14, "a"),
            Frame::new(0x18, ""),
            Frame::new(0x0d, "n"),
            Frame::new(0x0a, ""),
        ],
    );
    let short: Vec<_> = list.iter().map(|reply| (reply.opcode, reply.status)).collect();
    assert_eq!(short, [(0x09, 0), (0x12, 2), (0x13, 1), (0x14, 1), (0x0a, 0)]);
}

#[test]
fn service_commands() {
    let mut server = Dialogue::for_test();
    assert_eq!(one(&mut server, Frame::new(0x0b, "")).text(), "1.6.45");
    for opcode in [0x20, 0x1b, 0x30] {
        let unknown = one(&mut server, Frame::new(opcode, ""));
        assert_eq!((unknown.status, unknown.text()), (0x81, "Unknown command"));
    }
    let stats = talk(&mut server, &[Frame::new(0x10, "")]);
    assert_eq!(stats[0].key, "pid");
    assert_eq!(stats.last().map(|end| end.key.len() + end.value.len()), Some(0));
    assert_eq!(one(&mut server, Frame::new(0x10, "nothing")).status, 1);
    assert_eq!(one(&mut server, Frame::new(0x10, "reset")).status, 0);
    assert_eq!(one(&mut server, Frame::new(0x07, "")).status, 0);
    assert!(server.is_closed());
    let mut server = Dialogue::for_test();
    assert!(talk(&mut server, &[Frame::new(0x17, "")]).is_empty());
    assert!(server.is_closed());
}

#[test]
fn values_beyond_the_limit_are_swallowed() {
    let mut server = Dialogue::for_test();
    one(&mut server, Frame::store(0x01, "a", "old"));
    let large = "x".repeat((1 << 20) + 1);
    let refused = one(&mut server, Frame::store(0x01, "a", &large));
    assert_eq!((refused.status, refused.text()), (3, "Too large."));
    assert_eq!(one(&mut server, Frame::new(0x00, "a")).status, 1);
}

#[test]
fn any_segmentation_gives_the_same_replies() {
    let large = common::noise(20_000);
    let script: Vec<u8> = [
        Frame::store(0x01, "a", "abc"),
        Frame::new(0x0c, "a"),
        Frame::store(0x11, "big", &large),
        Frame::new(0x00, "big"),
        Frame::arith(0x05, "n", 1, 7, 0),
        Frame::new(0x33, "odd"),
        Frame::new(0x0d, "none"),
        Frame::new(0x0a, ""),
        Frame::new(0x07, ""),
    ]
    .iter()
    .flat_map(Frame::bytes)
    .collect();
    common::check_segmentation(&script);
}
