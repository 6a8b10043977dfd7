//! The first message of a client that expects TLS where there is none. It is told so in TLS, as
//! nothing else would be understood.

/// A fatal alert, `protocol_version`, in a record.
pub(crate) const ALERT: &[u8] = &[21, 3, 1, 0, 2, 2, 70];

/// Bytes of a record's header, and the one behind that says what its message is.
const BEGINNING: usize = 6;

/// Whether this is a client's first message of TLS; none if too little has arrived to tell.
pub(crate) fn is_tls(input: &[u8]) -> Option<bool> {
    // A record of a handshake, of any version, with its length; then a ClientHello.
    let fits = |(place, byte): (usize, &u8)| match place {
        0 => *byte == 22,
        1 => *byte == 3,
        2 => *byte <= 4,
        5 => *byte == 1,
        _ => true,
    };
    if !input.iter().take(BEGINNING).enumerate().all(fits) {
        return Some(false);
    }
    (input.len() >= BEGINNING).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_message_of_tls_is_told_from_everything_else() {
        let hello = [22, 3, 1, 2, 0, 1, 0, 1, 252];
        assert_eq!(is_tls(&hello), Some(true));
        for end in 0..BEGINNING {
            assert_eq!(is_tls(&hello[..end]), None, "{end}");
            let mut other = hello;
            other[end] = 99;
            let counts = !matches!(end, 3 | 4);
            assert_eq!(is_tls(&other), Some(!counts), "{end}");
        }
        for other in [&b"get a\r\n"[..], b"\x80\0", b"\x16\r\n", b"\x16\x03\x09"] {
            assert_eq!(is_tls(other), Some(false), "{}", other.escape_ascii());
        }
    }
}
