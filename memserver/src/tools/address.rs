//! Where a server is.

use std::fs;
use std::net::IpAddr;

use crate::cli::{self, Command, ParseContext};
use crate::config::endpoint::Endpoint;
use crate::config::{Binding, Config, Listen, Port};

/// The port of a server that is given without one.
const PORT: u16 = 11211;

/// A server on this machine, and what it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) address: Endpoint,
    pub(super) is_binary: bool,
}

/// Reads the address of a server.
pub(super) fn parse(text: &str) -> Result<Endpoint, String> {
    let unfit = || format!("{text:?} is none of HOST, HOST:PORT, [IPV6]:PORT, unix:PATH");
    Endpoint::parse(text, PORT).ok_or_else(unfit)
}

/// The server of this machine, with the default port.
pub(super) fn default() -> Endpoint {
    Endpoint::Tcp("127.0.0.1".into(), PORT)
}

impl Local {
    /// The server that is the first process here, as in a container, or one with the defaults.
    pub(super) fn find() -> Self {
        // A container's processes all have its variables.
        let context = ParseContext::of_process().unwrap_or_default();
        let line = fs::read("/proc/1/cmdline").ok();
        let first = line.and_then(|line| Self::started_by(&line, &context));
        first.unwrap_or_else(|| Self { address: default(), is_binary: false })
    }

    /// The server that this command line starts, if it starts one. Its arguments end with a zero.
    fn started_by(line: &[u8], context: &ParseContext) -> Option<Self> {
        let line = str::from_utf8(line).ok()?;
        let args: Vec<String> = line.split_terminator('\0').map(str::to_owned).collect();
        let program = args.first()?.rsplit('/').next()?;
        if !["memserver", "memcached"].contains(&program) {
            return None;
        }
        match cli::parse(&args, context).ok()? {
            Command::Serve(options) => Self::of(&options.config),
            Command::Check(_) | Command::Print(_) => None,
        }
    }

    fn of(config: &Config) -> Option<Self> {
        let tcp = || {
            let everywhere = [Listen::default()];
            let places = if config.listen.is_empty() { &everywhere[..] } else { &config.listen };
            places.iter().find_map(|place| Self::at(place, config))
        };
        let unix = || {
            let path = config.unix_socket.clone()?;
            let is_binary = config.protocol == Binding::Binary;
            Some(Self { address: Endpoint::Unix(path), is_binary })
        };
        config.network.then(tcp).flatten().or_else(unix)
    }

    fn at(place: &Listen, config: &Config) -> Option<Self> {
        let port = match (place.port, config.port) {
            (Some(port), _) | (None, Port::Fixed(port)) => port,
            // Which port was free is not known here.
            (None, Port::Ephemeral | Port::Off) => 0,
        };
        let host = match place.host.as_deref() {
            None => "127.0.0.1",
            Some(host) => match host.parse() {
                Ok(IpAddr::V4(ip)) if ip.is_unspecified() => "127.0.0.1",
                Ok(IpAddr::V6(ip)) if ip.is_unspecified() => "::1",
                _ => host,
            },
        };
        let is_binary = place.binding.unwrap_or(config.protocol) == Binding::Binary;
        (port != 0).then(|| Self { address: Endpoint::Tcp(host.to_owned(), port), is_binary })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_of_a_container_is_found_by_its_arguments() {
        for (line, found) in [
            ("memcached ", Some("127.0.0.1:11211")),
            ("/usr/local/bin/memserver -p 5000 -m 256 ", Some("127.0.0.1:5000")),
            ("memcached memcached -l ::,127.0.0.2:7 ", Some("[::1]:11211")),
            ("memserver -p 0 -l 127.0.0.2:7 ", Some("127.0.0.2:7")),
            ("memserver -s /run/m.sock ", Some("unix:/run/m.sock")),
            ("memserver -p -1 ", None),
            ("memserver -V ", None),
            ("memserver --nosuch ", None),
            ("/sbin/init ", None),
            ("", None),
        ] {
            let line = line.replace(' ', "\0");
            let local = Local::started_by(line.as_bytes(), &ParseContext::default());
            let address = local.map(|local| local.address.to_string());
            assert_eq!(address.as_deref(), found, "{line:?}");
        }
        let line = b"memserver\0-lproto[binary]:127.0.0.1\0";
        assert!(Local::started_by(line, &ParseContext::default()).unwrap().is_binary);
    }
}
