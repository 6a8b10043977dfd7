//! set, add, replace, append, prepend, cas: one header line; the data block is not looked at.

use super::line::{Line, block_len, parse_len};
use crate::bytes::number::parse_u64;
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
    // What does not fit is left to the general parser, which has the errors.
    if len > MAX_TEXT_VALUE.into() {
        return Err(Stop::Other);
    }
    let len = len as u32;
    let flags = u32::try_from(flags).map_err(|_| Stop::Other)?;
    let exptime = i64::try_from(exptime).map_err(|_| Stop::Other)?;
    Ok(Request::Store(Store { verb, key, flags, exptime, len, cas, noreply }))
}

/// Any storage header.
pub(super) fn store(line: Line<'_>, verb: StoreVerb) -> Step<'_> {
    let mut words = Args::new(line.args);
    let key = words.next();
    let behind_key = words.raw();
    let flags = words.next();
    let exptime = words.next();
    let Some(len) = words.next().and_then(parse_len) else {
        // Without a length the block can't be dropped, nor can a last `noreply` be trusted: the
        // error is sent, and what follows is read as commands.
        return line.reject(ParseError::BadLineFormat);
    };
    // Behind the key, so that a key of that name does not count.
    let noreply = ends_in_noreply(behind_key);
    // The other verbs compare no version; 0 stands for that.
    let cas = if verb == StoreVerb::Cas { words.next() } else { Some(&b"0"[..]) };
    let store = || {
        Some(Store {
            verb,
            key: key.filter(|key| key.len() <= MAX_KEY)?,
            flags: parse_flags(flags?)?,
            exptime: parse_exptime(exptime?)?,
            len,
            cas: parse_u64(cas?)?,
            noreply,
        })
    };
    match store() {
        Some(store) => line.accept(Request::Store(store)),
        // The length is known, so the block is dropped and not taken for commands.
        None => line.reject_block(ParseError::BadLineFormat, block_len(len), noreply),
    }
}

/// Client flags. They may have a sign, as in C, but no value that 32 bits don't hold.
fn parse_flags(word: &[u8]) -> Option<u32> {
    let (is_negative, magnitude) = parse_sign(word)?;
    // `-0` is 0 in C, too.
    if is_negative && magnitude > 0 {
        return None;
    }
    u32::try_from(magnitude).ok()
}

/// An expiry: any number of 64 bits, perhaps with a sign.
fn parse_exptime(word: &[u8]) -> Option<i64> {
    match parse_sign(word)? {
        (true, magnitude) => 0_i64.checked_sub_unsigned(magnitude),
        (false, magnitude) => i64::try_from(magnitude).ok(),
    }
}

/// Whether a number is negative, and the rest of it, with any number of zeroes in front.
fn parse_sign(word: &[u8]) -> Option<(bool, u64)> {
    let (is_negative, digits) = match word.split_first()? {
        (b'-', digits) => (true, digits),
        (b'+', digits) => (false, digits),
        _ => (false, word),
    };
    // Leading zeroes are allowed without limit, as in C; `parse_u64` would count them as digits.
    let zeroes = digits.iter().take_while(|&&byte| byte == b'0').count();
    let significant = digits.get(zeroes..)?;
    if significant.is_empty() && zeroes > 0 {
        return Some((is_negative, 0));
    }
    Some((is_negative, parse_u64(significant)?))
}
