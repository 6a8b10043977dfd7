//! What a peer can do wrong, and the exact line that answers it. How a request is executed is
//! not known here: answers such as `NOT_FOUND` are results, not errors.

use std::fmt;

use thiserror::Error;

/// Defines [`ParseError`] from its reply lines, so that each line stands in one place.
macro_rules! parse_errors {
    ($($(#[$doc:meta])* $name:ident: $line:literal,)*) => {
        /// A line that is not a request. The [`fmt::Display`] form is the reply line without its
        /// terminator; the connection stays open after every one of them.
        ///
        /// ```
        /// use memproto::ParseError;
        ///
        /// assert_eq!(ParseError::UnknownCommand.reply(), b"ERROR\r\n");
        /// assert_eq!(ParseError::UnknownCommand.to_string(), "ERROR");
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ParseError {
            $($(#[$doc])* #[doc = concat!("\n\n`", $line, "`")] $name,)*
        }

        impl ParseError {
            /// The reply, terminator included.
            #[must_use]
            pub const fn reply(self) -> &'static [u8] {
                match self {
                    $(Self::$name => concat!($line, "\r\n").as_bytes(),)*
                }
            }
        }

        impl fmt::Display for ParseError {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $line,)*
                })
            }
        }
    };
}

parse_errors! {
    /// A data block did not end in CRLF. What follows the two bytes in the place of CRLF is parsed
    /// as commands.
    BadDataChunk: "CLIENT_ERROR bad data chunk",
    /// A meta key with flag `b` is not base64 or too long.
    BadKeyEncoding: "CLIENT_ERROR error decoding key",
    /// Too few words, a word that is not the number it should be, a meta flag that is not a letter,
    /// or a key over 250 bytes.
    BadLineFormat: "CLIENT_ERROR bad command line format",
    /// A meta flag whose number is missing or malformed.
    BadToken: "CLIENT_ERROR bad token in command line format",
    /// A meta flag letter given twice.
    DuplicateFlag: "CLIENT_ERROR duplicate flag",
    /// A mode of `ma` outside I + D -.
    InvalidArithMode: "CLIENT_ERROR invalid mode for ma M token",
    /// The delta of a meta command, flag `D`.
    InvalidDeltaFlag: "CLIENT_ERROR invalid numeric delta value",
    /// The initial value of a meta command, flag `J`.
    InvalidInitialFlag: "CLIENT_ERROR invalid numeric initial value",
    /// The delta of incr or decr.
    InvalidDelta: "CLIENT_ERROR invalid numeric delta argument",
    /// The time of touch, gat, gats or flush_all.
    InvalidExptime: "CLIENT_ERROR invalid exptime argument",
    /// An unknown meta flag letter.
    InvalidFlag: "CLIENT_ERROR invalid flag",
    /// Nearly any flag error of `ma`, or a key of it over 250 bytes.
    InvalidOrDuplicateFlag: "CLIENT_ERROR invalid or duplicate flag",
    /// A mode of `ms` outside A E P R S.
    InvalidSetMode: "CLIENT_ERROR invalid mode for ms M token",
    /// `shutdown` with a word other than `graceful`.
    InvalidShutdownMode: "CLIENT_ERROR invalid shutdown mode",
    /// A meta opaque over 32 bytes.
    OpaqueTooLong: "CLIENT_ERROR opaque token too long",
    /// A meta line of more than 20 tokens.
    TooManyFlags: "CLIENT_ERROR options flags are too long",
    /// No command of that name.
    UnknownCommand: "ERROR",
}

impl std::error::Error for ParseError {}

/// Why a connection has to be closed without an answer.
///
/// ```
/// use memproto::{CloseReason, Limits, Scan, Step, text};
///
/// let step = text::parse(b"POST / HTTP/1.1\r\n", &mut Scan::new(), &Limits::default());
/// assert_eq!(step, Step::Close(CloseReason::Http));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// An unknown command whose last word starts with `HTTP/`: a browser was tricked into
    /// speaking to a cache.
    #[error("an HTTP request was sent to a memcached port")]
    Http,
    /// No line feed within the limit, and the line is not a retrieval.
    #[error("the command line is too long")]
    LineTooLong,
}
