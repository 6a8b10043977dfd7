//! The way that packets take to a socket, on systems that do not tell it.

use std::io;
use std::os::fd::AsFd;

/// Nothing is known.
///
/// ```
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// assert_eq!(memsys::network::queue_of(&listener), None);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn queue_of(_: &impl AsFd) -> Option<u32> {
    None
}

/// Nothing is known.
///
/// ```
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// assert_eq!(memsys::network::processor_of(&listener), None);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn processor_of(_: &impl AsFd) -> Option<u32> {
    None
}

/// It can't be asked for.
///
/// # Errors
/// Always.
///
/// ```
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// assert!(memsys::network::busy_poll(&listener, 50).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn busy_poll(_: &impl AsFd, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
