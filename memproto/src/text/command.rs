//! The classic commands that are neither retrieval nor storage. It must never interpret the
//! words of statistics and administration: they are the server's.

use super::line::Line;
use crate::bytes::number::{parse_i32, parse_u32, parse_u64};
use crate::bytes::{Cursor, Stop, ends_in_noreply, split_word};
use crate::error::ParseError;
use crate::limits::MAX_KEY;
use crate::request::{Admin, Args, ArithVerb, Request, Shutdown};
use crate::status::Step;

pub(super) fn arith(line: Line<'_>, verb: ArithVerb) -> Step<'_> {
    let (words, noreply) = key_and_word(line.args);
    let Some([key, delta]) = words else {
        return line.reject_block(ParseError::BadLineFormat, 0, noreply);
    };
    match parse_u64(delta) {
        Some(delta) => line.accept(Request::Arith { verb, key, delta, noreply }),
        None => line.reject_block(ParseError::InvalidDelta, 0, noreply),
    }
}

/// incr and decr behind their names.
#[inline]
pub(super) fn plain_arith<'a>(verb: ArithVerb, line: &mut Cursor<'a>) -> Result<Request<'a>, Stop> {
    line.literal(b" ")?;
    let key = line.key()?;
    let delta = line.number()?;
    let noreply = line.noreply()?;
    Ok(Request::Arith { verb, key, delta, noreply })
}

pub(super) fn touch(line: Line<'_>) -> Step<'_> {
    let (words, noreply) = key_and_word(line.args);
    let Some([key, exptime]) = words else {
        return line.reject_block(ParseError::BadLineFormat, 0, noreply);
    };
    match parse_i32(exptime) {
        Some(exptime) => line.accept(Request::Touch { key, exptime: exptime.into(), noreply }),
        None => line.reject_block(ParseError::InvalidExptime, 0, noreply),
    }
}

/// touch behind its first four letters.
#[inline]
pub(super) fn plain_touch<'a>(line: &mut Cursor<'a>) -> Result<Request<'a>, Stop> {
    line.literal(b"h ")?;
    let key = line.key()?;
    let exptime = line.number()?;
    let noreply = line.noreply()?;
    let exptime = i32::try_from(exptime).map_err(|_| Stop::Other)?;
    Ok(Request::Touch { key, exptime: exptime.into(), noreply })
}

/// A key of legal length with the word behind it, and whether the line ends in `noreply`.
fn key_and_word(args: &[u8]) -> (Option<[&[u8]; 2]>, bool) {
    let mut words = Args::new(args);
    let key = words.next().filter(|key| key.len() <= MAX_KEY);
    // Looked for behind the key: a key of that name does not count.
    let noreply = ends_in_noreply(words.raw());
    (key.zip(words.next()).map(|(key, word)| [key, word]), noreply)
}

/// Words between the key and `noreply` are ignored: old clients send a time there.
pub(super) fn delete(line: Line<'_>) -> Step<'_> {
    let Some((key, _)) = split_word(line.args) else {
        return line.reject(ParseError::BadLineFormat);
    };
    // Over the whole line, so that `delete noreply` deletes a key of that name without a reply:
    // memcached looks at the last word only.
    let noreply = ends_in_noreply(line.args);
    if key.len() > MAX_KEY {
        return line.reject_block(ParseError::BadLineFormat, 0, noreply);
    }
    line.accept(Request::Delete { key, noreply })
}

/// delete behind its first four letters.
#[inline]
pub(super) fn plain_delete<'a>(line: &mut Cursor<'a>) -> Result<Request<'a>, Stop> {
    line.literal(b"te ")?;
    let key = line.last_key()?;
    let noreply = line.noreply()?;
    // `delete noreply` is special; see `delete`.
    if key == b"noreply" {
        return Err(Stop::Other);
    }
    Ok(Request::Delete { key, noreply })
}

pub(super) fn flush_all(line: Line<'_>) -> Step<'_> {
    let noreply = line.noreply();
    let delay = match split_word(line.args) {
        // If `noreply` is the only word, it is not the delay.
        Some((word, rest)) if !(noreply && rest.is_empty()) => parse_i32(word),
        _ => Some(0),
    };
    let delay = delay.map(i64::from).ok_or(ParseError::InvalidExptime);
    line.accept(Request::FlushAll { delay, noreply })
}

pub(super) fn verbosity(line: Line<'_>) -> Step<'_> {
    let noreply = line.noreply();
    match split_word(line.args).and_then(|(word, _)| parse_u32(word)) {
        Some(level) => line.accept(Request::Verbosity { level, noreply }),
        None => line.reject_block(ParseError::BadLineFormat, 0, noreply),
    }
}

pub(super) fn shutdown(line: Line<'_>) -> Step<'_> {
    let mode = match split_word(line.args) {
        None => Ok(Shutdown::AtOnce),
        // Any other word is an error, and so is one behind `graceful`: a typing error must not end
        // the server.
        Some((b"graceful", rest)) if split_word(rest).is_none() => Ok(Shutdown::Graceful),
        Some(_) => Err(ParseError::InvalidShutdownMode),
    };
    line.accept(Request::Shutdown { mode, noreply: line.noreply() })
}

pub(super) fn stats(line: Line<'_>) -> Step<'_> {
    line.accept(Request::Stats { args: Args::new(line.args) })
}

pub(super) fn admin(line: Line<'_>, command: Admin) -> Step<'_> {
    // The reply to `watch` tells the client that log lines follow; it is always sent.
    let noreply = command != Admin::Watch && line.noreply();
    let args = if noreply { without_last_word(line.args) } else { line.args };
    line.accept(Request::Admin { command, args: Args::new(args), noreply })
}

fn without_last_word(args: &[u8]) -> &[u8] {
    let args = args.trim_ascii_end();
    args.strip_suffix(b"noreply").unwrap_or(args)
}
