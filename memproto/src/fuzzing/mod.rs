//! Bodies of the fuzz targets, each with its oracle. They live here to be replayed on the
//! committed corpus by an ordinary test; they are not part of the API.
//!
//! The oracles: a stream gives the same steps however it is cut; nothing is consumed beyond the
//! buffer; what a request borrows, written out in its plainest form, is read back as a request
//! with the same plainest form.

mod binary;
mod client;
mod meta;
mod text;

use crate::limits::Limits;

pub use binary::binary_frame;
pub use client::client_replies;
pub use meta::meta_flags;
pub use text::text_line;

/// Small enough for a fuzzer to reach.
const LIMITS: Limits = Limits { line: 512, get_line: 1024, binary_body: 1 << 20 };

/// Steps looked at per stream, so that a long input of tiny requests stays fast.
const MAX_STEPS: usize = 64;

/// How much of a stream a step has used up: bytes, perhaps more than there are yet, or with
/// `None` the whole connection.
type Used = Option<usize>;

/// Every step of `stream`, which arrives in pieces of `size` bytes; `look` returns nothing when
/// it needs more of them.
fn steps<'a, S>(
    stream: &'a [u8],
    size: usize,
    mut look: impl FnMut(&'a [u8]) -> Option<(Used, S)>,
) -> Vec<S> {
    let (mut start, mut end) = (0_usize, 0);
    let mut steps = Vec::new();
    while end < stream.len() {
        end = (end + size).min(stream.len());
        while let Some(buf) = stream.get(start..end).filter(|buf| !buf.is_empty()) {
            let Some((used, step)) = look(buf) else { break };
            start = used.map_or(usize::MAX, |bytes| start.saturating_add(bytes));
            steps.push(step);
            if steps.len() == MAX_STEPS {
                return steps;
            }
        }
    }
    steps
}

/// The first byte chooses the size of the pieces, the rest is the stream.
fn split_anywhere<'a, S: PartialEq + std::fmt::Debug>(
    input: &'a [u8],
    run: impl Fn(&'a [u8], usize) -> Vec<S>,
) {
    let Some((&size, stream)) = input.split_first() else { return };
    let whole = run(stream, stream.len().max(1));
    let pieces = run(stream, usize::from(size % 64) + 1);
    assert_eq!(whole, pieces, "the steps depend on the segmentation");
}
