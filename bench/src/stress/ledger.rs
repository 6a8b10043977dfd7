//! What may be read when. A key's writes are numbered; a read may return any write from the last
//! one that was done when the read began to the last one that had begun when it ended. A delete
//! takes a number as well: after it no older write may be read again.

use std::sync::atomic::{AtomicU64, Ordering};

use super::StressError;
use crate::value::stamp_of;

/// The accounts of all keys.
#[derive(Debug)]
pub(super) struct Ledger {
    accounts: Vec<Account>,
    actors: usize,
}

#[derive(Debug, Default)]
struct Account {
    begun: AtomicU64,
    done: AtomicU64,
}

impl Ledger {
    pub(super) fn new(keys: u32, actors: usize) -> Self {
        let accounts = (0..keys).map(|_| Account::default()).collect();
        Self { accounts, actors }
    }

    pub(super) fn keys(&self) -> u32 {
        self.accounts.len() as u32
    }

    /// Whether `actor` may write `key`.
    pub(super) fn writes(&self, actor: usize, key: u32) -> bool {
        Self::shared(key) || key as usize % self.actors == actor
    }

    /// Keys that all write: of these only whole values of the key are asked for, in any order.
    fn shared(key: u32) -> bool {
        key.is_multiple_of(SHARED)
    }

    /// Begins a write or a delete; its number.
    pub(super) fn begin(&self, key: u32) -> u64 {
        self.accounts[key as usize].begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The write or delete `number` is done.
    pub(super) fn finish(&self, key: u32, number: u64) {
        self.accounts[key as usize].done.fetch_max(number, Ordering::SeqCst);
    }

    /// The oldest write that a read beginning now may return.
    pub(super) fn oldest(&self, key: u32) -> u64 {
        self.accounts[key as usize].done.load(Ordering::SeqCst)
    }

    /// Checks a value that was read under `key` by a read that began when `oldest` was so.
    pub(super) fn check(&self, key: u32, oldest: u64, value: &[u8]) -> Result<(), StressError> {
        let Some(found) = stamp_of(value, key) else {
            return Err(StressError::WrongBytes { key, len: value.len() });
        };
        let newest = self.accounts[key as usize].begun.load(Ordering::SeqCst);
        if found > newest || found == 0 {
            return Err(StressError::Future { key, found, newest });
        }
        if found < oldest && !Self::shared(key) {
            return Err(StressError::Old { key, found, oldest });
        }
        Ok(())
    }
}

const SHARED: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::push_stamped;

    fn check(ledger: &Ledger, key: u32, stamp: u64) -> Result<(), StressError> {
        let mut value = Vec::new();
        push_stamped(&mut value, key, stamp, 50);
        ledger.check(key, ledger.oldest(key), &value)
    }

    #[test]
    fn a_read_returns_what_is_there_or_on_its_way() {
        let ledger = Ledger::new(10, 1);
        let first = ledger.begin(1);
        assert!(check(&ledger, 1, first).is_ok());
        ledger.finish(1, first);
        let second = ledger.begin(1);
        assert!(check(&ledger, 1, first).is_ok());
        assert!(check(&ledger, 1, second).is_ok());
        ledger.finish(1, second);
        assert!(matches!(check(&ledger, 1, first), Err(StressError::Old { .. })));
        assert!(matches!(check(&ledger, 1, second + 1), Err(StressError::Future { .. })));
        assert!(matches!(ledger.check(1, 0, b"rubbish!"), Err(StressError::WrongBytes { .. })));
    }

    #[test]
    fn a_key_of_all_has_no_order() {
        let ledger = Ledger::new(10, 3);
        let first = ledger.begin(0);
        let second = ledger.begin(0);
        ledger.finish(0, second);
        assert!(check(&ledger, 0, first).is_ok());
        assert!((0..3).all(|actor| ledger.writes(actor, 0)));
        assert!(ledger.writes(1, 7) && !ledger.writes(0, 7));
    }
}
