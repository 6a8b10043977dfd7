//! What the operations of a thread have done beyond what they were asked for. For programs that
//! look for the cause of a long operation; without the feature `work` nothing is counted.

#[cfg(feature = "work")]
use std::cell::Cell;

/// Parts of the upkeep, counted since the thread began.
///
/// # Examples
/// ```
/// use memcore::work::Work;
///
/// let before = Work::of_thread();
/// // Operations.
/// let done = Work::of_thread().since(&before);
/// assert_eq!(done, Work::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Work {
    /// Groups of the index that were moved because a shard grows or shrinks.
    pub groups_moved: u64,
    /// Shards that began to grow or to shrink.
    pub resizes: u64,
    /// Segments that were opened.
    pub opened: u64,
    /// Victims that were chosen.
    pub victims: u64,
    /// Items of segments that were looked at to find out what they are worth.
    pub weighed: u64,
    /// Rows of the segment table that were looked at.
    pub rows: u64,
    /// Items of victims that were evicted, copied or kept.
    pub disposed: u64,
    /// Items that a sweep looked at.
    pub swept: u64,
    /// Calls that gave memory back to the system.
    pub releases: u64,
}

#[cfg(feature = "work")]
thread_local! {
    static DONE: Cell<Work> = const { Cell::new(Work::NONE) };
}

impl Work {
    const NONE: Self = Self {
        groups_moved: 0,
        resizes: 0,
        opened: 0,
        victims: 0,
        weighed: 0,
        rows: 0,
        disposed: 0,
        swept: 0,
        releases: 0,
    };

    /// What this thread has done since it began.
    ///
    /// # Examples
    /// ```
    /// # use memcore::work::Work;
    /// assert_eq!(Work::of_thread(), Work::default());
    /// ```
    #[must_use]
    pub fn of_thread() -> Self {
        #[cfg(feature = "work")]
        return DONE.get();
        #[cfg(not(feature = "work"))]
        Self::NONE
    }

    /// What was done after `earlier`.
    ///
    /// # Examples
    /// ```
    /// # use memcore::work::Work;
    /// let now = Work::of_thread();
    /// assert_eq!(now.since(&now), Work::default());
    /// ```
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            groups_moved: self.groups_moved - earlier.groups_moved,
            resizes: self.resizes - earlier.resizes,
            opened: self.opened - earlier.opened,
            victims: self.victims - earlier.victims,
            weighed: self.weighed - earlier.weighed,
            rows: self.rows - earlier.rows,
            disposed: self.disposed - earlier.disposed,
            swept: self.swept - earlier.swept,
            releases: self.releases - earlier.releases,
        }
    }
}

/// Counts work of this thread.
#[inline(always)]
pub(crate) fn note(_count: impl FnOnce(&mut Work)) {
    #[cfg(feature = "work")]
    {
        let mut done = DONE.get();
        _count(&mut done);
        DONE.set(done);
    }
}
