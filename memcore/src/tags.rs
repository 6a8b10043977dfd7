//! Tags: words that many items have in common, so that all of them can be made invisible at once.
//!
//! A tag is a number, and an item has one number of a group: a single tag, or a set of up to eight.
//! To invalidate a tag is to declare its number dead. Items that have it are not seen from then on;
//! whoever uses the same word later gets another number. A number is reused only after the last
//! item that has it is gone, so that nothing comes back.
//!
//! Items outside of memory count as gone, but for those of groups that are kept. Each use of a
//! number has a serial, by which such an item is told from others when it returns.
//!
//! Lookups read the tables without a lock. What they read counts only if the item is certified
//! afterwards, as with everything else that they read of it: a number is freed after its last item
//! has left the index.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::memory::sync::{AtomicU32, AtomicU64, Mutex, Ordering};
use crate::restart::state::{Damaged, Reader, Writer};

/// Tags of an item, at most.
pub(crate) const TAGS_MAX: usize = 8;
/// Bytes of a tag, at most.
pub(crate) const TAG_LEN_MAX: usize = 250;

/// Rows of the first chunk of a table; each further one doubles the table.
const FIRST: usize = 64;
/// Chunks of a table: numbers have 31 bits.
const CHUNKS: usize = 25;
/// Bytes that a hash table takes for an entry of `T`, about: it is half to seven eighths full and
/// doubles.
const fn entry_bytes<T>() -> usize {
    2 * (size_of::<T>() + 1)
}

/// What an item is tagged with: nothing, a tag, or a set of tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group(pub(crate) u32);

/// The bit that tells sets from single tags.
const SET: u32 = 1 << 31;

impl Group {
    pub(crate) const NONE: Self = Self(0);

    fn is_set(self) -> bool {
        self.0 & SET != 0
    }

    fn row(self) -> usize {
        (self.0 & !SET) as usize
    }
}

/// A group as it is at a moment: later its number may stand for another one, but under another
/// serial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Issue {
    pub(crate) group: Group,
    pub(crate) serial: u64,
}

/// Rows that never move, so that they are read without a lock.
#[derive(Debug)]
struct Rows<T> {
    chunks: [OnceLock<Box<[T]>>; CHUNKS],
}

impl<T: Default> Rows<T> {
    fn new() -> Self {
        Self { chunks: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// The chunk that a row is in, and where.
    fn place(index: usize) -> (usize, usize) {
        let from_first = index + FIRST;
        let power = from_first.ilog2();
        ((power - FIRST.ilog2()) as usize, from_first - (1 << power))
    }

    /// The row, if there is one: a lookup may have read a number that is garbage.
    #[inline]
    fn get(&self, index: usize) -> Option<&T> {
        let (chunk, at) = Self::place(index);
        self.chunks.get(chunk)?.get()?.get(at)
    }

    /// Bytes that it takes to have the row.
    fn growth(&self, index: usize) -> usize {
        let (chunk, _) = Self::place(index);
        match self.chunks.get(chunk) {
            Some(rows) if rows.get().is_none() => (FIRST << chunk) * size_of::<T>(),
            _ => 0,
        }
    }

    /// Bytes of all rows.
    fn bytes(&self) -> usize {
        self.chunks.iter().flat_map(OnceLock::get).map(|rows| size_of_val(&**rows)).sum()
    }

    /// Makes sure that there is the row; false if a table has no number left.
    fn reach(&self, index: usize) -> bool {
        let (chunk, _) = Self::place(index);
        let Some(rows) = self.chunks.get(chunk) else { return false };
        rows.get_or_init(|| (0..FIRST << chunk).map(|_| T::default()).collect());
        true
    }
}

/// A tag. Row 0 stands for none.
#[derive(Debug, Default)]
struct Tag {
    /// Items, sets and handles that have it.
    refs: AtomicU32,
    dead: AtomicU32,
    issued: Issued,
    link: Link,
}

/// A set: its tags, and zeroes behind them.
#[derive(Debug, Default)]
struct Set {
    refs: AtomicU32,
    tags: [AtomicU32; TAGS_MAX],
    issued: Issued,
    link: Link,
}

/// What tells a group from earlier ones of its number: its serial, which is 0 while the number is
/// free, and in the lowest bit whether it is kept for items that are not in memory. It changes
/// behind the lock.
#[derive(Debug, Default)]
struct Issued(AtomicU64);

impl Issued {
    // Relaxed, here and below: who has a reference to the group got it after its serial was set,
    // and whoever decides by the bit has the lock.
    fn serial(&self) -> u64 {
        self.0.load(Ordering::Relaxed) >> 1
    }

    fn is_kept(&self) -> bool {
        self.0.load(Ordering::Relaxed) & 1 != 0
    }

    fn set(&self, serial: u64, is_kept: bool) {
        self.0.store(serial << 1 | u64::from(is_kept), Ordering::Relaxed);
    }
}

/// The neighbours of a group that is kept, which change behind the lock.
#[derive(Debug, Default)]
struct Link {
    older: AtomicU32,
    newer: AtomicU32,
}

impl Link {
    // Relaxed: all of it is done behind the lock.
    fn older(&self) -> Group {
        Group(self.older.load(Ordering::Relaxed))
    }

    fn newer(&self) -> Group {
        Group(self.newer.load(Ordering::Relaxed))
    }

    fn set(&self, older: Group, newer: Group) {
        self.older.store(older.0, Ordering::Relaxed);
        self.newer.store(newer.0, Ordering::Relaxed);
    }
}

/// Groups that items outside of memory may have, with a reference to each, in the order in which
/// items with them have left memory last.
#[derive(Debug, Default)]
struct Kept {
    count: usize,
    oldest: Group,
    newest: Group,
    /// The next one to be looked at, in search of those that are dead, and whether some may be
    /// before it.
    search: Group,
    has_dead: bool,
}

/// Numbers in ascending order, and zeroes behind them.
type Members = [u32; TAGS_MAX];

/// A tag's word.
#[derive(Clone, Debug)]
struct Word {
    word: Arc<[u8]>,
    dead: bool,
}

/// What the lock protects.
#[derive(Debug, Default)]
struct Names {
    /// Tags that are not dead.
    tags: HashMap<Arc<[u8]>, u32>,
    /// The words of all tags, by number; `None` if a number is free.
    words: Vec<Option<Word>>,
    sets: HashMap<Members, u32>,
    free_tags: Vec<u32>,
    free_sets: Vec<u32>,
    /// Numbers that were given out, free ones included.
    tag_count: u32,
    set_count: u32,
    kept: Kept,
    /// The last serial that was given out.
    serial: u64,
    /// Bytes that were taken for nothing and are to be given back on the next occasion.
    owed: usize,
}

/// All tags of a cache.
#[derive(Debug)]
pub(crate) struct Tags {
    tags: Rows<Tag>,
    sets: Rows<Set>,
    names: Mutex<Names>,
}

/// Bytes of a tag besides its row and its word.
const TAG_BYTES: usize =
    entry_bytes::<(Arc<[u8]>, u32)>() + 2 * size_of::<Option<Word>>() + ARC_BYTES + LIST_BYTES;
/// Bytes of a set besides its row.
const SET_BYTES: usize = entry_bytes::<(Members, u32)>() + LIST_BYTES;
/// What an allocation with two counters takes besides its contents.
const ARC_BYTES: usize = 32;
/// A place in the list of free numbers, which doubles.
const LIST_BYTES: usize = 8;
/// Kept groups that are looked at, in search of dead ones, for each item that leaves memory.
#[cfg(all(feature = "flash", not(loom)))]
const SEARCHED: usize = 16;

/// There was no memory for tags. So many bytes that were taken for them are to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) usize);

impl Tags {
    pub(crate) fn new() -> Self {
        Self { tags: Rows::new(), sets: Rows::new(), names: Mutex::new(Names::default()) }
    }

    /// The group of these words, at most eight, with a reference that the caller owns. `charge` is
    /// asked for the bytes that new tags take.
    pub(crate) fn acquire(
        &self,
        words: &[&[u8]],
        charge: impl Fn(usize) -> bool,
    ) -> Result<Group, Refused> {
        let mut names = self.names.lock();
        let mut members = [0; TAGS_MAX];
        let mut count = 0;
        for word in words {
            match self.tag(&mut names, word, &charge) {
                // The same word may come twice.
                Some(tag) if members[..count].contains(&tag) => {}
                Some(tag) => {
                    members[count] = tag;
                    count += 1;
                }
                None => return Err(Refused(self.free_unused(&mut names, &members[..count]))),
            }
        }
        members[..count].sort_unstable();
        let group = match count {
            0 => Some(Group::NONE),
            1 => Some(Group(members[0])),
            _ => self.set(&mut names, members, &charge),
        };
        let Some(group) = group else {
            return Err(Refused(self.free_unused(&mut names, &members[..count])));
        };
        self.hold(group);
        Ok(group)
    }

    /// The number of a word, maybe a new one to which nobody refers yet.
    fn tag(&self, names: &mut Names, word: &[u8], charge: &impl Fn(usize) -> bool) -> Option<u32> {
        if let Some(&tag) = names.tags.get(word) {
            return Some(tag);
        }
        if !charge(tag_bytes(word)) {
            return None;
        }
        let Some(number) = number(&mut names.free_tags, &mut names.tag_count, &self.tags, charge)
        else {
            names.owed += tag_bytes(word);
            return None;
        };
        let word: Arc<[u8]> = word.into();
        let words = &mut names.words;
        words.resize(words.len().max(number as usize + 1), None);
        words[number as usize] = Some(Word { word: Arc::clone(&word), dead: false });
        names.tags.insert(word, number);
        self.issue(names, Group(number));
        // Pairs with the acquire load of `is_dead`: who sees that the number is reused sees that
        // the items which had it have left the index.
        self.tags.get(number as usize)?.dead.store(0, Ordering::Release);
        Some(number)
    }

    /// The number of a set of at least two tags, maybe a new one to which nobody refers yet.
    fn set(
        &self,
        names: &mut Names,
        members: Members,
        charge: &impl Fn(usize) -> bool,
    ) -> Option<Group> {
        if let Some(&set) = names.sets.get(&members) {
            return Some(Group(set | SET));
        }
        if !charge(SET_BYTES) {
            return None;
        }
        let Some(number) = number(&mut names.free_sets, &mut names.set_count, &self.sets, charge)
        else {
            names.owed += SET_BYTES;
            return None;
        };
        names.sets.insert(members, number);
        self.issue(names, Group(number | SET));
        for (place, &tag) in self.sets.get(number as usize)?.tags.iter().zip(&members) {
            // Pairs with the acquire load of `is_dead`, as in `tag`.
            place.store(tag, Ordering::Release);
            if tag != 0 {
                self.hold(Group(tag));
            }
        }
        Some(Group(number | SET))
    }

    /// What both tags and sets have, of the row of a group.
    fn of<T>(&self, group: Group, tag: fn(&Tag) -> &T, set: fn(&Set) -> &T) -> Option<&T> {
        match group.is_set() {
            true => self.sets.get(group.row()).map(set),
            false => self.tags.get(group.row()).map(tag),
        }
    }

    fn refs(&self, group: Group) -> Option<&AtomicU32> {
        self.of(group, |tag| &tag.refs, |set| &set.refs)
    }

    fn issued(&self, group: Group) -> Option<&Issued> {
        self.of(group, |tag| &tag.issued, |set| &set.issued)
    }

    /// Gives a group that begins to be used the next serial.
    fn issue(&self, names: &mut Names, group: Group) {
        names.serial += 1;
        if let Some(issued) = self.issued(group) {
            issued.set(names.serial, false);
        }
    }

    /// The group of a number that is free now had this serial.
    fn recall(&self, group: Group) {
        if let Some(issued) = self.issued(group) {
            issued.set(0, false);
        }
    }

    /// A group that somebody has a reference to, as it is now.
    pub(crate) fn issue_of(&self, group: Group) -> Issue {
        Issue { group, serial: self.issued(group).map_or(0, Issued::serial) }
    }

    /// A reference to a group, if it is still the one that it was and no tag of it was invalidated.
    #[cfg(all(feature = "flash", not(loom)))]
    pub(crate) fn hold_again(&self, issue: Issue) -> bool {
        let _names = self.names.lock();
        let is_same = issue.serial != 0 && self.issue_of(issue.group) == issue;
        let is_usable = is_same && !self.is_dead(issue.group);
        if is_usable {
            self.hold(issue.group);
        }
        is_usable
    }

    /// Keeps a group, to which somebody has a reference, for an item that leaves memory. If more
    /// than `most` are kept, those are given up that were longest without one; returns the bytes of
    /// what that freed.
    #[cfg(all(feature = "flash", not(loom)))]
    pub(crate) fn keep(&self, group: Group, most: usize) -> usize {
        let Some(issued) = self.issued(group) else { return 0 };
        let mut names = self.names.lock();
        if issued.is_kept() {
            self.unlink(&mut names.kept, group);
        } else {
            issued.set(issued.serial(), true);
            self.hold(group);
        }
        self.link(&mut names.kept, group);
        self.give_up_dead(&mut names) + self.give_up_beyond(&mut names, most)
    }

    /// Keeps no more than `most` groups; returns the bytes of what that freed.
    pub(crate) fn keep_at_most(&self, most: usize) -> usize {
        self.give_up_beyond(&mut self.names.lock(), most)
    }

    fn give_up_beyond(&self, names: &mut Names, most: usize) -> usize {
        let mut freed = 0;
        while names.kept.count > most {
            freed += self.give_up(names, names.kept.oldest);
        }
        freed
    }

    /// Goes on to look for kept groups that are dead, of which nothing comes back.
    #[cfg(all(feature = "flash", not(loom)))]
    fn give_up_dead(&self, names: &mut Names) -> usize {
        let mut freed = 0;
        for _ in 0..SEARCHED {
            if names.kept.search == Group::NONE && std::mem::take(&mut names.kept.has_dead) {
                names.kept.search = names.kept.oldest;
            }
            let group = names.kept.search;
            let Some(link) = self.link_of(group) else { break };
            names.kept.search = link.newer();
            if self.is_dead(group) {
                freed += self.give_up(names, group);
            }
        }
        freed
    }

    /// Gives a kept group up.
    fn give_up(&self, names: &mut Names, group: Group) -> usize {
        self.unlink(&mut names.kept, group);
        if let Some(issued) = self.issued(group) {
            issued.set(issued.serial(), false);
        }
        // Pairs with itself, as in `release`.
        let last = self.refs(group).is_some_and(|refs| refs.fetch_sub(1, Ordering::AcqRel) == 1);
        if last { std::mem::take(&mut names.owed) + self.free(names, group) } else { 0 }
    }

    /// The link of a group; none of no group.
    fn link_of(&self, group: Group) -> Option<&Link> {
        let link = self.of(group, |tag| &tag.link, |set| &set.link);
        link.filter(|_| group != Group::NONE)
    }

    /// Adds a group as the newest one.
    fn link(&self, kept: &mut Kept, group: Group) {
        let Some(link) = self.link_of(group) else { return };
        link.set(kept.newest, Group::NONE);
        match self.link_of(kept.newest) {
            Some(older) => older.set(older.older(), group),
            None => kept.oldest = group,
        }
        kept.newest = group;
        kept.count += 1;
    }

    /// Takes a group out.
    fn unlink(&self, kept: &mut Kept, group: Group) {
        let Some(link) = self.link_of(group) else { return };
        let (older, newer) = (link.older(), link.newer());
        match self.link_of(older) {
            Some(link) => link.set(link.older(), newer),
            None => kept.oldest = newer,
        }
        match self.link_of(newer) {
            Some(link) => link.set(older, link.newer()),
            None => kept.newest = older,
        }
        if kept.search == group {
            kept.search = newer;
        }
        kept.count -= 1;
    }

    /// One reference more to a group that cannot be freed meanwhile: somebody else has one, or the
    /// lock is held.
    pub(crate) fn hold(&self, group: Group) {
        if let Some(refs) = self.refs(group).filter(|_| group != Group::NONE) {
            refs.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives a reference back. The last one frees what it kept; returns the bytes of that.
    pub(crate) fn release(&self, group: Group) -> usize {
        let Some(refs) = self.refs(group).filter(|_| group != Group::NONE) else { return 0 };
        // Pairs with itself: whoever gives the last reference back has seen what was done with the
        // others, so the number is reused after all of that.
        if refs.fetch_sub(1, Ordering::AcqRel) > 1 {
            return 0;
        }
        let mut names = self.names.lock();
        std::mem::take(&mut names.owed) + self.free(&mut names, group)
    }

    /// Frees a group's number if nobody refers to it. Between the last reference and the lock
    /// another thread may have taken one, or have freed it already.
    fn free(&self, names: &mut Names, group: Group) -> usize {
        let unused = self.refs(group).is_some_and(|refs| refs.load(Ordering::Relaxed) == 0);
        if group == Group::NONE || !unused {
            return 0;
        }
        if group.is_set() { self.free_set(names, group) } else { self.free_tag(names, group) }
    }

    fn free_tag(&self, names: &mut Names, group: Group) -> usize {
        let Some(place) = names.words.get_mut(group.row()) else { return 0 };
        let Some(Word { word, dead }) = place.take() else { return 0 };
        if !dead {
            names.tags.remove(&word);
        }
        names.free_tags.push(group.0);
        self.recall(group);
        tag_bytes(&word)
    }

    fn free_set(&self, names: &mut Names, group: Group) -> usize {
        let Some(set) = self.sets.get(group.row()) else { return 0 };
        let members: Members = std::array::from_fn(|at| set.tags[at].load(Ordering::Relaxed));
        let number = group.0 & !SET;
        // Another number has these members if this one is free already.
        if names.sets.get(&members) != Some(&number) {
            return 0;
        }
        names.sets.remove(&members);
        names.free_sets.push(number);
        self.recall(group);
        let mut bytes = SET_BYTES;
        for tag in members.into_iter().filter(|&tag| tag != 0).map(Group) {
            // Pairs with itself, as in `release`.
            if self.refs(tag).is_some_and(|refs| refs.fetch_sub(1, Ordering::AcqRel) == 1) {
                bytes += self.free(names, tag);
            }
        }
        bytes
    }

    /// Frees the numbers of words that were of no use after all.
    fn free_unused(&self, names: &mut Names, members: &[u32]) -> usize {
        let freed: usize = members.iter().map(|&tag| self.free(names, Group(tag))).sum();
        freed + std::mem::take(&mut names.owed)
    }

    /// Declares a word's number dead; returns the bytes of what that freed, `None` if no item has
    /// it.
    pub(crate) fn invalidate(&self, word: &[u8]) -> Option<usize> {
        let mut names = self.names.lock();
        let number = names.tags.remove(word)?;
        if let Some(Some(word)) = names.words.get_mut(number as usize) {
            word.dead = true;
        }
        if let Some(tag) = self.tags.get(number as usize) {
            // Pairs with the acquire load of `is_dead`: what was done before the tag was
            // invalidated is seen by every thread that sees it.
            tag.dead.store(1, Ordering::Release);
        }
        // Sets that have it are found by and by.
        names.kept.has_dead = true;
        let group = Group(number);
        let is_kept = self.issued(group).is_some_and(Issued::is_kept);
        Some(if is_kept { self.give_up(&mut names, group) } else { 0 })
    }

    /// Whether a tag of the group was invalidated.
    pub(crate) fn is_dead(&self, group: Group) -> bool {
        let is_dead = |number: u32| {
            let tag = self.tags.get(number as usize);
            // Pairs with the release stores of `invalidate` and `tag`.
            tag.is_some_and(|tag| tag.dead.load(Ordering::Acquire) != 0)
        };
        if !group.is_set() {
            return is_dead(group.0);
        }
        let Some(set) = self.sets.get(group.row()) else { return false };
        // Pairs with the release stores of `set`.
        let members = set.tags.iter().map(|tag| tag.load(Ordering::Acquire));
        members.take_while(|&tag| tag != 0).any(is_dead)
    }

    /// The words of a group that cannot be freed meanwhile, as an item that has it is locked.
    pub(crate) fn words(&self, group: Group) -> Vec<Vec<u8>> {
        if group == Group::NONE {
            return Vec::new();
        }
        let members: Members = match group.is_set() {
            false => std::array::from_fn(|at| if at == 0 { group.0 } else { 0 }),
            true => self.sets.get(group.row()).map_or([0; TAGS_MAX], |set| {
                std::array::from_fn(|at| set.tags[at].load(Ordering::Relaxed))
            }),
        };
        let names = self.names.lock();
        let word = |tag: u32| names.words.get(tag as usize)?.as_ref();
        let tags = members.into_iter().take_while(|&tag| tag != 0);
        tags.filter_map(word).map(|word| word.word.to_vec()).collect()
    }

    /// Keeps all tags and sets, with who refers to them.
    pub(crate) fn save(&self, out: &mut Writer) {
        let names = self.names.lock();
        out.put(names.tag_count.into());
        for number in 1..=names.tag_count {
            let word = names.words.get(number as usize).and_then(Option::as_ref);
            let refs = self.tags.get(number as usize).map(|tag| tag.refs.load(Ordering::Relaxed));
            let (Some(word), Some(refs)) = (word, refs) else {
                // A word has at least one byte.
                out.put(0);
                continue;
            };
            out.put(word.word.len() as u64);
            word.word.iter().for_each(|&byte| out.put(byte.into()));
            out.put(word.dead.into());
            out.put(refs.into());
            out.put(self.issue_of(Group(number)).serial);
        }
        out.put(names.set_count.into());
        out.put(names.sets.len() as u64);
        for (members, &number) in &names.sets {
            out.put(number.into());
            let set = self.sets.get(number as usize);
            out.put(set.map_or(0, |set| set.refs.load(Ordering::Relaxed)).into());
            members.iter().for_each(|&tag| out.put(tag.into()));
            out.put(self.issue_of(Group(number | SET)).serial);
        }
        out.put(names.kept.count as u64);
        let mut kept = names.kept.oldest;
        while let Some(link) = self.link_of(kept) {
            out.put(kept.0.into());
            kept = link.newer();
        }
        out.put(names.serial);
    }

    /// Sets what was kept.
    ///
    /// # Errors
    /// It is not all there, or can't be.
    pub(crate) fn restore(&self, from: &mut Reader<'_>) -> Result<(), Damaged> {
        let mut names = self.names.lock();
        names.tag_count = from.take_u32()?;
        for number in 1..=names.tag_count {
            let tag = Self::made(&self.tags, number)?;
            let len = from.take()?;
            if len == 0 {
                names.free_tags.push(number);
                continue;
            }
            let word = (0..len).map(|_| Ok(from.take()? as u8)).collect::<Result<_, Damaged>>()?;
            let word = Word { word, dead: from.take()? != 0 };
            tag.dead.store(word.dead.into(), Ordering::Relaxed);
            tag.refs.store(from.take_u32()?, Ordering::Relaxed);
            tag.issued.set(from.take()?, false);
            if !word.dead {
                names.tags.insert(Arc::clone(&word.word), number);
            }
            names.words.resize(number as usize + 1, None);
            names.words[number as usize] = Some(word);
        }
        names.set_count = from.take_u32()?;
        let mut is_free = vec![true; names.set_count as usize + 1];
        for _ in 0..from.take()? {
            let number = from.take_u32()?;
            let set = Self::made(&self.sets, number)?;
            *is_free.get_mut(number as usize).ok_or(Damaged("tags"))? = false;
            set.refs.store(from.take_u32()?, Ordering::Relaxed);
            let mut members: Members = [0; TAGS_MAX];
            for (member, place) in members.iter_mut().zip(&set.tags) {
                *member = from.take_u32()?;
                place.store(*member, Ordering::Relaxed);
            }
            set.issued.set(from.take()?, false);
            names.sets.insert(members, number);
        }
        for number in (1..=names.set_count).filter(|&number| is_free[number as usize]) {
            Self::made(&self.sets, number)?;
            names.free_sets.push(number);
        }
        for _ in 0..from.take()? {
            let group = Group(from.take_u32()?);
            let issued = self.issued(group).filter(|issued| !issued.is_kept());
            let issued = issued.ok_or(Damaged("tags"))?;
            issued.set(issued.serial(), true);
            self.link(&mut names.kept, group);
        }
        names.kept.has_dead = true;
        names.serial = from.take()?;
        Ok(())
    }

    /// A row that there was before.
    fn made<T: Default>(rows: &Rows<T>, number: u32) -> Result<&T, Damaged> {
        rows.reach(number as usize);
        rows.get(number as usize).ok_or(Damaged("tags"))
    }

    /// References to each group that is in use.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn all_refs(&self) -> std::collections::BTreeMap<u32, u32> {
        let names = self.names.lock();
        let tags = names.words.iter().enumerate().filter(|(_, word)| word.is_some());
        let tags = tags.map(|(number, _)| Group(number as u32));
        let sets = names.sets.values().map(|number| Group(number | SET));
        let refs = |group| self.refs(group).map_or(0, |refs| refs.load(Ordering::Relaxed));
        tags.chain(sets).map(|group| (group.0, refs(group))).collect()
    }

    /// Bytes that all tags and sets and their tables take.
    pub(crate) fn bytes(&self) -> usize {
        let names = self.names.lock();
        let words = names.words.iter().flatten().map(|word| tag_bytes(&word.word));
        let rows = self.tags.bytes() + self.sets.bytes();
        words.sum::<usize>() + names.sets.len() * SET_BYTES + rows + names.owed
    }

    /// The tags of a set, each of which it refers to.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn members(&self, group: u32) -> Vec<u32> {
        let set = self.sets.get(Group(group).row()).filter(|_| Group(group).is_set());
        let tags = set.into_iter().flat_map(|set| &set.tags);
        tags.map(|tag| tag.load(Ordering::Relaxed)).filter(|&tag| tag != 0).collect()
    }
}

/// Bytes of a tag besides its row.
fn tag_bytes(word: &[u8]) -> usize {
    TAG_BYTES + word.len()
}

/// A number that is free, or the next one; `None` if there is no memory for its row. Number 0 is
/// not given out.
fn number<T: Default>(
    free: &mut Vec<u32>,
    count: &mut u32,
    rows: &Rows<T>,
    charge: &impl Fn(usize) -> bool,
) -> Option<u32> {
    if let Some(number) = free.pop() {
        return Some(number);
    }
    let next = *count + 1;
    let growth = rows.growth(next as usize);
    if growth > 0 && !charge(growth) || !rows.reach(next as usize) {
        return None;
    }
    *count = next;
    Some(next)
}

#[cfg(all(test, feature = "flash", not(loom)))]
mod tests {
    use super::*;

    /// A group that nobody refers to any more once an item with it has left memory.
    fn leave(tags: &Tags, words: &[&str], most: usize) -> Issue {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let group = tags.acquire(&words, |_| true).unwrap();
        tags.keep(group, most);
        let issue = tags.issue_of(group);
        tags.release(group);
        issue
    }

    fn is_there(tags: &Tags, issue: Issue) -> bool {
        let is_there = tags.hold_again(issue);
        if is_there {
            tags.release(issue.group);
        }
        is_there
    }

    #[test]
    fn of_kept_groups_those_go_that_were_longest_without_an_item() {
        let tags = Tags::new();
        let first = leave(&tags, &["first"], 3);
        let pair = leave(&tags, &["first", "second"], 3);
        let third = leave(&tags, &["third"], 3);
        assert_eq!(leave(&tags, &["first"], 3), first);
        let last = leave(&tags, &["last"], 3);
        let found = [first, pair, third, last].map(|issue| is_there(&tags, issue));
        assert_eq!(found, [true, false, true, true]);
        // A lower limit tells at once.
        tags.keep_at_most(1);
        let found = [first, pair, third, last].map(|issue| is_there(&tags, issue));
        assert_eq!(found, [false, false, false, true]);
        tags.keep_at_most(0);
        assert_eq!(tags.all_refs().len(), 0);
    }

    #[test]
    fn a_tag_that_ends_leaves_its_place_to_others() {
        let tags = Tags::new();
        let alive = leave(&tags, &["alive"], 3);
        let ended = leave(&tags, &["ended"], 3);
        let bytes = tags.bytes();
        assert!(tags.invalidate(b"ended").is_some_and(|freed| bytes - freed == tags.bytes()));
        let others = ["one", "other"].map(|word| leave(&tags, &[word], 3));
        assert!(is_there(&tags, alive) && others.iter().all(|&issue| is_there(&tags, issue)));
        assert!(!is_there(&tags, ended));
    }

    #[test]
    fn sets_of_which_a_tag_has_ended_leave_their_places_by_and_by() {
        const COUNT: usize = 128;
        let tags = Tags::new();
        let leave = |prefix: &str, number: usize| {
            leave(&tags, &[prefix, &format!("{prefix}{number}")], 2 * COUNT)
        };
        for round in ["alive", "a later one"] {
            let alive: Vec<_> = (0..COUNT).map(|number| leave(round, number)).collect();
            let ended: Vec<_> = (0..COUNT).map(|number| leave("ended", number)).collect();
            tags.invalidate(b"ended");
            (0..COUNT).for_each(|number| _ = leave("new", number));
            let count =
                |issues: &[Issue]| issues.iter().filter(|&&issue| is_there(&tags, issue)).count();
            let found = count(&alive);
            assert!(found >= COUNT * 9 / 10, "{found} of {COUNT} are there");
            assert_eq!(count(&ended), 0);
            tags.keep_at_most(0);
            assert_eq!(tags.all_refs().len(), 0);
        }
    }

    #[test]
    fn the_order_of_kept_groups_is_kept() {
        let tags = Tags::new();
        let issues = ["a", "b", "c", "a"].map(|word| leave(&tags, &[word], 3));
        let mut out = Writer::default();
        tags.save(&mut out);
        let next = Tags::new();
        next.restore(&mut Reader::new(out.bytes())).unwrap();
        next.keep_at_most(2);
        assert_eq!(issues.map(|issue| is_there(&next, issue)), [true, false, true, true]);
    }
}
