//! Differences that are right: ours on purpose, or those of another version of memcached. Each is
//! listed in `docs/compatibility.md` or belongs to a version.

use memproto::binary::Opcode;

use crate::play::{End, Reply};
use crate::stream::{Protocol, Unit};

/// A rule that excuses a difference.
#[derive(Debug)]
pub(crate) struct Excuse {
    /// What differs, and why.
    pub(crate) reason: &'static str,
    /// Whether what follows may differ, too, so that the stream ends here.
    pub(crate) diverges: bool,
    applies: fn(&Seen) -> bool,
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
struct Seen {
    /// What was sent, with zeros for versions.
    request: Vec<u8>,
    ours: Vec<u8>,
    theirs: Vec<u8>,
    /// Whether theirs has ended the connection, with good reason.
    closed: bool,
    binary: bool,
}

impl Seen {
    /// The words of the line.
    fn words(&self) -> impl Iterator<Item = &[u8]> {
        let line = self.request.split(|byte| matches!(byte, b'\r' | b'\n')).next();
        line.unwrap_or_default().split(|byte| *byte == b' ').filter(|word| !word.is_empty())
    }

    /// Whether the first word is one of these.
    fn is(&self, verbs: &str) -> bool {
        let verb = self.words().next().unwrap_or_default();
        verbs.split(' ').any(|name| name.as_bytes() == verb)
    }

    /// Whether a meta request has this flag.
    fn has(&self, letter: u8) -> bool {
        self.words().skip(2).any(|word| word[0] == letter)
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

const EXCUSES: [Excuse; 30] = [
    Excuse {
        reason: "in 1.6.18: E and x are unknown",
        diverges: true,
        applies: |seen| {
            seen.theirs_is("CLIENT_ERROR invalid ") && (seen.has(b'E') || seen.has(b'x'))
        },
    },
    Excuse {
        reason: "in 1.6.18: a key in base64 has 250 bytes at most",
        diverges: true,
        applies: |seen| {
            let long = seen.words().nth(1).is_some_and(|key| key.len() > 250);
            long && seen.has(b'b') && seen.theirs_is(BAD_LINE)
        },
    },
    Excuse {
        reason: "in 1.6.18: a connection whose first frame is none is taken for text",
        diverges: true,
        applies: |seen| seen.binary && seen.theirs_is("ERROR"),
    },
    Excuse {
        reason: "on purpose: memory behind a value is no part of a number; 64 bytes are enough",
        diverges: true,
        applies: |seen| {
            let refuses = |text: &[u8]| text.windows(10).any(|bytes| bytes == b"on-numeric");
            refuses(&seen.theirs) != refuses(&seen.ours)
        },
    },
    Excuse {
        reason: "on purpose: a number that was changed counts as read",
        diverges: false,
        applies: |seen| {
            let without =
                |text: &[u8]| String::from_utf8_lossy(text).replace(" h0", "").replace(" h1", "");
            seen.is("mg") && seen.has(b'h') && without(&seen.ours) == without(&seen.theirs)
        },
    },
    Excuse {
        reason: "on purpose: a key that can't stand on a line is returned in base64",
        diverges: false,
        applies: |seen| {
            let found = seen.ours_is("HD") || seen.ours_is("VA");
            found && seen.is("mg") && seen.ours.windows(2).any(|bytes| bytes == b" b")
        },
    },
    Excuse {
        reason: "in 1.6.18: too many flags and administration in other words",
        diverges: false,
        applies: |seen| {
            seen.theirs_is("CLIENT_ERROR options flags too long")
                || seen.theirs_is("ERROR: shutdown not enabled")
                || seen.is("slabs lru lru_crawler cache_memlimit")
        },
    },
    Excuse {
        reason: "on purpose: no line is too long or not, depending on how it is cut",
        diverges: true,
        applies: |seen| {
            let end = seen.request.iter().position(|byte| *byte == b'\n');
            end.is_some_and(|end| end >= 2048) && seen.ours.is_empty()
        },
    },
    Excuse {
        reason: "on purpose: what is said last is not lost when the connection ends",
        diverges: true,
        applies: |seen| seen.closed && seen.ours.starts_with(&seen.theirs),
    },
    Excuse {
        reason: "in 1.6.18: gat looks at its time before it looks for keys",
        diverges: false,
        applies: |seen| seen.is("gat gats") && seen.words().count() < 3,
    },
    Excuse {
        reason: "in 1.6.18: lengths that contradict each other have no answer",
        diverges: true,
        applies: |seen| {
            let Some(head) = seen.request.first_chunk::<12>() else { return false };
            let front = usize::from(u16::from_be_bytes([head[2], head[3]])) + usize::from(head[4]);
            let body = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
            let refused = matches!(seen.ours.get(6..8), Some([0, 4 | 0x81]));
            let touches = matches!(head[1], 0x1c..=0x1e | 0x23 | 0x24) && front < body;
            refused && (head[0] != 0x80 || front > body || body > 1 << 30 || touches)
        },
    },
    Excuse {
        reason: "in 1.6.18: too few words are ERROR, and noreply is a word",
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
        reason: "in 1.6.18: numbers may have a plus sign or be too large",
        diverges: true,
        applies: |seen| {
            let refused = seen.ours_is("CLIENT_ERROR") || seen.is(STORAGE);
            refused && seen.words().skip(1).any(is_odd_number)
        },
    },
    Excuse {
        reason: "in 1.6.18: md has one answer for all that is wrong with a flag",
        diverges: false,
        applies: |seen| {
            seen.is("md")
                && seen.theirs == b"CLIENT_ERROR invalid or duplicate flag\r\n"
                && seen.ours_is("CLIENT_ERROR")
        },
    },
    Excuse {
        reason: "in 1.6.18: a mode is one letter, whatever the command",
        diverges: true,
        applies: |seen| {
            let odd = |word: &[u8]| word[0] == b'M' && word.len() != 2;
            seen.theirs_is("CLIENT_ERROR") && seen.words().skip(2).any(odd)
        },
    },
    Excuse {
        reason: "in 1.6.18: other texts for bad numbers of D and J",
        diverges: false,
        applies: |seen| {
            seen.theirs_is("CLIENT_ERROR invalid numeric ")
                && seen.ours_is("CLIENT_ERROR bad token")
        },
    },
    Excuse {
        reason: "in 1.6.18: me with a bad key has a bad line",
        diverges: false,
        applies: |seen| seen.is("me") && seen.ours_is("CLIENT_ERROR error decoding key"),
    },
    Excuse {
        reason: "in 1.6.18: ms does not return the size",
        diverges: false,
        applies: |seen| seen.is("ms") && seen.has(b's') && without_size(&seen.ours) == seen.theirs,
    },
    Excuse {
        reason: "in 1.6.18: an append creates no item",
        diverges: true,
        applies: |seen| seen.is("ms") && seen.has(b'N') && seen.theirs_is("NS"),
    },
    Excuse {
        reason: "in 1.6.18: mg with C has the value all the same",
        diverges: false,
        applies: |seen| {
            seen.is("mg") && seen.has(b'C') && seen.theirs_is("VA") && seen.ours_is("HD")
        },
    },
    Excuse {
        reason: "on purpose: a key that is too long gets one error line",
        diverges: false,
        applies: |seen| seen.theirs == [BAD_LINE, "\r\n"].concat().as_bytes(),
    },
    Excuse {
        reason: "on purpose: too large an addition to a value is said to be that",
        diverges: false,
        applies: |seen| seen.ours_is("SERVER_ERROR object too large"),
    },
    Excuse {
        reason: "on purpose: time to live is never negative",
        diverges: false,
        applies: |seen| {
            let wraps = |text: &[u8]| text.windows(3).any(|bytes| bytes == b" t{");
            (seen.is("mg") || seen.is("ma")) && wraps(&seen.theirs)
        },
    },
    Excuse {
        reason: "on purpose: me shows the seconds that are left",
        diverges: false,
        applies: |seen| seen.is("me") && seen.theirs.windows(5).any(|bytes| bytes == b"exp=-"),
    },
    Excuse {
        reason: "on purpose: q of ma hides that a number was created",
        diverges: true,
        applies: |seen| seen.is("ma") && seen.has(b'N') && seen.has(b'q') && seen.ours.is_empty(),
    },
    Excuse {
        reason: "on purpose: the body of an unknown frame is skipped once",
        diverges: true,
        applies: |seen| {
            let opcode = seen.request.get(1).copied().unwrap_or(0);
            seen.request.first() == Some(&0x80) && Opcode::from_byte(opcode).is_none()
        },
    },
    Excuse {
        reason: "on purpose: client flags beyond 32 bits are refused",
        diverges: true,
        applies: |seen| seen.ours_is(BAD_LINE) && seen.words().any(|word| word == b"4294967296"),
    },
];

/// Whether a flag or a word is a number that is not what it should be.
fn is_odd_number(word: &[u8]) -> bool {
    let text = String::from_utf8_lossy(word);
    let number = text.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
    let value = number.parse::<i128>().unwrap_or(0);
    number.starts_with('+')
        || number.ends_with(|c: char| c.is_ascii_control())
        || value > i128::from(i32::MAX)
        || value < i128::from(i32::MIN)
}

/// A reply without the flag s.
fn without_size(reply: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(reply);
    let is_size = |word: &&str| {
        word.starts_with('s')
            && word.len() > 1
            && word[1..].bytes().all(|byte| byte.is_ascii_digit())
    };
    let words: Vec<&str> = text.trim_end().split(' ').filter(|word| !is_size(word)).collect();
    (words.join(" ") + "\r\n").into_bytes()
}

/// Finds the rule that excuses a difference.
pub(crate) fn find(
    unit: &Unit,
    ours: &Reply,
    theirs: &Reply,
    may_end: bool,
) -> Option<&'static Excuse> {
    let closed = theirs.end == End::Closed && may_end;
    let (mine, other) = (ours.bytes(), theirs.bytes());
    let binary = unit.protocol == Protocol::Binary;
    let seen = Seen { request: unit.render(0), ours: mine, theirs: other, closed, binary };
    EXCUSES.iter().find(|excuse| (excuse.applies)(&seen))
}

/// Whether data that is not skipped would be too long a line.
pub(crate) fn overflows(unit: &Unit) -> bool {
    unit.protocol == Protocol::Text && unit.render(0).len() > 2000
}

/// Whether a request is taken differently on purpose or by an older version in a way that no reply
/// to it shows: it wants none, it changes an item though it is refused, or it gives an expiry to a
/// number that is about to be replaced by a longer one.
pub(crate) fn hides(unit: &Unit) -> bool {
    const LARGE: usize = 1 << 20;
    const OPAQUE: usize = 32;
    let none = Vec::new();
    let request = unit.render(0);
    let seen = Seen { request, ours: none.clone(), theirs: none, closed: false, binary: false };
    let quiet = seen.words().last() == Some(b"noreply") || seen.has(b'q');
    let odd = seen.words().any(is_odd_number) || seen.is("delete") && seen.words().count() > 3;
    let refused = seen.is("ms") && seen.request.len() > LARGE
        || seen.is("mg ms md ma")
            && seen.words().any(|word| word[0] == b'O' && word.len() > OPAQUE)
        || seen.is("ma") && seen.has(b'T');
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
