//! What a peer can do wrong, and the exact line that answers it. It must never know how a
//! request would have been executed: answers such as `NOT_FOUND` are results, not errors.

use thiserror::Error;

/// A line that is not a request. The [`std::fmt::Display`] form is the reply line without its
/// terminator; the connection stays open after every one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum ParseError {
    /// A data block did not end in CRLF: `CLIENT_ERROR bad data chunk`. What follows the two bytes
    /// in the place of CRLF is parsed as commands.
    #[error("CLIENT_ERROR bad data chunk")]
    BadDataChunk,
    /// A meta key with flag `b` is not base64 or too long: `CLIENT_ERROR error decoding key`.
    #[error("CLIENT_ERROR error decoding key")]
    BadKeyEncoding,
    /// Too few words, a word that is not the number it should be, or a key over 250 bytes:
    /// `CLIENT_ERROR bad command line format`.
    #[error("CLIENT_ERROR bad command line format")]
    BadLineFormat,
    /// A meta flag whose number is missing or malformed:
    /// `CLIENT_ERROR bad token in command line format`.
    #[error("CLIENT_ERROR bad token in command line format")]
    BadToken,
    /// A meta flag letter given twice: `CLIENT_ERROR duplicate flag`.
    #[error("CLIENT_ERROR duplicate flag")]
    DuplicateFlag,
    /// A mode of `ma` outside I + D -:
    /// `CLIENT_ERROR invalid mode for ma M token`.
    #[error("CLIENT_ERROR invalid mode for ma M token")]
    InvalidArithMode,
    /// The delta of incr or decr: `CLIENT_ERROR invalid numeric delta argument`.
    #[error("CLIENT_ERROR invalid numeric delta argument")]
    InvalidDelta,
    /// The time of touch, gat, gats or flush_all: `CLIENT_ERROR invalid exptime argument`.
    #[error("CLIENT_ERROR invalid exptime argument")]
    InvalidExptime,
    /// An unknown meta flag letter: `CLIENT_ERROR invalid flag`.
    #[error("CLIENT_ERROR invalid flag")]
    InvalidFlag,
    /// Any flag error of `ma`: `CLIENT_ERROR invalid or duplicate flag`.
    #[error("CLIENT_ERROR invalid or duplicate flag")]
    InvalidOrDuplicateFlag,
    /// A mode of `ms` outside A E P R S: `CLIENT_ERROR invalid mode for ms M token`.
    #[error("CLIENT_ERROR invalid mode for ms M token")]
    InvalidSetMode,
    /// `shutdown` with a word other than `graceful`: `CLIENT_ERROR invalid shutdown mode`.
    #[error("CLIENT_ERROR invalid shutdown mode")]
    InvalidShutdownMode,
    /// A meta opaque over 32 bytes: `CLIENT_ERROR opaque token too long`.
    #[error("CLIENT_ERROR opaque token too long")]
    OpaqueTooLong,
    /// A meta line of more than 20 tokens: `CLIENT_ERROR options flags are too long`.
    #[error("CLIENT_ERROR options flags are too long")]
    TooManyFlags,
    /// No command of that name: `ERROR`.
    #[error("ERROR")]
    UnknownCommand,
}

impl ParseError {
    /// The reply, terminator included.
    #[must_use]
    pub const fn reply(self) -> &'static [u8] {
        match self {
            Self::BadDataChunk => b"CLIENT_ERROR bad data chunk\r\n",
            Self::BadKeyEncoding => b"CLIENT_ERROR error decoding key\r\n",
            Self::BadLineFormat => b"CLIENT_ERROR bad command line format\r\n",
            Self::BadToken => b"CLIENT_ERROR bad token in command line format\r\n",
            Self::DuplicateFlag => b"CLIENT_ERROR duplicate flag\r\n",
            Self::InvalidArithMode => b"CLIENT_ERROR invalid mode for ma M token\r\n",
            Self::InvalidDelta => b"CLIENT_ERROR invalid numeric delta argument\r\n",
            Self::InvalidExptime => b"CLIENT_ERROR invalid exptime argument\r\n",
            Self::InvalidFlag => b"CLIENT_ERROR invalid flag\r\n",
            Self::InvalidOrDuplicateFlag => b"CLIENT_ERROR invalid or duplicate flag\r\n",
            Self::InvalidSetMode => b"CLIENT_ERROR invalid mode for ms M token\r\n",
            Self::InvalidShutdownMode => b"CLIENT_ERROR invalid shutdown mode\r\n",
            Self::OpaqueTooLong => b"CLIENT_ERROR opaque token too long\r\n",
            Self::TooManyFlags => b"CLIENT_ERROR options flags are too long\r\n",
            Self::UnknownCommand => b"ERROR\r\n",
        }
    }
}

/// Why a connection has to be closed without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum CloseReason {
    /// An unknown command whose last word starts with `HTTP/`: a browser was tricked into
    /// speaking to a cache.
    #[error("an HTTP request was sent to a memcached port")]
    Http,
    /// No line feed within the limit, and the line is no retrieval.
    #[error("the command line is too long")]
    LineTooLong,
}
