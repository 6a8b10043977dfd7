//! What a cache knows beside its memory, as numbers one after the other, and the checksum of both.

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

/// Numbers that are to be kept.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

/// Numbers that were kept, in the same order.
#[derive(Debug)]
pub(crate) struct Reader<'b>(&'b [u8]);

/// What was kept is not what it should be: where that was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged(pub(crate) &'static str);

impl Writer {
    pub(crate) fn put(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// All bytes so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// The next number.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn take(&mut self) -> Result<u64, Damaged> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Damaged("state"))?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*first))
    }

    /// The next number, which is below 2^32.
    ///
    /// # Errors
    /// There is none, or it is larger.
    pub(crate) fn take_u32(&mut self) -> Result<u32, Damaged> {
        self.take()?.try_into().map_err(|_| Damaged("state"))
    }

    /// Compares a checksum with the next number.
    ///
    /// # Errors
    /// It is another one, or there is none.
    pub(crate) fn compare(&mut self, sum: u64) -> Result<(), Damaged> {
        if self.take()? == sum { Ok(()) } else { Err(Damaged("memory")) }
    }

    /// Whether all numbers were taken.
    #[cfg(any(test, all(feature = "flash", not(loom))))]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A number that other bytes hardly have.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    const SECRETS: RapidSecrets = RapidSecrets::seed(0x6d65_6d63_6f72_6531);
    rapidhash_v3_seeded(bytes, &SECRETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_in_order_and_no_others() {
        let mut out = Writer::default();
        for number in [1, u64::from(u32::MAX), 1 << 32] {
            out.put(number);
        }
        let mut from = Reader::new(out.bytes());
        assert_eq!((from.take(), from.take_u32()), (Ok(1), Ok(u32::MAX)));
        assert_eq!(from.take_u32(), Err(Damaged("state")));
        assert!(from.is_empty());
        assert_eq!(from.take(), Err(Damaged("state")));
    }
}
