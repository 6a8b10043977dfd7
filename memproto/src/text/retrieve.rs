//! get, gets, gat, gats: one line to keys. Keys are not split
//! here but while they are looked up, so that a long line is walked once.

use super::line::Line;
use crate::bytes::number::parse_i32;
use crate::bytes::{Cursor, Stop, split_word};
use crate::error::ParseError;
use crate::request::{GetVerb, Keys, Request};
use crate::status::Step;

/// get or gets behind its name, with one key and CRLF, as most clients send it.
#[inline(always)]
pub(super) fn plain<'a>(verb: GetVerb, line: &mut Cursor<'a>) -> Result<Request<'a>, Stop> {
    // Its length is checked where it is taken, so that both ways give the same answer.
    let key = line.word()?;
    line.literal(b"\r\n")?;
    Ok(Request::Get { verb, exptime: 0, keys: Keys::new(key, &[]) })
}

pub(super) fn get(line: Line<'_>, verb: GetVerb) -> Step<'_> {
    keys(line, verb, 0, line.args)
}

pub(super) fn gat(line: Line<'_>, verb: GetVerb) -> Step<'_> {
    let Some((exptime, rest)) = split_word(line.args) else {
        return line.reject(ParseError::BadLineFormat);
    };
    // A missing key is reported before a time that is not a number.
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
