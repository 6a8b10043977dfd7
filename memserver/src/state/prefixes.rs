//! `stats detail`: requests by key prefix, counted while that is switched on. The number of
//! prefixes is bounded.

use std::hash::RandomState;

use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;
use memproto::key::push_word;
use memproto::number::push_u64;
use parking_lot::Mutex;

/// Prefixes beyond this many are not counted.
const PREFIXES_MAX: usize = 65_536;

/// Counts by prefix.
#[derive(Debug)]
pub(crate) struct Prefixes {
    /// What ends a prefix.
    separator: u8,
    /// Hashed with a secret, since clients choose the keys.
    counts: Mutex<HashMap<Box<[u8]>, Counts, RandomState>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    gets: u64,
    hits: u64,
    sets: u64,
    deletes: u64,
}

/// A request that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    /// A lookup that found nothing.
    Miss,
    /// A lookup that found something.
    Hit,
    /// A storage request.
    Set,
    /// A deletion.
    Delete,
}

impl Prefixes {
    /// Nothing is counted yet; prefixes end at `separator`.
    pub(crate) fn new(separator: char) -> Self {
        // The command line takes no separator that is not one byte.
        Self { separator: u8::try_from(separator).unwrap_or(b':'), counts: Mutex::default() }
    }

    /// Counts a request for `key`, if the key has a prefix.
    #[cold]
    pub(crate) fn count(&self, key: &[u8], what: Use) {
        // memcached does not count keys without a separator either.
        let Some(end) = key.iter().position(|&byte| byte == self.separator) else { return };
        let prefix = &key[..end];
        let mut all = self.counts.lock();
        // Clients choose the keys: without a limit they could take any amount of memory.
        let is_full = all.len() >= PREFIXES_MAX;
        let counts = match all.entry_ref(prefix) {
            EntryRef::Occupied(counted) => counted.into_mut(),
            EntryRef::Vacant(_) if is_full => return,
            EntryRef::Vacant(new) => new.insert_with_key(prefix.into(), Counts::default()),
        };
        match what {
            Use::Miss => counts.gets += 1,
            Use::Hit => {
                counts.gets += 1;
                counts.hits += 1;
            }
            Use::Set => counts.sets += 1,
            Use::Delete => counts.deletes += 1,
        }
    }

    /// A line for each prefix, whatever bytes are in it.
    pub(crate) fn dump(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (prefix, counts) in &*self.counts.lock() {
            out.extend_from_slice(b"PREFIX ");
            push_word(&mut out, prefix);
            for (name, count) in [
                (" get ", counts.gets),
                (" hit ", counts.hits),
                (" set ", counts.sets),
                (" del ", counts.deletes),
            ] {
                out.extend_from_slice(name.as_bytes());
                push_u64(&mut out, count);
            }
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    /// Removes all counts.
    pub(crate) fn clear(&self) {
        self.counts.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_with_a_prefix_count() {
        let prefixes = Prefixes::new('/');
        prefixes.count(b"a/b/c", Use::Hit);
        prefixes.count(b"a/d", Use::Miss);
        prefixes.count(b"a/", Use::Set);
        prefixes.count(b"a/", Use::Delete);
        prefixes.count(b"a:b", Use::Hit);
        assert_eq!(prefixes.dump(), b"PREFIX a get 2 hit 1 set 1 del 1\r\n");
        prefixes.clear();
        assert_eq!(prefixes.dump(), b"");
    }

    #[test]
    fn the_number_of_prefixes_is_bounded() {
        let prefixes = Prefixes::new(':');
        for i in 0..PREFIXES_MAX + 10 {
            prefixes.count(format!("{i}:").as_bytes(), Use::Set);
        }
        assert_eq!(prefixes.counts.lock().len(), PREFIXES_MAX);
        prefixes.count(b"0:", Use::Set);
        assert_eq!(prefixes.counts.lock()[&b"0"[..]].sets, 2);
    }
}
