//! Requests and replies on standard error, for `-vv`. Bytes are escaped: a client must not be able
//! to control the terminal that shows them.

use crate::os::log;

/// Bytes of a request or reply that are shown.
const SHOWN_MAX: usize = 256;

/// A request that begins at the front of `bytes`, from connection number `from`.
#[cold]
pub(crate) fn request(from: i32, bytes: &[u8]) {
    log::debug(format_args!("<{from} {}", first_line(bytes).escape_ascii()));
}

/// The beginning of a reply.
#[cold]
pub(crate) fn reply(to: i32, bytes: &[u8]) {
    if !bytes.is_empty() {
        log::debug(format_args!(">{to} {}", first_line(bytes).escape_ascii()));
    }
}

/// A connection is gone.
#[cold]
pub(crate) fn closed(number: i32) {
    log::debug(format_args!("<{number} connection closed."));
}

/// The handshake of a connection is done; its client's certificate names `subject`.
#[cold]
pub(crate) fn encrypted(number: i32, subject: Option<String>) {
    if let Some(subject) = subject {
        let subject = subject.as_bytes().escape_ascii();
        log::debug(format_args!("<{number} client certificate {subject}"));
    }
}

fn first_line(bytes: &[u8]) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(SHOWN_MAX)];
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or(bytes);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_is_shown_and_not_without_end() {
        assert_eq!(first_line(b"get a\r\nget b\r\n"), b"get a");
        assert_eq!(first_line(b"get a"), b"get a");
        assert_eq!(first_line(&[b'x'; 1000]).len(), SHOWN_MAX);
        assert_eq!(first_line(b""), b"");
    }
}
