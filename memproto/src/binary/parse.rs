//! One frame to one request. Lengths are checked as soon as the header is there and before
//! anything else of the frame is waited for. Values are not looked at.

use super::REQUEST_MAGIC;
use super::header::Header;
use super::opcode::Opcode;
use super::request::{Command, ReplyTo, Request, Status, Step};
use crate::limits::{BINARY_HEADER, MAX_KEY};
use crate::request::{ArithVerb, StoreVerb};
use crate::{Limits, Scan};

/// Looks at the front of `buf` for one request. See [`Step`] for what the caller does next.
///
/// While extras and key are incomplete another call costs one comparison.
///
/// ```
/// use memproto::binary::{self, Command, Header, Step};
/// use memproto::{Limits, Scan};
///
/// let header = Header { magic: 0x80, opcode: 0x0a, ..Header::default() };
/// let frame = header.encode();
/// let step = binary::parse(&frame, &mut Scan::new(), &Limits::default());
/// let Step::Request { consumed: 24, request } = step else { panic!("one whole frame was there") };
/// assert_eq!(request.command, Command::Noop);
/// ```
#[must_use]
#[inline]
pub fn parse<'a>(buf: &'a [u8], scan: &mut Scan, limits: &Limits) -> Step<'a> {
    // Set below, once the header was read.
    if buf.len() < scan.seen {
        return Step::Partial;
    }
    let Some((head, body)) = buf.split_first_chunk::<BINARY_HEADER>() else {
        return Step::Partial;
    };
    let header = Header::decode(head);
    let (opcode, value_len) = match check(&header, limits) {
        Ok(checked) => checked,
        Err((status, swallow)) => {
            scan.seen = 0;
            return refuse(&header, status, swallow);
        }
    };
    let consumed = BINARY_HEADER + usize::from(header.extras_len) + usize::from(header.key_len);
    // The value is not waited for: it may be larger than the caller's buffer.
    let Some((extras, key)) = split_front(&header, body) else {
        scan.seen = consumed;
        return Step::Partial;
    };
    scan.seen = 0;
    // `shape_is_legal` has checked the extras, so that `command` finds every number it reads.
    debug_assert!(consumed <= buf.len());
    debug_assert_eq!(extras.len(), usize::from(header.extras_len));
    debug_assert_eq!(key.len(), usize::from(header.key_len));
    let command = command(opcode, extras, key, value_len);
    let to = reply_to(&header);
    let request = Request { to, quiet: opcode.is_quiet(), cas: header.cas, command };
    Step::Request { consumed, request }
}

#[inline]
fn reply_to(header: &Header) -> ReplyTo {
    ReplyTo { opcode: header.opcode, opaque: header.opaque }
}

/// The step behind a header that [`check`] has refused.
#[cold]
fn refuse<'a>(header: &Header, status: Status, swallow: Option<u32>) -> Step<'a> {
    // Not even the opaque can be trusted, so no reply makes sense.
    if header.magic != REQUEST_MAGIC {
        return Step::Close;
    }
    Step::Reject {
        consumed: BINARY_HEADER,
        to: reply_to(header),
        status,
        swallow: swallow.unwrap_or(0),
        close: swallow.is_none(),
    }
}

/// Extras and key, which have to be there before a request can be told.
#[inline]
fn split_front<'a>(header: &Header, body: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (extras, rest) = body.split_at_checked(usize::from(header.extras_len))?;
    Some((extras, rest.get(..usize::from(header.key_len))?))
}

/// The command and the length of its value, or the status to answer and, unless the connection
/// has to close, the bytes to drop.
#[inline]
fn check(header: &Header, limits: &Limits) -> Result<(Opcode, u32), (Status, Option<u32>)> {
    let front = u32::from(header.extras_len) + u32::from(header.key_len);
    // Lengths that contradict each other do not tell where the next frame begins.
    if header.magic != REQUEST_MAGIC || front > header.body_len {
        return Err((Status::UnknownCommand, None));
    }
    if usize::from(header.key_len) > MAX_KEY || header.body_len > limits.binary_body {
        return Err((Status::InvalidArguments, None));
    }
    // The frame is sound, so that clients may try commands that we don't have.
    let Some(opcode) = Opcode::from_byte(header.opcode) else {
        return Err((Status::UnknownCommand, Some(header.body_len)));
    };
    let value_len = header.body_len - front;
    debug_assert!(value_len <= limits.binary_body);
    if shape_is_legal(opcode, header.extras_len, header.key_len, value_len) {
        Ok((opcode, value_len))
    } else {
        // memcached closes the connection behind this answer, too.
        Err((Status::InvalidArguments, None))
    }
}

/// Which extras, key and value a command takes.
#[inline]
fn shape_is_legal(opcode: Opcode, extras_len: u8, key_len: u16, value_len: u32) -> bool {
    use Opcode as Op;
    let has_key = key_len > 0;
    let has_value = value_len > 0;
    match opcode {
        Op::Get | Op::GetQ | Op::GetK | Op::GetKQ | Op::Delete | Op::DeleteQ => {
            extras_len == 0 && has_key && !has_value
        }
        // Values may be empty, here and below.
        Op::Set | Op::SetQ | Op::Add | Op::AddQ | Op::Replace | Op::ReplaceQ => {
            extras_len == 8 && has_key
        }
        Op::Append | Op::AppendQ | Op::Prepend | Op::PrependQ => extras_len == 0 && has_key,
        Op::Increment | Op::IncrementQ | Op::Decrement | Op::DecrementQ => {
            extras_len == 20 && has_key && !has_value
        }
        Op::Touch | Op::Gat | Op::GatQ | Op::GatK | Op::GatKQ => {
            extras_len == 4 && has_key && !has_value
        }
        Op::Flush | Op::FlushQ => matches!(extras_len, 0 | 4) && !has_key && !has_value,
        Op::Stat => extras_len == 0 && !has_value,
        Op::Noop | Op::Version | Op::Quit | Op::QuitQ | Op::SaslList => {
            extras_len == 0 && !has_key && !has_value
        }
        Op::SaslAuth | Op::SaslStep => extras_len == 0 && has_key,
    }
}

#[inline]
fn command<'a>(opcode: Opcode, extras: &[u8], key: &'a [u8], value_len: u32) -> Command<'a> {
    use Opcode as Op;
    let get = |touch, with_key| Command::Get { key, touch, with_key };
    let store = |verb| Command::Store {
        verb,
        key,
        flags: be32(extras, 0),
        exptime: be32(extras, 4),
        value_len,
    };
    match opcode {
        Op::Get | Op::GetQ => get(None, false),
        Op::GetK | Op::GetKQ => get(None, true),
        Op::Gat | Op::GatQ => get(Some(be32(extras, 0)), false),
        Op::GatK | Op::GatKQ => get(Some(be32(extras, 0)), true),
        Op::Set | Op::SetQ => store(StoreVerb::Set),
        Op::Add | Op::AddQ => store(StoreVerb::Add),
        Op::Replace | Op::ReplaceQ => store(StoreVerb::Replace),
        Op::Append | Op::AppendQ => Command::Extend { verb: StoreVerb::Append, key, value_len },
        Op::Prepend | Op::PrependQ => Command::Extend { verb: StoreVerb::Prepend, key, value_len },
        Op::Delete | Op::DeleteQ => Command::Delete { key },
        Op::Increment | Op::IncrementQ => arith(ArithVerb::Incr, extras, key),
        Op::Decrement | Op::DecrementQ => arith(ArithVerb::Decr, extras, key),
        Op::Touch => Command::Touch { key, exptime: be32(extras, 0) },
        Op::Flush | Op::FlushQ => Command::Flush { delay: be32(extras, 0) },
        Op::Stat => Command::Stat { key },
        Op::Noop => Command::Noop,
        Op::Version => Command::Version,
        Op::Quit | Op::QuitQ => Command::Quit,
        Op::SaslList => Command::SaslList,
        Op::SaslAuth => Command::SaslAuth { mechanism: key, data_len: value_len, step: false },
        Op::SaslStep => Command::SaslAuth { mechanism: key, data_len: value_len, step: true },
    }
}

fn arith<'a>(verb: ArithVerb, extras: &[u8], key: &'a [u8]) -> Command<'a> {
    // All ones in the place of the expiry mean: answer "not found" instead of creating.
    let exptime = Some(be32(extras, 16)).filter(|&exptime| exptime != u32::MAX);
    Command::Arith { verb, key, delta: be64(extras, 0), initial: be64(extras, 8), exptime }
}

/// The number at `at`, 0 when the extras are absent (only flush may leave them out).
#[inline]
fn be32(extras: &[u8], at: usize) -> u32 {
    let bytes = extras.get(at..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |&bytes| u32::from_be_bytes(bytes))
}

#[inline]
fn be64(extras: &[u8], at: usize) -> u64 {
    let bytes = extras.get(at..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |&bytes| u64::from_be_bytes(bytes))
}
