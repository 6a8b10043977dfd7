//! The binary protocol: 24-byte headers, big-endian. It must never know how a request is
//! executed; [`write`](mod@write) takes primitive results.
//!
//! ```
//! use memproto::binary::{self, Command, Header, Step, write};
//! use memproto::{Limits, Scan};
//!
//! let header = Header { magic: 0x80, key_len: 5, body_len: 5, ..Header::default() };
//! let mut frame = header.encode().to_vec();
//! frame.extend_from_slice(b"apple");
//! let step = binary::parse(&frame, &mut Scan::new(), &Limits::default());
//! let Step::Request { consumed: 29, request } = step else {
//!     panic!("one whole frame was there");
//! };
//! assert!(matches!(request.command, Command::Get { key: b"apple", .. }));
//!
//! let mut reply = Vec::new();
//! write::value(&mut reply, request.to, b"", 0, 3, 1);
//! reply.extend_from_slice(b"red");
//! assert_eq!(reply.len(), 24 + 4 + 3);
//! ```

mod header;
mod opcode;
mod parse;
mod request;
mod sasl;
pub mod write;

pub use header::Header;
pub use opcode::Opcode;
pub use parse::parse;
pub use request::{Command, ReplyTo, Request, Status, Step};
pub use sasl::{AUTHENTICATED, MAX_MECHANISM, MECHANISMS, Plain, parse_plain};

/// First byte of every request.
pub const REQUEST_MAGIC: u8 = 0x80;
/// First byte of every reply.
pub const RESPONSE_MAGIC: u8 = 0x81;
