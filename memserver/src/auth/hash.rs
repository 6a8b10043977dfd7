//! Passwords that are stored as hashes, in the form `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params};
use thiserror::Error;

/// What a hash begins with.
const BEGINNING: &str = "$argon2";
/// Limits of what one login may cost: kilobytes, rounds, lanes.
const MEMORY_MAX: u32 = 64 << 10;
const ROUNDS_MAX: u32 = 16;
const LANES_MAX: u32 = 4;

/// A hash that can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum HashError {
    /// It has not the form of one.
    #[error("a password begins with $argon2 and is not a hash")]
    Malformed,
    /// It takes too much.
    #[error(
        "a hash takes too much: at most m={MEMORY_MAX},t={ROUNDS_MAX},p={LANES_MAX} is allowed"
    )]
    TooCostly,
}

/// The hash of a password.
#[derive(Clone, Debug)]
pub(crate) struct Hash(PasswordHash);

impl Hash {
    /// The hash that a file has in the place of a password; none if it is a password.
    ///
    /// # Errors
    /// [`HashError`].
    pub(crate) fn parse(password: &[u8]) -> Result<Option<Self>, HashError> {
        if !password.starts_with(BEGINNING.as_bytes()) {
            return Ok(None);
        }
        let text = str::from_utf8(password).map_err(|_| HashError::Malformed)?;
        let hash = PasswordHash::new(text).map_err(|_| HashError::Malformed)?;
        let params = Params::try_from(&hash).map_err(|_| HashError::Malformed)?;
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(HashError::Malformed);
        }
        let fits = params.m_cost() <= MEMORY_MAX
            && params.t_cost() <= ROUNDS_MAX
            && params.p_cost() <= LANES_MAX;
        if fits { Ok(Some(Self(hash))) } else { Err(HashError::TooCostly) }
    }

    /// The hash of `password`, with this random `salt`.
    ///
    /// # Errors
    /// The password is too long.
    pub(crate) fn of(password: &[u8], salt: &[u8]) -> Result<String, argon2::password_hash::Error> {
        let hash: PasswordHash = Argon2::default().hash_password_with_salt(password, salt)?;
        Ok(hash.to_string())
    }

    /// Whether it is that of `password`. This takes milliseconds and megabytes.
    pub(crate) fn is_of(&self, password: &[u8]) -> bool {
        Argon2::default().verify_password(password, &self.0).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_told_from_passwords() {
        assert!(Hash::parse(b"secret").unwrap().is_none());
        let text = Hash::of(b"secret", b"0123456789abcdef").unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let hash = Hash::parse(text.as_bytes()).unwrap().unwrap();
        assert!(hash.is_of(b"secret") && !hash.is_of(b"secreT"));
        for (wrong, error) in [
            ("$argon2id$v=19$m=19456,t=2,p=1$".to_owned(), HashError::Malformed),
            ("$argon2id$nonsense".to_owned(), HashError::Malformed),
            (text.replace("m=19456", "m=1000000"), HashError::TooCostly),
            (text.replace("t=2", "t=100"), HashError::TooCostly),
        ] {
            assert_eq!(Hash::parse(wrong.as_bytes()).unwrap_err(), error, "{wrong}");
        }
    }
}
