//! Prints a stream and its replies as `conformance/README.md` describes transcripts.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::play::{End, Reply};
use crate::reply::Piece;
use crate::stream::{Part, Protocol, Unit};

/// The transcript in which `replies` answer `stream`.
pub(crate) fn print(stream: &[Unit], replies: &[Reply]) -> String {
    let mut out = String::new();
    let mut named = BTreeSet::new();
    let mut current = None;
    for (unit, reply) in stream.iter().zip(replies) {
        let number = if unit.protocol == stream[0].protocol { 1 } else { 2 };
        if current.is_some_and(|current| current != number) {
            writeln!(out, "connection {number}").unwrap();
        }
        current = Some(number);
        let sent = sent(unit, &reply.request);
        side(&mut out, '>', unit.protocol, &sent);
        let got: Vec<String> =
            reply.pieces.iter().map(|piece| received(piece, unit.protocol, &mut named)).collect();
        side(&mut out, '<', unit.protocol, &got);
        match reply.end {
            End::Ready => {}
            End::Closed => out.push_str("closed\n"),
            End::Mute => out.push_str("# the next request is not answered as one\n"),
        }
    }
    out
}

/// The notation of what was sent.
fn sent(unit: &Unit, request: &[Piece]) -> Vec<String> {
    let parts = unit.parts.iter().zip(request).map(|(part, piece)| match (part, piece) {
        (Part::Version(0), Piece::Version(number)) => format!("{{v{number}}}"),
        (Part::Version(plus), Piece::Version(number)) => format!("{{v{number}{plus:+}}}"),
        (Part::Bytes(bytes), _) => spell(bytes, unit.protocol),
        _ => String::new(),
    });
    parts.collect()
}

/// The notation of what was received.
fn received(piece: &Piece, protocol: Protocol, named: &mut BTreeSet<usize>) -> String {
    match piece {
        Piece::Bytes(bytes) => spell(bytes, protocol),
        Piece::Version(number) if named.insert(*number) => format!("{{v{number}=#}}"),
        Piece::Version(number) => format!("{{v{number}}}"),
        Piece::Seconds(_) | Piece::Hole if protocol == Protocol::Text => "{#}".to_owned(),
        Piece::Seconds(_) | Piece::Hole => "{6}".to_owned(),
    }
}

fn spell(bytes: &[u8], protocol: Protocol) -> String {
    match protocol {
        Protocol::Text => text(bytes),
        Protocol::Binary => {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
        }
    }
}

/// Text with escapes; long runs of one byte as holes.
fn text(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut rest = bytes;
    while let Some(&byte) = rest.first() {
        let run = rest.iter().take_while(|other| **other == byte).count();
        let one = match byte {
            b'\r' => "\\r".to_owned(),
            b'\n' => "\\n".to_owned(),
            b'\\' | b'{' | b'}' => format!("\\{}", char::from(byte)),
            b' '..=b'~' => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        };
        let count = if run > 12 { run } else { 1 };
        if count > 1 {
            write!(out, "{{{count}*{one}}}").unwrap();
        } else {
            out.push_str(&one);
        }
        rest = &rest[count..];
    }
    out
}

/// A long value says no more than its beginning.
fn shorten(line: &str) -> String {
    const SHOWN: usize = 400;
    match line.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{} ... {} more", &line[..at], line.len() - at),
        None => line.to_owned(),
    }
}

/// Lines of one direction.
fn side(out: &mut String, mark: char, protocol: Protocol, pieces: &[String]) {
    let all = pieces.join(if protocol == Protocol::Binary { " " } else { "" });
    if all.is_empty() {
        return;
    }
    if protocol == Protocol::Binary {
        writeln!(out, "{mark}x {}", shorten(&all)).unwrap();
        return;
    }
    let mut rest = &all[..];
    while !rest.is_empty() {
        match rest.split_once("\\r\\n") {
            Some((line, later)) => {
                writeln!(out, "{mark} {}", shorten(&trailing_space(line))).unwrap();
                rest = later;
            }
            None => {
                writeln!(out, "{mark} {}\\", shorten(rest)).unwrap();
                rest = "";
            }
        }
    }
}

/// A space at the end of a line is easily overlooked.
fn trailing_space(line: &str) -> String {
    line.strip_suffix(' ').map_or_else(|| line.to_owned(), |line| format!("{line}\\s"))
}
