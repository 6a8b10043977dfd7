//! A trace without a file: zipf-distributed keys with ETC sizes.

use super::{KeyInfo, Op, Request, Trace};
use crate::rng::{mix, seeded};
use crate::value::Sizes;
use crate::zipf::Zipf;

/// What trace to make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Synthetic {
    /// How many keys.
    pub keys: u32,
    /// How many requests.
    pub requests: u32,
    /// Exponent of the zipf distribution.
    pub exponent: f64,
    /// Decides every random choice.
    pub seed: u64,
}

/// Makes a trace: gets of zipf-distributed keys, a thousand a second.
#[must_use]
pub fn synthetic(wanted: &Synthetic) -> Trace {
    let zipf = Zipf::new(wanted.keys, wanted.exponent);
    let mut rng = seeded(wanted.seed);
    let info = |key| KeyInfo {
        value_size: Sizes::Etc.of(key) as u32,
        ttl: 0,
        key_size: 16 + (mix(u64::from(key)) % 32) as u16,
    };
    let request = |i| Request { second: i / 1000, key: zipf.rank(&mut rng) - 1, op: Op::Get };
    Trace {
        keys: (0..wanted.keys).map(info).collect(),
        requests: (0..wanted.requests).map(request).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_wish_gives_the_same_trace() {
        let wanted = Synthetic { keys: 100, requests: 5000, exponent: 1.0, seed: 1 };
        let trace = synthetic(&wanted);
        assert_eq!(trace, synthetic(&wanted));
        assert_ne!(trace, synthetic(&Synthetic { seed: 2, ..wanted }));
        assert_eq!((trace.keys.len(), trace.requests.len()), (100, 5000));
        assert_eq!(trace.requests[4999].second, 4);
        let first = trace.requests.iter().filter(|r| r.key == 0).count();
        assert!((850..1100).contains(&first), "{first}"); // 1 / H(100) = 0.193.
    }
}
