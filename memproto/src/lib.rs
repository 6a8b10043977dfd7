//! The memcached wire protocols over byte slices: classic text, meta and binary.
//!
//! Bytes in, borrowed requests out; primitive arguments in, bytes appended to the caller's
//! `Vec<u8>` out. The crate does no I/O, reads no clock, knows no cache and allocates for no
//! request. What is answered where the protocol leaves a choice follows memcached 1.6.45.
//!
//! ```text
//!            +--------------------- memproto ---------------------+
//!   bytes -> | detect -> text::parse (classic, meta) -> Request   | -> the caller executes
//!            |        -> binary::parse               -> Request   |
//!   bytes <- | text::write, meta::write, binary::write (Vec<u8>)  | <- primitive results
//!            +-----------------------------------------------------+
//! ```
//!
//! # Incremental use
//!
//! The caller keeps unread bytes in one contiguous buffer and a [`Scan`] beside it. Each call
//! looks at the front of the buffer and returns a step: not enough yet, a request and how many
//! bytes it used, or a rejection and the line to answer. A storage request is returned as soon
//! as its header is complete; its data block is never shown to the parser, so a value of any
//! size can go straight from a socket into its final place.
//!
//! ```
//! use memproto::{Limits, Request, Scan, Step, text};
//!
//! let limits = Limits::default();
//! let mut scan = Scan::new();
//! assert_eq!(text::parse(b"get ap", &mut scan, &limits), Step::Partial);
//! let step = text::parse(b"get apple\r\nget pear", &mut scan, &limits);
//! let Step::Request { consumed: 11, request: Request::Get { keys, .. } } = step else {
//!     panic!("one whole line was there");
//! };
//! assert_eq!(keys.single(), Some(&b"apple"[..]));
//! ```
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

/// The release of memcached whose behaviour this is, as a literal.
macro_rules! memcached_version {
    () => {
        "1.6.45"
    };
}

pub mod binary;
mod bytes;
pub mod client;
mod detect;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod key;
pub mod limits;
pub mod meta;
mod request;
mod status;
pub mod text;

/// The release of memcached whose behaviour this is: what `version` and statistics tell clients,
/// which switch features by it.
pub const MEMCACHED_VERSION: &str = memcached_version!();

pub use bytes::{Scan, number};
pub use detect::{Protocol, detect};
pub use error::{CloseReason, ParseError};
pub use limits::{Limits, MAX_AUTH_TOKEN};
pub use request::{
    Admin, Args, ArithVerb, GetVerb, KeyTooLong, Keys, Request, Shutdown, Store, StoreVerb,
};
pub use status::Step;

/// The examples of the readme.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
