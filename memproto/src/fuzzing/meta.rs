//! Target `meta_flags`: one meta line.

use crate::bytes::number::{push_i64, push_u64};
use crate::limits::{Limits, MAX_KEY, MAX_META_TOKENS, MAX_OPAQUE};
use crate::meta::{ArithMode, MetaCommand, MetaRequest, SetMode};
use crate::request::Request;
use crate::{ParseError, Scan, Step, key, text};

/// The first byte chooses the command, the rest is its line: it is answered at once, and a
/// request survives a round trip.
pub fn meta_flags(input: &[u8]) {
    let Some((&choice, rest)) = input.split_first() else { return };
    let rest = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let word = [b"mg ", b"ms ", b"md ", b"ma ", b"me "].into_iter().cycle().nth(choice.into());
    let line = [&word.unwrap_or(b"mg ")[..], rest, b"\r\n"].concat();
    match text::parse(&line, &mut Scan::new(), &Limits::default()) {
        Step::Partial => panic!("a whole line is not enough"),
        Step::Request { consumed, request: Request::Meta(meta) } => {
            assert_eq!(consumed, line.len());
            check(&meta);
        }
        Step::Request { request, .. } => panic!("a meta line became {request:?}"),
        Step::Reject { consumed, error, noreply, .. } => {
            assert_eq!((consumed, noreply), (line.len(), false));
            assert_ne!(error, ParseError::UnknownCommand);
        }
        Step::Close(_) => assert!(line.len() > Limits::default().line),
    }
}

/// What the flags say is what the fields say, and the plain line says it again.
pub(super) fn check(meta: &MetaRequest<'_>) {
    let key = meta.key.bytes(&mut [0; MAX_KEY]).to_vec();
    assert!((1..=MAX_KEY).contains(&key.len()));
    assert!(meta.opaque().len() < MAX_OPAQUE);
    if meta.command != MetaCommand::Debug {
        assert!(meta.flags.count() <= MAX_META_TOKENS - 2);
    }
    if meta.command != MetaCommand::Debug {
        for letter in 0..=255 {
            let count = meta.flags.filter(|flag| flag.letter == letter).count();
            assert_eq!(count, usize::from(meta.has(letter)));
        }
    }
    let line = plain_line(meta, &key);
    let step = text::parse(&line, &mut Scan::new(), &Limits::default());
    let Step::Request { consumed, request: Request::Meta(again) } = step else {
        panic!("{} becomes {step:?}", line.escape_ascii());
    };
    assert_eq!(again.key.bytes(&mut [0; MAX_KEY]), key);
    assert_eq!((consumed, plain_line(&again, &key)), (line.len(), line.clone()));
}

/// The line a careful client would send.
fn plain_line(meta: &MetaRequest<'_>, key: &[u8]) -> Vec<u8> {
    let mut line = match meta.command {
        MetaCommand::Get => b"mg ".to_vec(),
        MetaCommand::Set => b"ms ".to_vec(),
        MetaCommand::Delete => b"md ".to_vec(),
        MetaCommand::Arith => b"ma ".to_vec(),
        MetaCommand::Debug => b"me ".to_vec(),
    };
    if meta.key.base64 {
        key::push_base64(&mut line, key);
    } else {
        line.extend_from_slice(key);
    }
    if meta.command == MetaCommand::Set {
        line.push(b' ');
        push_u64(&mut line, meta.len.into());
    }
    for flag in meta.flags.filter(|flag| meta.has(flag.letter)) {
        line.extend_from_slice(&[b' ', flag.letter]);
        push_argument(&mut line, meta, flag.letter);
    }
    line.extend_from_slice(b"\r\n");
    line
}

fn push_argument(line: &mut Vec<u8>, meta: &MetaRequest<'_>, letter: u8) {
    let signed = match letter {
        b'T' => meta.ttl(),
        b'N' => meta.vivify(),
        b'R' => meta.recache(),
        _ => None,
    };
    let unsigned = match letter {
        b'C' => meta.compare(),
        b'E' => meta.version(),
        b'D' => Some(meta.delta),
        b'J' => Some(meta.initial),
        b'F' => Some(meta.client_flags.into()),
        _ => None,
    };
    if let Some(number) = signed {
        push_i64(line, number);
    }
    if let Some(number) = unsigned {
        push_u64(line, number);
    }
    match letter {
        b'O' => line.extend_from_slice(meta.opaque()),
        b'M' => line.push(mode(meta)),
        _ => {}
    }
}

const fn mode(meta: &MetaRequest<'_>) -> u8 {
    match (meta.command, meta.set_mode, meta.arith_mode) {
        (MetaCommand::Arith, _, ArithMode::Incr) => b'I',
        (MetaCommand::Arith, _, ArithMode::Decr) => b'D',
        (_, SetMode::Add, _) => b'E',
        (_, SetMode::Append, _) => b'A',
        (_, SetMode::Prepend, _) => b'P',
        (_, SetMode::Replace, _) => b'R',
        (_, SetMode::Set, _) => b'S',
    }
}
