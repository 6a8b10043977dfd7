//! get, gets, gat, gats: one line to keys. It must never look at a key that nobody asked for.

use super::parse::{Line, parse_line, partial};
use crate::error::{CloseReason, ParseError};
use crate::number::parse_i32;
use crate::request::{GetVerb, Keys, Request};
use crate::scan::{find_blank, split_word};
use crate::{Limits, Scan, Step};

/// The hot path: `buf` begins with `get ` or `gets ` and most probably goes on with one key and
/// CRLF.
#[inline]
pub(super) fn parse_get<'a>(
    verb: GetVerb,
    buf: &'a [u8],
    scan: &mut Scan,
    limits: &Limits,
) -> Step<'a> {
    let command = if verb == GetVerb::Gets { b"gets ".len() } else { b"get ".len() };
    let line = buf.get(command..).unwrap_or_default();
    let Some(end) = find_blank(line) else {
        return partial(buf, scan, limits);
    };
    let (key, rest) = line.split_at_checked(end).unwrap_or_default();
    if rest.starts_with(b"\r\n") && !key.is_empty() {
        let consumed = command + end + 2;
        if consumed <= limits.line || consumed <= limits.get_line {
            let keys = Keys::new(key, &[]);
            let request = Request::Get { verb, exptime: 0, keys };
            return Step::Request { consumed, request };
        }
        return Step::Close(CloseReason::LineTooLong);
    }
    // Everything in front of the blank is known to hold no line feed.
    scan.seen = command + end;
    parse_line(buf, scan, limits)
}

pub(super) fn get(line: Line<'_>, verb: GetVerb) -> Step<'_> {
    keys(line, verb, 0, line.args)
}

pub(super) fn gat(line: Line<'_>, verb: GetVerb) -> Step<'_> {
    let Some((exptime, rest)) = split_word(line.args) else {
        return line.reject(ParseError::BadLineFormat);
    };
    if rest.is_empty() {
        return line.reject(ParseError::BadLineFormat);
    }
    match parse_i32(exptime) {
        Some(exptime) => keys(line, verb, exptime.into(), rest),
        None => line.reject(ParseError::InvalidExptime),
    }
}

fn keys<'a>(line: Line<'a>, verb: GetVerb, exptime: i64, words: &'a [u8]) -> Step<'a> {
    match split_word(words) {
        Some((first, rest)) => {
            line.accept(Request::Get { verb, exptime, keys: Keys::new(first, rest) })
        }
        None => line.reject(ParseError::BadLineFormat),
    }
}
