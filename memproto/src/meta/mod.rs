//! Meta commands (mg ms md ma mn me), which travel as lines of the text framing. It must never
//! know how a request is executed; [`write`](mod@write) takes primitive results.
//!
//! ```
//! use memproto::meta::{MetaCommand, write};
//! use memproto::{Limits, Request, Scan, Step, text};
//!
//! let step = text::parse(b"mg apple s v\r\n", &mut Scan::new(), &Limits::default());
//! let Step::Request { request: Request::Meta(request), .. } = step else {
//!     panic!("one whole line was there");
//! };
//! assert_eq!((request.command, request.key.raw), (MetaCommand::Get, &b"apple"[..]));
//! assert!(request.set.has(b'v'));
//!
//! let mut reply = Vec::new();
//! write::va(&mut reply, 3);
//! write::flag_u64(&mut reply, b's', 3);
//! write::end(&mut reply);
//! assert_eq!(reply, b"VA 3 s3\r\n");
//! ```

mod flags;
mod parse;
mod request;
pub mod write;

pub use flags::{Flag, FlagSet, Flags};
pub use request::{ArithMode, MetaCommand, MetaKey, MetaRequest, SetMode};

pub(crate) use parse::{command, parse, read_plain};
