//! Binary frames: tables of headers with the request or the error they have to become.

use memproto::binary::{self, Command, Header, ReplyTo, Request, Status, Step, write};
use memproto::{ArithVerb, Limits, Scan, StoreVerb, limits};

const OPAQUE: u32 = 0xdead_beef;

/// A well-formed frame.
fn frame(opcode: u8, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    let header = Header {
        magic: binary::REQUEST_MAGIC,
        opcode,
        key_len: key.len() as u16,
        extras_len: extras.len() as u8,
        data_type: 5,
        status: 7,
        body_len: (extras.len() + key.len() + value.len()) as u32,
        opaque: OPAQUE,
        cas: 42,
    };
    [&header.encode(), extras, key, value].concat()
}

/// A header alone that announces these lengths.
fn announcing(opcode: u8, extras_len: u8, key_len: u16, body_len: u32) -> [u8; 24] {
    let magic = binary::REQUEST_MAGIC;
    let opaque = OPAQUE;
    Header { magic, opcode, key_len, extras_len, body_len, opaque, ..Header::default() }.encode()
}

fn step(bytes: &[u8]) -> Step<'_> {
    binary::parse(bytes, &mut Scan::new(), &Limits::default())
}

fn rejects(bytes: &[u8], status: Status, swallow: u32, close: bool) {
    let to = ReplyTo { opcode: bytes[1], opaque: OPAQUE };
    let expected = Step::Reject { consumed: 24, to, status, swallow, close };
    assert_eq!(step(bytes), expected, "{}", bytes.escape_ascii());
}

type Legal = (&'static [u8], [&'static [u8]; 3], Command<'static>);

/// Opcodes with their extras, key, value and command; quiet variants share the row.
fn legal() -> Vec<Legal> {
    let key = b"key";
    let get = |touch, with_key| Command::Get { key, touch, with_key };
    let store =
        |verb| Command::Store { verb, key, flags: 0x0102_0304, exptime: 0xffff_fff0, value_len: 5 };
    let extend = |verb| Command::Extend { verb, key, value_len: 5 };
    let arith = |verb, exptime| Command::Arith { verb, key, delta: 1, initial: 2, exptime };
    let set_extras = b"\x01\x02\x03\x04\xff\xff\xff\xf0";
    let create = b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\x03";
    let keep = b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\xff\xff\xff\xff";
    let ttl = b"\0\0\0\x09";
    let sasl = |step| Command::SaslAuth { mechanism: key, data_len: 5, step };
    vec![
        (b"\x00\x09", [b"", key, b""], get(None, false)),
        (b"\x0c\x0d", [b"", key, b""], get(None, true)),
        (b"\x1d\x1e", [ttl, key, b""], get(Some(9), false)),
        (b"\x23\x24", [ttl, key, b""], get(Some(9), true)),
        (b"\x01\x11", [set_extras, key, b"value"], store(StoreVerb::Set)),
        (b"\x02\x12", [set_extras, key, b"value"], store(StoreVerb::Add)),
        (b"\x03\x13", [set_extras, key, b"value"], store(StoreVerb::Replace)),
        (b"\x0e\x19", [b"", key, b"value"], extend(StoreVerb::Append)),
        (b"\x0f\x1a", [b"", key, b"value"], extend(StoreVerb::Prepend)),
        (b"\x04\x14", [b"", key, b""], Command::Delete { key }),
        (b"\x05\x15", [create, key, b""], arith(ArithVerb::Incr, Some(3))),
        (b"\x06\x16", [keep, key, b""], arith(ArithVerb::Decr, None)),
        (b"\x1c", [ttl, key, b""], Command::Touch { key, exptime: 9 }),
        (b"\x08\x18", [b"", b"", b""], Command::Flush { delay: 0 }),
        (b"\x08\x18", [ttl, b"", b""], Command::Flush { delay: 9 }),
        (b"\x10", [b"", b"", b""], Command::Stat { key: b"" }),
        (b"\x10", [b"", key, b""], Command::Stat { key }),
        (b"\x0a", [b"", b"", b""], Command::Noop),
        (b"\x0b", [b"", b"", b""], Command::Version),
        (b"\x07\x17", [b"", b"", b""], Command::Quit),
        (b"\x20", [b"", b"", b""], Command::SaslList),
        (b"\x21", [b"", key, b"value"], sasl(false)),
        (b"\x22", [b"", key, b"value"], sasl(true)),
    ]
}

#[test]
fn every_opcode() {
    for (opcodes, [extras, key, value], command) in legal() {
        for (&opcode, quiet) in opcodes.iter().zip([false, true]) {
            let bytes = frame(opcode, extras, key, value);
            let to = ReplyTo { opcode, opaque: OPAQUE };
            let request = Request { to, quiet, cas: 42, command };
            let consumed = bytes.len() - value.len();
            assert_eq!(step(&bytes), Step::Request { consumed, request }, "{opcode:#x}");
            assert_eq!(step(&bytes[..consumed]), Step::Request { consumed, request });
        }
    }
}

#[test]
fn cut_at_every_byte() {
    for (opcodes, [extras, key, value], _) in legal() {
        let bytes = frame(opcodes[0], extras, key, value);
        let whole = step(&bytes);
        let Step::Request { consumed, .. } = whole else { panic!() };
        let mut scan = Scan::new();
        for end in 0..consumed {
            assert_eq!(binary::parse(&bytes[..end], &mut scan, &Limits::default()), Step::Partial);
        }
        assert_eq!(binary::parse(&bytes[..consumed], &mut scan, &Limits::default()), whole);
        assert_eq!(scan, Scan::new());
    }
}

#[test]
fn a_wrong_shape_closes() {
    for (opcodes, [extras, key, value], _) in legal() {
        for &opcode in opcodes {
            let (e, k, v) = (extras.len() as u8, key.len() as u16, value.len() as u32);
            let body =
                |e: u8, k: u16, v: u32| announcing(opcode, e, k, u32::from(e) + u32::from(k) + v);
            rejects(&body(e + 1, k, v), Status::InvalidArguments, 0, true);
            rejects(&body(e, 251, v), Status::InvalidArguments, 0, true);
            if k == 0 && opcode != 0x10 {
                rejects(&body(e, 3, v), Status::InvalidArguments, 0, true);
            } else if opcode != 0x10 {
                rejects(&body(e, 0, v), Status::InvalidArguments, 0, true);
            }
            if v == 0 {
                rejects(&body(e, k, 1), Status::InvalidArguments, 0, true);
            }
        }
    }
}

#[test]
fn the_longest_key_and_body() {
    let max = limits::MAX_BINARY_BODY;
    assert_eq!(step(&announcing(0x01, 8, 250, max)), Step::Partial);
    rejects(&announcing(0x01, 8, 251, max), Status::InvalidArguments, 0, true);
    rejects(&announcing(0x01, 8, 250, max + 1), Status::InvalidArguments, 0, true);
    rejects(&announcing(0x01, 8, 250, u32::MAX), Status::InvalidArguments, 0, true);
    rejects(&announcing(0x55, 0, 0, u32::MAX), Status::InvalidArguments, 0, true);
}

/// Bodies shorter than key and extras were the cause of CVE-2016-8704, 8705 and 8706; an extras
/// length nobody checked, of CVE-2020-10931.
#[test]
fn a_body_shorter_than_its_parts_closes() {
    for opcode in 0..=255 {
        rejects(&announcing(opcode, 0, 250, 0), Status::UnknownCommand, 0, true);
        rejects(&announcing(opcode, 0xff, 0, 3), Status::UnknownCommand, 0, true);
        rejects(&announcing(opcode, 8, 3, 10), Status::UnknownCommand, 0, true);
        rejects(&announcing(opcode, 0xff, 0xffff, 5), Status::UnknownCommand, 0, true);
    }
}

#[test]
fn a_wrong_magic_closes() {
    for magic in (0..=255).filter(|&magic| magic != binary::REQUEST_MAGIC) {
        let mut bytes = announcing(0x0a, 0, 0, 0);
        bytes[0] = magic;
        assert_eq!(step(&bytes), Step::Close);
    }
}

/// memcached drops the body of an unknown command twice and swallows the next requests.
#[test]
fn an_unknown_command_swallows_its_body_once() {
    for opcode in [0x1b, 0x1f, 0x25, 0x30, 0x3c, 0x80, 0xff] {
        rejects(&announcing(opcode, 0, 0, 0), Status::UnknownCommand, 0, false);
        rejects(&frame(opcode, b"\0\0\0\0", b"key", b"value"), Status::UnknownCommand, 12, false);
    }
}

const TO: ReplyTo = ReplyTo { opcode: 0x0c, opaque: OPAQUE };

fn written(write: impl FnOnce(&mut Vec<u8>)) -> (Header, Vec<u8>) {
    let mut out = Vec::new();
    write(&mut out);
    let (head, body) = out.split_first_chunk().unwrap();
    let header = Header::decode(head);
    assert_eq!((header.magic, header.opcode, header.opaque), (0x81, TO.opcode, OPAQUE));
    assert_eq!(header.data_type, 0);
    (header, body.to_vec())
}

#[test]
fn replies() {
    let (header, body) = written(|out| {
        write::value(out, TO, b"key", 0x0102_0304, 5, 77);
        out.extend_from_slice(b"value");
    });
    assert_eq!(body, b"\x01\x02\x03\x04keyvalue");
    assert_eq!((header.extras_len, header.key_len, header.body_len), (4, 3, 12));
    assert_eq!((header.status, header.cas), (0, 77));
    let (header, body) = written(|out| write::number(out, TO, 258, 9));
    assert_eq!((header.body_len, header.cas, body), (8, 9, b"\0\0\0\0\0\0\x01\x02".to_vec()));
    let (header, body) = written(|out| write::stat(out, TO, b"pid", b"12"));
    assert_eq!((header.key_len, header.body_len, body), (3, 5, b"pid12".to_vec()));
    let (header, body) = written(|out| write::done(out, TO, 5));
    assert_eq!((header.status, header.body_len, header.cas, body), (0, 0, 5, vec![]));
    let (header, body) = written(|out| write::miss_with_key(out, TO, b"key"));
    assert_eq!((header.status, header.key_len, header.body_len, body), (1, 3, 3, b"key".to_vec()));
    let (header, body) = written(|out| write::touched(out, TO, 6, 5));
    assert_eq!((header.extras_len, header.body_len, body), (4, 4, b"\0\0\0\x06".to_vec()));
    let (header, body) = written(|out| write::message(out, TO, Status::Ok, b"1.6.45"));
    assert_eq!((header.status, header.body_len, body), (0, 6, b"1.6.45".to_vec()));
}

#[test]
fn error_replies_carry_their_text() {
    for (status, code, text) in [
        (Status::NotFound, 1, "Not found"),
        (Status::Exists, 2, "Data exists for key."),
        (Status::TooLarge, 3, "Too large."),
        (Status::InvalidArguments, 4, "Invalid arguments"),
        (Status::NotStored, 5, "Not stored."),
        (Status::NonNumeric, 6, "Non-numeric server-side value for incr or decr"),
        (Status::AuthError, 0x20, "Auth failure."),
        (Status::UnknownCommand, 0x81, "Unknown command"),
        (Status::OutOfMemory, 0x82, "Out of memory"),
    ] {
        let (header, body) = written(|out| write::error(out, TO, status));
        assert_eq!((header.status, header.body_len as usize), (code, text.len()));
        assert_eq!(body, text.as_bytes());
    }
}
