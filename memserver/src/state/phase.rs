//! Where a server is between its start and its end, for those who send it clients.

use std::sync::atomic::{AtomicU8, Ordering};

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const ENDING: u8 = 2;

/// The phase of a server's life. It only goes forward.
#[derive(Debug, Default)]
pub(crate) struct Phase(AtomicU8);

impl Phase {
    /// All threads run.
    pub(crate) fn serve(&self) {
        // It may be ending already.
        let _ = self.0.compare_exchange(STARTING, SERVING, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// It will accept no more clients.
    pub(crate) fn end(&self) {
        self.0.store(ENDING, Ordering::Relaxed);
    }

    /// Whether new clients are welcome.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SERVING
    }

    /// The phase in a word.
    pub(crate) fn name(&self) -> &'static str {
        match self.0.load(Ordering::Relaxed) {
            STARTING => "starting",
            SERVING => "ready",
            _ => "draining",
        }
    }
}
