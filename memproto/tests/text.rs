//! Classic text: tables of lines with the request or the error they have to become.

use memproto::ParseError::{
    BadLineFormat, InvalidDelta, InvalidExptime, InvalidShutdownMode, UnknownCommand,
};
use memproto::{
    Admin, ArithVerb, CloseReason, GetVerb, Limits, ParseError, Request, Scan, Shutdown, Step,
    Store, StoreVerb, limits, text,
};

fn step(line: &[u8]) -> Step<'_> {
    text::parse(line, &mut Scan::new(), &Limits::default())
}

fn request(line: &[u8]) -> Request<'_> {
    match step(line) {
        Step::Request { consumed, request } => {
            assert_eq!(consumed, line.len(), "{}", line.escape_ascii());
            request
        }
        other => panic!("{}: {other:?}", line.escape_ascii()),
    }
}

fn rejects(line: &[u8], error: ParseError, swallow: u32, noreply: bool) {
    let expected = Step::Reject { consumed: line.len(), error, swallow, noreply };
    assert_eq!(step(line), expected, "{}", line.escape_ascii());
}

fn keys(line: &[u8]) -> (GetVerb, i64, Vec<String>) {
    let Request::Get { verb, exptime, keys } = request(line) else {
        panic!("{}", line.escape_ascii());
    };
    let keys = keys.map(|key| key.map_or("too long".into(), |k| k.escape_ascii().to_string()));
    (verb, exptime, keys.collect())
}

#[test]
fn retrievals() {
    use GetVerb::{Gat, Gats, Get, Gets};
    let table: [(&[u8], GetVerb, i64, &[&str]); 14] = [
        (b"get a\r\n", Get, 0, &["a"]),
        (b"get a\n", Get, 0, &["a"]),
        (b"get a \r\n", Get, 0, &["a"]),
        (b"get   a   b \r\n", Get, 0, &["a", "b"]),
        (b"get a b c\r\n", Get, 0, &["a", "b", "c"]),
        (b"get a\tb\x01c\r\n", Get, 0, &["a\\tb\\x01c"]),
        (b"get a\rb\r\n", Get, 0, &["a\\rb"]),
        (b"get a\0b c\r\n", Get, 0, &["a\\x00b", "c"]),
        (b"get HTTP/1.1\r\n", Get, 0, &["HTTP/1.1"]),
        (b"gets a b\r\n", Gets, 0, &["a", "b"]),
        (b"gat 10 a\r\n", Gat, 10, &["a"]),
        (b"gat -1 a b\n", Gat, -1, &["a", "b"]),
        (b"gats 2147483647 a b\r\n", Gats, 2_147_483_647, &["a", "b"]),
        (b"gets \xff\x80\r\n", Gets, 0, &["\\xff\\x80"]),
    ];
    for (line, verb, exptime, expected) in table {
        let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(keys(line), (verb, exptime, expected), "{}", line.escape_ascii());
    }
}

#[test]
fn bad_retrievals() {
    for line in [&b"get\r\n"[..], b"get \r\n", b"get     \n", b"gets\r\n", b"gat\r\n", b"gat 0\r\n"]
    {
        rejects(line, BadLineFormat, 0, false);
    }
    rejects(b"gat x a\r\n", InvalidExptime, 0, false);
    rejects(b"gat 2147483648 a\r\n", InvalidExptime, 0, false);
    rejects(b"gats 1x a\r\n", InvalidExptime, 0, false);
}

#[test]
fn a_key_over_250_bytes_is_reported_by_the_iterator() {
    let (good, bad) = ("k".repeat(250), "k".repeat(251));
    let line = format!("get {good}\r\n");
    let Request::Get { keys: one, .. } = request(line.as_bytes()) else { panic!() };
    assert_eq!(one.single(), Some(good.as_bytes()));
    let line = format!("get {bad}\r\n");
    let Request::Get { keys: one, .. } = request(line.as_bytes()) else { panic!() };
    assert_eq!(one.single(), None);
    let line = format!("get {good} {bad} c\r\n");
    assert_eq!(keys(line.as_bytes()).2, [good.as_str(), "too long", "c"]);
}

#[test]
fn the_number_of_keys_is_unbounded() {
    let names: Vec<String> = (0..50_000).map(|n| format!("key-{n}")).collect();
    for verb in ["get", "gets", "gat 0", "gats 0"] {
        let line = format!("{verb} {}\r\n", names.join(" "));
        assert_eq!(keys(line.as_bytes()).2, names);
    }
}

fn store<'a>(verb: StoreVerb, key: &'a [u8], flags: u32, exptime: i64, len: u32) -> Store<'a> {
    Store { verb, key, flags, exptime, len, cas: 0, noreply: false }
}

#[test]
fn storage_headers() {
    use StoreVerb::{Add, Append, Cas, Prepend, Replace, Set};
    let max = limits::MAX_TEXT_VALUE;
    let quiet = |store: Store<'static>| Store { noreply: true, ..store };
    let table: [(&[u8], Store<'static>); 23] = [
        (b"set k +1 +2 1\r\n", store(Set, b"k", 1, 2, 1)),
        (b"set k -0 -0 -0\r\n", store(Set, b"k", 0, 0, 0)),
        (b"set k 0 0 -\r\n", store(Set, b"k", 0, 0, 0)),
        (b"set k 0 4294967295 1\r\n", store(Set, b"k", 0, 4_294_967_295, 1)),
        (b"set k 0 9223372036854775807 1\r\n", store(Set, b"k", 0, i64::MAX, 1)),
        (b"set a\0b 000000000000000000000001 0 1\r\n", store(Set, b"a\0b", 1, 0, 1)),
        (b"set k 0 0 5\r\n", store(Set, b"k", 0, 0, 5)),
        (b"set k 0 0 5\n", store(Set, b"k", 0, 0, 5)),
        (b"set k 4294967295 -1 0\r\n", store(Set, b"k", u32::MAX, -1, 0)),
        (b"set  k  1  2  3 \r\n", store(Set, b"k", 1, 2, 3)),
        (b"set k 007 0 03\r\n", store(Set, b"k", 7, 0, 3)),
        (b"set k 0 2147483647 1\r\n", store(Set, b"k", 0, 2_147_483_647, 1)),
        (b"set k 0 -2147483648 1\r\n", store(Set, b"k", 0, -2_147_483_648, 1)),
        (b"set k 0 0 2147483645\r\n", store(Set, b"k", 0, 0, max)),
        (b"set k 0 0 1 noreply\r\n", quiet(store(Set, b"k", 0, 0, 1))),
        (b"set k 0 0 1 x noreply\r\n", quiet(store(Set, b"k", 0, 0, 1))),
        (b"set k 0 0 1 noreply x\r\n", store(Set, b"k", 0, 0, 1)),
        (b"set k 0 0 1 noreplyx\r\n", store(Set, b"k", 0, 0, 1)),
        (b"add k 1 2 3\r\n", store(Add, b"k", 1, 2, 3)),
        (b"replace k 1 2 3\r\n", store(Replace, b"k", 1, 2, 3)),
        (b"append k 1 2 3\r\n", store(Append, b"k", 1, 2, 3)),
        (b"prepend k 1 2 3 noreply\r\n", quiet(store(Prepend, b"k", 1, 2, 3))),
        (
            b"cas k 1 2 3 18446744073709551615\r\n",
            Store { cas: u64::MAX, ..store(Cas, b"k", 1, 2, 3) },
        ),
    ];
    for (line, expected) in table {
        assert_eq!(request(line), Request::Store(expected), "{}", line.escape_ascii());
    }
    let Request::Store(cas) = request(b"cas k 0 0 1 5 noreply\r\n") else { panic!() };
    assert!(cas.noreply && cas.cas == 5 && cas.verb == Cas);
}

#[test]
fn bad_storage_headers_without_a_length_swallow_nothing() {
    for line in [
        &b"set\r\n"[..],
        b"set k\r\n",
        b"set k 0 0\r\n",
        b"cas k 0 0\r\n",
        b"set k 0 0 -1\r\n",
        b"set k 0 0 x\r\n",
        b"set k 0 0 +1\r\n",
        b"set k 0 0 1x\r\n",
        b"set k 0 0 2147483646\r\n",
        b"set k 0 0 4294967295\r\n",
        b"set k 0 0 99999999999999999999999\r\n",
        b"append k 0 0\r\n",
        b"set noreply\r\n",
        b"set k 0 noreply\r\n",
        b"set k 0 0 noreply\r\n",
        b"set k 0 0 -1 noreply\r\n",
        b"set k 0 0 000000000000000000001\r\n",
        b"set k 0 0 1\0\r\n",
    ] {
        rejects(line, BadLineFormat, 0, false);
    }
}

#[test]
fn bad_storage_headers_with_a_length_swallow_the_block() {
    for line in [
        &b"set k x 0 5\r\n"[..],
        b"set k -1 0 5\r\n",
        b"set k 4294967296 0 5\r\n",
        b"set k 0 x 5\r\n",
        b"set k - 0 5\r\n",
        b"set k 0 + 5\r\n",
        b"set k 0 9223372036854775808 5\r\n",
        b"set k 0 -9223372036854775809 5\r\n",
        b"cas k 0 0 5\r\n",
        b"cas k 0 0 5 x\r\n",
        b"cas k 0 0 5 -1\r\n",
        b"cas k 0 0 5 18446744073709551616\r\n",
    ] {
        rejects(line, BadLineFormat, 7, false);
    }
    rejects(b"cas k 0 0 5 noreply\r\n", BadLineFormat, 7, true);
    rejects(b"set k abc 0 5 noreply\r\n", BadLineFormat, 7, true);
    let long = "k".repeat(251);
    for verb in ["set", "add", "append"] {
        rejects(format!("{verb} {long} 0 0 5\r\n").as_bytes(), BadLineFormat, 7, false);
        rejects(format!("{verb} {long} 0 0 5 noreply\r\n").as_bytes(), BadLineFormat, 7, true);
    }
}

#[test]
fn arithmetic_touch_and_delete() {
    use ArithVerb::{Decr, Incr};
    let arith = |verb, delta, noreply| Request::Arith { verb, key: b"k", delta, noreply };
    let touch = |exptime, noreply| Request::Touch { key: b"k", exptime, noreply };
    let delete = |noreply| Request::Delete { key: b"k", noreply };
    let table: [(&[u8], Request<'_>); 14] = [
        (b"incr k 1\r\n", arith(Incr, 1, false)),
        (b"incr k 18446744073709551615\r\n", arith(Incr, u64::MAX, false)),
        (b"decr k 1 noreply\r\n", arith(Decr, 1, true)),
        (b"decr k 1 x y\r\n", arith(Decr, 1, false)),
        (b"touch k 0\r\n", touch(0, false)),
        (b"touch k -1\r\n", touch(-1, false)),
        (b"touch k 9 noreply\r\n", touch(9, true)),
        (b"touch k 9 9\r\n", touch(9, false)),
        (b"delete k\r\n", delete(false)),
        (b"delete k\n", delete(false)),
        (b"delete k noreply\r\n", delete(true)),
        (b"delete k 0\r\n", delete(false)),
        (b"delete k 10 noreply\r\n", delete(true)),
        (b"delete k some words\r\n", delete(false)),
    ];
    for (line, expected) in table {
        assert_eq!(request(line), expected, "{}", line.escape_ascii());
    }
    let expected = Request::Delete { key: b"noreply", noreply: true };
    assert_eq!(request(b"delete noreply\r\n"), expected);
}

#[test]
fn bad_arithmetic_touch_and_delete() {
    for line in [&b"incr\r\n"[..], b"incr k\r\n", b"touch k\r\n", b"touch\r\n", b"delete\r\n"] {
        rejects(line, BadLineFormat, 0, false);
    }
    for delta in ["x", "-1", "1x", "+1", "18446744073709551616"] {
        rejects(format!("incr k {delta}\r\n").as_bytes(), InvalidDelta, 0, false);
        rejects(format!("decr k {delta} noreply\r\n").as_bytes(), InvalidDelta, 0, true);
    }
    for exptime in ["x", "1x", "2147483648", "-2147483649"] {
        rejects(format!("touch k {exptime}\r\n").as_bytes(), InvalidExptime, 0, false);
        rejects(format!("touch k {exptime} noreply\r\n").as_bytes(), InvalidExptime, 0, true);
    }
    let long = "k".repeat(251);
    for (verb, rest) in [("incr", " 1"), ("decr", " 1"), ("touch", " 0"), ("delete", "")] {
        rejects(format!("{verb} {long}{rest}\r\n").as_bytes(), BadLineFormat, 0, false);
        rejects(format!("{verb} {long}{rest} noreply\r\n").as_bytes(), BadLineFormat, 0, true);
    }
}

#[test]
fn commands_without_a_key() {
    let flush = |delay, noreply| Request::FlushAll { delay: Ok(delay), noreply };
    let verbosity = |level, noreply| Request::Verbosity { level, noreply };
    let table: [(&[u8], Request<'_>); 20] = [
        (b"flush_all\r\n", flush(0, false)),
        (b"flush_all 10\r\n", flush(10, false)),
        (b"flush_all -1\r\n", flush(-1, false)),
        (b"flush_all 0 0\r\n", flush(0, false)),
        (b"flush_all noreply\r\n", flush(0, true)),
        (b"flush_all 10 noreply\r\n", flush(10, true)),
        (b"version\r\n", Request::Version),
        (b"version and more \n", Request::Version),
        (b"verbosity 1\r\n", verbosity(1, false)),
        (b"verbosity 1 noreply\r\n", verbosity(1, true)),
        (b"verbosity 1 2 3\r\n", verbosity(1, false)),
        (b"quit\r\n", Request::Quit),
        (b"quit now\r\n", Request::Quit),
        (b"shutdown\r\n", Request::Shutdown { mode: Ok(Shutdown::AtOnce), noreply: false }),
        (
            b"shutdown graceful\r\n",
            Request::Shutdown { mode: Ok(Shutdown::Graceful), noreply: false },
        ),
        (b"shutdown now\r\n", Request::Shutdown { mode: Err(InvalidShutdownMode), noreply: false }),
        (
            b"shutdown graceful now\r\n",
            Request::Shutdown { mode: Err(InvalidShutdownMode), noreply: false },
        ),
        (b"mn\r\n", Request::MetaNoop),
        (b"mn\n", Request::MetaNoop),
        (b"mn O123\r\n", Request::MetaNoop),
    ];
    for (line, expected) in table {
        assert_eq!(request(line), expected, "{}", line.escape_ascii());
    }
    let no_delay = |noreply| Request::FlushAll { delay: Err(InvalidExptime), noreply };
    assert_eq!(request(b"flush_all x\r\n"), no_delay(false));
    assert_eq!(request(b"flush_all 2147483648\r\n"), no_delay(false));
    assert_eq!(request(b"flush_all x noreply\r\n"), no_delay(true));
    rejects(b"verbosity\r\n", BadLineFormat, 0, false);
    rejects(b"verbosity -1\r\n", BadLineFormat, 0, false);
    rejects(b"verbosity x\r\n", BadLineFormat, 0, false);
    rejects(b"verbosity noreply\r\n", BadLineFormat, 0, true);
}

#[test]
fn statistics_and_administration_keep_their_words() {
    let words = |line: &[u8]| match request(line) {
        Request::Stats { args } => (None, args.map(<[u8]>::to_vec).collect::<Vec<_>>(), false),
        Request::Admin { command, args, noreply } => {
            (Some(command), args.map(<[u8]>::to_vec).collect(), noreply)
        }
        other => panic!("{other:?}"),
    };
    let owned = |words: &[&str]| words.iter().map(|w| w.as_bytes().to_vec()).collect::<Vec<_>>();
    assert_eq!(words(b"stats\r\n"), (None, vec![], false));
    assert_eq!(words(b"stats  items x\r\n"), (None, owned(&["items", "x"]), false));
    let table: [(&str, Admin, &[&str], bool); 11] = [
        ("cache_memlimit 64", Admin::CacheMemlimit, &["64"], false),
        ("cache_memlimit 64 noreply", Admin::CacheMemlimit, &["64"], true),
        ("cache_memlimit", Admin::CacheMemlimit, &[], false),
        ("slabs reassign 1 2", Admin::Slabs, &["reassign", "1", "2"], false),
        ("lru", Admin::Lru, &[], false),
        ("lru tune 10 20 0.1 2.0 noreply", Admin::Lru, &["tune", "10", "20", "0.1", "2.0"], true),
        ("lru_crawler metadump all", Admin::LruCrawler, &["metadump", "all"], false),
        ("watch", Admin::Watch, &[], false),
        ("refresh_certs", Admin::RefreshCerts, &[], false),
        ("extstore free_memchunks 1 2", Admin::Extstore, &["free_memchunks", "1", "2"], false),
        ("debugtime p", Admin::Debugtime, &["p"], false),
    ];
    for (line, command, args, noreply) in table {
        let got = words(format!("{line}\r\n").as_bytes());
        assert_eq!(got, (Some(command), owned(args), noreply), "{line}");
    }
}

#[test]
fn lines_that_are_no_command() {
    for line in [&b"\n"[..], b"\r\n", b"a\r\n", b"ab\n", b"  \n", b"mg\n"] {
        rejects(line, BadLineFormat, 0, false);
    }
    for line in [
        &b"abc\n"[..],
        b" get a\r\n",
        b"  version\r\n",
        b"    \r\n",
        b"GET a\r\n",
        b"Set k 0 0 1\r\n",
        b"ver\r\n",
        b"versionx\r\n",
        b"getx a\r\n",
        b"mx a\r\n",
        b"foo noreply\r\n",
        b"get\ta\r\n",
        b"\0\0\0\r\n",
    ] {
        rejects(line, UnknownCommand, 0, false);
    }
    for line in [&b"GET / HTTP/1.1\r\n"[..], b"POST /x HTTP/2 \n", b"x HTTP/\r\n"] {
        assert_eq!(step(line), Step::Close(CloseReason::Http));
    }
    rejects(b"GET HTTP/1.1 x\r\n", UnknownCommand, 0, false);
}

#[test]
fn an_overlong_line_closes_wherever_it_is_cut() {
    let too_long = Step::Close(CloseReason::LineTooLong);
    let mut line = vec![b'x'; limits::MAX_LINE];
    assert_eq!(step(&line), too_long);
    assert_eq!(step(&line[..limits::MAX_LINE - 1]), Step::Partial);
    line.extend_from_slice(b"\r\n");
    assert_eq!(step(&line), too_long);
    let longest = [&vec![b'x'; limits::MAX_LINE - 1][..], b"\n"].concat();
    assert_eq!(step(&longest[..longest.len() - 1]), Step::Partial);
    rejects(&longest, UnknownCommand, 0, false);
    let set = [b"set ", &vec![b'k'; 3000][..], b" 0 0 1\r\n"].concat();
    assert_eq!(step(&set), too_long);
    assert_eq!(step(&set[..2500]), too_long);
}

#[test]
fn retrieval_lines_may_grow_to_their_own_limit() {
    let mut limits = Limits::default();
    limits.get_line = 5000;
    let step = |line: &[u8]| match text::parse(line, &mut Scan::new(), &limits) {
        Step::Close(CloseReason::LineTooLong) => "close",
        Step::Partial => "partial",
        Step::Request { .. } => "request",
        _ => "reject",
    };
    for head in ["get ", "gets ", "gat 0 ", "gats 0 ", "get k "] {
        let line = |length: usize| {
            let keys = "k".repeat(length - head.len() - 2);
            format!("{head}{keys}\r\n").into_bytes()
        };
        assert_eq!(step(&line(5000)), "request", "{head}");
        assert_eq!(step(&line(5001)), "close", "{head}");
        assert_eq!(step(&line(6000)[..4999]), "partial", "{head}");
        assert_eq!(step(&line(6000)[..5000]), "close", "{head}");
    }
    let spaces = |n: usize| [&vec![b' '; n][..], b"get ", &vec![b'k'; 3000][..]].concat();
    assert_eq!(step(&spaces(100)), "partial");
    assert_eq!(step(&spaces(101)), "close");
}

#[test]
fn every_error_has_its_line() {
    use ParseError::*;
    for error in [
        BadDataChunk,
        BadKeyEncoding,
        BadLineFormat,
        BadToken,
        DuplicateFlag,
        InvalidArithMode,
        InvalidDelta,
        InvalidExptime,
        InvalidFlag,
        InvalidOrDuplicateFlag,
        InvalidSetMode,
        InvalidShutdownMode,
        OpaqueTooLong,
        TooManyFlags,
        UnknownCommand,
    ] {
        assert_eq!(error.reply(), format!("{error}\r\n").as_bytes());
    }
}
