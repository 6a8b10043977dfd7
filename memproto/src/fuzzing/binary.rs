//! Target `binary_frame`: a stream of binary frames.

use super::{LIMITS, Used};
use crate::Scan;
use crate::binary::{self, Command, Header, Request, Status, Step};
use crate::limits::{BINARY_HEADER, MAX_KEY};

/// Cut anywhere, the stream gives the same steps; every request survives a round trip.
pub fn binary_frame(input: &[u8]) {
    super::split_anywhere(input, |stream, size| {
        let mut scan = Scan::new();
        super::steps(stream, size, |buf| look(buf, &mut scan))
    });
}

fn look<'a>(buf: &'a [u8], scan: &mut Scan) -> Option<(Used, Step<'a>)> {
    let step = binary::parse(buf, scan, &LIMITS);
    let used = match &step {
        Step::Partial => {
            assert!(buf.len() < BINARY_HEADER || scan.seen > buf.len());
            return None;
        }
        Step::Request { consumed, request } => {
            assert!((BINARY_HEADER..=buf.len()).contains(consumed));
            let value = value_len(&request.command);
            assert!(value <= LIMITS.binary_body);
            check(request, value);
            Some(consumed + value as usize)
        }
        Step::Reject { close: true, status, swallow, .. } => {
            assert!(matches!(status, Status::InvalidArguments | Status::UnknownCommand));
            assert_eq!(*swallow, 0);
            None
        }
        Step::Close => None,
        Step::Reject { consumed, swallow, .. } => {
            assert!(*swallow <= LIMITS.binary_body && *consumed == BINARY_HEADER);
            Some(consumed + *swallow as usize)
        }
    };
    assert_eq!(scan.seen, 0);
    Some((used, step))
}

fn value_len(command: &Command<'_>) -> u32 {
    match *command {
        Command::Store { value_len, .. } | Command::Extend { value_len, .. } => value_len,
        Command::SaslAuth { data_len, .. } => data_len,
        _ => 0,
    }
}

fn check(request: &Request<'_>, value_len: u32) {
    let (extras, key) = parts(&request.command);
    assert!(key.len() <= MAX_KEY);
    let header = Header {
        magic: binary::REQUEST_MAGIC,
        opcode: request.to.opcode,
        key_len: key.len() as u16,
        extras_len: extras.len() as u8,
        data_type: 0,
        status: 0,
        body_len: (extras.len() + key.len()) as u32 + value_len,
        opaque: request.to.opaque,
        cas: request.cas,
    };
    let frame = [&header.encode()[..], &extras, key].concat();
    let again = binary::parse(&frame, &mut Scan::new(), &LIMITS);
    assert_eq!(again, Step::Request { consumed: frame.len(), request: *request });
}

/// Extras and key of a command.
fn parts<'a>(command: &Command<'a>) -> (Vec<u8>, &'a [u8]) {
    match *command {
        Command::Get { key, touch, .. } => {
            (touch.map_or(Vec::new(), |exptime| exptime.to_be_bytes().to_vec()), key)
        }
        Command::Store { key, flags, exptime, .. } => {
            ([flags.to_be_bytes(), exptime.to_be_bytes()].concat(), key)
        }
        Command::Arith { key, delta, initial, exptime, .. } => {
            let exptime = exptime.unwrap_or(u32::MAX).to_be_bytes();
            ([&delta.to_be_bytes()[..], &initial.to_be_bytes(), &exptime].concat(), key)
        }
        Command::Touch { key, exptime } => (exptime.to_be_bytes().to_vec(), key),
        Command::Flush { delay } => (delay.to_be_bytes().to_vec(), &[]),
        Command::Extend { key, .. } | Command::Delete { key } | Command::Stat { key } => {
            (Vec::new(), key)
        }
        Command::SaslAuth { mechanism, .. } => (Vec::new(), mechanism),
        Command::Noop | Command::Version | Command::Quit | Command::SaslList => (Vec::new(), &[]),
    }
}
