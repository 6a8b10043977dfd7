//! What a client writes is what the server reads, and the reverse.

use memproto::client::meta::{self, Line};
use memproto::client::reply::{
    self, Data, ErrorKind, MAX_REPLY_LINE, MetaStatus, Reply, Step as ReplyStep,
};
use memproto::client::{InvalidKey, binary as client_binary, text as client_text};
use memproto::meta::{ArithMode, MetaCommand, MetaRequest, SetMode};
use memproto::{
    ArithVerb, GetVerb, Limits, Request, Scan, Step, Store, StoreVerb, binary, number, text,
};
use proptest::prelude::*;

/// The one request in `line`.
fn parsed(line: &[u8]) -> Request<'_> {
    match text::parse(line, &mut Scan::new(), &Limits::default()) {
        Step::Request { consumed, request } if consumed == line.len() => request,
        step => panic!("{} becomes {step:?}", line.escape_ascii()),
    }
}

fn parsed_meta(line: &[u8]) -> MetaRequest<'_> {
    let Request::Meta(request) = parsed(line) else { panic!("{}", line.escape_ascii()) };
    request
}

fn plain_key() -> impl Strategy<Value = Vec<u8>> {
    let byte = (0x21..=0xff_u8).prop_filter("is DEL", |&byte| byte != 0x7f);
    proptest::collection::vec(byte, 1..=250)
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    // The longest that fits in base64.
    prop_oneof![plain_key(), proptest::collection::vec(any::<u8>(), 1..=186)]
}

const GET_VERBS: [GetVerb; 4] = [GetVerb::Get, GetVerb::Gets, GetVerb::Gat, GetVerb::Gats];
const STORE_VERBS: [StoreVerb; 6] = [
    StoreVerb::Set,
    StoreVerb::Add,
    StoreVerb::Replace,
    StoreVerb::Append,
    StoreVerb::Prepend,
    StoreVerb::Cas,
];

proptest! {
    #[test]
    fn the_server_reads_a_get(
        keys in proptest::collection::vec(plain_key(), 1..30),
        verb in proptest::sample::select(&GET_VERBS),
        exptime in -1_i64..1 << 31,
    ) {
        let mut out = Vec::new();
        client_text::get(&mut out, verb, exptime, &keys).unwrap();
        let Request::Get { verb: read, exptime: life, keys: words } = parsed(&out) else {
            panic!()
        };
        prop_assert_eq!((read, life), (verb, if verb.touches() { exptime } else { 0 }));
        let found: Vec<_> = words.map(|key| key.unwrap().to_vec()).collect();
        prop_assert_eq!(found, keys);
    }

    #[test]
    fn the_server_reads_a_store(
        key in plain_key(),
        verb in proptest::sample::select(&STORE_VERBS),
        (flags, exptime, len) in (any::<u32>(), any::<i64>(), 0_u32..1 << 30),
        (cas, noreply) in (any::<u64>(), any::<bool>()),
    ) {
        let cas = if verb == StoreVerb::Cas { cas } else { 0 };
        let store = Store { verb, key: &key, flags, exptime, len, cas, noreply };
        let mut out = Vec::new();
        client_text::store(&mut out, &store).unwrap();
        prop_assert_eq!(parsed(&out), Request::Store(store));
    }

    #[test]
    fn the_server_reads_the_others(key in plain_key(), delta: u64, exptime in -1_i64..1 << 31) {
        let mut out = Vec::new();
        for verb in [ArithVerb::Incr, ArithVerb::Decr] {
            out.clear();
            client_text::count(&mut out, verb, &key, delta).unwrap();
            let count = Request::Arith { verb, key: &key, delta, noreply: false };
            prop_assert_eq!(parsed(&out), count);
        }
        out.clear();
        client_text::touch(&mut out, &key, exptime).unwrap();
        prop_assert_eq!(parsed(&out), Request::Touch { key: &key, exptime, noreply: false });
        out.clear();
        client_text::delete(&mut out, &key).unwrap();
        prop_assert_eq!(parsed(&out), Request::Delete { key: &key, noreply: false });
        out.clear();
        client_text::flush_all(&mut out, Some(exptime));
        prop_assert_eq!(parsed(&out), Request::FlushAll { delay: Ok(exptime), noreply: false });
    }

    #[test]
    fn the_server_reads_meta_lines(key in any_key(), len in 0_u32..1 << 30, number: u64) {
        let (signed, mut scratch) = (i64::from(number as i32), [0; 250]);
        let mut out = Vec::new();
        let line = Line::set(&mut out, &key, len).unwrap();
        line.mode(b'A').signed(b'T', signed).number(b'C', number).end();
        let request = parsed_meta(&out);
        prop_assert_eq!(request.command, MetaCommand::Set);
        prop_assert_eq!(request.key.bytes(&mut scratch), &key[..]);
        prop_assert_eq!((request.len, request.set_mode), (len, SetMode::Append));
        prop_assert_eq!((request.ttl(), request.compare()), (Some(signed), Some(number)));

        let mut out = Vec::new();
        Line::count(&mut out, &key).unwrap().mode(b'D').number(b'D', number).opaque(b"x-1").end();
        let request = parsed_meta(&out);
        prop_assert_eq!(request.key.bytes(&mut scratch), &key[..]);
        prop_assert_eq!((request.arith_mode, request.delta), (ArithMode::Decr, number));
        prop_assert_eq!(request.opaque(), b"x-1");

        fn ask_quietly(line: Line<'_>) {
            line.flag(b'q').end();
        }
        type Begin = fn(&mut Vec<u8>, &[u8]) -> Result<(), InvalidKey>;
        let lines: [(MetaCommand, Begin); 3] = [
            (MetaCommand::Get, |out, key| Line::get(out, key).map(ask_quietly)),
            (MetaCommand::Delete, |out, key| Line::delete(out, key).map(ask_quietly)),
            (MetaCommand::Debug, |out, key| Line::debug(out, key).map(ask_quietly)),
        ];
        for (command, write) in lines {
            let mut out = Vec::new();
            write(&mut out, &key).unwrap();
            let request = parsed_meta(&out);
            prop_assert_eq!(request.command, command);
            prop_assert_eq!(request.key.bytes(&mut scratch), &key[..]);
        }
    }

    #[test]
    fn the_server_reads_frames(
        key in proptest::collection::vec(any::<u8>(), 1..=250),
        (flags, exptime, value_len) in (any::<u32>(), 0..u32::MAX, 0_u32..1 << 20),
        (delta, initial, cas) in (any::<u64>(), any::<u64>(), any::<u64>()),
        opaque: u32,
    ) {
        use binary::Command;
        use client_binary::Frame;
        let key = &key[..];
        let set = Frame::store(StoreVerb::Cas, key, flags, exptime, value_len).cas(cas);
        let store = Command::Store { verb: StoreVerb::Set, key, flags, exptime, value_len };
        let append = Frame::store(StoreVerb::Append, key, 0, 0, value_len).quiet();
        let count = Frame::count(ArithVerb::Incr, key, delta, Some((initial, exptime)));
        let some = Some(exptime);
        let frames = [
            (Frame::get(key), Command::Get { key, touch: None, with_key: false }),
            (
                Frame::get_and_touch(key, exptime).with_key().quiet(),
                Command::Get { key, touch: some, with_key: true },
            ),
            (set, store),
            (append, Command::Extend { verb: StoreVerb::Append, key, value_len }),
            (Frame::delete(key), Command::Delete { key }),
            (count, Command::Arith { verb: ArithVerb::Incr, key, delta, initial, exptime: some }),
            (
                Frame::count(ArithVerb::Decr, key, delta, None),
                Command::Arith { verb: ArithVerb::Decr, key, delta, initial: 0, exptime: None },
            ),
            (Frame::touch(key, exptime), Command::Touch { key, exptime }),
            (Frame::flush(exptime), Command::Flush { delay: exptime }),
        ];
        for (frame, command) in frames {
            let mut out = Vec::new();
            frame.opaque(opaque).write(&mut out).unwrap();
            let step = binary::parse(&out, &mut Scan::new(), &Limits::default());
            let binary::Step::Request { consumed, request } = step else { panic!("{step:?}") };
            prop_assert_eq!((consumed, request.to.opaque), (out.len(), opaque));
            prop_assert_eq!(request.command, command);
            prop_assert_eq!(request.cas, if frame == set { cas } else { 0 });
            let with_key = matches!(command, Command::Get { with_key: true, .. });
            let extends = matches!(command, Command::Extend { .. });
            prop_assert_eq!(request.quiet, with_key || extends);
        }
    }

    #[test]
    fn values_and_numbers_are_read_as_they_were_written(
        key in plain_key(), flags: u32, len: usize, cas: u64,
    ) {
        let mut line = Vec::new();
        text::write::value(&mut line, &key, flags, len);
        let value = Reply::Value { key: &key, flags, len, cas: None };
        prop_assert_eq!(only(&line), value);
        line.clear();
        text::write::value_cas(&mut line, &key, flags, len, cas);
        prop_assert_eq!(only(&line), Reply::Value { key: &key, flags, len, cas: Some(cas) });
        line.clear();
        text::write::number(&mut line, cas);
        prop_assert_eq!(only(&line), Reply::Number(cas));

        let mut line = Vec::new();
        memproto::meta::write::va(&mut line, len);
        memproto::meta::write::flag_u64(&mut line, b'c', cas);
        memproto::meta::write::flag(&mut line, b'W');
        memproto::meta::write::flag_bytes(&mut line, b'k', &key);
        memproto::meta::write::end(&mut line);
        let Reply::Meta(reply) = only(&line) else { panic!("{}", line.escape_ascii()) };
        prop_assert_eq!(reply.status, MetaStatus::Value(len));
        prop_assert_eq!(reply.flag(b'c').and_then(number::parse_u64), Some(cas));
        prop_assert_eq!(reply.flag(b'k'), Some(&key[..]));
        prop_assert!(reply.has(b'W') && !reply.has(b'X'));
    }

    #[test]
    fn any_bytes_are_some_reply(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (mut scan, mut rest) = (Scan::new(), &bytes[..]);
        while let ReplyStep::Reply { consumed, .. } = reply::parse(rest, &mut scan) {
            rest = &rest[consumed..];
        }
        prop_assert!(!rest.contains(&b'\n'));
        let _ = client_binary::parse(&bytes, &mut Scan::new());
    }
}

/// The one reply in `line`.
fn only(line: &[u8]) -> Reply<'_> {
    match reply::parse(line, &mut Scan::new()) {
        ReplyStep::Reply { consumed, reply } if consumed == line.len() => reply,
        step => panic!("{} becomes {step:?}", line.escape_ascii()),
    }
}

#[test]
fn lines_say_what_they_say() {
    use Reply::*;
    let error = |kind, text: &'static str| Error { kind, text: text.as_bytes() };
    let stat = Stat { name: b"version", value: b"1.6.45" };
    for (line, reply) in [
        (&b"END\r\n"[..], End),
        (text::write::STORED, Stored),
        (text::write::NOT_STORED, NotStored),
        (text::write::EXISTS, Exists),
        (text::write::NOT_FOUND, NotFound),
        (text::write::DELETED, Deleted),
        (text::write::TOUCHED, Touched),
        (text::write::OK, Ok),
        (text::write::RESET, Reset),
        (text::write::VERSION, Version(b"1.6.45")),
        (b"STAT version 1.6.45\r\n", stat),
        (b"STAT empty \r\n", Stat { name: b"empty", value: b"" }),
        (b"ME apple exp=-1 la=2\r\n", Debug { key: b"apple", fields: b"exp=-1 la=2" }),
        (b"ERROR\r\n", error(ErrorKind::Unknown, "")),
        (b"CLIENT_ERROR bad data chunk\r\n", error(ErrorKind::Client, "bad data chunk")),
        (text::write::SHUTDOWN_DISABLED, error(ErrorKind::Server, "shutdown not enabled")),
        // A bare line feed ends a line as well.
        (b"STORED\n", Stored),
        // What only looks like a reply.
        (b"STORED twice\r\n", Other(b"STORED twice")),
        (b"VALUE apple 7\r\n", Other(b"VALUE apple 7")),
        (b"VALUE apple 7 -1\r\n", Other(b"VALUE apple 7 -1")),
        (b"VALUE apple 7 3 4 5\r\n", Other(b"VALUE apple 7 3 4 5")),
        (b"VA many\r\n", Other(b"VA many")),
        (b"12a\r\n", Other(b"12a")),
        (b"\r\n", Other(b"")),
    ] {
        assert_eq!(only(line), reply, "{}", line.escape_ascii());
    }
    for (line, status) in [
        (&b"HD s5\r\n"[..], MetaStatus::Done),
        (b"EN\r\n", MetaStatus::Miss),
        (b"NS O1\r\n", MetaStatus::NotStored),
        (b"EX\r\n", MetaStatus::Exists),
        (b"NF\r\n", MetaStatus::NotFound),
        (b"MN\r\n", MetaStatus::Noop),
    ] {
        let Meta(meta) = only(line) else { panic!("{}", line.escape_ascii()) };
        assert_eq!(meta.status, status);
    }
}

#[test]
fn replies_are_the_same_however_they_are_cut() {
    let stream = b"VALUE a 0 5\r\nx\r\ny\n\r\nEND\r\nHD s1 t-1\r\nSTAT x y z\r\n7\r\nERROR\r\n";
    let read = |size: usize| {
        let (mut scan, mut start, mut end, mut replies) = (Scan::new(), 0, 0, Vec::new());
        let mut value = None;
        while end < stream.len() {
            end = (end + size).min(stream.len());
            loop {
                if let Some(len) = value {
                    let Data::Whole(bytes) = reply::data(&stream[start..end], len) else { break };
                    replies.push(format!("{bytes:?}"));
                    start += len + 2;
                    value = None;
                }
                let step = reply::parse(&stream[start..end], &mut scan);
                let ReplyStep::Reply { consumed, reply } = step else { break };
                start += consumed;
                replies.push(format!("{reply:?}"));
                if let Reply::Value { len, .. } = reply {
                    value = Some(len);
                }
            }
        }
        assert_eq!(start, stream.len());
        replies
    };
    let whole = read(stream.len());
    assert_eq!(whole.len(), 7);
    (1..stream.len()).for_each(|size| assert_eq!(read(size), whole, "pieces of {size}"));
}

#[test]
fn keys_that_can_not_be_sent_leave_nothing_behind() {
    let mut out = Vec::new();
    let long = [b'k'; 251];
    for (key, error) in [
        (&b""[..], InvalidKey::Empty),
        (&long, InvalidKey::TooLong(251)),
        (b"two words", InvalidKey::NotPlain),
        (b"line\n", InvalidKey::NotPlain),
        (b"nul\0", InvalidKey::NotPlain),
    ] {
        assert_eq!(client_text::delete(&mut out, key), Err(error));
        assert_eq!(client_text::get(&mut out, GetVerb::Get, 0, &[b"good", key]), Err(error));
    }
    for (key, error) in [
        (&b""[..], InvalidKey::Empty),
        (&long, InvalidKey::TooLong(251)),
        (&[b' '; 187], InvalidKey::TooLong(187)),
    ] {
        assert_eq!(Line::get(&mut out, key).map(Line::end), Err(error));
    }
    assert_eq!(client_binary::Frame::get(b"").write(&mut out), Err(InvalidKey::Empty));
    assert_eq!(client_binary::Frame::delete(&long).write(&mut out), Err(InvalidKey::TooLong(251)));
    assert_eq!(client_text::get::<&[u8]>(&mut out, GetVerb::Get, 0, &[]), Err(InvalidKey::Empty));
    assert!(out.is_empty());
    client_binary::Frame::noop().write(&mut out).unwrap();
    assert_eq!(out.len(), 24);
    assert_eq!(meta::NOOP, b"mn\r\n");
}

#[test]
fn a_key_named_noreply_is_answered() {
    let mut out = Vec::new();
    client_text::delete(&mut out, b"noreply").unwrap();
    assert_eq!(parsed(&out), Request::Delete { key: b"noreply", noreply: false });
}

#[test]
fn a_group_of_statistics_can_not_end_its_line() {
    let mut out = Vec::new();
    client_text::stats(&mut out, Some("items\r\nflush_all"));
    assert_eq!(out, b"stats itemsflush_all\r\n");
}

#[test]
fn a_line_that_never_ends_is_given_up() {
    let mut scan = Scan::new();
    let line = vec![b'x'; MAX_REPLY_LINE];
    assert_eq!(reply::parse(&line[..MAX_REPLY_LINE - 1], &mut scan), ReplyStep::Partial);
    assert_eq!(reply::parse(&line, &mut scan), ReplyStep::TooLong);
    let ended = [&line[..], b"\r\n"].concat();
    assert_eq!(reply::parse(&ended, &mut Scan::new()), ReplyStep::TooLong);
}

#[test]
fn binary_replies_are_read_at_every_cut() {
    use client_binary::{Step, parse};
    let mut read = Vec::new();
    let to = binary::ReplyTo { opcode: binary::Opcode::GetK as u8, opaque: 9 };
    binary::write::value(&mut read, to, b"apple", 7, 3, 42);
    let head = read.len();
    for end in 0..head {
        assert_eq!(parse(&read[..end], &mut Scan::new()), Step::Partial, "{end}");
    }
    let mut scan = Scan::new();
    (0..head).for_each(|end| assert_eq!(parse(&read[..end], &mut scan), Step::Partial));
    let Step::Reply { consumed, reply } = parse(&read, &mut scan) else { panic!() };
    assert_eq!((consumed, reply.key, reply.value_len), (head, &b"apple"[..], 3));
    assert_eq!((reply.flags(), reply.cas, reply.opaque), (Some(7), 42, 9));
    assert!(reply.is(binary::Status::Ok) && !reply.is(binary::Status::NotFound));

    assert_eq!(parse(b"STORED\r\n", &mut Scan::new()), Step::Invalid);
    // Extras and key that are longer than the body.
    let header = binary::Header { magic: 0x81, key_len: 5, body_len: 4, ..Default::default() };
    assert_eq!(parse(&header.encode(), &mut Scan::new()), Step::Invalid);
}
