//! TLS: certificates and keys from files, what is made of them, one client's session without I/O,
//! and the other end of it for commands. Sockets are not known here.
//!
//! A build without TLS has the same names; of their types there are no values.

#[cfg(not(feature = "rustls"))]
mod absent;
#[cfg(feature = "rustls")]
mod certificates;
#[cfg(feature = "rustls")]
mod context;
#[cfg(feature = "rustls")]
mod endpoint;
#[cfg(feature = "rustls")]
mod error;
#[cfg(feature = "rustls")]
mod files;
#[cfg(feature = "rustls")]
mod provider;
#[cfg(feature = "rustls")]
mod session;
#[cfg(feature = "rustls")]
mod trust;

#[cfg(not(feature = "rustls"))]
pub(crate) use absent::{Context, Session, Trust};
#[cfg(feature = "rustls")]
pub(crate) use context::Context;
#[cfg(feature = "rustls")]
pub(crate) use session::Session;
#[cfg(feature = "rustls")]
pub(crate) use trust::Trust;
