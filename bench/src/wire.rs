//! A client's side of the classic text protocol: requests appended to a buffer, replies cut from
//! one. It has no socket and remembers nothing.

use std::io::Write as _;

/// One reply, or one value of a reply with several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// `VALUE`: an item. More values or [`Reply::End`] follow.
    Value {
        /// Its key.
        key: &'a [u8],
        /// Its client flags.
        flags: u32,
        /// Its bytes.
        data: &'a [u8],
    },
    /// `END`: no more values.
    End,
    /// `STORED`.
    Stored,
    /// Any other line.
    Line(&'a [u8]),
}

/// Bytes that no server of this protocol would send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A `VALUE` line without key, flags and length.
    #[error("malformed line: {0}")]
    Malformed(String),
    /// A value is not followed by a line end.
    #[error("the value of {0} does not end where its length says")]
    Unterminated(String),
    /// A line is longer than any that this protocol has.
    #[error("a line without an end: {0}...")]
    Endless(String),
}

/// Cuts the next reply from `input`; with it how many bytes it took. `None` if it is incomplete.
///
/// # Errors
/// [`WireError`] if the bytes are not a reply.
pub fn reply(input: &[u8]) -> Result<Option<(Reply<'_>, usize)>, WireError> {
    let Some(end) = input.iter().take(LINE_MAX).position(|&b| b == b'\n') else {
        if input.len() >= LINE_MAX {
            return Err(WireError::Endless(lossy(&input[..64])));
        }
        return Ok(None);
    };
    let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
    if let Some(rest) = line.strip_prefix(b"VALUE ") {
        return value(input, rest, end + 1);
    }
    let reply = match line {
        b"END" => Reply::End,
        b"STORED" => Reply::Stored,
        other => Reply::Line(other),
    };
    Ok(Some((reply, end + 1)))
}

fn value<'a>(
    input: &'a [u8],
    head: &'a [u8],
    start: usize,
) -> Result<Option<(Reply<'a>, usize)>, WireError> {
    let mut words = head.splitn(3, |&b| b == b' ');
    let (Some(key), Some(flags), Some(len)) = (words.next(), words.next(), words.next()) else {
        return Err(WireError::Malformed(lossy(head)));
    };
    let (Some(flags), Some(len)) = (decimal(flags), decimal(len)) else {
        return Err(WireError::Malformed(lossy(head)));
    };
    let Some(rest) = input.get(start..start + len as usize + 2) else {
        return Ok(None);
    };
    let (data, end) = rest.split_at(len as usize);
    if end != b"\r\n" {
        return Err(WireError::Unterminated(lossy(key)));
    }
    Ok(Some((Reply::Value { key, flags, data }, start + rest.len())))
}

fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |sum, &digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 { None } else { sum.checked_mul(10)?.checked_add(u32::from(digit)) }
    })
}

/// Bytes as text for a message.
#[must_use]
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Appends the line of a `set`; the value and a line end must follow.
pub fn push_set_line(out: &mut Vec<u8>, key: &[u8], exptime: u32, len: usize) {
    out.extend_from_slice(b"set ");
    out.extend_from_slice(key);
    // Writing to a vector can't fail.
    let _ = write!(out, " 0 {exptime} {len}\r\n");
}

/// Longer than any line of the protocol: the longest key and three numbers fit many times.
const LINE_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] = b"VALUE k 7 3\r\na\nb\r\nEND\r\n";

    #[test]
    fn a_reply_is_complete_or_not_wherever_it_is_cut() {
        let (first, used) = reply(TWO).unwrap().unwrap();
        assert_eq!(first, Reply::Value { key: b"k", flags: 7, data: b"a\nb" });
        assert_eq!(reply(&TWO[used..]).unwrap().unwrap(), (Reply::End, 5));
        for cut in 0..used {
            assert_eq!(reply(&TWO[..cut]).unwrap(), None, "cut at {cut}");
        }
    }

    #[test]
    fn other_lines_are_handed_on() {
        let line = reply(b"SERVER_ERROR out of memory\r\n").unwrap().unwrap().0;
        assert_eq!(line, Reply::Line(b"SERVER_ERROR out of memory"));
        assert_eq!(reply(b"STORED\r\n").unwrap().unwrap().0, Reply::Stored);
    }

    #[test]
    fn nonsense_is_an_error() {
        for bad in
            [&b"VALUE k 1\r\n"[..], b"VALUE k x 1\r\n", b"VALUE k 0 -1\r\n", b"VALUE k 0 \r\n"]
        {
            assert!(matches!(reply(bad), Err(WireError::Malformed(_))), "{}", lossy(bad));
        }
        assert!(matches!(reply(b"VALUE k 0 1\r\nabc"), Err(WireError::Unterminated(_))));
        assert!(matches!(reply(&[b'x'; 5000]), Err(WireError::Endless(_))));
    }

    #[test]
    fn a_set_line_names_length_and_expiry() {
        let mut out = Vec::new();
        push_set_line(&mut out, b"key", 60, 5);
        assert_eq!(out, b"set key 0 60 5\r\n");
    }
}
