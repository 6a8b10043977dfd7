//! What is kept of a connection while its encryption is not agreed on.

use crate::state::budgets::{Budgets, Permit};

/// Seconds that a handshake may take.
const TIME_MAX: u32 = 5;
/// The same while others wait for memory to begin theirs.
const TIME_MAX_CROWDED: u32 = 2;
/// Bytes that an unfinished handshake is charged for: buffers, keys and the transcript.
pub(super) const BYTES: usize = 16 << 10;

/// A connection's handshake that is not done.
#[derive(Debug)]
pub(crate) struct Unfinished {
    /// Second when the connection was accepted.
    since: u32,
    /// Its memory. Nothing is read before there is some.
    pub(super) permit: Option<Permit>,
    /// Whether it waits for its turn.
    pub(super) is_queued: bool,
}

impl Unfinished {
    /// Nothing has been read.
    pub(super) fn new(now: u32) -> Self {
        Self { since: now, permit: None, is_queued: false }
    }

    /// Whether it has taken too long.
    pub(crate) fn is_overdue(&self, budgets: &Budgets, now: u32) -> bool {
        let crowded = self.permit.is_some() && !budgets.handshakes.has(BYTES);
        let time = if crowded { TIME_MAX_CROWDED } else { TIME_MAX };
        now.saturating_sub(self.since) >= time
    }
}
