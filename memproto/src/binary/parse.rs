//! One frame to one request.

use super::request::Step;
use crate::{Limits, Scan};

/// Looks at the front of `buf` for one request. See [`Step`] for what the caller does next.
#[must_use]
pub fn parse<'a>(buf: &'a [u8], scan: &mut Scan, limits: &Limits) -> Step<'a> {
    let _ = (buf, scan, limits);
    todo!()
}
