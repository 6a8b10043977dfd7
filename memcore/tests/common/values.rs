//! Values that prove what they are: key, sequence and length in front, and bytes that follow from
//! them behind, so that one foreign or torn byte is noticed.

/// Bytes in front of the body.
pub(crate) const HEAD: usize = 20;

/// The value of `key` at `sequence`, of `len` bytes, at least [`HEAD`].
pub(crate) fn certified(key: u32, sequence: u64, len: usize) -> Vec<u8> {
    assert!(len >= HEAD, "no room for a certificate");
    let mut value = Vec::with_capacity(len + 8);
    value.extend_from_slice(&key.to_le_bytes());
    value.extend_from_slice(&sequence.to_le_bytes());
    value.extend_from_slice(&(len as u64).to_le_bytes());
    let mut state = mixed(u64::from(key) << 40 ^ sequence ^ (len as u64) << 20);
    while value.len() < len {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        value.extend_from_slice(&(state ^ state >> 31).to_le_bytes());
    }
    value.truncate(len);
    value
}

/// The sequence that `value` carries.
///
/// # Panics
/// If it is not a whole value of `key`.
pub(crate) fn verify(key: u32, value: &[u8]) -> u64 {
    assert!(value.len() >= HEAD, "key {key}: {} bytes are no certificate", value.len());
    let number = |at: usize| u64::from_le_bytes(value[at..at + 8].try_into().expect("8 bytes"));
    let owner = u32::from_le_bytes(value[..4].try_into().expect("4 bytes"));
    assert_eq!(owner, key, "a foreign value");
    let sequence = number(4);
    assert_eq!(number(12), value.len() as u64, "key {key}: a value of another length");
    assert!(value == certified(key, sequence, value.len()), "key {key}: a torn value");
    sequence
}

/// A repeatable source of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mixed(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

fn mixed(mut state: u64) -> u64 {
    state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ state >> 31
}
