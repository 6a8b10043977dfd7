//! A miniature: LRU and FIFO as they would do for a sample of the keys. It has no values, but for
//! each key what it would take, and evicts where the bytes of its items exceed a budget.
//!
//! That a sample of the keys in a cache of that size shows what the whole would do is from
//! Waldspurger et al., "Cache Modeling and Optimization using Miniature Simulations" (ATC 2017).

/// The policies that are simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rival {
    Lru,
    Fifo,
}

pub(crate) const RIVALS: [Rival; 2] = [Rival::Lru, Rival::Fifo];

/// A number for each rival.
pub(crate) type Each<T> = [T; RIVALS.len()];

/// The number of an entry.
type EntryId = u16;
/// No entry, and that of an entry that is not in a list.
const NONE: EntryId = EntryId::MAX;
const OUTSIDE: EntryId = NONE - 1;
/// A sample of so many keys has so many entries, as the two have not the same items.
const KEYS: usize = 4;
const ENTRIES: usize = 5;

/// An item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) bytes: u32,
    /// The second in which it expires, 0 for never.
    pub(crate) expiry: u32,
}

/// LRU and FIFO.
#[derive(Debug)]
pub(crate) struct Miniature {
    entries: Box<[Entry]>,
    /// The first entry of each chain of keys with the same remainder.
    chains: Box<[EntryId]>,
    /// The first entry that nothing is in, and those from where on none was ever used.
    free: EntryId,
    unused: EntryId,
    queues: Each<Queue>,
    budget: u64,
    /// A key found no entry.
    is_crowded: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u32,
    expiry: u32,
    size: Size,
    /// The next one of its chain, or of those that are free.
    next: EntryId,
    places: Each<Place>,
}

/// An entry's place in a queue.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// [`OUTSIDE`] if it is not there.
    older: EntryId,
    newer: EntryId,
}

/// The items that a rival has, in the order in which it would evict them.
#[derive(Clone, Copy, Debug)]
struct Queue {
    oldest: EntryId,
    newest: EntryId,
    bytes: u64,
}

const NOWHERE: Place = Place { older: OUTSIDE, newer: NONE };
const EMPTY: Queue = Queue { oldest: NONE, newest: NONE, bytes: 0 };
const FREE: Entry =
    Entry { key: 0, expiry: 0, size: Size(0), next: NONE, places: [NOWHERE; RIVALS.len()] };

/// Bytes of an item, to eight binary places: the upper half of the number as a float.
#[derive(Clone, Copy, Debug)]
struct Size(u16);

impl Size {
    fn of(bytes: u32) -> Self {
        Self(((bytes as f32).to_bits() >> 16) as u16)
    }

    fn bytes(self) -> u32 {
        f32::from_bits(u32::from(self.0) << 16) as u32
    }
}

impl Entry {
    fn item(&self) -> Outline {
        Outline { bytes: self.size.bytes(), expiry: self.expiry }
    }

    fn is_of(&self, rival: Rival) -> bool {
        self.places[rival as usize].older != OUTSIDE
    }
}

impl Miniature {
    /// One for a sample of so many keys; one for none takes no memory.
    pub(crate) fn new(sample: usize) -> Self {
        Self {
            entries: vec![FREE; entries_for(sample)].into(),
            chains: vec![NONE; sample.max(1)].into(),
            free: NONE,
            unused: 0,
            queues: [EMPTY; RIVALS.len()],
            budget: 0,
            is_crowded: false,
        }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(sample: usize) -> usize {
        entries_for(sample) * size_of::<Entry>() + sample * size_of::<EntryId>()
    }

    /// A key is asked for: whether each rival has its item. If one has, what it is.
    pub(crate) fn get(&mut self, key: u32, now: u32) -> Option<(Outline, Each<bool>)> {
        let id = self.find(key)?;
        let item = self.entry(id).item();
        if item.expiry != 0 && item.expiry <= now {
            self.remove(key);
            return None;
        }
        let hits = RIVALS.map(|rival| self.entry(id).is_of(rival));
        if hits[Rival::Lru as usize] {
            self.leave(Rival::Lru, id);
            self.join(Rival::Lru, id);
        }
        Some((item, hits))
    }

    /// An item is stored. For FIFO one that is replaced stays where it is.
    pub(crate) fn set(&mut self, key: u32, item: Outline) {
        let Some(id) = self.find(key).or_else(|| self.add(key)) else { return };
        self.leave(Rival::Lru, id);
        let entry = self.entry_mut(id);
        let old = std::mem::replace(&mut entry.size, Size::of(item.bytes));
        entry.expiry = item.expiry;
        let (before, now) = (old.bytes(), entry.size.bytes());
        self.join(Rival::Lru, id);
        match self.entry(id).is_of(Rival::Fifo) {
            true => {
                let queue = &mut self.queues[Rival::Fifo as usize];
                queue.bytes = queue.bytes - u64::from(before) + u64::from(now);
            }
            false => self.join(Rival::Fifo, id),
        }
        self.trim();
    }

    /// An item is removed.
    pub(crate) fn remove(&mut self, key: u32) {
        if let Some(id) = self.find(key) {
            RIVALS.into_iter().for_each(|rival| self.leave(rival, id));
            self.free(id);
        }
    }

    /// Removes everything.
    pub(crate) fn clear(&mut self) {
        self.chains.fill(NONE);
        self.is_crowded = false;
        (self.free, self.unused) = (NONE, 0);
        self.queues = [EMPTY; RIVALS.len()];
    }

    /// Whether the sample is too large: keys were left out since this was asked last.
    pub(crate) fn take_crowded(&mut self) -> bool {
        std::mem::take(&mut self.is_crowded)
    }

    /// The bytes that each rival may have from now on.
    pub(crate) fn set_budget(&mut self, budget: u64) {
        self.budget = budget;
        self.trim();
    }

    fn trim(&mut self) {
        for rival in RIVALS {
            while self.queues[rival as usize].bytes > self.budget {
                let id = self.queues[rival as usize].oldest;
                self.leave(rival, id);
                if RIVALS.into_iter().all(|rival| !self.entry(id).is_of(rival)) {
                    self.free(id);
                }
            }
        }
    }

    fn entry(&self, id: EntryId) -> &Entry {
        &self.entries[usize::from(id)]
    }

    fn entry_mut(&mut self, id: EntryId) -> &mut Entry {
        &mut self.entries[usize::from(id)]
    }

    fn chain_of(&self, key: u32) -> usize {
        key as usize % self.chains.len()
    }

    fn find(&self, key: u32) -> Option<EntryId> {
        let mut id = self.chains[self.chain_of(key)];
        while id != NONE {
            let entry = self.entry(id);
            if entry.key == key {
                return Some(id);
            }
            id = entry.next;
        }
        None
    }

    /// An entry for a new key, which no rival has yet.
    fn add(&mut self, key: u32) -> Option<EntryId> {
        let id = match self.free {
            NONE if usize::from(self.unused) < self.entries.len() => {
                self.unused += 1;
                self.unused - 1
            }
            NONE => {
                self.is_crowded = true;
                return None;
            }
            id => {
                self.free = self.entry(id).next;
                id
            }
        };
        let chain = self.chain_of(key);
        let next = std::mem::replace(&mut self.chains[chain], id);
        *self.entry_mut(id) = Entry { key, next, ..FREE };
        Some(id)
    }

    /// Frees an entry that no rival has.
    fn free(&mut self, id: EntryId) {
        let Entry { key, next, .. } = *self.entry(id);
        let chain = self.chain_of(key);
        match self.chains[chain] {
            first if first == id => self.chains[chain] = next,
            first => {
                let mut before = first;
                while self.entry(before).next != id {
                    before = self.entry(before).next;
                }
                self.entry_mut(before).next = next;
            }
        }
        self.entry_mut(id).next = std::mem::replace(&mut self.free, id);
    }

    /// Makes an entry the newest of a rival.
    fn join(&mut self, rival: Rival, id: EntryId) {
        let bytes = self.entry(id).size.bytes();
        let queue = &mut self.queues[rival as usize];
        queue.bytes += u64::from(bytes);
        let older = std::mem::replace(&mut queue.newest, id);
        match older {
            NONE => queue.oldest = id,
            older => self.entry_mut(older).places[rival as usize].newer = id,
        }
        self.entry_mut(id).places[rival as usize] = Place { older, newer: NONE };
    }

    /// Takes an entry from a rival, if it has it.
    fn leave(&mut self, rival: Rival, id: EntryId) {
        let entry = self.entry_mut(id);
        let bytes = entry.size.bytes();
        let Place { older, newer } = std::mem::replace(&mut entry.places[rival as usize], NOWHERE);
        if older == OUTSIDE {
            return;
        }
        self.queues[rival as usize].bytes -= u64::from(bytes);
        match older {
            NONE => self.queues[rival as usize].oldest = newer,
            older => self.entry_mut(older).places[rival as usize].newer = newer,
        }
        match newer {
            NONE => self.queues[rival as usize].newest = older,
            newer => self.entry_mut(newer).places[rival as usize].older = older,
        }
    }
}

fn entries_for(sample: usize) -> usize {
    sample * ENTRIES / KEYS
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const ITEM: Outline = Outline { bytes: 10, expiry: 0 };

    /// Both policies as lists of keys and items, oldest first.
    #[derive(Default)]
    struct Lists {
        lists: Each<VecDeque<(u32, Outline)>>,
        budget: u64,
    }

    impl Lists {
        fn place(&self, rival: Rival, key: u32) -> Option<usize> {
            self.lists[rival as usize].iter().position(|(other, _)| *other == key)
        }

        fn get(&mut self, key: u32, now: u32) -> Option<(Outline, Each<bool>)> {
            let places = RIVALS.map(|rival| self.place(rival, key));
            let (rival, place) =
                RIVALS.into_iter().zip(places).find(|(_, place)| place.is_some())?;
            let item = self.lists[rival as usize][place?].1;
            if item.expiry != 0 && item.expiry <= now {
                self.remove(key);
                return None;
            }
            if let Some(place) = places[Rival::Lru as usize] {
                let used = self.lists[Rival::Lru as usize].remove(place)?;
                self.lists[Rival::Lru as usize].push_back(used);
            }
            Some((item, places.map(|place| place.is_some())))
        }

        fn set(&mut self, key: u32, item: Outline) {
            if let Some(place) = self.place(Rival::Lru, key) {
                self.lists[Rival::Lru as usize].remove(place);
            }
            self.lists[Rival::Lru as usize].push_back((key, item));
            match self.place(Rival::Fifo, key) {
                Some(place) => self.lists[Rival::Fifo as usize][place].1 = item,
                None => self.lists[Rival::Fifo as usize].push_back((key, item)),
            }
            self.trim();
        }

        fn remove(&mut self, key: u32) {
            self.lists.iter_mut().for_each(|list| list.retain(|(other, _)| *other != key));
        }

        fn trim(&mut self) {
            for list in &mut self.lists {
                while list.iter().map(|(_, item)| u64::from(item.bytes)).sum::<u64>() > self.budget
                {
                    list.pop_front();
                }
            }
        }
    }

    #[test]
    fn it_has_what_lru_and_fifo_have() {
        let (mut mini, mut lists) = (Miniature::new(256), Lists::default());
        let mut random = 1_u64;
        let mut draw = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut hits = [0; 2];
        for step in 0..40_000 {
            let key = draw(200) as u32 * 977;
            match draw(20) {
                0 => {
                    mini.remove(key);
                    lists.remove(key);
                }
                1..8 => {
                    let expiry = if draw(4) == 0 { step + draw(300) as u32 } else { 0 };
                    let item = Outline { bytes: 1 + draw(99) as u32, expiry };
                    mini.set(key, item);
                    lists.set(key, item);
                }
                _ => {
                    let seen = mini.get(key, step);
                    assert_eq!(seen, lists.get(key, step), "step {step}");
                    let had = seen.map_or([false; 2], |(_, had)| had);
                    hits.iter_mut().zip(had).for_each(|(hits, had)| *hits += u32::from(had));
                }
            }
            if step % 1_000 == 0 {
                let budget = 2_000 + draw(6_000);
                mini.set_budget(budget);
                lists.budget = budget;
                lists.trim();
            }
        }
        assert!(!mini.take_crowded() && hits.iter().all(|&hits| hits > 5_000), "{hits:?}");
        mini.clear();
        assert!((0..200).all(|key| mini.get(key * 977, 0).is_none()));
    }

    #[test]
    fn sizes_are_kept_to_less_than_a_hundredth() {
        for bytes in [0, 1, 24, 255, 257, 65_537, 1 << 20, (1 << 30) - 1] {
            let kept = Size::of(bytes).bytes();
            assert!(kept.abs_diff(bytes) <= bytes / 100, "{bytes}: {kept}");
        }
        assert_eq!(size_of::<Entry>(), 20);
    }

    #[test]
    fn one_that_is_too_small_says_so_and_has_room_with_a_smaller_budget() {
        let mut mini = Miniature::new(64);
        mini.set_budget(800);
        (0..80).for_each(|key| mini.set(key, ITEM));
        assert!(!mini.take_crowded());
        mini.set_budget(2_000);
        mini.set(80, ITEM);
        assert!(mini.get(80, 0).is_none());
        assert!(mini.take_crowded() && !mini.take_crowded());
        mini.set_budget(600);
        (80..100).for_each(|key| mini.set(key, ITEM));
        assert!(!mini.take_crowded() && mini.get(99, 0).is_some());
        let mut none = Miniature::new(0);
        none.set(1, ITEM);
        assert!(none.get(1, 0).is_none() && none.take_crowded());
    }
}
