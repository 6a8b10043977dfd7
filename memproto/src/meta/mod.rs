//! Meta commands (mg ms md ma mn me), which travel as lines of the text framing. It must never
//! know how a request is executed; [`write`](mod@write) takes primitive results.

mod flags;
mod parse;
mod request;
pub mod write;

pub use flags::{Flag, FlagSet, Flags};
pub use request::{ArithMode, MetaCommand, MetaKey, MetaRequest, SetMode};

pub(crate) use parse::{command, parse};
