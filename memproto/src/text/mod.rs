//! Classic text commands and the framing that meta commands share. It must never know how a
//! request is executed; [`write`](mod@write) takes primitive results.
//!
//! ```
//! use memproto::{Limits, Request, Scan, Step, text};
//!
//! // The line of a storage request; its data block is never shown to the parser.
//! let line = b"set greeting 7 0 5\r\nhello\r\n";
//! let step = text::parse(line, &mut Scan::new(), &Limits::default());
//! let Step::Request { consumed: 20, request: Request::Store(store) } = step else {
//!     panic!("one whole line was there");
//! };
//! assert_eq!((store.key, store.flags, store.len), (&b"greeting"[..], 7, 5));
//!
//! // What a get of it is answered.
//! let mut reply = Vec::new();
//! text::write::value(&mut reply, b"greeting", 7, 5);
//! reply.extend_from_slice(b"hello\r\n");
//! reply.extend_from_slice(text::write::END);
//! assert_eq!(reply, b"VALUE greeting 7 5\r\nhello\r\nEND\r\n");
//! ```

mod auth;
mod command;
mod line;
mod parse;
mod retrieve;
mod store;
pub mod write;

pub use auth::{AuthError, AuthStep, parse_auth, parse_credentials};
pub use line::has_long_key;
pub use parse::parse;

/// What ends every data block. Anything else in its place is answered with
/// [`crate::ParseError::BadDataChunk`].
pub const BLOCK_END: [u8; 2] = *b"\r\n";

pub(crate) use line::{Line, block_len, parse_len};
