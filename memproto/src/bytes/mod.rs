//! Bytes without meaning: where a line or a word ends, and what number its digits are.

mod cursor;
pub mod number;
mod search;

pub(crate) use cursor::{Cursor, Stop};
pub use search::Scan;
#[cfg(test)]
pub(crate) use search::looked;
pub(crate) use search::{
    cut_word, ends_in_noreply, find_blank, find_line, find_near_blank, split_word, trim_start,
};
