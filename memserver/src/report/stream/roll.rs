//! `stats conns`: every connection of every worker. Connections belong to their workers, which
//! keep no books about them that others could read; so all workers are asked, and each answers
//! when it gets to it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// A question to all workers.
#[derive(Debug)]
pub(crate) struct Roll {
    /// The worker that asks, and is woken by the last answer.
    pub(crate) asker: usize,
    /// Workers that have not answered.
    missing: AtomicUsize,
    found: Mutex<VecDeque<Facts>>,
    /// Shared by all of a server.
    _counted: Arc<()>,
}

/// What is known about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its descriptor.
    pub(crate) number: i32,
    /// The other end.
    pub(crate) peer: String,
    /// Our end; none for a listening socket.
    pub(crate) local: Option<String>,
    /// What it does.
    pub(crate) state: &'static str,
    /// Seconds since it did something.
    pub(crate) idle: u32,
}

impl Roll {
    /// A question by worker number `asker` to `workers` workers; `known` is known already. It is
    /// counted by the copies of `counted`.
    pub(crate) fn new(asker: usize, workers: usize, known: Vec<Facts>, counted: &Arc<()>) -> Self {
        let (missing, found) = (AtomicUsize::new(workers), Mutex::new(known.into()));
        Self { asker, missing, found, _counted: Arc::clone(counted) }
    }

    /// Takes the answer of one worker; true if it was the last.
    pub(crate) fn answer(&self, facts: impl Iterator<Item = Facts>) -> bool {
        self.found.lock().extend(facts);
        self.missing.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Whether all have answered.
    pub(super) fn is_complete(&self) -> bool {
        self.missing.load(Ordering::Acquire) == 0
    }

    /// Calls `stat` for every line of the next `count` connections; false if they were the last.
    pub(super) fn next(&self, count: usize, mut stat: impl FnMut(&[u8], &[u8])) -> bool {
        let mut found = self.found.lock();
        let count = count.min(found.len());
        for of in found.drain(..count) {
            let mut add = |name: &str, value: &str| {
                stat(format!("{}:{name}", of.number).as_bytes(), value.as_bytes());
            };
            add("addr", &of.peer);
            if let Some(local) = &of.local {
                add("listen_addr", local);
            }
            add("state", of.state);
            add("secs_since_last_cmd", &of.idle.to_string());
        }
        !found.is_empty()
    }
}
