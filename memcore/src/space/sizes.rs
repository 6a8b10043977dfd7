//! How a cache is cut into parts. A memory file says it of itself.

/// The sizes of a cache's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// The largest limit for which there is address space.
    pub(crate) limit_most: usize,
    /// Bytes of a segment.
    pub(crate) segment_bytes: usize,
    /// Shards of the index.
    pub(crate) shards: usize,
    /// Whether huge pages are asked for.
    pub(crate) huge_pages: bool,
}
