//! Tags and the budget: what they take is taken from it and given back to it.

use super::Engine;
use crate::TagError;
use crate::space::segments::Loc;
use crate::tags::{Group, Refused, TAG_LEN_MAX, TAGS_MAX};

/// How often room is made for tags before they are refused.
const ATTEMPTS: usize = 8;

impl Engine {
    /// The group of these tags, with a reference that the caller gives back.
    ///
    /// # Errors
    /// There are too many, one is empty or too long, or there is no memory for them.
    pub(crate) fn group(&self, words: &[&[u8]]) -> Result<Group, TagError> {
        if words.len() > TAGS_MAX {
            return Err(TagError::TooMany { count: words.len(), most: TAGS_MAX });
        }
        if words.iter().any(|word| !(1..=TAG_LEN_MAX).contains(&word.len())) {
            return Err(TagError::BadTag);
        }
        for attempt in 0..ATTEMPTS {
            match self.tags.acquire(words, |bytes| self.space.pool.take_bytes(bytes)) {
                Ok(group) => return Ok(group),
                Err(Refused(bytes)) => self.space.pool.free_bytes(bytes),
            }
            // With one segment more than writers are left, the next attempt may take one; a table
            // that grows takes several.
            if self.make_room_for(2 + attempt).is_err() {
                break;
            }
        }
        Err(TagError::OutOfMemory)
    }

    /// Gives a reference to a group back.
    #[cold]
    #[inline(never)]
    pub(crate) fn release_group(&self, group: Group) {
        self.give_back(self.tags.release(group));
    }

    /// Gives bytes back that tags have taken.
    pub(crate) fn give_back(&self, bytes: usize) {
        if bytes > 0 {
            self.space.pool.free_bytes(bytes);
        }
    }

    /// Keeps no more than `most` groups for items outside of memory.
    pub(crate) fn keep_groups(&self, most: usize) {
        self.give_back(self.tags.keep_at_most(most));
    }

    /// Declares a tag dead; false if no item has it.
    pub(crate) fn invalidate_tag(&self, word: &[u8]) -> bool {
        self.tags.invalidate(word).map(|bytes| self.give_back(bytes)).is_some()
    }

    /// Gives the reference of an item back that has come to its end, and has an extension.
    #[cold]
    #[inline(never)]
    pub(crate) fn untag(&self, loc: Loc) {
        self.release_group(self.space.group_at(loc));
    }

    /// Whether a tag of an item with an extension was invalidated.
    // Given the address and not the item, which would have to lie in memory for that.
    #[cold]
    #[inline(never)]
    pub(super) fn has_dead_tag(&self, loc: Loc) -> bool {
        self.tags.is_dead(self.space.group_at(loc))
    }

    /// Takes a reference for an item that is about to be seen; its maker has one, too.
    #[cold]
    #[inline(never)]
    pub(crate) fn hold_group(&self, group: Group) {
        self.tags.hold(group);
    }
}
