//! Memory outside the cache that clients may take: one budget for all of it, and a share of that
//! for each kind which could take everything otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::config::Config;

/// Bytes that all clients may hold together, unless a setting says otherwise.
pub(crate) const CLIENT_MEMORY: usize = 64 << 20;
/// The share for copies of values that can't be pinned: 1/COPIES.
const COPIES: usize = 4;
/// The share of unsent replies beyond which replies are made in smaller pieces: 1/BACKLOGS.
const BACKLOGS: usize = 2;
/// The share of unfinished retrieval lines, unless a setting says otherwise: 1/LONG_LINES.
const LONG_LINES: usize = 4;
/// The share of handshakes that are not done: 1/HANDSHAKES.
const HANDSHAKES: usize = 4;
/// The share of the counts by key prefix: 1/PREFIXES.
const PREFIXES: usize = 4;
/// Lists of all connections at once. Each takes memory until its client has read it.
pub(crate) const CONN_QUERIES: usize = 16;

/// The budgets of one server.
#[derive(Debug)]
pub(crate) struct Budgets {
    /// Bytes that clients hold outside the cache.
    pub(crate) clients: Arc<Budget>,
    /// Bytes of copies of values that can't be pinned.
    pub(crate) copies: Arc<Budget>,
    /// Bytes of replies whose clients don't read.
    pub(crate) backlogs: Arc<Budget>,
    /// Bytes of the beginnings of long retrieval lines.
    pub(crate) long_lines: Arc<Budget>,
    /// Bytes of handshakes that are not done.
    pub(crate) handshakes: Arc<Budget>,
    /// Bytes of the counts by key prefix.
    pub(crate) prefixes: Arc<Budget>,
    /// Lists of connections that wait to be sent.
    pub(crate) conn_queries: Arc<Budget>,
    /// For each worker, bytes of the first of these budgets that the connection holds which holds
    /// most, or that it has held.
    pub(crate) largest: Box<[AtomicUsize]>,
    /// Connections that wait until others give memory back.
    pub(crate) starved: AtomicUsize,
    /// Second when a copy, or a value that arrives in pieces, last found no room.
    short_at: AtomicU32,
}

impl Budgets {
    /// Nothing is taken.
    pub(crate) fn new(config: &Config) -> Self {
        let all = match config.client_memory {
            0 => CLIENT_MEMORY,
            limit => limit,
        };
        let long_lines = match config.read_buf_mem_limit {
            0 => all / LONG_LINES,
            limit => limit,
        };
        let clients = Budget::new(all);
        Self {
            copies: clients.part(all / COPIES),
            backlogs: clients.part(all / BACKLOGS),
            long_lines: clients.part(long_lines),
            handshakes: clients.part(all / HANDSHAKES),
            prefixes: clients.part(all / PREFIXES),
            clients,
            conn_queries: Budget::new(CONN_QUERIES),
            largest: (0..config.threads.max(1)).map(|_| AtomicUsize::new(0)).collect(),
            starved: AtomicUsize::new(0),
            short_at: AtomicU32::new(0),
        }
    }

    /// Notes that a connection of `worker` holds so much.
    pub(crate) fn note_held(&self, worker: usize, bytes: usize) {
        if let Some(largest) = self.largest.get(worker) {
            largest.fetch_max(bytes, Ordering::Relaxed);
        }
    }

    /// Notes what the largest connection of `worker` holds. A worker that may have a larger one is
    /// returned.
    pub(crate) fn compare_largest(&self, worker: usize, bytes: usize) -> Option<usize> {
        if let Some(largest) = self.largest.get(worker) {
            largest.store(bytes, Ordering::Relaxed);
        }
        let others = self.largest.iter().enumerate();
        let others = others.map(|(other, largest)| (largest.load(Ordering::Relaxed), other));
        others.filter(|&(held, other)| held > bytes && other != worker).max().map(|(_, w)| w)
    }

    /// Notes that a client was refused at second `now` because of memory that others hold.
    pub(crate) fn note_shortage(&self, now: u32) {
        self.short_at.store(now, Ordering::Relaxed);
    }

    /// Seconds since then.
    pub(crate) fn since_shortage(&self, now: u32) -> u32 {
        now.saturating_sub(self.short_at.load(Ordering::Relaxed))
    }
}

/// A number of bytes, or other units, that may be in use at once.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    /// The budget that this is a part of. What is taken here is taken there as well.
    whole: Option<Arc<Self>>,
}

impl Budget {
    fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0), whole: None })
    }

    /// A part of this budget with a limit of its own.
    fn part(self: &Arc<Self>, limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0), whole: Some(Arc::clone(self)) })
    }

    /// Takes `amount` if it is available. What is larger than the whole budget may have it when
    /// nothing else is in use, because it could never be served otherwise.
    pub(crate) fn take(self: &Arc<Self>, amount: usize) -> Option<Permit> {
        self.try_add(amount).then(|| Permit { budget: Arc::clone(self), amount })
    }

    /// Counts `amount` as in use, here and in the whole, if it is available in both.
    fn try_add(&self, amount: usize) -> bool {
        let add = |used: usize| {
            let sum = used.checked_add(amount)?;
            (used == 0 || sum <= self.limit).then_some(sum)
        };
        // Relaxed, as the number guards no other memory.
        if self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_err() {
            return false;
        }
        let is_available = self.whole.as_ref().is_none_or(|whole| whole.try_add(amount));
        if !is_available {
            self.used.fetch_sub(amount, Ordering::Relaxed);
        }
        is_available
    }

    /// Takes `amount` whether it is available or not.
    pub(crate) fn take_anyway(self: &Arc<Self>, amount: usize) -> Permit {
        if let Some(whole) = &self.whole {
            whole.used.fetch_add(amount, Ordering::Relaxed);
        }
        self.used.fetch_add(amount, Ordering::Relaxed);
        Permit { budget: Arc::clone(self), amount }
    }

    /// Whether more is in use than there is.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.used() > self.limit
    }

    /// Gives `amount` back.
    fn give_back(&self, amount: usize) {
        self.used.fetch_sub(amount, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.give_back(amount);
        }
    }

    /// Whether `amount` is left.
    pub(crate) fn has(&self, amount: usize) -> bool {
        self.used() + amount <= self.limit
    }

    /// Whether half of it is in use.
    pub(crate) fn is_scarce(&self) -> bool {
        self.used() >= self.limit / 2
    }

    /// Whether nothing is left.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.used() >= self.limit
    }

    /// The most that may be in use.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// What is in use.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
#[must_use = "dropping a permit gives it back"]
pub(crate) struct Permit {
    budget: Arc<Budget>,
    amount: usize,
}

impl Permit {
    /// How much it is.
    pub(crate) fn amount(&self) -> usize {
        self.amount
    }

    /// Joins two permits of one budget.
    pub(crate) fn merge(&mut self, mut other: Self) {
        debug_assert!(Arc::ptr_eq(&self.budget, &other.budget), "permits of two budgets");
        // Nothing is left in `other` that dropping it would give back.
        self.amount += std::mem::take(&mut other.amount);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.give_back(self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_part_takes_is_taken_from_the_whole() {
        let whole = Budget::new(100);
        let part = whole.part(50);
        let forty = part.take(40).unwrap();
        assert_eq!((part.used(), whole.used()), (40, 40));
        let fifty = whole.take(50).unwrap();
        assert!(part.take(11).is_none(), "the whole has no more");
        assert_eq!((part.used(), whole.used()), (40, 90));
        let twenty = part.take_anyway(20);
        assert!(part.is_exhausted() && whole.is_exceeded());
        drop((forty, fifty, twenty));
        assert_eq!((part.used(), whole.used()), (0, 0));
    }

    #[test]
    fn a_budget_is_shared_and_serves_an_oversize_taker_alone() {
        let budget = Budget::new(100);
        let sixty = budget.take(60).unwrap();
        assert!(budget.take(41).is_none());
        let forty = budget.take(40).unwrap();
        drop((sixty, forty));
        let thousand = budget.take(1_000).unwrap();
        assert!(budget.take(1).is_none());
        drop(thousand);
        let one = budget.take(1).unwrap();
        assert!(budget.take(1_000).is_none());
        assert!(!budget.is_exhausted());
        let mut hundred = budget.take_anyway(100);
        assert!(budget.is_exhausted());
        assert_eq!(budget.used(), 101);
        hundred.merge(one);
        assert_eq!((hundred.amount(), budget.used()), (101, 101));
        drop(hundred);
        assert_eq!(budget.used(), 0);
    }
}
