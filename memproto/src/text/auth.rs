//! The first request of a connection that has to authenticate in text: `set` with any words,
//! and `user password` as its data block. Which passwords are right is not known here.

use thiserror::Error;

use super::BLOCK_END;
use crate::bytes::number::parse_u32;
use crate::bytes::{Scan, find_line};
use crate::limits::{MAX_AUTH_TOKEN, MAX_LINE, MIN_LINE};
use crate::request::Args;

/// Why a connection is still not authenticated. The [`std::fmt::Display`] form is the reply
/// line without its terminator; the peer may try again.
///
/// ```
/// use memproto::text::AuthError;
///
/// assert_eq!(AuthError::Failure.to_string(), "CLIENT_ERROR authentication failure");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The block is not two words.
    #[error("CLIENT_ERROR bad authentication token format")]
    BadFormat,
    /// The block does not end in CRLF.
    #[error("CLIENT_ERROR bad command line termination")]
    BadTermination,
    /// No user of that name has that password; never returned by this crate.
    #[error("CLIENT_ERROR authentication failure")]
    Failure,
    /// More than [`MAX_AUTH_TOKEN`] bytes are announced.
    #[error("CLIENT_ERROR auth token too long")]
    TooLong,
    /// Any other request.
    #[error("CLIENT_ERROR unauthenticated")]
    Unauthenticated,
}

/// The result of [`parse_auth`].
///
/// ```
/// use memproto::text::{AuthStep, parse_auth};
///
/// let step = parse_auth(b"set auth 0 0 11\r\n", &mut memproto::Scan::new());
/// assert_eq!(step, AuthStep::Block { consumed: 17, len: 11 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthStep {
    /// No whole line yet.
    Partial,
    /// The block with the credentials follows: `len` bytes and CRLF.
    Block {
        /// Bytes used by the line.
        consumed: usize,
        /// Bytes of the block without its CRLF.
        len: u32,
    },
    /// The line is answered with `error`; nothing is swallowed.
    Reject {
        /// Bytes used.
        consumed: usize,
        /// The reply.
        error: AuthError,
    },
    /// Too short or too long a line: close without a reply.
    Close,
}

/// Looks at the front of `buf` for the announcement of credentials.
///
/// ```
/// use memproto::text::{AuthError, AuthStep, parse_auth};
///
/// let step = parse_auth(b"get apple\r\n", &mut memproto::Scan::new());
/// let error = AuthError::Unauthenticated;
/// assert_eq!(step, AuthStep::Reject { consumed: 11, error });
/// ```
#[must_use]
pub fn parse_auth(buf: &[u8], scan: &mut Scan) -> AuthStep {
    let Some(line) = find_line(buf, scan.seen) else {
        scan.seen = buf.len();
        // Without authentication no line may make the buffer grow, not even a retrieval.
        return if buf.len() >= MAX_LINE { AuthStep::Close } else { AuthStep::Partial };
    };
    scan.seen = 0;
    let consumed = line.len() + 1;
    if !(MIN_LINE..=MAX_LINE).contains(&consumed) {
        return AuthStep::Close;
    }
    let mut words = Args::new(line.strip_suffix(b"\r").unwrap_or(line));
    let is_set = words.next() == Some(b"set");
    // Key, flags and time may be anything: only the length matters.
    match words.nth(3).and_then(parse_u32) {
        Some(len) if is_set && len <= MAX_AUTH_TOKEN => AuthStep::Block { consumed, len },
        Some(_) if is_set => AuthStep::Reject { consumed, error: AuthError::TooLong },
        _ => AuthStep::Reject { consumed, error: AuthError::Unauthenticated },
    }
}

/// Splits a credentials block, its CRLF included, into user and password.
///
/// # Errors
/// [`AuthError::BadTermination`] and [`AuthError::BadFormat`].
///
/// ```
/// use memproto::text::parse_credentials;
///
/// assert_eq!(parse_credentials(b"user secret\r\n"), Ok((&b"user"[..], &b"secret"[..])));
/// ```
pub fn parse_credentials(block: &[u8]) -> Result<(&[u8], &[u8]), AuthError> {
    let mut words = Args::new(block.strip_suffix(&BLOCK_END).ok_or(AuthError::BadTermination)?);
    // Words behind the password are ignored.
    words.next().zip(words.next()).ok_or(AuthError::BadFormat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements() {
        use AuthError::{TooLong, Unauthenticated};
        let step = |line: &[u8]| parse_auth(line, &mut Scan::new());
        assert_eq!(step(b"set x y z 9\r\nuser"), AuthStep::Block { consumed: 13, len: 9 });
        assert_eq!(step(b"set x y z 9\n"), AuthStep::Block { consumed: 12, len: 9 });
        assert_eq!(step(b"set x 0 0 16384\r\n"), AuthStep::Block { consumed: 17, len: 16384 });
        for (line, error) in [
            (&b"set x 0 0 16385\r\n"[..], TooLong),
            (b"set x 0 0\r\n", Unauthenticated),
            (b"set x 0 0 -1\r\n", Unauthenticated),
            (b"add x 0 0 9\r\n", Unauthenticated),
            (b"version\r\n", Unauthenticated),
            (b"set x 0 0 99999999999\r\n", Unauthenticated),
        ] {
            assert_eq!(step(line), AuthStep::Reject { consumed: line.len(), error });
        }
        assert_eq!(step(b"\r\n"), AuthStep::Close);
        assert_eq!(step(b"set x 0 0 9"), AuthStep::Partial);
        assert_eq!(step(&[b'x'; MAX_LINE - 1]), AuthStep::Partial);
        assert_eq!(step(&[b'x'; MAX_LINE]), AuthStep::Close);
    }

    #[test]
    fn credentials() {
        assert_eq!(parse_credentials(b"foo bar\r\n"), Ok((&b"foo"[..], &b"bar"[..])));
        assert_eq!(parse_credentials(b"foo bar baz\r\n"), Ok((&b"foo"[..], &b"bar"[..])));
        assert_eq!(parse_credentials(b"foo\r\n"), Err(AuthError::BadFormat));
        assert_eq!(parse_credentials(b"\r\n"), Err(AuthError::BadFormat));
        assert_eq!(parse_credentials(b"foo bar\n"), Err(AuthError::BadTermination));
        assert_eq!(parse_credentials(b""), Err(AuthError::BadTermination));
    }
}
