//! One meta line to one request. As in memcached, every
//! known flag is accepted by every command, and its number is checked even where it is ignored.

use super::flags::{Flag, FlagError, FlagSet, Flags, Taken};
use super::request::{ArithMode, MetaCommand, MetaRequest, SetMode};
use crate::bytes::number::{parse_i32, parse_u32, parse_u64};
use crate::bytes::{Cursor, find_blank, find_near_blank, split_word};
use crate::error::ParseError;
use crate::key;
use crate::limits::{MAX_KEY, MAX_META_TOKENS, MAX_OPAQUE, MAX_TEXT_VALUE};
use crate::request::Request;
use crate::status::Step;
use crate::text::{Line, block_len, parse_len};

/// The command of the letter behind `m`.
#[inline]
pub(crate) const fn command(letter: u8) -> Option<MetaCommand> {
    Some(match letter {
        b'g' => MetaCommand::Get,
        b's' => MetaCommand::Set,
        b'd' => MetaCommand::Delete,
        b'a' => MetaCommand::Arith,
        b'e' => MetaCommand::Debug,
        _ => return None,
    })
}

/// Bytes of `mg `.
const COMMAND: usize = 3;

/// Reads a line as every client library writes it, with single spaces and CRLF, into `request`, and
/// returns its length; `buf` begins with `mg ` or the like. None if anything about the line is
/// unusual, wrong or missing.
#[inline]
pub(crate) fn read_plain<'a>(request: &mut MetaRequest<'a>, buf: &'a [u8]) -> Option<usize> {
    let args = buf.get(COMMAND..)?;
    let (key, mut rest) = args.split_at_checked(find_blank(args)?)?;
    if !(1..=MAX_KEY).contains(&key.len()) {
        return None;
    }
    request.key.raw = key;
    if request.command == MetaCommand::Set {
        let mut cursor = Cursor::new(rest.strip_prefix(b" ")?);
        let len = cursor.number().ok()?;
        request.len = u32::try_from(len).ok().filter(|&len| len <= MAX_TEXT_VALUE)?;
        rest = cursor.rest();
    }
    // Behind the blank that ends the key or length: the flags, or the end of the line.
    let words = rest.get(1..)?;
    let mut taken = Taken::new();
    // A second space is an unknown letter to `add`. A flag with an argument that is not read ends
    // the loop in front of it. Both leave the line to the general parser.
    while let [b' ', letter, ref tail @ ..] = *rest {
        let acts = ACTING.meets(taken.add(letter)?);
        rest = if acts { take_argument(request, letter, tail)? } else { tail };
    }
    let consumed = buf.len() - rest.strip_prefix(b"\r\n")?.len();
    // Without flags `words` is shorter than what is left: the CR was skipped.
    let flags = words.get(..words.len().saturating_sub(rest.len()))?;
    request.set = taken.set();
    request.flags = Flags::new(flags);
    // A flag takes two bytes at least, so that short lines need no count.
    if flags.len() > 2 * FEWEST_FLAGS && request.set.len() > max_flags(request.command) {
        return None;
    }
    if request.key.base64 {
        check_key(request).ok()?;
    }
    Some(consumed)
}

/// Reads what follows a letter at once; what is left behind it.
fn take_argument<'a>(
    request: &mut MetaRequest<'_>,
    letter: u8,
    bytes: &'a [u8],
) -> Option<&'a [u8]> {
    // Numbers and modes are short: most blanks are a few bytes away.
    let (arg, rest) = bytes.split_at_checked(find_near_blank(bytes)?)?;
    match letter {
        // The most common one; only its length matters.
        b'O' if arg.len() < MAX_OPAQUE => {}
        _ => read_argument(request, Flag { letter, arg }).ok()?,
    }
    Some(rest)
}

/// Parses the words behind the command.
pub(crate) fn parse<'a>(command: MetaCommand, line: Line<'a>) -> Step<'a> {
    let Some((key, mut rest)) = split_word(line.args) else {
        return line.reject(ParseError::BadLineFormat);
    };
    let mut len = 0;
    let mut swallow = 0;
    if command == MetaCommand::Set {
        let Some((word, flags)) = split_word(rest) else {
            return line.reject(ParseError::BadLineFormat);
        };
        let Some(announced) = parse_len(word) else {
            return line.reject(ParseError::BadLineFormat);
        };
        len = announced;
        // From here on the length is known, so any error drops the block.
        swallow = block_len(announced);
        rest = flags;
    }
    let mut request = MetaRequest::new(command);
    request.key.raw = key;
    request.len = len;
    request.flags = Flags::new(rest);
    // The key comes last, because flag `b` decides how long it may be.
    match read_flags(&mut request).and_then(|()| check_key(&request)) {
        Ok(()) => line.accept(Request::Meta(request)),
        Err(error) => line.reject_block(reported(&request, error), swallow, false),
    }
}

fn read_flags(request: &mut MetaRequest<'_>) -> Result<(), ParseError> {
    let mut left = max_flags(request.command);
    for flag in request.flags {
        if left == 0 && request.command != MetaCommand::Debug {
            return Err(ParseError::TooManyFlags);
        }
        left = left.saturating_sub(1);
        if !is_letter(flag.letter) {
            return Err(ParseError::BadLineFormat);
        }
        if !looks_at(request.command, flag.letter) {
            continue;
        }
        // Ours, which other commands do not know any more than memcached does.
        if request.command == MetaCommand::Delete && flag.letter == GROUP {
            request.set.insert_own(flag.letter).map_err(parse_error)?;
            continue;
        }
        request.set.insert(flag.letter).map_err(parse_error)?;
        read_argument(request, flag)?;
    }
    Ok(())
}

/// Whether a flag may begin with this byte, whether it is known or not.
const fn is_letter(byte: u8) -> bool {
    // With the six characters between `Z` and `a`: those are unknown flags, which is another error.
    matches!(byte, b'0'..=b'9' | b'A'..=b'z')
}

/// me has never looked at its flags, except for the one that decodes the key.
fn looks_at(command: MetaCommand, letter: u8) -> bool {
    command != MetaCommand::Debug || letter == b'b'
}

const fn parse_error(error: FlagError) -> ParseError {
    match error {
        FlagError::Duplicate => ParseError::DuplicateFlag,
        FlagError::Unknown => ParseError::InvalidFlag,
    }
}

/// Flags on a line of the most tokens: the command, the key and the length of ms count as well.
const fn max_flags(command: MetaCommand) -> usize {
    MAX_META_TOKENS - if matches!(command, MetaCommand::Set) { 3 } else { 2 }
}

/// What every command may have.
const FEWEST_FLAGS: usize = max_flags(MetaCommand::Set);

/// The flag of md that removes a group of keys. memcached has none like it.
const GROUP: u8 = b'G';

/// The flags that are more than present or absent.
const ACTING: FlagSet = FlagSet::of(b"CDEFJMNORTb");

fn read_argument(request: &mut MetaRequest<'_>, flag: Flag<'_>) -> Result<(), ParseError> {
    const BAD: ParseError = ParseError::BadToken;
    match flag.letter {
        b'b' => request.key.base64 = true,
        b'O' if flag.arg.len() >= MAX_OPAQUE => return Err(ParseError::OpaqueTooLong),
        b'T' => request.ttl = parse_i32(flag.arg).ok_or(BAD)?,
        b'N' => request.vivify = parse_i32(flag.arg).ok_or(BAD)?,
        b'R' => request.recache = parse_i32(flag.arg).ok_or(BAD)?,
        b'C' => request.compare = parse_u64(flag.arg).ok_or(BAD)?,
        b'E' => request.version = parse_u64(flag.arg).ok_or(BAD)?,
        b'D' => request.delta = parse_u64(flag.arg).ok_or(ParseError::InvalidDeltaFlag)?,
        b'J' => request.initial = parse_u64(flag.arg).ok_or(ParseError::InvalidInitialFlag)?,
        b'F' => request.client_flags = parse_u32(flag.arg).ok_or(ParseError::BadLineFormat)?,
        b'M' => read_mode(request, flag.arg)?,
        _ => {}
    }
    Ok(())
}

/// Only the first byte of a mode is looked at, so `MSet` is `MS`; commands without modes ignore it.
fn read_mode(request: &mut MetaRequest<'_>, arg: &[u8]) -> Result<(), ParseError> {
    match request.command {
        MetaCommand::Set => {
            request.set_mode = match arg.first() {
                Some(b'A') => SetMode::Append,
                Some(b'E') => SetMode::Add,
                Some(b'P') => SetMode::Prepend,
                Some(b'R') => SetMode::Replace,
                Some(b'S') => SetMode::Set,
                _ => return Err(ParseError::InvalidSetMode),
            };
        }
        MetaCommand::Arith => {
            request.arith_mode = match arg.first() {
                Some(b'I' | b'+') => ArithMode::Incr,
                Some(b'D' | b'-') => ArithMode::Decr,
                _ => return Err(ParseError::InvalidArithMode),
            };
        }
        _ => {}
    }
    Ok(())
}

fn check_key(request: &MetaRequest<'_>) -> Result<(), ParseError> {
    let key = request.key;
    // On the line: also a base64 form may not be longer, though its key would be shorter.
    if key.raw.len() > MAX_KEY {
        return Err(ParseError::BadLineFormat);
    }
    // Decoded here to prove it possible; the server decodes it again where it needs the key.
    if key.base64 && key::decode_base64(key.raw, &mut [0; MAX_KEY]).is_none() {
        return Err(ParseError::BadKeyEncoding);
    }
    Ok(())
}

/// What a peer is told when more than one thing is wrong. ma has one answer for nearly all of them.
#[cold]
fn reported(request: &MetaRequest<'_>, first: ParseError) -> ParseError {
    match worst(request, first) {
        Worst::NoLetter => ParseError::BadLineFormat,
        Worst::Flag(error @ (ParseError::InvalidArithMode | ParseError::OpaqueTooLong)) => error,
        Worst::Flag(_) if request.command == MetaCommand::Arith => {
            ParseError::InvalidOrDuplicateFlag
        }
        Worst::Flag(error) => error,
    }
}

/// What counts most of all that is wrong with a line.
enum Worst {
    /// A flag does not begin with a letter.
    NoLetter,
    /// Anything else.
    Flag(ParseError),
}

/// Flags that are not letters come first, then too many of them, too long a key, and letters that
/// can't be; of bad numbers the last one counts; client flags, opaque and mode are looked at when
/// all else is right.
fn worst(request: &MetaRequest<'_>, first: ParseError) -> Worst {
    // The first error is not always the one that memcached reports: all flags are read once more,
    // now that the time does not matter.
    let mut again = MetaRequest { set: FlagSet::default(), ..*request };
    let mut worst = first;
    let mut settled = false;
    let mut count = 0;
    for flag in request.flags {
        if !is_letter(flag.letter) {
            return Worst::NoLetter;
        }
        count += 1;
        if settled || !looks_at(request.command, flag.letter) {
            continue;
        }
        if let Err(error) = again.set.insert(flag.letter) {
            worst = parse_error(error);
            // Bad numbers behind it do not count any more.
            settled = true;
            continue;
        }
        let mut read = read_argument(&mut again, flag);
        if flag.letter == b'b' {
            read = check_key(&again);
        }
        match read {
            Err(error) if rank(error) >= rank(worst) => worst = error,
            _ => {}
        }
    }
    if count > max_flags(request.command) && request.command != MetaCommand::Debug {
        return Worst::Flag(ParseError::TooManyFlags);
    }
    if request.key.raw.len() > MAX_KEY {
        return Worst::Flag(ParseError::BadLineFormat);
    }
    Worst::Flag(worst)
}

/// Which of two errors is reported.
const fn rank(error: ParseError) -> u8 {
    match error {
        ParseError::OpaqueTooLong | ParseError::BadLineFormat => 0,
        ParseError::InvalidSetMode | ParseError::InvalidArithMode => 1,
        _ => 2,
    }
}
