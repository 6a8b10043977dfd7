//! Checks of the whole tier. For tests: no other thread may use the cache meanwhile.

use super::record::{self, BLOCK};
use super::table::Word;
use crate::Key;
use crate::engine::Engine;
use crate::index::Position;
use crate::tags::{Group, Issue};

impl Engine {
    /// Bytes of the limit that the tier takes.
    pub(crate) fn flash_bytes(&self) -> usize {
        self.flash.as_ref().map_or(0, |tier| tier.memory())
    }

    /// Checks that what is on flash of an item that is in memory as well says the same.
    ///
    /// # Panics
    /// If it does not.
    pub(crate) fn validate_flash(&self) {
        let Some(tier) = &self.flash else { return };
        let mut items = 0;
        for shard in 0..self.index.shards() {
            let lock = self.index.lock(Position { shard, at: 0 });
            let mut words = Vec::new();
            tier.table.visit(shard, |at, word| words.push((at, word)));
            drop(lock);
            items += words.len() as u64;
            for (at, word) in words {
                self.validate_word(Position { shard, at }, word);
            }
        }
        assert_eq!(tier.table.items(), items, "items are counted");
    }

    fn validate_word(&self, position: Position, word: Word) {
        let Some(tier) = &self.flash else { return };
        let found = tier.table.find(position, &self.index.lock(position));
        assert_eq!(found, Some(word), "a word lies where it is looked for");
        let Some(pos) = tier.position_of(word) else { return };
        let mut bytes = vec![0; BLOCK];
        let Ok(len) = tier.read(pos, &mut bytes) else { return };
        // A device may lose what was written to it.
        let Ok((head, key, _)) = record::read(tier.names.of(pos), pos, &bytes[..len]) else {
            return;
        };
        let key = Key { bytes: key, hash: self.hot.hash(key), tag: self.hot.tag() };
        assert_eq!(self.position(&key), position, "a word leads to a key of its place");
        let Some(found) = self.find(&key, &self.index.lock(position)) else { return };
        let (item, state) = (&found.item, found.item.state);
        assert_eq!(item.version, head.version, "a copy of another version");
        assert_eq!((item.flags, item.expiry), (head.flags, head.expiry.unwrap_or(0)));
        assert_eq!(item.stamp.epoch(), head.epoch, "a copy of another epoch");
        let issue = match self.space.group_of(item) {
            Group::NONE => Issue::default(),
            group => self.tags.issue_of(group),
        };
        assert_eq!(issue, head.issue, "a copy with other tags");
        let marks = (state.is_stale(), state.is_taken(), state.is_marked());
        assert_eq!(marks, (head.stale, head.taken, head.marked));
        let says_fetched = head.fetched || word.is_fetched();
        assert!(state.is_fetched() || !says_fetched, "a copy says that its item was fetched");
    }
}
