//! One transcript line's notation; `conformance/README.md` describes it for people.

use crate::pattern::{Part, Pattern};

/// Reads what stands behind `> ` or `< `: text with escapes and holes, CRLF at its end unless the
/// line ends in a backslash.
pub(crate) fn text(line: &str) -> Pattern {
    let (line, open) = match line.strip_suffix('\\') {
        // An escaped backslash is no open end.
        Some(line) if !line.ends_with('\\') => (line, true),
        _ => (line, false),
    };
    let mut pattern = Pattern::default();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let (part, len) = match first {
            '\\' => {
                let (byte, len) = escape(rest);
                (Part::Bytes(vec![byte]), len)
            }
            '{' => {
                let end = rest.find('}').unwrap_or_else(|| panic!("an open brace in {line}"));
                (hole(&rest[1..end], false), end + 1)
            }
            _ => (Part::Bytes(first.to_string().into_bytes()), first.len_utf8()),
        };
        pattern.extend(Pattern(vec![part]));
        rest = &rest[len..];
    }
    // A hole for whole lines contains their ends.
    if !open && pattern.0 != [Part::Lines] {
        pattern.extend(Pattern(vec![Part::Bytes(b"\r\n".to_vec())]));
    }
    pattern
}

/// Reads what stands behind `>x ` or `<x `: hexadecimal numbers, quoted text and holes.
pub(crate) fn binary(line: &str) -> Pattern {
    let mut pattern = Pattern::default();
    for word in line.split_whitespace() {
        let part = if let Some(hole_text) = word.strip_prefix('{') {
            hole(hole_text.strip_suffix('}').expect("a closed brace"), true)
        } else if let Some(quoted) = word.strip_prefix('"') {
            let quoted = quoted.strip_suffix('"').expect("a closed quote");
            Part::Bytes(quoted.replace('_', " ").into_bytes())
        } else {
            Part::Bytes(hex(word))
        };
        pattern.extend(Pattern(vec![part]));
    }
    pattern
}

fn hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "half a byte in {digits}");
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16);
    (0..digits.len()).step_by(2).map(|at| byte(at).expect("hexadecimal digits")).collect()
}

/// Text with escapes and nothing else.
fn bytes(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.bytes().next() {
        let (byte, len) = if first == b'\\' { escape(rest) } else { (first, 1) };
        bytes.push(byte);
        rest = rest.get(len..).unwrap_or_else(|| panic!("only ASCII in {text}"));
    }
    bytes
}

fn escape(text: &str) -> (u8, usize) {
    match text.as_bytes().get(1) {
        Some(b'r') => (b'\r', 2),
        Some(b'n') => (b'\n', 2),
        Some(b't') => (b'\t', 2),
        Some(b's') => (b' ', 2),
        Some(b'0') => (0, 2),
        Some(b'x') => (hex(&text[2..4])[0], 4),
        Some(&byte @ (b'\\' | b'{' | b'}')) => (byte, 2),
        other => panic!("an unknown escape {other:?} in {text}"),
    }
}

/// Reads what stands between braces.
fn hole(text: &str, binary: bool) -> Part {
    if let Some((count, what)) = text.split_once('*') {
        if let Ok(count) = count.parse() {
            let unit = if binary { hex(what) } else { bytes(what) };
            return Part::Bytes(unit.repeat(count));
        }
        assert_eq!(text, "*", "a count stands before the asterisk");
        return Part::Line;
    }
    if text == "..." {
        return Part::Lines;
    }
    if binary && let Ok(count) = text.parse() {
        return Part::Any { count, name: None };
    }
    let name = |name: &str| Some(name.to_owned());
    if let Some(called) = text.strip_suffix("=#") {
        return match binary {
            true => Part::Any { count: 8, name: name(called) },
            false => Part::Digits { name: name(called), not: None },
        };
    }
    if let Some(not) = text.strip_prefix('#') {
        let not = not.strip_prefix('!').map(str::to_owned);
        return Part::Digits { name: None, not };
    }
    let at = text.find(['+', '-']).unwrap_or(text.len());
    let (called, plus) = text.split_at(at);
    let plus = if plus.is_empty() { 0 } else { plus.parse().expect("a number behind the sign") };
    Part::Named { name: called.to_owned(), plus, binary }
}
