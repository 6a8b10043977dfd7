//! The binary protocol: 24-byte headers, big-endian. It must never know how a request is
//! executed; [`write`](mod@write) takes primitive results.

mod header;
mod opcode;
mod parse;
mod request;
pub mod write;

pub use header::Header;
pub use opcode::Opcode;
pub use parse::parse;
pub use request::{Command, ReplyTo, Request, Status, Step};

/// First byte of every request.
pub const REQUEST_MAGIC: u8 = 0x80;
/// First byte of every reply.
pub const RESPONSE_MAGIC: u8 = 0x81;
