//! set, add, replace, append, prepend, cas: one header line; the data block is not looked at.

use super::line::{Line, block_len, parse_len};
use crate::bytes::number::{parse_i32, parse_u32, parse_u64};
use crate::bytes::{Cursor, Stop, ends_in_noreply};
use crate::error::ParseError;
use crate::limits::{MAX_KEY, MAX_TEXT_VALUE};
use crate::request::{Args, Request, Store, StoreVerb};
use crate::status::Step;

/// A storage header behind its command.
#[inline]
pub(super) fn plain<'a>(verb: StoreVerb, line: &mut Cursor<'a>) -> Result<Request<'a>, Stop> {
    let key = line.key()?;
    let flags = line.number()?;
    line.literal(b" ")?;
    let exptime = line.number()?;
    line.literal(b" ")?;
    let len = line.number()?;
    let mut cas = 0;
    if verb == StoreVerb::Cas {
        line.literal(b" ")?;
        cas = line.number()?;
    }
    let noreply = line.noreply()?;
    if flags > u32::MAX.into() || exptime > i32::MAX as u64 || len > MAX_TEXT_VALUE.into() {
        return Err(Stop::Other);
    }
    let (flags, exptime, len) = (flags as u32, exptime as i64, len as u32);
    Ok(Request::Store(Store { verb, key, flags, exptime, len, cas, noreply }))
}

/// Any storage header.
pub(super) fn store(line: Line<'_>, verb: StoreVerb) -> Step<'_> {
    let mut words = Args::new(line.args);
    let Some(key) = words.next() else {
        return line.reject(ParseError::BadLineFormat);
    };
    let noreply = ends_in_noreply(words.raw());
    let (Some(flags), Some(exptime), Some(len)) = (words.next(), words.next(), words.next()) else {
        return line.reject_block(ParseError::BadLineFormat, 0, noreply);
    };
    let cas = if verb == StoreVerb::Cas { words.next() } else { Some(&b"0"[..]) };
    let (Some(cas), Some(len)) = (cas, parse_len(len)) else {
        // Without a length nobody knows how many bytes to drop.
        return line.reject_block(ParseError::BadLineFormat, 0, noreply);
    };
    match (parse_u32(flags), parse_i32(exptime), parse_u64(cas)) {
        (Some(flags), Some(exptime), Some(cas)) if key.len() <= MAX_KEY => {
            let exptime = exptime.into();
            line.accept(Request::Store(Store { verb, key, flags, exptime, len, cas, noreply }))
        }
        _ => line.reject_block(ParseError::BadLineFormat, block_len(len), noreply),
    }
}
