//! The numbers a peer may not exceed, each with its reason. How large a value
//! may be is not among them: the server answers that, not the parser.

/// Longest key in bytes. Clients hash or refuse anything longer, so the number is part of the
/// protocol and not a setting.
pub const MAX_KEY: usize = 250;

/// Longest command line, terminator included, of every command but the retrievals. A line that
/// never ends must not be able to grow a buffer.
pub const MAX_LINE: usize = 2048;

/// Longest retrieval line accepted by default. Multi-gets of many thousand keys are normal, so
/// the line may grow, but one peer may not claim memory without bound.
pub const MAX_GET_LINE: usize = 16 << 20;

/// Shortest line, terminator included, that can hold a command.
pub const MIN_LINE: usize = 4;

/// Spaces tolerated in front of `get ` before an overlong line is given up.
pub const MAX_LEADING_SPACES: usize = 100;

/// Tokens split at once on a meta line: command, key and 18 more.
pub const MAX_META_TOKENS: usize = 20;

/// Longest opaque token of a meta request, its letter `O` included.
pub const MAX_OPAQUE: usize = 32;

/// Longest time to live in seconds. A larger number is a moment in Unix time.
pub const MAX_RELATIVE_EXPIRY: u32 = 60 * 60 * 24 * 30;

/// Longest data block of a text or meta storage command: the length plus its terminator has to
/// fit a signed 32-bit number.
pub const MAX_TEXT_VALUE: u32 = (i32::MAX - 2) as u32;

/// Longest body of a binary frame. Larger announcements are attacks or lost synchronisation.
pub const MAX_BINARY_BODY: u32 = 1 << 30;

/// Bytes of a binary header.
pub const BINARY_HEADER: usize = 24;

/// Longest body of the first `set` that carries `user password` when text authentication is on.
pub const MAX_AUTH_TOKEN: u32 = 16_384;

/// The limits a server may move.
///
/// ```
/// let mut limits = memproto::Limits::default();
/// assert_eq!(limits.line, memproto::limits::MAX_LINE);
/// limits.get_line = 64 << 10;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest line of a command that is not a retrieval ([`MAX_LINE`]).
    pub line: usize,
    /// Longest line of get, gets, gat and gats ([`MAX_GET_LINE`]).
    pub get_line: usize,
    /// Longest body of a binary frame ([`MAX_BINARY_BODY`]).
    pub binary_body: u32,
}

impl Limits {
    /// Those that memcached has.
    #[must_use]
    pub const fn new() -> Self {
        Self { line: MAX_LINE, get_line: MAX_GET_LINE, binary_body: MAX_BINARY_BODY }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
