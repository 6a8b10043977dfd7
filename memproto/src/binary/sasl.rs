//! SASL as far as memcached's clients use it: the mechanism PLAIN (RFC 4616). Which passwords are
//! right is not known here.

/// The mechanisms, as the reply to SASL list names them.
pub const MECHANISMS: &[u8] = b"PLAIN";
/// The body of the reply to a login that succeeded.
pub const AUTHENTICATED: &[u8] = b"Authenticated";
/// Longest name of a mechanism.
pub const MAX_MECHANISM: usize = 32;

/// Who a client says to be.
///
/// ```
/// use memproto::binary::parse_plain;
///
/// let plain = parse_plain(b"\0user\0secret").unwrap();
/// assert_eq!((plain.user, plain.password), (&b"user"[..], &b"secret"[..]));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Plain<'a> {
    /// The name.
    pub user: &'a [u8],
    /// The password.
    pub password: &'a [u8],
}

impl std::fmt::Debug for Plain<'_> {
    /// Without the password, which has no place in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plain").field("user", &self.user.escape_ascii()).finish_non_exhaustive()
    }
}

/// Splits a message of the mechanism PLAIN. `None` if it is none, has no name or no password, or
/// asks to act for another user than the one that it names.
///
/// ```
/// use memproto::binary::parse_plain;
///
/// assert!(parse_plain(b"user\0user\0secret").is_some());
/// assert!(parse_plain(b"other\0user\0secret").is_none());
/// assert!(parse_plain(b"user secret").is_none());
/// ```
#[must_use]
pub fn parse_plain(message: &[u8]) -> Option<Plain<'_>> {
    let mut parts = message.split(|&byte| byte == 0);
    let (actor, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let is_whole = parts.next().is_none() && !user.is_empty() && !password.is_empty();
    (is_whole && (actor.is_empty() || actor == user)).then_some(Plain { user, password })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_are_no_login() {
        for message in [
            &b""[..],
            b"\0",
            b"\0\0",
            b"\0user",
            b"\0user\0",
            b"\0\0secret",
            b"\0user\0secret\0",
            b"\0user\0secret\0more",
            b"use\0user\0secret",
        ] {
            assert_eq!(parse_plain(message), None, "{}", message.escape_ascii());
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown = format!("{:?}", parse_plain(b"\0user\0secret"));
        assert!(shown.contains("user") && !shown.contains("secret"), "{shown}");
    }
}
