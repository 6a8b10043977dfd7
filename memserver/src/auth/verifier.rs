//! The thread that compares passwords with hashes. That takes milliseconds, which those who serve
//! clients have not; where both share a processor, they go first.
//!
//! Questions wait in an order that guesses can't change: those from where users have logged in go
//! before those of strangers, and both before those from where logins have failed
//! ([`Standing`]). Among equals each source goes on by one at a time, and the newest go first:
//! whoever has waited for long is part of a crowd, or has given up.

use std::cmp::Reverse;
use std::fmt;
use std::io;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::thread;

use parking_lot::{Condvar, Mutex};

use crate::auth::account::Account;
use crate::auth::lockout::{Source, Standing};
use crate::auth::table::Question;

/// Questions that may wait, which takes seconds then.
const QUEUE_MAX: usize = 256;
/// The priority of the thread: the lowest.
#[cfg(target_os = "linux")]
const NICE: i32 = 19;

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Verifier(Arc<Queue>);

/// A question, and what matters for when it is answered.
#[derive(Debug)]
pub(crate) struct Ask {
    /// The question.
    pub(crate) question: Question,
    /// Where it comes from.
    pub(crate) source: Source,
    /// What speaks for it.
    pub(crate) standing: Standing,
}

/// A login whose answer is computed by the thread.
#[derive(Debug, Default)]
pub(crate) struct PendingLogin(OnceLock<Result<Arc<Account>, Refusal>>);

/// Why a login fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No user of that name has that password.
    Failed,
    /// It was not looked up: too many before it have failed.
    Locked,
    /// It was not looked up: too many others wait that have more to speak for them.
    Busy,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// Told when the thread has something to do.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: Vec<Job>,
    arrivals: u64,
    /// Nobody asks any more, or nobody answers.
    is_closed: bool,
}

struct Job {
    ask: Ask,
    rank: Rank,
    pending: Arc<PendingLogin>,
    is_wanted: Box<dyn Fn() -> bool + Send>,
    /// One for each connection that waits for the answer.
    wakes: Vec<Box<dyn FnOnce() + Send>>,
}

/// When a job gets its turn: the least is the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    standing: Standing,
    /// Jobs of the same source that were there before.
    depth: usize,
    arrival: Reverse<u64>,
}

impl Verifier {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system refused it.
    pub(crate) fn start() -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let (ready, is_ready) = sync_channel(1);
        let thread = thread::Builder::new().name("verifier".into());
        let served = CloseOnDrop(Arc::clone(&queue));
        thread.spawn(move || {
            step_back();
            // Whoever waits for it is there.
            let _ = ready.send(());
            served.0.run();
        })?;
        // A sandbox may forbid it later. If the thread has panicked, nobody can log in by a hash.
        let _ = is_ready.recv();
        Ok(Self(queue))
    }

    /// Asks, and calls `wake` when the answer is there. If `is_wanted` says no when its turn
    /// comes, the answer is [`Refusal::Locked`].
    pub(crate) fn ask(
        &self,
        ask: Ask,
        is_wanted: impl Fn() -> bool + Send + 'static,
        wake: impl FnOnce() + Send + 'static,
    ) -> Arc<PendingLogin> {
        let (login, displaced) = self.0.waiting.lock().add(ask, is_wanted, wake);
        self.0.changed.notify_one();
        if let Some(job) = displaced {
            job.end(Err(Refusal::Busy));
        }
        login
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Answers everything with a failure when the thread ends, also by a panic.
struct CloseOnDrop(Arc<Queue>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Queue {
    /// Answers questions until nobody can ask any more.
    fn run(&self) {
        loop {
            let mut waiting = self.waiting.lock();
            let job = loop {
                if waiting.is_closed {
                    return;
                }
                match waiting.take() {
                    Some(job) => break job,
                    None => self.changed.wait(&mut waiting),
                }
            };
            drop(waiting);
            job.answer();
        }
    }

    fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.is_closed = true;
        let jobs = std::mem::take(&mut waiting.jobs);
        drop(waiting);
        self.changed.notify_one();
        // Outside the lock: whoever is woken may ask again.
        drop(jobs);
    }
}

impl Waiting {
    /// Adds a question, or a connection to the same question from the same source. Returns what
    /// has to go for it, which may be the question itself.
    fn add(
        &mut self,
        ask: Ask,
        is_wanted: impl Fn() -> bool + Send + 'static,
        wake: impl FnOnce() + Send + 'static,
    ) -> (Arc<PendingLogin>, Option<Job>) {
        if self.is_closed {
            return (Arc::new(PendingLogin::of(Err(Refusal::Failed))), None);
        }
        let Ask { source, standing, .. } = ask;
        let is_same = |job: &&mut Job| job.ask.source == source && job.ask.question == ask.question;
        if let Some(job) = self.jobs.iter_mut().find(is_same) {
            job.wakes.push(Box::new(wake));
            return (Arc::clone(&job.pending), None);
        }
        // Connections that have closed have left theirs.
        self.jobs.retain(|job| Arc::strong_count(&job.pending) > 1);
        let depth = self.jobs.iter().filter(|job| job.ask.source == source).count();
        self.arrivals += 1;
        let rank = Rank { standing, depth, arrival: Reverse(self.arrivals) };
        let pending = Arc::new(PendingLogin::default());
        self.jobs.push(Job {
            ask,
            rank,
            pending: Arc::clone(&pending),
            is_wanted: Box::new(is_wanted),
            wakes: vec![Box::new(wake)],
        });
        if self.jobs.len() <= QUEUE_MAX {
            return (pending, None);
        }
        let last = (0..self.jobs.len()).max_by_key(|&index| self.jobs[index].rank);
        (pending, last.map(|index| self.jobs.swap_remove(index)))
    }

    /// The job whose turn it is.
    fn take(&mut self) -> Option<Job> {
        let next = (0..self.jobs.len()).min_by_key(|&index| self.jobs[index].rank)?;
        Some(self.jobs.swap_remove(next))
    }
}

impl Job {
    /// Answers it, unless nobody wants that any more.
    fn answer(self) {
        // The connections that hold the other end may be gone.
        if Arc::strong_count(&self.pending) == 1 {
            return;
        }
        let answer = if (self.is_wanted)() {
            self.ask.question.answer().ok_or(Refusal::Failed)
        } else {
            Err(Refusal::Locked)
        };
        self.end(answer);
    }

    fn end(self, answer: Result<Arc<Account>, Refusal>) {
        self.pending.settle(answer);
    }
}

impl Drop for Job {
    /// Without an answer, if the thread has panicked, the login fails.
    fn drop(&mut self) {
        self.pending.settle(Err(Refusal::Failed));
        std::mem::take(&mut self.wakes).into_iter().for_each(|wake| wake());
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
    pub(crate) fn of(answer: Result<Arc<Account>, Refusal>) -> Self {
        Self(OnceLock::from(answer))
    }

    /// Whether the answer is there.
    pub(crate) fn is_settled(&self) -> bool {
        self.0.get().is_some()
    }

    /// The answer; none as long as there is none.
    pub(crate) fn answer(&self) -> Option<Result<Arc<Account>, Refusal>> {
        self.0.get().cloned()
    }

    fn settle(&self, answer: Result<Arc<Account>, Refusal>) {
        // The first answer counts.
        let _ = self.0.set(answer);
    }
}

impl Refusal {
    /// The word of audit lines.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Locked => "locked",
            Self::Busy => "busy",
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("ask", &self.ask)
            .field("rank", &self.rank)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::auth::hash::Hash;
    use crate::auth::table::{Lookup, Table};

    /// A table with one user whose password is a hash.
    fn table() -> Arc<Table> {
        let hash = Hash::of(b"right", b"0123456789abcdef").unwrap();
        let mut table = Table::new(None).unwrap();
        table.add(b"user", hash.as_bytes(), Arc::new(Account::full(b"user"))).unwrap();
        Arc::new(table)
    }

    fn ask(table: &Arc<Table>, source: u32, standing: Standing, password: &str) -> Ask {
        let Lookup::Slow(question) = table.find(b"user", password.as_bytes()) else { panic!() };
        Ask { question, source: Source::Address(IpAddr::V4(source.into())), standing }
    }

    fn add(waiting: &mut Waiting, ask: Ask) -> (Arc<PendingLogin>, Option<Job>) {
        waiting.add(ask, || true, || {})
    }

    /// The sources in the order in which they would get their turns.
    fn order(waiting: &mut Waiting) -> Vec<u32> {
        std::iter::from_fn(|| waiting.take())
            .map(|job| match job.ask.source {
                Source::Address(IpAddr::V4(address)) => address.into(),
                _ => unreachable!(),
            })
            .collect()
    }

    #[test]
    fn what_speaks_for_a_login_counts_more_than_how_long_it_waits() {
        let table = table();
        let mut waiting = Waiting::default();
        let mut logins = Vec::new();
        for (source, standing) in [
            (1, Standing::Failed(7)),
            (2, Standing::Failed(1)),
            (3, Standing::Unknown),
            (4, Standing::Proven),
            (5, Standing::Unknown),
        ] {
            logins.push(add(&mut waiting, ask(&table, source, standing, "guess")));
        }
        assert_eq!(order(&mut waiting), [4, 5, 3, 2, 1]);
    }

    #[test]
    fn sources_take_turns() {
        let table = table();
        let mut waiting = Waiting::default();
        let mut logins = Vec::new();
        for (source, password) in [(1, "a"), (1, "b"), (1, "c"), (2, "a"), (2, "b"), (3, "a")] {
            logins.push(add(&mut waiting, ask(&table, source, Standing::Unknown, password)));
        }
        assert_eq!(order(&mut waiting), [3, 2, 1, 2, 1, 1]);
    }

    #[test]
    fn a_flood_leaves_room_for_others() {
        let table = table();
        let mut waiting = Waiting::default();
        let mut guesses = Vec::new();
        for guess in 0..QUEUE_MAX + 10 {
            let password = format!("guess{guess}");
            let ask = ask(&table, guess as u32 % 4, Standing::Failed(3), &password);
            guesses.push(add(&mut waiting, ask));
        }
        assert_eq!(waiting.jobs.len(), QUEUE_MAX);
        let (login, displaced) = add(&mut waiting, ask(&table, 9, Standing::Unknown, "right"));
        displaced.unwrap().end(Err(Refusal::Busy));
        assert!(login.answer().is_none());
        let busy = |(login, _): &&(Arc<PendingLogin>, _)| {
            matches!(login.answer(), Some(Err(Refusal::Busy)))
        };
        assert_eq!(guesses.iter().filter(busy).count(), 1);
        assert_eq!(waiting.take().unwrap().ask.standing, Standing::Unknown);
    }

    #[test]
    fn clients_that_have_left_leave_room() {
        let table = table();
        let mut waiting = Waiting::default();
        for guess in 0..QUEUE_MAX {
            let password = format!("guess{guess}");
            drop(add(&mut waiting, ask(&table, 1, Standing::Unknown, &password)));
        }
        let kept = add(&mut waiting, ask(&table, 1, Standing::Failed(9), "right"));
        assert!(kept.1.is_none());
        assert_eq!(waiting.jobs.len(), 1);
    }

    #[test]
    fn one_question_of_a_crowd_is_answered_once() {
        static WOKEN: AtomicUsize = AtomicUsize::new(0);
        let table = table();
        let mut waiting = Waiting::default();
        let wake = || _ = WOKEN.fetch_add(1, Ordering::Relaxed);
        let ask = |password| ask(&table, 1, Standing::Proven, password);
        let (first, _) = waiting.add(ask("right"), || true, wake);
        let (second, _) = waiting.add(ask("right"), || true, wake);
        let (other, _) = waiting.add(ask("wrong"), || true, wake);
        assert_eq!(waiting.jobs.len(), 2);
        while let Some(job) = waiting.take() {
            job.answer();
        }
        assert_eq!(WOKEN.load(Ordering::Relaxed), 3);
        for login in [first, second] {
            assert_eq!(login.answer().unwrap().unwrap().name, "user");
        }
        assert!(matches!(other.answer(), Some(Err(Refusal::Failed))));
    }

    #[test]
    fn whoever_is_locked_out_meanwhile_is_not_looked_up() {
        let mut waiting = Waiting::default();
        let ask = ask(&table(), 1, Standing::Unknown, "right");
        let (login, _) = waiting.add(ask, || false, || {});
        waiting.take().unwrap().answer();
        assert!(matches!(login.answer(), Some(Err(Refusal::Locked))));
    }

    #[test]
    fn nobody_waits_for_a_thread_that_has_ended() {
        let table = table();
        let verifier = Verifier::start().unwrap();
        let panicking = verifier.ask(
            ask(&table, 1, Standing::Proven, "right"),
            || panic!("the thread that compares passwords ends, which this test wants"),
            || {},
        );
        while !panicking.is_settled() || !verifier.0.waiting.lock().is_closed {
            thread::yield_now();
        }
        let late = verifier.ask(ask(&table, 1, Standing::Proven, "right"), || true, || {});
        assert!(matches!(late.answer(), Some(Err(Refusal::Failed))));
        assert!(matches!(panicking.answer(), Some(Err(Refusal::Failed))));
    }
}
