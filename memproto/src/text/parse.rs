//! From the front of a buffer to one line, and from its first word to the command. What the
//! other words mean is known to the file of each command.

use super::line::{Line, partial};
use super::{command, retrieve, store};
use crate::bytes::{Cursor, Scan, Stop, cut_word, find_line, trim_start};
use crate::error::{CloseReason, ParseError};
use crate::limits::{Limits, MIN_LINE};
use crate::meta::{self, MetaCommand, MetaRequest};
use crate::request::{Admin, ArithVerb, GetVerb, Request, StoreVerb};
use crate::status::Step;

/// Bytes of a command that are looked at to tell it from others.
const COMMAND: usize = 4;

/// Looks at the front of `buf` for one request. See [`Step`] for what the caller does next.
///
/// ```
/// use memproto::{Limits, Request, Scan, Step, text};
///
/// let step = text::parse(b"version\r\n", &mut Scan::new(), &Limits::default());
/// assert_eq!(step, Step::Request { consumed: 9, request: Request::Version });
/// ```
#[must_use]
#[inline]
pub fn parse<'a>(buf: &'a [u8], scan: &mut Scan, limits: &Limits) -> Step<'a> {
    if scan.seen == 0 {
        // Only at the first look at a line: repeated with every read, one pass would be many.
        // The commands that make up nearly all traffic are read in one pass, without looking for
        // the end of the line first; anything unusual is left to `parse_line`.
        match buf.split_first_chunk() {
            Some((b"get ", rest)) => return plain_get(GetVerb::Get, rest, buf, scan, limits),
            Some((b"set ", rest)) => {
                return plain(rest, buf, scan, limits, |line| store::plain(StoreVerb::Set, line));
            }
            Some((&[b'm', letter, b' ', _], _)) => return plain_meta(letter, buf, scan, limits),
            Some((word, rest)) => return parse_rarer(word, rest, buf, scan, limits),
            None => {}
        }
    }
    parse_line(buf, scan, limits)
}

/// The same for commands that are less frequent; `buf` is `word` and `rest`.
fn parse_rarer<'a>(
    word: &[u8; COMMAND],
    rest: &'a [u8],
    buf: &'a [u8],
    scan: &mut Scan,
    limits: &Limits,
) -> Step<'a> {
    use ArithVerb::{Decr, Incr};
    use StoreVerb::{Add, Cas};
    match word {
        b"gets" => match rest.strip_prefix(b" ") {
            Some(rest) => plain_get(GetVerb::Gets, rest, buf, scan, limits),
            None => parse_line(buf, scan, limits),
        },
        b"add " => plain(rest, buf, scan, limits, |line| store::plain(Add, line)),
        b"cas " => plain(rest, buf, scan, limits, |line| store::plain(Cas, line)),
        b"incr" => plain(rest, buf, scan, limits, |line| command::plain_arith(Incr, line)),
        b"decr" => plain(rest, buf, scan, limits, |line| command::plain_arith(Decr, line)),
        b"touc" => plain(rest, buf, scan, limits, command::plain_touch),
        b"dele" => plain(rest, buf, scan, limits, command::plain_delete),
        _ => parse_line(buf, scan, limits),
    }
}

/// A line as every client library writes it: single spaces, short unsigned numbers and CRLF. `read`
/// reads it in one pass from `rest` on, which is what follows its first four bytes.
#[inline]
fn plain<'a>(
    rest: &'a [u8],
    buf: &'a [u8],
    scan: &mut Scan,
    limits: &Limits,
    read: impl FnOnce(&mut Cursor<'a>) -> Result<Request<'a>, Stop>,
) -> Step<'a> {
    let mut line = Cursor::new(rest);
    match read(&mut line) {
        Ok(request) => {
            let consumed = buf.len() - line.remaining();
            // The same limit as in `parse_line`: it must not depend on how a line is spelled.
            if consumed > limits.line {
                return Step::Close(CloseReason::LineTooLong);
            }
            Step::Request { consumed, request }
        }
        Err(Stop::End) => partial(buf, scan, limits),
        // The search for the line feed begins at the front again: these lines are short.
        Err(Stop::Other) => parse_line(buf, scan, limits),
    }
}

/// The same for get and gets, whose lines may be longer; `rest` is what follows the command.
#[inline]
fn plain_get<'a>(
    verb: GetVerb,
    rest: &'a [u8],
    buf: &'a [u8],
    scan: &mut Scan,
    limits: &Limits,
) -> Step<'a> {
    let mut line = Cursor::new(rest);
    match retrieve::plain(verb, &mut line) {
        Ok(request) => {
            let consumed = buf.len() - line.remaining();
            if consumed > limits.line && consumed > limits.get_line {
                return Step::Close(CloseReason::LineTooLong);
            }
            Step::Request { consumed, request }
        }
        Err(Stop::End) => partial(buf, scan, limits),
        Err(Stop::Other) => {
            // What was read holds no line feed.
            scan.seen = buf.len() - line.remaining();
            parse_line(buf, scan, limits)
        }
    }
}

/// The same for a meta command of this letter.
#[inline]
fn plain_meta<'a>(letter: u8, buf: &'a [u8], scan: &mut Scan, limits: &Limits) -> Step<'a> {
    // me is only for debugging, and ignores most of its flags.
    if let Some(command) = meta::command(letter).filter(|command| *command != MetaCommand::Debug) {
        let mut request = MetaRequest::new(command);
        let consumed = meta::read_plain(&mut request, buf);
        if let Some(consumed) = consumed.filter(|&consumed| consumed <= limits.line) {
            return Step::Request { consumed, request: Request::Meta(request) };
        }
    }
    parse_line(buf, scan, limits)
}

/// The general way: find the line, then split it.
fn parse_line<'a>(buf: &'a [u8], scan: &mut Scan, limits: &Limits) -> Step<'a> {
    let Some(line) = find_line(buf, scan.seen) else {
        return partial(buf, scan, limits);
    };
    scan.seen = 0;
    let consumed = line.len() + 1;
    debug_assert!(consumed <= buf.len());
    if consumed > limits.line && consumed > super::line::limit(buf, limits) {
        return Step::Close(CloseReason::LineTooLong);
    }
    // A bare line feed ends a line as well, for clients typed by hand.
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // `mn` with a bare line feed is the one command that is shorter.
    if consumed < MIN_LINE && line != b"mn" {
        return Line { consumed, args: line }.reject(ParseError::BadLineFormat);
    }
    dispatch(line, consumed)
}

fn dispatch(text: &[u8], consumed: usize) -> Step<'_> {
    // Meta commands first, by two compares instead of a search for the end of the word.
    if let Some((&[b'm', letter, b' '], args)) = text.split_first_chunk() {
        if let Some(command) = meta::command(letter) {
            return meta::parse(command, Line { consumed, args: trim_start(args) });
        }
    }
    dispatch_word(text, consumed)
}

fn dispatch_word(text: &[u8], consumed: usize) -> Step<'_> {
    let (word, rest) = cut_word(text);
    let line = Line { consumed, args: trim_start(rest) };
    // A meta command without a word behind it: its parser has the error for that.
    if let [b'm', letter] = *word {
        if let Some(command) = meta::command(letter) {
            return meta::parse(command, line);
        }
    }
    match word {
        b"get" => retrieve::get(line, GetVerb::Get),
        b"set" => store::store(line, StoreVerb::Set),
        b"gets" => retrieve::get(line, GetVerb::Gets),
        b"mn" => line.accept(Request::MetaNoop),
        b"add" => store::store(line, StoreVerb::Add),
        b"cas" => store::store(line, StoreVerb::Cas),
        b"gat" => retrieve::gat(line, GetVerb::Gat),
        b"gats" => retrieve::gat(line, GetVerb::Gats),
        b"incr" => command::arith(line, ArithVerb::Incr),
        b"decr" => command::arith(line, ArithVerb::Decr),
        b"touch" => command::touch(line),
        b"delete" => command::delete(line),
        b"append" => store::store(line, StoreVerb::Append),
        b"prepend" => store::store(line, StoreVerb::Prepend),
        b"replace" => store::store(line, StoreVerb::Replace),
        b"quit" => line.accept(Request::Quit),
        b"stats" => command::stats(line),
        b"version" => line.accept(Request::Version),
        b"flush_all" => command::flush_all(line),
        b"verbosity" => command::verbosity(line),
        b"shutdown" => command::shutdown(line),
        _ => match admin(word) {
            Some(admin) => command::admin(line, admin),
            None if word.is_empty() => indented(line),
            None => unknown(line),
        },
    }
}

fn admin(word: &[u8]) -> Option<Admin> {
    Some(match word {
        b"cache_memlimit" => Admin::CacheMemlimit,
        b"debugtime" => Admin::Debugtime,
        b"extstore" => Admin::Extstore,
        b"lru" => Admin::Lru,
        b"lru_crawler" => Admin::LruCrawler,
        b"refresh_certs" => Admin::RefreshCerts,
        b"slabs" => Admin::Slabs,
        b"watch" => Admin::Watch,
        _ => return None,
    })
}

/// With a space in front of them, memcached knows two commands only.
#[cold]
fn indented(line: Line<'_>) -> Step<'_> {
    let (word, rest) = cut_word(line.args);
    let behind = Line { args: trim_start(rest), ..line };
    match word {
        b"flush_all" => command::flush_all(behind),
        b"verbosity" => command::verbosity(behind),
        _ => unknown(line),
    }
}

/// An unknown command is answered, unless a browser has sent it: then the next lines would be
/// headers and a body that a web page controls, and each of them would be run as a command.
#[cold]
fn unknown(line: Line<'_>) -> Step<'_> {
    // A request line ends in `HTTP/1.1` or the like, with any number of spaces before it.
    let last = line.args.rsplit(|&b| b == b' ').find(|word| !word.is_empty());
    if last.is_some_and(|word| word.starts_with(b"HTTP/")) {
        return Step::Close(CloseReason::Http);
    }
    line.reject(ParseError::UnknownCommand)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::looked;

    /// Bytes looked at until `line` is there, which arrives in pieces of `size` bytes.
    fn looked_at(line: &[u8], size: usize) -> usize {
        let limits = Limits::default();
        let mut scan = Scan::new();
        let _ = looked::take();
        let mut end = 0;
        loop {
            end = (end + size).min(line.len());
            let Some(buf) = line.get(..end) else { unreachable!("it ends with the line") };
            match parse(buf, &mut scan, &limits) {
                Step::Partial => assert!(end < line.len(), "a whole line is not enough"),
                _ => return looked::take(),
            }
        }
    }

    #[test]
    fn no_byte_is_searched_again_when_more_arrives() {
        let lines = [
            format!("get {}\r\n", "k".repeat(2040)),
            format!("get {}\r\n", "k".repeat(64 << 10)),
            format!("get {}\r\n", "key ".repeat(16 << 10)),
            format!("gats 5 {}\r\n", "key ".repeat(16 << 10)),
            format!("set {} 0 0 5\r\n", "k".repeat(2000)),
            format!("set {} 0 0 5\r\n", "k".repeat(250)),
            format!("cas {} 0 0 5 7\r\n", "k".repeat(2000)),
            format!("mg {} v\r\n", "k".repeat(2000)),
            format!("mg k {}\r\n", "v ".repeat(1000)),
            format!("mg k O{}\r\n", "o".repeat(2000)),
            format!("ms k 5 T{}\r\n", "0".repeat(2000)),
            "x".repeat(3000),
        ];
        for line in &lines {
            let start = line.get(..20).unwrap_or_default();
            for size in [1, 2, 7, 100] {
                let looked = looked_at(line.as_bytes(), size);
                // Once for the end of the line, and once or twice for its words.
                let most = 3 * line.len() + 100;
                assert!(looked <= most, "{start}...: {looked} for {} bytes", line.len());
                assert!(looked >= line.len().min(2048) - 10, "{start}...: only {looked}");
            }
        }
    }
}
