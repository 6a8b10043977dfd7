//! Target `text_line`: a stream of classic and meta commands.

use super::{LIMITS, Used};
use crate::bytes::number::{push_i64, push_u64};
use crate::limits::{Limits, MAX_KEY, MAX_TEXT_VALUE};
use crate::request::{ArithVerb, GetVerb, Request, Store, StoreVerb};
use crate::{Scan, Step, text};

/// Cut anywhere, the stream gives the same steps; every request survives a round trip.
pub fn text_line(input: &[u8]) {
    super::split_anywhere(input, |stream, size| {
        let mut scan = Scan::new();
        super::steps(stream, size, |buf| look(buf, &mut scan))
    });
}

fn look<'a>(buf: &'a [u8], scan: &mut Scan) -> Option<(Used, Step<'a>)> {
    let step = text::parse(buf, scan, &LIMITS);
    let used = match &step {
        Step::Partial => {
            assert!(!buf.contains(&b'\n') && scan.seen == buf.len());
            return None;
        }
        Step::Request { consumed, request } => {
            assert!((1..=buf.len()).contains(consumed));
            check(request);
            Some(consumed + block(request))
        }
        Step::Reject { consumed, swallow, .. } => {
            assert!((1..=buf.len()).contains(consumed));
            Some(consumed + *swallow as usize)
        }
        Step::Close(_) => None,
    };
    assert_eq!(scan.seen, 0);
    Some((used, step))
}

/// Bytes of a data block, its terminator included.
fn block(request: &Request<'_>) -> usize {
    match request {
        Request::Store(store) => store.len as usize + 2,
        Request::Meta(meta) if meta.command == crate::meta::MetaCommand::Set => {
            meta.len as usize + 2
        }
        _ => 0,
    }
}

fn check(request: &Request<'_>) {
    if let Request::Meta(meta) = request {
        return super::meta::check(meta);
    }
    let Some(line) = plain_line(request) else { return };
    let step = text::parse(&line, &mut Scan::new(), &Limits::default());
    let Step::Request { consumed, request } = step else {
        panic!("{} is refused", line.escape_ascii());
    };
    assert_eq!((consumed, plain_line(&request)), (line.len(), Some(line.clone())));
}

/// The line a careful client would send; none for requests that are only words.
fn plain_line(request: &Request<'_>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let noreply = match *request {
        Request::Get { verb, exptime, keys } => {
            push_word(&mut line, get_word(verb));
            if verb.touches() {
                push_number(&mut line, exptime);
            }
            for key in keys {
                push_key(&mut line, key.ok()?);
            }
            false
        }
        Request::Store(store) => {
            push_store(&mut line, &store);
            store.noreply
        }
        Request::Arith { verb, key, delta, noreply } => {
            push_word(&mut line, if verb == ArithVerb::Incr { b"incr" } else { b"decr" });
            push_key(&mut line, key);
            push_u64(&mut line, delta);
            line.push(b' ');
            noreply
        }
        Request::Touch { key, exptime, noreply } => {
            push_word(&mut line, b"touch");
            push_key(&mut line, key);
            push_number(&mut line, exptime);
            noreply
        }
        Request::Delete { key, noreply } => {
            push_word(&mut line, b"delete");
            push_key(&mut line, key);
            if key == b"noreply" && !noreply {
                // As the last word it would ask for no reply.
                push_number(&mut line, 0);
            }
            noreply
        }
        Request::FlushAll { delay: Ok(delay), noreply } => {
            push_word(&mut line, b"flush_all");
            push_number(&mut line, delay);
            noreply
        }
        Request::Verbosity { level, noreply } => {
            push_word(&mut line, b"verbosity");
            push_number(&mut line, level.into());
            noreply
        }
        _ => return None,
    };
    line.pop();
    line.extend_from_slice(if noreply { b" noreply\r\n" } else { b"\r\n" });
    Some(line)
}

const fn get_word(verb: GetVerb) -> &'static [u8] {
    match verb {
        GetVerb::Get => b"get",
        GetVerb::Gets => b"gets",
        GetVerb::Gat => b"gat",
        GetVerb::Gats => b"gats",
    }
}

fn push_store(line: &mut Vec<u8>, store: &Store<'_>) {
    assert!(store.len <= MAX_TEXT_VALUE);
    push_word(
        line,
        match store.verb {
            StoreVerb::Set => b"set",
            StoreVerb::Add => b"add",
            StoreVerb::Replace => b"replace",
            StoreVerb::Append => b"append",
            StoreVerb::Prepend => b"prepend",
            StoreVerb::Cas => b"cas",
        },
    );
    push_key(line, store.key);
    push_number(line, store.flags.into());
    push_number(line, store.exptime);
    push_number(line, store.len.into());
    if store.verb == StoreVerb::Cas {
        push_u64(line, store.cas);
        line.push(b' ');
    }
}

fn push_key(line: &mut Vec<u8>, key: &[u8]) {
    assert!((1..=MAX_KEY).contains(&key.len()));
    assert!(!key.iter().any(|byte| b" \n".contains(byte)));
    push_word(line, key);
}

fn push_word(line: &mut Vec<u8>, word: &[u8]) {
    line.extend_from_slice(word);
    line.push(b' ');
}

fn push_number(line: &mut Vec<u8>, number: i64) {
    push_i64(line, number);
    line.push(b' ');
}
