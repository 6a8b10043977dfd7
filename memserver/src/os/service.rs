//! What a service manager such as systemd is told.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;

/// Names the manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// The server serves.
pub(crate) const READY: &[u8] = b"READY=1";
/// It has begun to end.
pub(crate) const STOPPING: &[u8] = b"STOPPING=1";

/// The manager that started this process, if it wants to be told something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manager(Option<Arc<UnixDatagram>>);

impl Manager {
    /// The one that the environment names.
    pub(crate) fn find() -> Self {
        let socket = env::var_os(SOCKET);
        // Whoever waits for a word in vain says so.
        Self(socket.and_then(|socket| connect(&socket).ok()).map(Arc::new))
    }

    /// Tells it what has happened.
    pub(crate) fn notify(&self, what: &[u8]) {
        if let Some(socket) = &self.0 {
            let _ = socket.send(what);
        }
    }
}

fn connect(socket: &OsStr) -> io::Result<UnixDatagram> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => abstract_address(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let datagrams = UnixDatagram::unbound()?;
    datagrams.set_nonblocking(true)?;
    datagrams.connect_addr(&address)?;
    Ok(datagrams)
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}
