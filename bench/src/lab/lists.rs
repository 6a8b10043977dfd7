//! Doubly linked lists over numbered keys: what most published policies are made of. A key is in
//! one list at most; every operation takes constant time.

const NONE: u32 = u32::MAX;

/// Several lists that share their keys.
#[derive(Clone, Debug)]
pub struct Lists {
    nodes: Vec<Node>,
    ends: Vec<Ends>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    newer: u32,
    older: u32,
    list: u32,
    cost: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    newest: u32,
    oldest: u32,
    bytes: u64,
    len: usize,
}

impl Lists {
    /// `lists` empty lists for keys `0..keys`.
    #[must_use]
    pub fn new(lists: usize, keys: usize) -> Self {
        let node = Node { newer: NONE, older: NONE, list: NONE, cost: 0 };
        let ends = Ends { newest: NONE, oldest: NONE, bytes: 0, len: 0 };
        Self { nodes: vec![node; keys], ends: vec![ends; lists] }
    }

    /// Puts a key at the new end of a list, out of the one that it was in.
    pub fn push(&mut self, list: usize, key: u32, cost: u64) {
        self.remove(key);
        let ends = &mut self.ends[list];
        let older = std::mem::replace(&mut ends.newest, key);
        ends.bytes += cost;
        ends.len += 1;
        if older == NONE {
            ends.oldest = key;
        } else {
            self.nodes[older as usize].newer = key;
        }
        self.nodes[key as usize] = Node { newer: NONE, older, list: list as u32, cost };
    }

    /// Puts a key at the new end of a list, with the cost that it had.
    pub fn renew(&mut self, list: usize, key: u32) {
        self.push(list, key, self.nodes[key as usize].cost);
    }

    /// Takes a key out of its list; its cost, if it was in one.
    pub fn remove(&mut self, key: u32) -> Option<u64> {
        let Node { newer, older, list, cost } = self.nodes[key as usize];
        if list == NONE {
            return None;
        }
        let ends = &mut self.ends[list as usize];
        ends.bytes -= cost;
        ends.len -= 1;
        match newer {
            NONE => ends.newest = older,
            newer => self.nodes[newer as usize].older = older,
        }
        match older {
            NONE => ends.oldest = newer,
            older => self.nodes[older as usize].newer = newer,
        }
        self.nodes[key as usize].list = NONE;
        Some(cost)
    }

    /// Takes the oldest key out of a list, with its cost.
    pub fn pop(&mut self, list: usize) -> Option<(u32, u64)> {
        let key = self.oldest(list)?;
        let cost = self.remove(key)?;
        Some((key, cost))
    }

    /// The oldest key of a list.
    #[must_use]
    pub fn oldest(&self, list: usize) -> Option<u32> {
        Some(self.ends[list].oldest).filter(|&key| key != NONE)
    }

    /// The key that came into the list after this one.
    #[must_use]
    pub fn newer(&self, key: u32) -> Option<u32> {
        Some(self.nodes[key as usize].newer).filter(|&key| key != NONE)
    }

    /// The list that a key is in.
    #[must_use]
    pub fn list_of(&self, key: u32) -> Option<usize> {
        let list = self.nodes[key as usize].list;
        (list != NONE).then_some(list as usize)
    }

    /// What a key costs; of one that is in no list, what it cost last.
    #[must_use]
    pub fn cost(&self, key: u32) -> u64 {
        self.nodes[key as usize].cost
    }

    /// The cost of all keys of a list.
    #[must_use]
    pub fn bytes(&self, list: usize) -> u64 {
        self.ends[list].bytes
    }

    /// How many keys a list has.
    #[must_use]
    pub fn len(&self, list: usize) -> usize {
        self.ends[list].len
    }

    /// Whether a list has no keys.
    #[must_use]
    pub fn is_empty(&self, list: usize) -> bool {
        self.len(list) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_move_between_lists_in_order() {
        let mut lists = Lists::new(2, 4);
        for key in 0..4 {
            lists.push(0, key, 10 + u64::from(key));
        }
        lists.renew(0, 1);
        lists.renew(1, 2);
        assert_eq!((lists.bytes(0), lists.len(0), lists.bytes(1)), (34, 3, 12));
        assert_eq!((lists.list_of(2), lists.cost(2), lists.newer(0)), (Some(1), 12, Some(3)));
        let order: Vec<_> = std::iter::from_fn(|| lists.pop(0)).collect();
        assert_eq!(order, [(0, 10), (3, 13), (1, 11)]);
        assert_eq!((lists.oldest(0), lists.list_of(0), lists.remove(0)), (None, None, None));
    }
}
