//! What one look at the front of a text buffer can mean. It owns no bytes.

use crate::error::{CloseReason, ParseError};
use crate::request::Request;

/// The result of [`crate::text::parse`].
///
/// ```
/// use memproto::{Limits, ParseError, Scan, Step, text};
///
/// let step = text::parse(b"set k 0 ? 5\r\nhello\r\n", &mut Scan::new(), &Limits::default());
/// // The data block is dropped, so that it is not taken for commands.
/// let error = ParseError::BadLineFormat;
/// assert_eq!(step, Step::Reject { consumed: 13, error, swallow: 7, noreply: false });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// No whole line yet. Nothing is consumed; call again with the same bytes and more behind.
    Partial,
    /// A request. The next step starts `consumed` bytes further; for a storage request that is
    /// the first byte of its data block, of which the length plus two bytes CRLF follow.
    Request {
        /// Bytes used, line terminator included.
        consumed: usize,
        /// What the peer wants.
        request: Request<'a>,
    },
    /// A line that is answered with an error; the connection goes on.
    Reject {
        /// Bytes used, line terminator included.
        consumed: usize,
        /// The reply.
        error: ParseError,
        /// Bytes of an announced data block, its terminator included, that still follow the
        /// consumed ones and have to be dropped unread.
        swallow: u32,
        /// The last word was `noreply`: the error is not sent.
        noreply: bool,
    },
    /// The connection is to be closed without a reply (earlier replies are still sent).
    Close(CloseReason),
}
