//! What a server wants from a client before it answers: TLS and a login.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::client::{Client, Timeout, unexpected};
use crate::auth::file::{self, Entry};
use crate::config::endpoint::Endpoint;
use crate::os::{files, reason};
use crate::tls::Trust;

/// Bytes that a file with a login may have.
const LOGIN_MAX: u64 = 16 << 10;

/// How servers are reached.
#[derive(Debug)]
pub(super) struct Access {
    trust: Option<Trust>,
    login: Option<Login>,
}

/// A user and a password, as servers want them.
struct Login(Vec<u8>);

impl Access {
    /// With the files of the options `--tls-ca`, `--tls-cert` and `--tls-key`, and the first user
    /// of `login`, if they are given.
    ///
    /// # Errors
    /// A file can't be used, or one is missing.
    pub(super) fn new(tls: [&Option<PathBuf>; 3], login: Option<&PathBuf>) -> io::Result<Self> {
        let [authorities, chain, key] = tls.map(Option::as_deref);
        let identity = chain.map(|chain| (chain, key.unwrap_or(chain)));
        if identity.is_some() && authorities.is_none() || key.is_some() && chain.is_none() {
            let why = "--tls-cert needs --tls-ca, and --tls-key needs --tls-cert";
            return Err(io::Error::other(why));
        }
        let trust = authorities.map(|path| Trust::read(path, identity)).transpose();
        let login = login.map(|path| Login::read(path)).transpose()?;
        Ok(Self { trust: trust.map_err(io::Error::other)?, login })
    }

    /// Whom to trust; none speaks in plain text.
    pub(super) fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    /// The request that logs in, if there is a login.
    pub(super) fn login(&self) -> Option<&[u8]> {
        self.login.as_ref().map(|login| &login.0[..])
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// The server can't be reached in time, or refuses.
    pub(super) fn connect(&self, address: &Endpoint, timeout: Timeout) -> io::Result<Client> {
        let mut client = Client::connect(address, self.trust(), timeout)?;
        if let Some(login) = self.login() {
            client.send(login)?;
            let line = client.line()?;
            if line != b"STORED" {
                return Err(unexpected(line));
            }
        }
        Ok(client)
    }
}

impl Login {
    /// Reads the first user of a file, which is one of `-Y`.
    fn read(path: &Path) -> io::Result<Self> {
        let in_words = |why: &str| io::Error::other(format!("{}: {why}", path.display()));
        let content = files::read(path, LOGIN_MAX).map_err(|error| in_words(&reason(&error)))?;
        let entries = file::text(&content).map_err(|error| in_words(&error.to_string()))?;
        entries.first().map(Self::of).ok_or_else(|| in_words("no user is in it"))
    }

    fn of(entry: &Entry<'_>) -> Self {
        let Entry { user, password } = *entry;
        // A server without logins takes it for an item, which is expired at once.
        let head = format!("set memserver-login 0 -1 {}\r\n", user.len() + 1 + password.len());
        Self([head.as_bytes(), user, b" ", password, b"\r\n"].concat())
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_a_request_that_is_not_shown() {
        let login = Login::of(&Entry { user: b"app", password: b"secret" });
        assert_eq!(login.0, b"set memserver-login 0 -1 10\r\napp secret\r\n");
        assert_eq!(format!("{login:?}"), "Login");
    }
}
