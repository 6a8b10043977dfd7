//! The thread that compares passwords with hashes. That takes milliseconds, which those who serve
//! clients have not.

use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use crate::auth::account::Account;
use crate::auth::table::Question;

/// Questions that may wait.
const QUEUE_MAX: usize = 64;

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Verifier(SyncSender<Job>);

/// A login whose answer is computed by the thread.
#[derive(Debug, Default)]
pub(crate) struct PendingLogin(OnceLock<Option<Arc<Account>>>);

struct Job {
    question: Question,
    pending: Arc<PendingLogin>,
    wake: Box<dyn FnOnce() + Send>,
}

impl Verifier {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system refused it.
    pub(crate) fn start() -> io::Result<Self> {
        let (sender, jobs) = sync_channel(QUEUE_MAX);
        thread::Builder::new().name("verifier".into()).spawn(move || run(&jobs))?;
        Ok(Self(sender))
    }

    /// Asks, and calls `wake` when the answer is there; none if too many questions wait.
    pub(crate) fn ask(
        &self,
        question: Question,
        wake: impl FnOnce() + Send + 'static,
    ) -> Option<Arc<PendingLogin>> {
        let pending = Arc::new(PendingLogin::default());
        let job = Job { question, pending: Arc::clone(&pending), wake: Box::new(wake) };
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
    for Job { question, pending, wake } in jobs {
        pending.settle(question.answer());
        wake();
    }
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
