//! What a request, or a connection that ends, may ask of the server's threads. The threads
//! themselves are not known here.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::net::conn_info::ConnInfo;
use crate::state::budgets::Permit;

/// The way to reach the threads of a server.
pub(crate) trait Control: fmt::Debug + Send + Sync {
    /// Makes the whole server end. Returns at once.
    fn stop(&self);

    /// Puts `query` to every worker. Each answers it once.
    fn query_connections(&self, query: &Arc<ConnQuery>);

    /// Has worker number `worker` look again at the connections that wait, and whether its clients
    /// hold too much.
    fn wake(&self, worker: usize);

    /// Asks every worker for a sign of life. The number of the one that has owed it for longest,
    /// and for how long; none if all have answered the questions before.
    fn longest_silence(&self) -> Option<(usize, Duration)>;

    /// A connection is closed, so there may be room for a new one.
    fn connection_closed(&self);
}

/// The control of a server without threads.
#[cfg(any(test, feature = "fuzzing"))]
#[derive(Debug)]
pub(crate) struct Detached;

#[cfg(any(test, feature = "fuzzing"))]
impl Control for Detached {
    fn stop(&self) {}

    fn query_connections(&self, query: &Arc<ConnQuery>) {
        while !query.answer(std::iter::empty()) {}
    }

    fn wake(&self, _: usize) {}

    fn longest_silence(&self) -> Option<(usize, Duration)> {
        None
    }

    fn connection_closed(&self) {}
}

/// A question to all workers about their connections. Only the worker of a connection knows it, so
/// all are asked, and each answers when its event loop gets to it.
#[derive(Debug)]
pub(crate) struct ConnQuery {
    /// The worker that asks, and is woken by the last answer.
    pub(crate) asker: usize,
    /// Workers that have not answered.
    missing: AtomicUsize,
    found: Mutex<VecDeque<ConnInfo>>,
    _permit: Permit,
}

impl ConnQuery {
    /// A question by worker number `asker` to `workers` workers; `known` is known already.
    pub(crate) fn new(asker: usize, workers: usize, known: Vec<ConnInfo>, permit: Permit) -> Self {
        Self {
            asker,
            missing: AtomicUsize::new(workers),
            found: Mutex::new(known.into()),
            _permit: permit,
        }
    }

    /// Takes the answer of one worker; true if it was the last.
    pub(crate) fn answer(&self, infos: impl Iterator<Item = ConnInfo>) -> bool {
        let mut found = self.found.lock();
        found.extend(infos);
        // Only changed while `found` is locked.
        let is_last = self.missing.load(Ordering::Relaxed) == 1;
        if is_last {
            found.make_contiguous().sort_unstable_by_key(|info| info.number);
        }
        // Pairs with the load in `is_complete`: a reader that sees zero sees all answers, sorted.
        self.missing.fetch_sub(1, Ordering::Release);
        is_last
    }

    /// Whether all workers have answered.
    pub(crate) fn is_complete(&self) -> bool {
        // Pairs with the decrement in `answer`.
        self.missing.load(Ordering::Acquire) == 0
    }

    /// Removes up to `count` connections from the answer; also says whether there are more.
    pub(crate) fn take(&self, count: usize) -> (Vec<ConnInfo>, bool) {
        let mut found = self.found.lock();
        let count = count.min(found.len());
        let taken = found.drain(..count).collect();
        (taken, !found.is_empty())
    }
}
