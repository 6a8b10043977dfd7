//! The stash of a shard: the keys whose whole group is full, in the order of their positions. It
//! lives behind the shard's lock.

use super::{Group, GroupFull};
use crate::space::segments::Loc;

/// Positions and addresses.
#[derive(Debug, Default)]
pub(super) struct Stash(Vec<(u32, Loc)>);

impl Stash {
    /// Bytes of one place.
    pub(super) const PLACE: usize = size_of::<(u32, Loc)>();

    /// Enters a key.
    ///
    /// # Errors
    /// There are `most` already.
    pub(super) fn insert(&mut self, at: u32, loc: Loc, most: usize) -> Result<(), GroupFull> {
        let len = self.0.len();
        if len >= most {
            return Err(GroupFull);
        }
        if len == self.0.capacity() {
            // Left to itself it might take twice what is accounted for.
            self.0.reserve_exact(len.max(4).min(most - len));
        }
        self.0.insert(self.first(at), (at, loc));
        Ok(())
    }

    /// How many keys there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn remove(&mut self, place: usize) {
        self.0.remove(place);
    }

    /// Leads a place to another address.
    pub(super) fn redirect(&mut self, place: usize, loc: Loc) {
        self.0[place].1 = loc;
    }

    /// The places of exactly this position, and the addresses there.
    pub(super) fn of(&self, at: u32) -> impl Iterator<Item = (usize, Loc)> {
        let first = self.first(at);
        let same = self.0[first..].iter().take_while(move |place| place.0 == at);
        (first..).zip(same.map(|place| place.1))
    }

    /// What belongs to a group.
    pub(super) fn of_group(&self, group: Group) -> &[(u32, Loc)] {
        let (first, end) = self.range(group);
        &self.0[first..end]
    }

    /// Takes out what belongs to a group.
    pub(super) fn take(&mut self, group: Group) -> Vec<(u32, Loc)> {
        let (first, end) = self.range(group);
        self.0.drain(first..end).collect()
    }

    /// Takes out the first key of a group whose position `is_it`.
    pub(super) fn take_first(
        &mut self,
        group: Group,
        is_it: impl Fn(u32) -> bool,
    ) -> Option<(u32, Loc)> {
        let (first, end) = self.range(group);
        let place = self.0[first..end].iter().position(|&(at, _)| is_it(at))?;
        Some(self.0.remove(first + place))
    }

    /// What lies from `first` up to `end`, or to the last one.
    pub(super) fn between(&self, first: u32, end: Option<u32>) -> &[(u32, Loc)] {
        let end = end.map_or(self.0.len(), |end| self.first(end));
        // Nothing if `end` comes before `first`.
        self.0.get(self.first(first)..end).unwrap_or_default()
    }

    /// Everything in it.
    pub(super) fn all(&self) -> &[(u32, Loc)] {
        &self.0
    }

    /// A stash of places in the order of their positions.
    pub(super) fn of_places(places: Vec<(u32, Loc)>) -> Self {
        Self(places)
    }

    /// Gives back memory beyond `most` places.
    pub(super) fn shrink_to(&mut self, most: usize) {
        self.0.shrink_to(most);
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    fn range(&self, group: Group) -> (usize, usize) {
        (self.first(group.first()), group.end().map_or(self.0.len(), |end| self.first(end)))
    }

    fn first(&self, at: u32) -> usize {
        self.0.partition_point(|place| place.0 < at)
    }
}
