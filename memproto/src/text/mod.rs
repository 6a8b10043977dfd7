//! Classic text commands and the framing that meta commands share. It must never know how a
//! request is executed; [`write`](mod@write) takes primitive results.

mod auth;
mod command;
mod parse;
mod retrieve;
mod store;
pub mod write;

pub use auth::{AuthError, AuthStep, parse_auth, parse_credentials};
pub use parse::parse;

/// What ends every data block. Anything else in its place is answered with
/// [`crate::ParseError::BadDataChunk`].
pub const BLOCK_END: [u8; 2] = *b"\r\n";

pub(crate) use parse::Line;
pub(crate) use store::{block_len, parse_len};
