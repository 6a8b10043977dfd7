//! One client's side of the server without I/O: bytes in, replies out.
//!
//! ```text
//!   input --> cut --> job --> batch ---- all keys --> prefetch
//!              ^                |
//!              |                v
//!           dialogue:  cut, (prefetch), execute, go on when there is room
//!              |                |
//!              v                v
//!           pending <--------- exec ---> output --> replies
//! ```

pub(crate) mod access;
pub(crate) mod batch;
pub(crate) mod cut;
pub(crate) mod dialogue;
pub(crate) mod family;
pub(crate) mod framing;
pub(crate) mod hello;
pub(crate) mod job;
pub(crate) mod join;
pub(crate) mod output;
pub(crate) mod pending;
