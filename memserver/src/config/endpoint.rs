//! The address of one socket.

use std::fmt::{self, Display};
use std::path::PathBuf;

use super::split_address;

/// Where one socket is, or is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A name or an IP address, and a port.
    Tcp(String, u16),
    /// A socket file.
    Unix(PathBuf),
}

impl Endpoint {
    /// Reads `HOST`, `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`. Without a port it has `port`.
    pub(crate) fn parse(text: &str, port: u16) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return (!path.is_empty()).then(|| Self::Unix(path.into()));
        }
        let (host, given) = split_address(text)?;
        let port = given.map_or(Some(port), |given| given.parse().ok())?;
        Some(Self::Tcp(host.to_owned(), port))
    }
}

impl Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for (text, shown) in [
            ("localhost", "localhost:7"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("::1", "[::1]:7"),
            ("unix:/run/memserver.sock", "unix:/run/memserver.sock"),
        ] {
            assert_eq!(Endpoint::parse(text, 7).unwrap().to_string(), shown);
        }
        for text in ["", "unix:", "host:", "host:x", ":80", "host:65536"] {
            assert_eq!(Endpoint::parse(text, 7), None, "{text}");
        }
    }
}
