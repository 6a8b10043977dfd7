//! One line of text to one request.

use crate::{Limits, Scan, Step};

/// Looks at the front of `buf` for one request. See [`Step`] for what the caller does next.
#[must_use]
pub fn parse<'a>(buf: &'a [u8], scan: &mut Scan, limits: &Limits) -> Step<'a> {
    let _ = (buf, scan, limits);
    todo!()
}
