//! How the flash tier is set up, in memcached's words.

use std::path::PathBuf;

/// Bytes of a region unless something else is asked for.
const PAGE_SIZE: u64 = 64 << 20;
/// The largest write buffer that is taken without being asked for.
const WBUF_MAX: usize = 4 << 20;
/// What a write buffer takes of the limit at most, without being asked for.
const WBUF_SHARE: usize = 32;

/// The settings of the flash tier. Those that have no effect are kept to be reported.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FlashConfig {
    /// Files or devices, and the bytes to be used of each; empty for no tier.
    pub(crate) paths: Vec<(PathBuf, u64)>,
    pub(crate) page_size: u64,
    /// Bytes of a write buffer, if they were given.
    pub(crate) wbuf_size: Option<usize>,
    /// Threads that read.
    pub(crate) threads: usize,
    /// Reads that may wait for each of them.
    pub(crate) io_depth: usize,
    pub(crate) item_size: usize,
    /// Whether only items that were read go there.
    pub(crate) fetched_only: bool,
    /// Seconds.
    pub(crate) item_age: u32,
    /// Seconds.
    pub(crate) low_ttl: u32,
    pub(crate) recache_rate: u32,
    pub(crate) compact_under: u32,
    pub(crate) drop_under: u32,
    pub(crate) max_sleep: u32,
    pub(crate) max_frag: f64,
    pub(crate) drop_unread: bool,
}

impl Default for FlashConfig {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            page_size: PAGE_SIZE,
            wbuf_size: None,
            threads: 4,
            io_depth: 64,
            item_size: 512,
            fetched_only: false,
            item_age: u32::MAX,
            low_ttl: 0,
            recache_rate: 2000,
            compact_under: 0,
            drop_under: 0,
            max_sleep: 1_000_000,
            max_frag: 0.8,
            drop_unread: false,
        }
    }
}

impl FlashConfig {
    /// Whether there is a tier.
    pub(crate) fn is_on(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Bytes of a write buffer under such a limit.
    pub(crate) fn buffer(&self, limit: usize, item_size_max: usize) -> usize {
        // The largest items fit as well if that is not too much.
        let wanted = (item_size_max + item_size_max / 16).max(1 << 20);
        let most = (limit / WBUF_SHARE).min(WBUF_MAX);
        self.wbuf_size.unwrap_or(wanted.min(most))
    }

    /// Reads that may wait.
    pub(crate) fn queue(&self) -> usize {
        self.threads * self.io_depth
    }
}
