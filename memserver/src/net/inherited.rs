//! Sockets that a service manager opened and handed over (`LISTEN_FDS`). They stay open while the
//! server is replaced, so that no client is refused.

use std::env;
use std::io;

use listenfd::ListenFd;
use mio::net::{TcpListener, UnixListener};

use super::listener::{Kind, ListenError, Listener, Opened, set_tcp_options};
use crate::config::tls::Security;
use crate::config::{Config, Listen};

/// Names the sockets, with colons between them.
const NAMES: &str = "LISTEN_FDNAMES";
/// The name of the one for health and metrics.
const ADMIN: &str = "admin";

/// The sockets that were handed over to this process; none if it was started without a manager.
///
/// # Errors
/// One is not a listening stream socket.
pub(crate) fn take(config: &Config) -> Result<Option<Opened>, ListenError> {
    // Read first, as it is removed with the others.
    let names = env::var(NAMES).unwrap_or_default();
    let mut sockets = ListenFd::from_env();
    if sockets.len() == 0 {
        return Ok(None);
    }
    let mut opened = Opened::default();
    let mut names = names.split(':');
    for index in 0..sockets.len() {
        let fail = |source| ListenError::Inherited { number: index + 1, source };
        let kind = one(&mut sockets, index, config.socket_buffers).map_err(fail)?;
        let security = match &kind {
            Kind::Tcp(_) => config.security(&Listen::default()),
            Kind::Unix(_) => Security::Plain,
        };
        let listener = Listener { kind, binding: config.protocol, security };
        if names.next() == Some(ADMIN) {
            opened.admin = Some(Listener { security: Security::Plain, ..listener });
        } else {
            opened.listeners.push(listener);
        }
    }
    Ok(Some(opened))
}

fn one(sockets: &mut ListenFd, index: usize, buffers: usize) -> io::Result<Kind> {
    if let Ok(Some(tcp)) = sockets.take_tcp_listener(index) {
        tcp.set_nonblocking(true)?;
        set_tcp_options(&tcp, buffers)?;
        return Ok(Kind::Tcp(TcpListener::from_std(tcp)));
    }
    match sockets.take_unix_listener(index)? {
        Some(unix) => {
            unix.set_nonblocking(true)?;
            Ok(Kind::Unix(UnixListener::from_std(unix)))
        }
        None => Err(io::ErrorKind::NotFound.into()),
    }
}
