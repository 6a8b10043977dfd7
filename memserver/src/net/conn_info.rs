//! What is shown of a socket in `stats conns`.

/// A client connection or a listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnInfo {
    /// The number of its descriptor.
    pub(crate) number: i32,
    /// The other end.
    pub(crate) peer: String,
    /// Our end; none for a listening socket.
    pub(crate) local: Option<String>,
    /// What it does, in memcached's words.
    pub(crate) state: &'static str,
    /// Seconds since it did something.
    pub(crate) idle: u32,
}
