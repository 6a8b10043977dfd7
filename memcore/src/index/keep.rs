//! Keeping the index in a file: where its slots are is known, so only what lies beside them is
//! written down.

use super::{BLOCK, GROUP, Index, rows, stash};
use crate::memory::sync::Ordering;
use crate::restart::state::{Damaged, Reader, Writer, checksum};

impl Index {
    /// Keeps the sizes of the shards, and their stashes.
    pub(crate) fn save(&self, out: &mut Writer) {
        for shard in &self.shards {
            let mapping = &shard.shared.0;
            for count in [&mapping.old, &mapping.new, &mapping.moved] {
                out.put(count.load(Ordering::Relaxed).into());
            }
            let state = shard.state.lock();
            out.put(state.items.into());
            let places = state.stash.all();
            out.put(places.len() as u64);
            for &(at, loc) in places {
                out.put(at.into());
                out.put(loc);
            }
        }
    }

    /// Sets what was kept.
    ///
    /// # Errors
    /// It is not all there, or can't be.
    pub(crate) fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), Damaged> {
        for shard in &mut self.shards {
            let mapping = &shard.shared.0;
            for count in [&mapping.old, &mapping.new, &mapping.moved] {
                let groups = from.take_u32()?;
                if groups > self.groups_max {
                    return Err(Damaged("index"));
                }
                count.store(groups, Ordering::Relaxed);
            }
            let mut state = shard.state.lock();
            state.items = from.take_u32()?;
            let places = (0..from.take()?).map(|_| Ok((from.take_u32()?, from.take()?)));
            state.stash = stash::Stash::of_places(places.collect::<Result<_, Damaged>>()?);
        }
        self.rows.set((0..self.shards()).map(|shard| self.groups_in_use(shard)));
        Ok(())
    }

    /// Bytes that the index takes beyond those of an empty one.
    pub(crate) fn bytes_grown(&self, huge_pages: bool) -> usize {
        let (bytes, _) = self.size();
        bytes - rows::Rows::bytes_min(self.shards.len(), self.words.groups_min(), huge_pages)
    }

    /// Checksums of all slots, block by block.
    pub(crate) fn checksums(&mut self, mut each: impl FnMut(u64)) {
        for shard in 0..self.shards() {
            let groups = self.groups_in_use(shard);
            for first in (0..groups).step_by(BLOCK) {
                let here = (groups - first).min(BLOCK as u32) as usize;
                let start = self.start(shard, first);
                each(checksum(self.slots.bytes(start, here * GROUP)));
            }
        }
    }
}
