//! set, add, replace, append, prepend, cas: one header line; the data block is not looked at.

use super::BLOCK_END;
use super::parse::{Line, parse_line, partial};
use crate::error::{CloseReason, ParseError};
use crate::limits::{MAX_KEY, MAX_TEXT_VALUE};
use crate::number::{parse_i32, parse_u32, parse_u64};
use crate::request::{Args, Request, Store, StoreVerb};
use crate::scan::{Cursor, Stop, ends_in_noreply};
use crate::{Limits, Scan, Step};

/// The hot path: `buf` begins with `set `.
#[inline]
pub(super) fn parse_set<'a>(buf: &'a [u8], scan: &mut Scan, limits: &Limits) -> Step<'a> {
    match plain_set(buf) {
        Ok((store, consumed)) if consumed <= limits.line => {
            Step::Request { consumed, request: Request::Store(store) }
        }
        Ok(_) => Step::Close(CloseReason::LineTooLong),
        Err(Stop::End) => partial(buf, scan, limits),
        Err(Stop::Other) => parse_line(buf, scan, limits),
    }
}

/// `set` with single spaces, unsigned short numbers and CRLF, as every client library sends it.
#[inline]
fn plain_set(buf: &[u8]) -> Result<(Store<'_>, usize), Stop> {
    let mut cursor = Cursor::new(buf);
    cursor.literal(b"set ")?;
    let key = cursor.word()?;
    let flags = cursor.number()?;
    cursor.literal(b" ")?;
    let exptime = cursor.number()?;
    cursor.literal(b" ")?;
    let len = cursor.number()?;
    let mut noreply = false;
    if cursor.literal(b"\r\n").is_err() {
        cursor.literal(b" noreply\r\n")?;
        noreply = true;
    }
    if key.len() > MAX_KEY {
        return Err(Stop::Other);
    }
    let exptime = i64::from(exptime);
    let store = Store { verb: StoreVerb::Set, key, flags, exptime, len, cas: 0, noreply };
    Ok((store, buf.len() - cursor.remaining()))
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

/// The length of a data block, without its terminator.
pub(crate) fn parse_len(word: &[u8]) -> Option<u32> {
    parse_u32(word).filter(|&len| len <= MAX_TEXT_VALUE)
}

/// The bytes of a data block, with its terminator.
pub(crate) const fn block_len(len: u32) -> u32 {
    len.saturating_add(BLOCK_END.len() as u32)
}
