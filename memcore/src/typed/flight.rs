//! Loads that are under way: who misses a key that somebody else is loading waits for that.

use core::any::Any;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::future::Future;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use crate::Moment;

/// Parts of the table, each with a lock: loads are few, and looked through one by one.
const PARTS: usize = 64;
/// Failed loads that a part remembers.
const FAILURES_MAX: usize = 64;

/// What a load came to, for those who wait for it.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// The value's bytes; `None` if there is no value.
    Loaded(Option<Arc<[u8]>>),
    /// The error, in an `Arc` of its type.
    Failed(Arc<dyn Any + Send + Sync>),
    /// The loader panicked or was cancelled: somebody else has to.
    Abandoned,
}

/// A load that is under way, or that failed lately.
#[derive(Debug)]
pub(super) struct Flight {
    hash: u64,
    key: Box<[u8]>,
    leader: ThreadId,
    state: Mutex<State>,
    landed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    outcome: Option<Outcome>,
    /// Until when a failure is remembered.
    until: Option<Moment>,
    wakers: Vec<Waker>,
}

/// All loads of a cache.
#[derive(Debug)]
pub(super) struct Flights {
    parts: [Mutex<Vec<Arc<Flight>>>; PARTS],
}

/// The duty to load a value. Whoever drops it without an outcome leaves the duty to others.
#[derive(Debug)]
pub(super) struct Lead<'f> {
    flights: &'f Flights,
    flight: Arc<Flight>,
}

/// What there is to do about a key that was missed.
#[derive(Debug)]
pub(super) enum Turn<'f> {
    Lead(Lead<'f>),
    Wait(Arc<Flight>),
}

/// Nothing panics while it holds one of these locks, but for the allocator.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Flights {
    pub(super) fn new() -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()) }
    }

    fn part(&self, hash: u64) -> MutexGuard<'_, Vec<Arc<Flight>>> {
        lock(&self.parts[hash as usize % PARTS])
    }

    /// Joins the load of a key, or takes it over if there is none.
    pub(super) fn turn(&self, hash: u64, key: &[u8], now: Moment) -> Turn<'_> {
        let mut part = self.part(hash);
        part.retain(|flight| lock(&flight.state).until.is_none_or(|until| now < until));
        if let Some(flight) = part.iter().find(|flight| flight.hash == hash && *flight.key == *key)
        {
            return Turn::Wait(Arc::clone(flight));
        }
        let flight = Arc::new(Flight {
            hash,
            key: key.into(),
            leader: thread::current().id(),
            state: Mutex::default(),
            landed: Condvar::new(),
        });
        part.push(Arc::clone(&flight));
        Turn::Lead(Lead { flights: self, flight })
    }

    /// From now on others load this key, whether or not this load ends.
    pub(super) fn give_up(&self, flight: &Arc<Flight>) {
        self.part(flight.hash).retain(|other| !Arc::ptr_eq(other, flight));
    }

    /// Bounds the failures that a part remembers.
    fn forget_some(&self, hash: u64) {
        let mut part = self.part(hash);
        let is_failure = |flight: &Arc<Flight>| lock(&flight.state).until.is_some();
        let mut surplus =
            part.iter().filter(|flight| is_failure(flight)).count().saturating_sub(FAILURES_MAX);
        part.retain(|flight| {
            let goes = surplus > 0 && is_failure(flight);
            surplus -= usize::from(goes);
            !goes
        });
    }
}

impl Lead<'_> {
    /// Tells those who wait. A failure that has an `until` is told to others until then.
    pub(super) fn land(self, outcome: Outcome, until: Option<Moment>) {
        self.end(outcome, until);
    }

    fn end(&self, outcome: Outcome, until: Option<Moment>) {
        if until.is_none() {
            self.flights.give_up(&self.flight);
        }
        let wakers = {
            let mut state = lock(&self.flight.state);
            if state.outcome.is_some() {
                return;
            }
            state.outcome = Some(outcome);
            state.until = until;
            std::mem::take(&mut state.wakers)
        };
        self.flight.landed.notify_all();
        wakers.into_iter().for_each(Waker::wake);
        if until.is_some() {
            self.flights.forget_some(self.flight.hash);
        }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if lock(&self.flight.state).outcome.is_none() {
            self.end(Outcome::Abandoned, None);
        }
    }
}

impl Flight {
    /// Whether this thread is the one that loads, so that it would wait for itself.
    pub(super) fn is_own(&self) -> bool {
        self.leader == thread::current().id() && lock(&self.state).outcome.is_none()
    }

    /// Waits for the outcome, at most so long.
    pub(super) fn wait(&self, most: Duration) -> Option<Outcome> {
        let is_open = |state: &mut State| state.outcome.is_none();
        let waited = self.landed.wait_timeout_while(lock(&self.state), most, is_open);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.outcome.clone()
    }

    /// The outcome, once it is there.
    pub(super) fn outcome(self: &Arc<Self>) -> FlightOutcome {
        FlightOutcome(Arc::clone(self))
    }
}

/// Waits for an outcome without blocking the thread.
#[derive(Debug)]
pub(super) struct FlightOutcome(Arc<Flight>);

impl Future for FlightOutcome {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = lock(&self.0.state);
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}
