//! One meta line to one request.

use crate::status::Step;
use crate::text::Line;

/// Parses the words behind `word`, one of mg ms md ma me.
pub(crate) fn parse<'a>(word: &[u8], line: Line<'a>) -> Step<'a> {
    let _ = word;
    line.reject(crate::error::ParseError::UnknownCommand)
}
