//! Expected differences: intended ones, and those of another version of memcached. Each is
//! listed in `docs/compatibility.md` or belongs to a version.

use std::ops::RangeInclusive;

use memproto::binary::Opcode;
use memproto::key;
use memproto::limits::MAX_KEY;

use crate::play::{End, Reply};
use crate::stream::{Protocol, Unit};

/// A rule that excuses a difference.
#[derive(Debug)]
pub(crate) struct Excuse {
    /// What differs, and why.
    pub(crate) reason: &'static str,
    /// Whether what follows may differ, too, so that the stream ends here.
    pub(crate) diverges: bool,
    applies: fn(&Seen<'_>) -> bool,
}

/// Counters that are not compared. memcached counts what has expired and was flushed whatever looks
/// for it, ours when it is got; and before 1.6.41 not every meta request was counted as one.
/// Values too large are counted by memcached's text protocol only.
/// A refused flush is one, too; and numbers are mistaken, see below.
pub(crate) const COUNTERS: [&str; 7] = [
    "get_expired",
    "get_flushed",
    "cmd_meta",
    "store_too_large",
    "cmd_flush",
    "incr_hits",
    "decr_hits",
];

/// What a rule looks at.
struct Seen<'a> {
    /// What was sent before.
    earlier: &'a [Unit],
    /// What was sent, with zeros for versions.
    request: Vec<u8>,
    ours: Vec<u8>,
    theirs: Vec<u8>,
    /// Whether theirs has ended the connection, with good reason.
    closed: bool,
    binary: bool,
}

impl Seen<'_> {
    /// The words of the line.
    fn words(&self) -> impl Iterator<Item = &[u8]> {
        words(&self.request)
    }

    /// The line without its end.
    fn line(&self) -> &[u8] {
        self.request.split(|byte| *byte == b'\n').next().unwrap_or_default()
    }

    /// Whether the first word is one of these.
    fn is(&self, verbs: &str) -> bool {
        let verb = self.words().next().unwrap_or_default();
        verbs.split(' ').any(|name| name.as_bytes() == verb)
    }

    /// Whether a meta request has this flag.
    fn has(&self, letter: u8) -> bool {
        has(&self.request, letter)
    }

    /// The key of a meta request, as it is stored.
    fn name(&self) -> Vec<u8> {
        let word = self.words().nth(1).unwrap_or_default();
        let mut name = [0; MAX_KEY];
        match key::decode_base64(word, &mut name) {
            Some(name) if self.has(b'b') => name.to_vec(),
            _ => word.to_vec(),
        }
    }

    /// Whether the replies differ in how they spell the key.
    fn differ_in_key(&self) -> bool {
        let name = self.name();
        without_key(&self.ours, &name) == without_key(&self.theirs, &name)
    }

    /// Whether the key can't stand on a line.
    fn has_key_for_no_line(&self) -> bool {
        self.name().iter().any(|byte| *byte <= b' ' || *byte == 0x7f)
    }

    /// Whether memcached may have forgotten how the key came.
    fn may_be_recreated(&self) -> bool {
        self.has(b'N') || self.earlier.iter().any(recreates)
    }

    /// Whether theirs shows a time to live less than nothing, in 32 bits.
    fn shows_wrapped_time(&self) -> bool {
        let is_far = |reply| words(reply).any(|word| word == b"t{}");
        is_far(&self.theirs) && !is_far(&self.ours)
    }

    /// Whether the replies differ only in what is intended to differ.
    fn differ_in_words_only(&self) -> bool {
        let name = self.name();
        let rest = |reply: &[u8]| {
            let mut rest = reply.to_vec();
            if self.has_key_for_no_line() || self.may_be_recreated() {
                rest = without_key(&rest, &name);
            }
            if self.has_counted() {
                rest = without_marks(&rest);
            }
            if self.has_counted_with_expiry() || self.shows_wrapped_time() {
                rest = without_expiry(&rest);
            }
            rest
        };
        self.is("mg ma me") && rest(&self.ours) == rest(&self.theirs)
    }

    /// Whether a number was changed before.
    fn has_counted(&self) -> bool {
        self.earlier.iter().any(counts)
    }

    /// Whether a number was to be changed and to get an expiry, before or by this.
    fn has_counted_with_expiry(&self) -> bool {
        let gives = |request: &[u8]| request.starts_with(b"ma ") && has(request, b'T');
        gives(&self.request) || self.earlier.iter().any(|unit| gives(&unit.render(0)))
    }

    fn ours_is(&self, start: &str) -> bool {
        self.ours.starts_with(start.as_bytes())
    }

    fn theirs_is(&self, start: &str) -> bool {
        self.theirs.starts_with(start.as_bytes())
    }
}

const BAD_LINE: &str = "CLIENT_ERROR bad command line format\r\n";
const STORAGE: &str = "set add replace append prepend cas ms";

const EXCUSES: [Excuse; 40] = [
    Excuse {
        reason: "in 1.6.18: a NUL ends the words of a line",
        diverges: true,
        applies: |seen| !seen.binary && seen.line().contains(&0),
    },
    Excuse {
        reason: "in 1.6.18: a flag that is not a letter is an unknown or repeated one",
        diverges: true,
        applies: |seen| {
            let odd = |word: &[u8]| !matches!(word[0], b'0'..=b'9' | b'A'..=b'z');
            seen.is("mg ms md ma me") && seen.words().skip(2).any(odd)
        },
    },
    Excuse {
        reason: "in 1.6.18: ma with too long a key or too many flags replies what mg does",
        diverges: false,
        applies: |seen| {
            seen.is("ma")
                && seen.ours_is("CLIENT_ERROR invalid or duplicate flag")
                && seen.theirs_is("CLIENT_ERROR")
        },
    },
    Excuse {
        reason: "in 1.6.18: a number has any number of digits, and a minus sign alone is none",
        diverges: true,
        applies: |seen| {
            let digits = |word: &[u8]| word.iter().filter(|byte| byte.is_ascii_digit()).count();
            let odd = |word: &[u8]| digits(word) > 20 || word.ends_with(b"-");
            !seen.binary && seen.words().skip(1).any(odd)
        },
    },
    Excuse {
        reason: "in 1.6.18: an expiry beyond 31 bits is refused or wraps around",
        diverges: true,
        applies: |seen| {
            let far = |word: &[u8]| {
                let number = str::from_utf8(word).ok().and_then(|word| word.parse::<i128>().ok());
                number.is_some_and(|number| i32::try_from(number).is_err())
            };
            seen.is("set add replace append prepend cas") && seen.words().nth(3).is_some_and(far)
        },
    },
    Excuse {
        reason: "in 1.6.18: delete of the key noreply is answered",
        diverges: false,
        applies: |seen| {
            seen.is("delete") && seen.ours.is_empty() && seen.words().nth(1) == Some(b"noreply")
        },
    },
    Excuse {
        reason: "in 1.6.18: E and x are unknown",
        diverges: true,
        applies: |seen| {
            seen.theirs_is("CLIENT_ERROR invalid ") && (seen.has(b'E') || seen.has(b'x'))
        },
    },
    Excuse {
        reason: "in 1.6.18: a key in base64 has at most 250 bytes before decoding",
        diverges: true,
        applies: |seen| {
            let long = seen.words().nth(1).is_some_and(|key| key.len() > 250);
            long && seen.has(b'b') && seen.theirs_is(BAD_LINE)
        },
    },
    Excuse {
        reason: "in 1.6.18: a connection whose first frame is invalid is treated as text",
        diverges: true,
        applies: |seen| seen.binary && seen.theirs_is("ERROR"),
    },
    Excuse {
        reason: "intended: memory beyond a value is not part of a number",
        diverges: true,
        applies: |seen| {
            let refuses = |text: &[u8]| text.windows(10).any(|bytes| bytes == b"on-numeric");
            refuses(&seen.theirs) != refuses(&seen.ours)
        },
    },
    Excuse {
        reason: "intended: a number that gains a digit stays the same item",
        diverges: false,
        applies: |seen| {
            seen.is("mg me")
                && seen.has_counted()
                && without_marks(&seen.ours) == without_marks(&seen.theirs)
        },
    },
    Excuse {
        reason: "intended: a number that gains a digit gets its new expiry",
        diverges: false,
        applies: |seen| {
            seen.is("mg ma me")
                && seen.has_counted_with_expiry()
                && without_expiry(&seen.ours) == without_expiry(&seen.theirs)
        },
    },
    Excuse {
        reason: "intended: q of ma hides that a number was created",
        diverges: true,
        applies: |seen| {
            let done = seen.theirs_is("HD") || seen.theirs_is("VA");
            seen.is("ma") && seen.has(b'N') && seen.has(b'q') && seen.ours.is_empty() && done
        },
    },
    Excuse {
        reason: "intended: a key that a text line can't contain is returned in base64",
        diverges: false,
        applies: |seen| seen.is("mg me") && seen.has_key_for_no_line() && seen.differ_in_key(),
    },
    Excuse {
        reason: "intended: a key that came in base64 is returned in base64 after any change",
        diverges: false,
        applies: |seen| seen.is("mg me") && seen.may_be_recreated() && seen.differ_in_key(),
    },
    Excuse {
        reason: "intended: stat conns works in the binary protocol as well",
        diverges: false,
        applies: |seen| seen.binary && seen.request.ends_with(b"conns"),
    },
    Excuse {
        reason: "in 1.6.18: too many flags, shutdown and the automove window get other texts",
        diverges: false,
        applies: |seen| {
            seen.theirs_is("CLIENT_ERROR options flags too long")
                || seen.theirs_is("ERROR: shutdown not enabled")
                || seen.is("slabs") && seen.words().nth(2) == Some(b"window")
        },
    },
    Excuse {
        reason: "in 1.6.18: administration treats noreply and other last words differently",
        diverges: false,
        applies: |seen| {
            let last = seen.words().last().unwrap_or_default();
            seen.is("slabs lru lru_crawler cache_memlimit")
                && [&b"noreply"[..], b"NOREPLY", b"x"].contains(&last)
        },
    },
    Excuse {
        reason: "intended: whether a line is too long does not depend on how it is split",
        diverges: true,
        applies: |seen| {
            let end = seen.request.iter().position(|byte| *byte == b'\n');
            end.is_some_and(|end| end >= 2048) && seen.ours.is_empty()
        },
    },
    Excuse {
        reason: "intended: the last replies are not lost when the connection is closed",
        diverges: true,
        applies: |seen| seen.closed && seen.ours.starts_with(&seen.theirs),
    },
    Excuse {
        reason: "in 1.6.18: gat checks its expiry before it looks for keys",
        diverges: false,
        applies: |seen| seen.is("gat gats") && seen.words().count() < 3,
    },
    Excuse {
        reason: "in 1.6.18: frames with contradictory lengths get no reply",
        diverges: true,
        applies: |seen| {
            let Some(head) = seen.request.first_chunk::<12>() else { return false };
            let front = usize::from(u16::from_be_bytes([head[2], head[3]])) + usize::from(head[4]);
            let body = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
            let refused = matches!(seen.ours.get(6..8), Some([0, 4 | 0x81]));
            let short = matches!(head[1], 0x10 | 0x1c..=0x1e | 0x23 | 0x24) && front < body;
            refused && (head[0] != 0x80 || front > body || body > 1 << 30 || short)
        },
    },
    Excuse {
        reason: "in 1.6.18: surplus words are an error",
        diverges: true,
        applies: |seen| {
            let most = match seen.words().next() {
                Some(b"delete") => 2,
                Some(b"incr" | b"decr" | b"touch") => 3,
                Some(b"set" | b"add" | b"replace" | b"append" | b"prepend") => 5,
                Some(b"cas") => 6,
                Some(b"flush_all" | b"version" | b"verbosity" | b"mn" | b"quit" | b"stats") => 1,
                _ => 99,
            };
            let refused = seen.theirs_is("ERROR") || seen.theirs_is("CLIENT_ERROR bad command");
            refused && seen.words().count() > most
        },
    },
    Excuse {
        reason: "in 1.6.18: too few words are ERROR, and noreply counts as a word",
        diverges: false,
        applies: |seen| {
            let mute = seen.ours.is_empty() && seen.words().last() == Some(b"noreply");
            seen.theirs == b"ERROR\r\n" && (mute || seen.ours == BAD_LINE.as_bytes())
        },
    },
    Excuse {
        reason: "in 1.6.18: spaces before a command are skipped",
        diverges: true,
        applies: |seen| seen.request.starts_with(b" "),
    },
    Excuse {
        reason: "in 1.6.18: the data of a bad line is not skipped",
        diverges: true,
        applies: |seen| {
            let bad = |text: &[u8]| text.starts_with(b"CLIENT_ERROR") || text.starts_with(b"ERROR");
            seen.is(STORAGE) && (bad(&seen.ours) || seen.ours.is_empty()) && bad(&seen.theirs)
        },
    },
    Excuse {
        reason: "in 1.6.18: numbers may have a plus sign or be too large",
        diverges: true,
        applies: |seen| {
            let refused = seen.ours_is("CLIENT_ERROR") || seen.is(STORAGE);
            refused && has_odd_number(&seen.request)
        },
    },
    Excuse {
        reason: "in 1.6.18: md has one reply for every kind of wrong flag",
        diverges: false,
        applies: |seen| {
            seen.is("md")
                && seen.theirs == b"CLIENT_ERROR invalid or duplicate flag\r\n"
                && seen.ours_is("CLIENT_ERROR")
        },
    },
    Excuse {
        reason: "in 1.6.18: a mode has exactly one letter, for every command",
        diverges: true,
        applies: |seen| {
            let odd = |word: &[u8]| word[0] == b'M' && word.len() != 2;
            seen.theirs_is("CLIENT_ERROR") && seen.words().skip(2).any(odd)
        },
    },
    Excuse {
        reason: "in 1.6.18: bad numbers of D and J get other texts",
        diverges: false,
        applies: |seen| {
            seen.theirs_is("CLIENT_ERROR invalid numeric ") && seen.ours_is("CLIENT_ERROR")
        },
    },
    Excuse {
        reason: "in 1.6.18: me with a bad key replies bad command line",
        diverges: false,
        applies: |seen| seen.is("me") && seen.ours_is("CLIENT_ERROR error decoding key"),
    },
    Excuse {
        reason: "in 1.6.18: ms does not return the size",
        diverges: false,
        applies: |seen| seen.is("ms") && seen.has(b's') && without_size(&seen.ours) == seen.theirs,
    },
    Excuse {
        reason: "in 1.6.18: an append does not create an item",
        diverges: true,
        applies: |seen| seen.is("ms") && seen.has(b'N') && seen.theirs_is("NS"),
    },
    Excuse {
        reason: "in 1.6.18: mg with C returns the value regardless",
        diverges: false,
        applies: |seen| {
            seen.is("mg") && seen.has(b'C') && seen.theirs_is("VA") && seen.ours_is("HD")
        },
    },
    Excuse {
        reason: "intended: a key that is too long gets one error line",
        diverges: false,
        applies: |seen| seen.theirs == [BAD_LINE, "\r\n"].concat().as_bytes(),
    },
    Excuse {
        reason: "intended: an append beyond the item size is reported as too large",
        diverges: false,
        applies: |seen| {
            let is = |reply: &[u8], status: u8| reply.get(6..8) == Some(&[0, status]);
            match seen.binary {
                true => adds_in_binary(&seen.request) && is(&seen.ours, 3) && is(&seen.theirs, 5),
                false => seen.ours_is("SERVER_ERROR object too large"),
            }
        },
    },
    Excuse {
        reason: "intended: a time to live is never negative",
        diverges: false,
        applies: |seen| {
            seen.is("mg ma")
                && seen.shows_wrapped_time()
                && without_expiry(&seen.ours) == without_expiry(&seen.theirs)
        },
    },
    Excuse {
        reason: "intended: the body of an unknown frame is skipped once",
        diverges: true,
        applies: |seen| {
            let opcode = seen.request.get(1).copied().unwrap_or(0);
            seen.request.first() == Some(&0x80) && Opcode::from_byte(opcode).is_none()
        },
    },
    Excuse {
        reason: "intended: key, marks and time to live of one reply, as listed above",
        diverges: false,
        applies: |seen| seen.differ_in_words_only(),
    },
    Excuse {
        reason: "intended: client flags beyond 32 bits are refused",
        diverges: true,
        applies: |seen| seen.ours_is(BAD_LINE) && seen.words().any(|word| word == b"4294967296"),
    },
];

/// Whether a word is a number that may stand in front of data.
fn is_number(word: &[u8]) -> bool {
    str::from_utf8(word).is_ok_and(|word| word.parse::<u32>().is_ok())
}

/// The words of a line.
fn words(request: &[u8]) -> impl Iterator<Item = &[u8]> {
    let line = request.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    line.unwrap_or_default().split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

/// Whether a meta request has this flag.
fn has(request: &[u8], letter: u8) -> bool {
    words(request).skip(2).any(|word| word[0] == letter)
}

/// Whether a request changes a number.
fn counts(unit: &Unit) -> bool {
    let request = unit.render(0);
    match unit.protocol {
        Protocol::Text => words(&request)
            .next()
            .is_some_and(|verb| [&b"incr"[..], b"decr", b"ma"].contains(&verb)),
        Protocol::Binary => matches!(request.get(1), Some(0x05 | 0x06 | 0x15 | 0x16)),
    }
}

/// Whether memcached makes another item of what is there, or one of nothing, and forgets how the
/// key came.
fn recreates(unit: &Unit) -> bool {
    adds(unit) || counts(unit) || has(&unit.render(0), b'N')
}

/// Whether a request adds to a value.
fn adds(unit: &Unit) -> bool {
    let request = unit.render(0);
    match unit.protocol {
        Protocol::Text => {
            let verb = words(&request).next().unwrap_or_default();
            let joins = words(&request).any(|word| matches!(word, b"MA" | b"MP"));
            verb == b"append" || verb == b"prepend" || verb == b"ms" && joins
        }
        Protocol::Binary => adds_in_binary(&request),
    }
}

fn adds_in_binary(request: &[u8]) -> bool {
    matches!(request.get(1), Some(0x0e | 0x0f | 0x19 | 0x1a))
}

/// Whether a number of a line is not what it should be.
fn has_odd_number(request: &[u8]) -> bool {
    const U31: RangeInclusive<i128> = 0..=i32::MAX as i128;
    const U32: RangeInclusive<i128> = 0..=u32::MAX as i128;
    const U64: RangeInclusive<i128> = 0..=u64::MAX as i128;
    const TIME: RangeInclusive<i128> = i32::MIN as i128..=i32::MAX as i128;
    let words: Vec<&[u8]> = words(request).collect();
    let Some((verb, words)) = words.split_first() else { return false };
    let range = |at: usize, word: &[u8]| match (*verb, at, word[0]) {
        (b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas", 1, _) => Some(U32),
        (b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas", 2, _) => Some(TIME),
        (b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas", 3, _) => Some(U31),
        (b"cas", 4, _) | (b"incr" | b"decr", 1, _) => Some(U64),
        (b"touch", 1, _) | (b"gat" | b"gats" | b"flush_all", 0, _) => Some(TIME),
        (b"verbosity", 0, _) => Some(U31),
        (b"ms", 1, _) => Some(U31),
        (b"mg" | b"ms" | b"md" | b"ma", 1.., b'C' | b'D' | b'J') => Some(U64),
        (b"mg" | b"ms" | b"md" | b"ma", 1.., b'F' | b'S') => Some(U32),
        (b"mg" | b"ms" | b"md" | b"ma", 1.., b'T' | b'N' | b'R') => Some(TIME),
        _ => None,
    };
    let mut numbers = words.iter().enumerate();
    numbers.any(|(at, word)| range(at, word).is_some_and(|range| is_odd_number(word, &range)))
}

/// Whether the number of a flag or a word has a sign too many, a wrong end, or is too large.
fn is_odd_number(word: &[u8], range: &RangeInclusive<i128>) -> bool {
    let text = String::from_utf8_lossy(word);
    let number = text.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
    number.starts_with('+')
        || number.ends_with(|c: char| c.is_ascii_control())
        || number.parse().is_ok_and(|value| !range.contains(&value))
}

/// A reply without the flag s.
fn without_size(reply: &[u8]) -> Vec<u8> {
    without(reply, |word| word.strip_prefix('s').is_some_and(|size| size.parse::<u32>().is_ok()))
}

/// A reply without what tells of an item that it was read, is stale, or has been promised.
fn without_marks(reply: &[u8]) -> Vec<u8> {
    without(reply, |word| matches!(word, "h0" | "h1" | "W" | "X" | "Z" | "fetch=yes" | "fetch=no"))
}

/// A reply without the key, however it is spelled.
fn without_key(reply: &[u8], name: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    key::push_base64(&mut encoded, name);
    let marked = [&encoded, &b" b"[..]].concat();
    for spelled in [&marked, &encoded, name] {
        for lead in [&b"ME "[..], b" k"] {
            let key = [lead, spelled].concat();
            if let Some(at) = reply.windows(key.len()).position(|bytes| bytes == key) {
                return [&reply[..at], &reply[at + key.len()..]].concat();
            }
        }
    }
    reply.to_vec()
}

/// A reply without a time to live.
fn without_expiry(reply: &[u8]) -> Vec<u8> {
    without(reply, |word| word.starts_with("exp=") || word.starts_with('t'))
}

/// A reply without some words of its first line.
fn without(reply: &[u8], is_left_out: impl Fn(&str) -> bool) -> Vec<u8> {
    let end = reply.iter().position(|byte| *byte == b'\r').unwrap_or(reply.len());
    let (line, rest) = reply.split_at(end);
    let line = String::from_utf8_lossy(line);
    let words: Vec<&str> = line.split(' ').filter(|word| !is_left_out(word)).collect();
    [words.join(" ").as_bytes(), rest].concat()
}

/// Finds the rule that excuses a difference.
pub(crate) fn find(
    unit: &Unit,
    ours: &Reply,
    theirs: &Reply,
    may_end: bool,
    earlier: &[Unit],
) -> Option<&'static Excuse> {
    let closed = theirs.end == End::Closed && may_end;
    let (mine, other) = (ours.bytes_beside(theirs), theirs.bytes());
    let binary = unit.protocol == Protocol::Binary;
    let request = unit.render(0);
    let seen = Seen { earlier, request, ours: mine, theirs: other, closed, binary };
    EXCUSES.iter().find(|excuse| (excuse.applies)(&seen))
}

/// Whether data that is not skipped would be too long a line.
pub(crate) fn overflows(unit: &Unit) -> bool {
    unit.protocol == Protocol::Text && unit.render(0).len() > 2000
}

/// Whether a request is taken differently on purpose or by an older version in a way that no reply
/// to it shows: it wants none, it changes an item though it is refused, or it ends the life of a
/// number unless that grows by a digit.
pub(crate) fn hides(unit: &Unit) -> bool {
    const LARGE: usize = 1 << 20;
    const OPAQUE: usize = 32;
    let none = Vec::new();
    let request = unit.render(0);
    let (ours, theirs, closed, binary) = (none.clone(), none, false, false);
    let seen = Seen { earlier: &[], request, ours, theirs, closed, binary };
    let quiet = seen.words().last() == Some(b"noreply") || seen.has(b'q');
    let bad = |at: usize| seen.words().nth(at).is_some_and(|word| !is_number(word));
    let bad_time =
        seen.words().nth(3).is_some_and(|word| !is_number(word.strip_prefix(b"-").unwrap_or(word)));
    let odd = has_odd_number(&seen.request)
        || seen.is("set add replace append prepend cas") && (bad(2) || bad_time || bad(4))
        || seen.is("delete") && seen.words().count() > 3;
    let refused = seen.is("ms") && seen.request.len() > LARGE
        || seen.is("mg ms md ma")
            && seen.words().any(|word| word[0] == b'O' && word.len() > OPAQUE)
        || seen.is("ma")
            && seen.words().skip(2).any(|word| word.starts_with(b"T-") || word == b"T2592001");
    unit.protocol == Protocol::Text && (quiet && odd || refused)
}

/// Whether a request flushes. In 1.6.18 a second flush takes the first one back.
pub(crate) fn flushes(unit: &Unit) -> bool {
    let request = unit.render(0);
    match unit.protocol {
        Protocol::Text => request.starts_with(b"flush_all"),
        Protocol::Binary => matches!(request[1], 0x08 | 0x18),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_excuse_is_documented() {
        let text = include_str!("../../../docs/compatibility.md");
        for Excuse { reason, .. } in &EXCUSES {
            assert!(text.contains(&format!("\n- {reason}\n")), "not documented: {reason}");
        }
    }
}
