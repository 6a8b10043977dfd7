//! Where items lie: the owner of the memory, the segment table, the budget and the open segments.
//! It must never know which key leads where: that is the index's.

pub(crate) mod append;
pub(crate) mod item;
pub(crate) mod layout;
pub(crate) mod logs;
pub(crate) mod pins;
pub(crate) mod pool;
pub(crate) mod segments;
pub(crate) mod sizes;

use crate::memory::region::Region;
use crate::memory::sync::{AtomicU32, AtomicUsize};
use crate::space::logs::Logs;
use crate::space::pins::Pins;
use crate::space::pool::Pool;
use crate::space::segments::Segments;

/// Memory for items.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) pool: Pool,
    pub(crate) pins: Pins,
    /// Bytes that are kept for values that are still arriving.
    pub(crate) arriving: AtomicUsize,
    /// Those of them that are first segments of values which have no other.
    pub(crate) announced: AtomicUsize,
    logs: Logs,
    /// Whether items may be evicted.
    evictions: bool,
}

impl Space {
    /// All memory of `pool`, of which handles may pin `pin_limit` bytes, and whose items may be
    /// evicted or not.
    pub(crate) fn new(pool: Pool, pin_limit: Option<usize>, evictions: bool) -> Self {
        let logs = Logs::new(pool.limit());
        Self {
            pool,
            logs,
            evictions,
            pins: Pins::new(pin_limit),
            arriving: AtomicUsize::new(0),
            announced: AtomicUsize::new(0),
        }
    }

    /// The segment table.
    #[inline(always)]
    pub(crate) fn table(&self) -> &Segments {
        &self.pool.table
    }

    /// The words that items consist of.
    #[inline(always)]
    pub(crate) fn memory(&self) -> &Region<AtomicU32> {
        &self.pool.memory
    }
}
