//! Target `client_replies`: what a server, or something else, sends to a client.

use super::Used;
use crate::Scan;
use crate::bytes::number::push_u64;
use crate::client::{binary, reply};
use crate::limits::BINARY_HEADER;
use crate::text::write;

/// The first byte chooses the protocol: cut anywhere, the stream gives the same replies, and one
/// that is written again says the same.
pub fn client_replies(input: &[u8]) {
    let Some((&choice, rest)) = input.split_first() else { return };
    if choice % 2 == 0 {
        super::split_anywhere(rest, |stream, size| {
            let mut scan = Scan::new();
            super::steps(stream, size, |buf| look(buf, &mut scan))
        });
    } else {
        super::split_anywhere(rest, |stream, size| {
            let mut scan = Scan::new();
            super::steps(stream, size, |buf| look_binary(buf, &mut scan))
        });
    }
}

fn look<'a>(buf: &'a [u8], scan: &mut Scan) -> Option<(Used, reply::Step<'a>)> {
    let step = reply::parse(buf, scan);
    let used = match step {
        reply::Step::Partial => {
            assert!(!buf.contains(&b'\n') && scan.seen == buf.len());
            return None;
        }
        reply::Step::Reply { consumed, reply } => {
            assert_eq!(buf.get(consumed - 1), Some(&b'\n'));
            check(reply);
            // A value is as good as any other line; that keeps the stream going.
            Some(consumed)
        }
        reply::Step::TooLong => None,
    };
    assert_eq!(scan.seen, 0);
    Some((used, step))
}

/// Replies that the server's side can write are written and read again.
fn check(reply: reply::Reply<'_>) {
    let mut line = Vec::new();
    match reply {
        reply::Reply::Value { key, flags, len, cas: None } => {
            write::value(&mut line, key, flags, len);
        }
        reply::Reply::Value { key, flags, len, cas: Some(cas) } => {
            write::value_cas(&mut line, key, flags, len, cas);
        }
        reply::Reply::Number(number) => {
            push_u64(&mut line, number);
            line.extend_from_slice(b"\r\n");
        }
        reply::Reply::Stat { name, value } => write::stat(&mut line, name, value),
        _ => return,
    }
    let again = reply::parse(&line, &mut Scan::new());
    assert_eq!(again, reply::Step::Reply { consumed: line.len(), reply });
}

fn look_binary<'a>(buf: &'a [u8], scan: &mut Scan) -> Option<(Used, binary::Step<'a>)> {
    let step = binary::parse(buf, scan);
    let used = match step {
        binary::Step::Partial => {
            assert!(scan.seen > buf.len());
            return None;
        }
        binary::Step::Reply { consumed, reply } => {
            assert_eq!(consumed, BINARY_HEADER + reply.extras.len() + reply.key.len());
            assert!(consumed <= buf.len());
            Some(consumed + reply.value_len as usize)
        }
        binary::Step::Invalid => None,
    };
    assert_eq!(scan.seen, 0);
    Some((used, step))
}
