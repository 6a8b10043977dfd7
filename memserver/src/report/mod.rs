//! What the server tells about itself: metrics, statistics and long answers.

pub(crate) mod exposition;
pub(crate) mod metrics;
mod names;
pub(crate) mod page;
pub(crate) mod stats;
pub(crate) mod stream;
