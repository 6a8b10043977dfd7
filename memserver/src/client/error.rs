//! What can go wrong between a client and its server.

use std::io;

use memproto::client::InvalidKey;
use thiserror::Error;

/// Why a request has no result.
///
/// # Examples
/// ```
/// # let cache = memcore::Cache::new(64 << 20)?;
/// # let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
/// # let address = server.local_addr().unwrap();
/// use memserver::{Client, ClientError};
///
/// let mut client = Client::connect(address)?;
/// client.set("name", b"Alice", None)?;
/// assert!(matches!(client.add_to("name", 1), Err(ClientError::Refused(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The key can't be sent. Nothing was.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// The value is larger than the protocol can say. Nothing was sent.
    #[error("a value can't have {0} bytes")]
    TooLarge(usize),
    /// The server says that the request is wrong, or that it can't carry it out.
    #[error("the server answered: {0}")]
    Refused(String),
    /// The connection is broken or too slow. It can't be used any more: whether the request was
    /// carried out is not known, and its reply may still come.
    #[error("connection to the server: {0}")]
    Io(#[from] io::Error),
    /// That is not what a server answers. The connection can't be used any more.
    #[error("not a reply to this request: {0}")]
    Unexpected(String),
    /// An error before this one has made the connection useless.
    #[error("the connection is unusable after an earlier error")]
    Broken,
}
