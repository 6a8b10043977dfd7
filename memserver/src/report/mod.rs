//! What the server tells about itself: statistics and long answers.

pub(crate) mod stats;
pub(crate) mod stream;
