//! Traces: who asked for what, when. A trace comes from an MCT1 file or from a generator; who
//! replays it keeps the table of keys beside the requests.

mod mct;
mod synthetic;

pub use mct::{TraceError, read};
pub use synthetic::{Synthetic, synthetic};

/// What is known about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Bytes of its value.
    pub value_size: u32,
    /// Seconds that a value lives; 0 for ever.
    pub ttl: u32,
    /// Bytes of the key.
    pub key_size: u16,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A get; a miss is followed by a set.
    Get,
    /// A set.
    Set,
    /// A delete.
    Delete,
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Seconds since the trace began.
    pub second: u32,
    /// Number of the key.
    pub key: u32,
    /// What is asked.
    pub op: Op,
}

/// A trace in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// By number of the key.
    pub keys: Vec<KeyInfo>,
    /// In order of time.
    pub requests: Vec<Request>,
}

impl Trace {
    /// Bytes of all keys that are asked for, with their values.
    #[must_use]
    pub fn working_set(&self) -> u64 {
        let mut seen = vec![false; self.keys.len()];
        let mut sum = 0;
        for request in &self.requests {
            let info = self.keys[request.key as usize];
            if !std::mem::replace(&mut seen[request.key as usize], true) {
                sum += u64::from(info.value_size) + u64::from(info.key_size);
            }
        }
        sum
    }

    /// Each request once for each of `copies` key spaces, interleaved.
    pub fn interleaved(&self, copies: u8) -> impl Iterator<Item = (Request, u8)> {
        let copied = move |&request| (0..copies).map(move |copy| (request, copy));
        self.requests.iter().flat_map(copied)
    }

    /// Writes the key of `key` in key space `copy`.
    pub fn write_key(&self, key: u32, copy: u8, out: &mut Vec<u8>) {
        use std::io::Write as _;
        out.clear();
        // Writing to a vector can't fail.
        let _ = write!(out, "{copy:02x}{key:08x}");
        let size = usize::from(self.keys[key as usize].key_size);
        out.resize(size.max(out.len()), b'k');
    }
}

/// The number that stands for `key` of key space `copy` in self-certifying values.
#[must_use]
pub fn value_index(key: u32, copy: u8) -> u32 {
    key ^ (u32::from(copy) << 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> Trace {
        let info = |value_size, key_size| KeyInfo { value_size, ttl: 0, key_size };
        let get = |second, key| Request { second, key, op: Op::Get };
        Trace {
            keys: vec![info(100, 12), info(5, 10), info(7, 10)],
            requests: vec![get(0, 0), get(1, 1), get(2, 0)],
        }
    }

    #[test]
    fn the_working_set_is_what_is_asked_for() {
        assert_eq!(tiny().working_set(), 112 + 15);
    }

    #[test]
    fn copies_take_turns() {
        let trace = tiny();
        let order: Vec<_> = trace.interleaved(2).map(|(r, copy)| (r.key, copy)).collect();
        assert_eq!(order, [(0, 0), (0, 1), (1, 0), (1, 1), (0, 0), (0, 1)]);
    }

    #[test]
    fn keys_have_their_size_and_their_space() {
        let trace = tiny();
        let mut key = Vec::new();
        trace.write_key(0, 0xab, &mut key);
        assert_eq!(key, b"ab00000000kk");
        trace.write_key(1, 1, &mut key);
        assert_eq!(key, b"0100000001");
    }
}
