//! The thread that compares passwords with hashes. That takes milliseconds, which those who serve
//! clients have not; where both share a processor, they go first.

use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use crate::auth::account::Account;
use crate::auth::table::Question;

/// Questions that may wait, which takes seconds then.
const QUEUE_MAX: usize = 256;
/// The priority of the thread: the lowest.
#[cfg(target_os = "linux")]
const NICE: i32 = 19;

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Verifier(SyncSender<Job>);

/// A login whose answer is computed by the thread.
#[derive(Debug, Default)]
pub(crate) struct PendingLogin(OnceLock<Option<Arc<Account>>>);

struct Job {
    question: Question,
    pending: Arc<PendingLogin>,
    is_wanted: Box<dyn FnOnce() -> bool + Send>,
    wake: Box<dyn FnOnce() + Send>,
}

impl Verifier {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system refused it.
    pub(crate) fn start() -> io::Result<Self> {
        let (sender, jobs) = sync_channel(QUEUE_MAX);
        let (ready, is_ready) = sync_channel(1);
        let thread = thread::Builder::new().name("verifier".into());
        thread.spawn(move || {
            step_back();
            // Whoever waits for it is there.
            let _ = ready.send(());
            run(&jobs);
        })?;
        // A sandbox may forbid it later. If the thread has panicked, nobody can log in by a hash.
        let _ = is_ready.recv();
        Ok(Self(sender))
    }

    /// Asks, and calls `wake` when the answer is there; none if too many questions wait. If
    /// `is_wanted` says no when its turn comes, the answer is nobody.
    pub(crate) fn ask(
        &self,
        question: Question,
        is_wanted: impl FnOnce() -> bool + Send + 'static,
        wake: impl FnOnce() + Send + 'static,
    ) -> Option<Arc<PendingLogin>> {
        let pending = Arc::new(PendingLogin::default());
        let (is_wanted, wake) = (Box::new(is_wanted), Box::new(wake));
        let job = Job { question, pending: Arc::clone(&pending), is_wanted, wake };
        match self.0.try_send(job) {
            Ok(()) => Some(pending),
            Err(TrySendError::Full(_)) => None,
            // The thread ended by a panic: nobody can log in by a hash any more.
            Err(TrySendError::Disconnected(job)) => {
                job.pending.settle(None);
                Some(pending)
            }
        }
    }
}

fn run(jobs: &Receiver<Job>) {
    for Job { question, pending, is_wanted, wake } in jobs {
        // The connection that holds the other end may be gone.
        let is_wanted = Arc::strong_count(&pending) > 1 && is_wanted();
        pending.settle(if is_wanted { question.answer() } else { None });
        wake();
    }
}

/// Gives this thread the lowest priority.
fn step_back() {
    // Elsewhere it would be that of the whole process. Without it logins cost others more.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICE);
}

impl PendingLogin {
    /// One that is settled.
    pub(crate) fn of(account: Option<Arc<Account>>) -> Self {
        Self(OnceLock::from(account))
    }

    /// Whether the answer is there.
    pub(crate) fn is_settled(&self) -> bool {
        self.0.get().is_some()
    }

    /// The answer; nobody as long as there is none.
    pub(crate) fn account(&self) -> Option<Arc<Account>> {
        self.0.get().cloned().flatten()
    }

    fn settle(&self, account: Option<Arc<Account>>) {
        // It is settled once.
        let _ = self.0.set(account);
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}
