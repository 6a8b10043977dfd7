//! Keys made from a number, and values that certify themselves: every byte follows from the key's
//! number and the length, so that a reader knows a foreign, torn or cut value without having kept
//! what was written. It knows nothing of any protocol.

use crate::rng::{mix, unit};

/// The shortest key that still holds a number.
pub const KEY_SIZE_MIN: usize = 8;

/// The longest key of the protocol.
pub const KEY_SIZE_MAX: usize = 250;

/// Appends the key of number `index`, `size` bytes long.
pub fn push_key(out: &mut Vec<u8>, index: u32, size: usize) {
    debug_assert!((KEY_SIZE_MIN..=KEY_SIZE_MAX).contains(&size));
    out.extend_from_slice(&PADDING[..size - KEY_SIZE_MIN]);
    out.extend_from_slice(&key_digits(index));
}

/// The end of every key of number `index`.
#[must_use]
pub fn key_digits(index: u32) -> [u8; KEY_SIZE_MIN] {
    std::array::from_fn(|i| HEX[(index >> (28 - 4 * i)) as usize & 15])
}

/// Appends the value that belongs to key number `index` at length `len`.
pub fn push_value(out: &mut Vec<u8>, index: u32, len: usize) {
    let start = out.len();
    out.resize(start + len, 0);
    let mut words = Words::new(index, len);
    let (whole, tail) = out[start..].as_chunks_mut::<8>();
    for chunk in whole {
        *chunk = words.next();
    }
    let last = words.next();
    tail.copy_from_slice(&last[..tail.len()]);
}

/// Whether `value` is exactly what [`push_value`] makes for key number `index` at this length.
#[must_use]
pub fn is_value(value: &[u8], index: u32) -> bool {
    let mut words = Words::new(index, value.len());
    let (whole, tail) = value.as_chunks::<8>();
    // No early way out: the loop over equal words is what runs, and it vectorises like this.
    let mut wrong = false;
    for chunk in whole {
        wrong |= *chunk != words.next();
    }
    let last = words.next();
    !wrong && tail == &last[..tail.len()]
}

/// The least length of a stamped value: the stamp, and as many bytes that vouch for it.
pub const STAMPED_MIN: usize = 2 * STAMP_SIZE;

/// Appends a value of `len` bytes that carries `stamp`, with every other byte following from the
/// stamp, the key's number and the length: two writes of a key differ in every word.
pub fn push_stamped(out: &mut Vec<u8>, index: u32, stamp: u64, len: usize) {
    debug_assert!(len >= STAMPED_MIN);
    out.extend_from_slice(&stamp.to_le_bytes());
    push_value(out, stamped_index(index, stamp), len - STAMP_SIZE);
}

/// The stamp of a value that [`push_stamped`] made for key number `index`; `None` if it is
/// anything else.
#[must_use]
pub fn stamp_of(value: &[u8], index: u32) -> Option<u64> {
    let (stamp, rest) = value.split_first_chunk::<STAMP_SIZE>()?;
    let stamp = u64::from_le_bytes(*stamp);
    let right = value.len() >= STAMPED_MIN && is_value(rest, stamped_index(index, stamp));
    right.then_some(stamp)
}

fn stamped_index(index: u32, stamp: u64) -> u32 {
    (mix(stamp) as u32) ^ index
}

struct Words(u64);

impl Words {
    fn new(index: u32, len: usize) -> Self {
        Self(mix((u64::from(index) << 32) ^ len as u64 ^ SALT))
    }

    /// Every byte has its high bit set, so that no value holds a line end: the floor server counts
    /// those.
    fn next(&mut self) -> [u8; 8] {
        self.0 = self.0.wrapping_add(STEP);
        (self.0 | 0x8080_8080_8080_8080).to_le_bytes()
    }
}

/// How long values are. The length belongs to the key: every writer of a key agrees on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// All the same.
    Fixed(u32),
    /// Evenly between two lengths, both included.
    Uniform(u32, u32),
    /// The lengths of Facebook's ETC pool: 8 % below 15 bytes, the rest generalised Pareto, mean
    /// about 300 bytes (Atikoglu et al., SIGMETRICS 2012).
    Etc,
}

impl Sizes {
    /// The length of the value of key number `index`.
    #[must_use]
    pub fn of(self, index: u32) -> usize {
        let bits = || mix(u64::from(index) ^ STEP);
        match self {
            Self::Fixed(size) => size as usize,
            Self::Uniform(low, high) => {
                let span = u64::from(high - low) + 1;
                low as usize + (bits() % span) as usize
            }
            Self::Etc => etc(bits()),
        }
    }
}

fn etc(bits: u64) -> usize {
    let small = unit(mix(bits));
    if small < 0.0806 {
        return 1 + (unit(bits) * 14.0) as usize;
    }
    let pareto = 214.476 * ((1.0 - unit(bits)).powf(-0.348_238) - 1.0) / 0.348_238;
    pareto.clamp(15.0, 999_000.0) as usize
}

impl std::str::FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.parse().map_err(|_| format!("`{part}` is not a length"));
        if text == "etc" {
            return Ok(Self::Etc);
        }
        match text.split_once('-') {
            None => number(text).map(Self::Fixed),
            Some((low, high)) => match (number(low)?, number(high)?) {
                (low, high) if low <= high => Ok(Self::Uniform(low, high)),
                _ => Err(format!("`{text}` ends before it begins")),
            },
        }
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";
const PADDING: [u8; KEY_SIZE_MAX - KEY_SIZE_MIN] = [b'k'; KEY_SIZE_MAX - KEY_SIZE_MIN];
const STAMP_SIZE: usize = 8;
const SALT: u64 = 0x5851_F42D_4C95_7F2D;
const STEP: u64 = 0xD1B5_4A32_D192_ED03;

#[cfg(test)]
mod tests {
    use super::*;

    fn value(index: u32, len: usize) -> Vec<u8> {
        let mut out = Vec::new();
        push_value(&mut out, index, len);
        out
    }

    #[test]
    fn a_value_certifies_itself() {
        for len in [0, 1, 7, 8, 9, 100, 1000] {
            assert!(is_value(&value(5, len), 5));
            assert!(!value(5, len).contains(&b'\n'));
        }
    }

    #[test]
    fn a_foreign_cut_or_changed_value_is_noticed() {
        assert!(!is_value(&value(5, 100), 6));
        assert!(!is_value(&value(5, 100)[..99], 5));
        for place in 0..100 {
            let mut changed = value(5, 100);
            changed[place] ^= 1;
            assert!(!is_value(&changed, 5), "byte {place}");
        }
    }

    #[test]
    fn a_stamp_vouches_for_its_value() {
        let mut old = Vec::new();
        push_stamped(&mut old, 5, 1, 100);
        assert_eq!(stamp_of(&old, 5), Some(1));
        assert_eq!(stamp_of(&old, 6), None);
        let mut torn = Vec::new();
        push_stamped(&mut torn, 5, 2, 100);
        torn[50..].copy_from_slice(&old[50..]);
        assert_eq!(stamp_of(&torn, 5), None);
        assert_eq!(stamp_of(&old[..8], 5), None);
    }

    #[test]
    fn keys_have_their_size_and_differ() {
        let mut out = Vec::new();
        push_key(&mut out, 0xABC, 20);
        assert_eq!(out, b"kkkkkkkkkkkk00000abc");
    }

    #[test]
    fn lengths_stay_in_their_range() {
        let sizes: Sizes = "10-20".parse().unwrap();
        let seen: std::collections::BTreeSet<usize> = (0..1000).map(|i| sizes.of(i)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), (10..=20).collect::<Vec<_>>());
        let mean = (0..100_000).map(|i| Sizes::Etc.of(i)).sum::<usize>() / 100_000;
        assert!((270..330).contains(&mean), "{mean}");
        assert!("20-10".parse::<Sizes>().is_err());
    }
}
