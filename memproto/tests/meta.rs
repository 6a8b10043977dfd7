//! Meta commands: tables of lines with the request or the error they have to become.

use memproto::ParseError::{
    BadKeyEncoding, BadLineFormat, BadToken, DuplicateFlag, InvalidArithMode, InvalidDeltaFlag,
    InvalidFlag, InvalidInitialFlag, InvalidOrDuplicateFlag, InvalidSetMode, OpaqueTooLong,
    TooManyFlags,
};
use memproto::meta::{ArithMode, MetaCommand, MetaRequest, SetMode};
use memproto::{Limits, ParseError, Request, Scan, Step, key, limits, text};

fn step(line: &[u8]) -> Step<'_> {
    text::parse(line, &mut Scan::new(), &Limits::default())
}

fn meta(line: &str) -> MetaRequest<'_> {
    match step(line.as_bytes()) {
        Step::Request { consumed, request: Request::Meta(meta) } => {
            assert_eq!(consumed, line.len(), "{line}");
            meta
        }
        other => panic!("{line}: {other:?}"),
    }
}

fn rejects(line: &str, error: ParseError, swallow: u32) {
    let expected = Step::Reject { consumed: line.len() + 2, error, swallow, noreply: false };
    assert_eq!(step(format!("{line}\r\n").as_bytes()), expected, "{line}");
}

#[test]
fn commands_and_keys() {
    use MetaCommand::{Arith, Debug, Delete, Get, Set};
    for (line, command, key, len) in [
        ("mg k\r\n", Get, "k", 0),
        ("mg k\n", Get, "k", 0),
        ("mg  k  v \r\n", Get, "k", 0),
        ("md k\r\n", Delete, "k", 0),
        ("ma k\r\n", Arith, "k", 0),
        ("me k\r\n", Debug, "k", 0),
        ("ms k 5\r\n", Set, "k", 5),
        ("ms k 2147483645 T0\r\n", Set, "k", limits::MAX_TEXT_VALUE),
    ] {
        let got = meta(line);
        assert_eq!((got.command, got.key.raw, got.len), (command, key.as_bytes(), len), "{line}");
    }
}

#[test]
fn flags_keep_their_order_and_arguments() {
    let got = meta("mg k v f Oabc T30 t c\r\n");
    let order: Vec<u8> = got.flags.map(|flag| flag.letter).collect();
    assert_eq!(order, b"vfOTtc");
    assert_eq!(got.opaque(), b"abc");
    assert_eq!(got.ttl(), Some(30));
    assert!(got.has(b'v') && got.has(b'c') && !got.has(b'q') && !got.quiet());
    assert_eq!(
        (got.vivify(), got.recache(), got.compare(), got.version()),
        (None, None, None, None)
    );
}

#[test]
fn numbers_and_their_defaults() {
    let plain = meta("ma k\r\n");
    assert_eq!((plain.delta, plain.initial, plain.arith_mode), (1, 0, ArithMode::Incr));
    assert_eq!((plain.ttl(), plain.client_flags, plain.set_mode), (None, 0, SetMode::Set));
    let full = meta(
        "ma k q D18446744073709551615 J7 N-1 T2147483647 R30 C5 \
         E18446744073709551615 F4294967295\r\n",
    );
    assert_eq!((full.delta, full.initial), (u64::MAX, 7));
    assert_eq!(
        (full.vivify(), full.ttl(), full.recache()),
        (Some(-1), Some(2_147_483_647), Some(30))
    );
    assert_eq!((full.compare(), full.version()), (Some(5), Some(u64::MAX)));
    assert_eq!(full.client_flags, u32::MAX);
    assert!(full.quiet());
}

#[test]
fn every_known_flag_is_accepted_by_every_command() {
    for letter in "CDEFIJLNOPRTcfhklqstuvx".chars() {
        let arg = if "CDEFJNRT".contains(letter) { "1" } else { "" };
        for head in ["mg k", "ms k 1", "md k", "ma k"] {
            let line = format!("{head} {letter}{arg}\r\n");
            assert!(meta(&line).has(letter as u8), "{line}");
        }
    }
    assert!(meta("mg k vv Lanything Pelse\r\n").has(b'v'));
    assert!(meta("mg k M v\r\n").has(b'M'));
    assert!(meta("me k z z F\r\n").flags.count() == 3);
}

#[test]
fn modes() {
    for (mode, expected) in [
        ("ME", SetMode::Add),
        ("MA", SetMode::Append),
        ("MP", SetMode::Prepend),
        ("MR", SetMode::Replace),
        ("MS", SetMode::Set),
        ("MSet", SetMode::Set),
    ] {
        assert_eq!(meta(&format!("ms k 1 {mode}\r\n")).set_mode, expected);
    }
    for (mode, expected) in [
        ("MI", ArithMode::Incr),
        ("M+", ArithMode::Incr),
        ("MIncr", ArithMode::Incr),
        ("MD", ArithMode::Decr),
        ("M-", ArithMode::Decr),
    ] {
        assert_eq!(meta(&format!("ma k {mode}\r\n")).arith_mode, expected);
    }
    for mode in ["M", "Ms", "Mappend", "Mx", "M1"] {
        rejects(&format!("ms k 5 {mode}"), InvalidSetMode, 7);
    }
    for mode in ["M", "Mi", "Mdecr", "Mx"] {
        rejects(&format!("ma k {mode}"), InvalidArithMode, 0);
    }
}

#[test]
fn base64_keys() {
    let got = meta("mg Zm9v b v\r\n");
    assert_eq!((got.key.raw, got.key.base64), (&b"Zm9v"[..], true));
    assert_eq!(got.key.bytes(&mut [0; limits::MAX_KEY]), b"foo");
    assert_eq!(meta("mg Zm9v v\r\n").key.bytes(&mut [0; limits::MAX_KEY]), b"Zm9v");
    assert_eq!(meta("me Zm9v b\r\n").key.bytes(&mut [0; limits::MAX_KEY]), b"foo");
    let encoded = |length| {
        let mut text = Vec::new();
        key::push_base64(&mut text, &vec![0_u8; length]);
        String::from_utf8(text).unwrap()
    };
    // What counts is the length on the line.
    let line = format!("mg {} b\r\n", encoded(186));
    assert_eq!(meta(&line).key.bytes(&mut [1; limits::MAX_KEY]), [0; 186]);
    rejects(&format!("mg {} b", encoded(187)), BadLineFormat, 0);
    rejects(&format!("ma {} b", encoded(187)), InvalidOrDuplicateFlag, 0);
    rejects(&format!("ms {} 5 b", encoded(187)), BadLineFormat, 7);
    for key in ["!!!", "Zg", "Zg=", "====", "="] {
        rejects(&format!("mg {key} b"), BadKeyEncoding, 0);
        rejects(&format!("ms {key} 5 b"), BadKeyEncoding, 7);
        rejects(&format!("ma {key} b"), InvalidOrDuplicateFlag, 0);
    }
}

#[test]
fn bad_lines() {
    let long = "k".repeat(251);
    for word in ["mg", "md", "ma", "me", "ms"] {
        rejects(word, BadLineFormat, 0);
        rejects(&format!("{word}  "), BadLineFormat, 0);
    }
    for word in ["mg", "md", "ma", "me"] {
        let error = if word == "ma" { InvalidOrDuplicateFlag } else { BadLineFormat };
        rejects(&format!("{word} {long} q"), error, 0);
        assert!(meta(&format!("{word} {}\r\n", &long[1..])).key.raw.len() == 250);
    }
    for line in ["ms k", "ms k S1", "ms k -1", "ms k 2147483646", "ms k T0 5", "ms k 1x"] {
        rejects(line, BadLineFormat, 0);
    }
    rejects(&format!("ms {long} 5"), BadLineFormat, 7);
}

#[test]
fn bad_flags() {
    for (flags, error) in [
        ("v v", DuplicateFlag),
        ("v t f v", DuplicateFlag),
        ("O1 O2", DuplicateFlag),
        ("z", InvalidFlag),
        ("S", InvalidFlag),
        ("S1", InvalidFlag),
        ("1", InvalidFlag),
        ("_", InvalidFlag),
        ("[", InvalidFlag),
        ("z v v", InvalidFlag),
        ("T", BadToken),
        ("Tx", BadToken),
        ("T2147483648", BadToken),
        ("N", BadToken),
        ("R1x", BadToken),
        ("C", BadToken),
        ("C-1", BadToken),
        ("C18446744073709551616", BadToken),
        ("E", BadToken),
        ("Ex", BadToken),
        ("D", InvalidDeltaFlag),
        ("D-1", InvalidDeltaFlag),
        ("J", InvalidInitialFlag),
        ("J1x", InvalidInitialFlag),
        ("T000000000000000000000", BadToken),
    ] {
        rejects(&format!("mg k {flags}"), error, 0);
        rejects(&format!("md k {flags}"), error, 0);
        rejects(&format!("ms k 5 {flags}"), error, 7);
        rejects(&format!("ma k {flags}"), InvalidOrDuplicateFlag, 0);
    }
    for flags in ["F", "Fx", "F-1", "F4294967296"] {
        rejects(&format!("mg k {flags}"), BadLineFormat, 0);
        rejects(&format!("ms k 5 {flags}"), BadLineFormat, 7);
        rejects(&format!("ma k {flags}"), InvalidOrDuplicateFlag, 0);
    }
    // What is no letter, wherever it stands and whatever else is wrong.
    for flags in ["!", "v v !", "D !x", "\x7f", "\u{e9}", "\x01", "\0", "v \0", "@", "{"] {
        for head in ["mg k", "md k", "ma k", "me k"] {
            rejects(&format!("{head} {flags}"), BadLineFormat, 0);
        }
        rejects(&format!("ms k 5 {flags}"), BadLineFormat, 7);
    }
    assert_eq!(meta("mg k T- N-\r\n").ttl(), Some(0));
}

/// A NUL is an ordinary byte, so that nothing behind it is another request's key or flag.
#[test]
fn a_nul_ends_nothing() {
    assert_eq!(meta("mg a\0b v\r\n").key.raw, b"a\0b");
    assert_eq!(meta("mg k Oa\0b v\r\n").opaque(), b"a\0b");
    rejects("ms k 1\0", BadLineFormat, 0);
    rejects("ms k 1 T0\0", BadToken, 3);
    rejects("mg k q\0 q", DuplicateFlag, 0);
}

#[test]
fn opaque_limit_counts_the_letter() {
    let good = "x".repeat(limits::MAX_OPAQUE - 1);
    assert_eq!(meta(&format!("mg k O{good}\r\n")).opaque(), good.as_bytes());
    assert_eq!(meta("mg k O\r\n").opaque(), b"");
    assert!(meta("mg k O\r\n").has(b'O'));
    for head in ["mg k", "md k", "ma k"] {
        rejects(&format!("{head} O{good}x"), OpaqueTooLong, 0);
    }
    rejects(&format!("ms k 5 O{good}x"), OpaqueTooLong, 7);
}

#[test]
fn at_most_twenty_tokens() {
    let flags = "v f t c k q u s h l O1 T0 N0 R0 C0 E0 I x".split(' ').collect::<Vec<_>>();
    assert_eq!(flags.len(), 18);
    assert_eq!(meta(&format!("mg k {}\r\n", flags.join(" "))).flags.count(), 18);
    rejects(&format!("mg k {} D1", flags.join(" ")), TooManyFlags, 0);
    rejects(&format!("mg k {} v", flags.join(" ")), TooManyFlags, 0);
    rejects(&format!("mg k v v {}", flags.join(" ")), TooManyFlags, 0);
    rejects(&format!("ma k z {}", flags.join(" ")), InvalidOrDuplicateFlag, 0);
    assert_eq!(meta(&format!("ms k 5 {}\r\n", flags[1..].join(" "))).flags.count(), 17);
    rejects(&format!("ms k 5 {}", flags.join(" ")), TooManyFlags, 7);
    assert_eq!(meta(&format!("me k {} v\r\n", flags.join(" "))).flags.count(), 19);
}
