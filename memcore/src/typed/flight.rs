//! Loads that are under way: who misses a key that somebody else is loading waits for that.

use core::any::Any;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::future::Future;
use std::sync::Arc;

use crate::Moment;
use crate::memory::sync::{Condvar, Mutex, MutexGuard, ThreadId, thread_id, wait_while};

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
    /// The version of the item that stands for the value, once there is one.
    claim: Option<u64>,
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

impl Flights {
    pub(super) fn new() -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()) }
    }

    fn part(&self, hash: u64) -> MutexGuard<'_, Vec<Arc<Flight>>> {
        self.parts[hash as usize % PARTS].lock()
    }

    /// Joins the load of a key, or takes it over if there is none.
    pub(super) fn turn(&self, hash: u64, key: &[u8], now: Moment) -> Turn<'_> {
        let mut part = self.part(hash);
        part.retain(|flight| flight.state.lock().until.is_none_or(|until| now < until));
        if let Some(flight) = part.iter().find(|flight| flight.hash == hash && *flight.key == *key)
        {
            return Turn::Wait(Arc::clone(flight));
        }
        let flight = Arc::new(Flight {
            hash,
            key: key.into(),
            leader: thread_id(),
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
        let is_failure = |flight: &Arc<Flight>| flight.state.lock().until.is_some();
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
    /// What stands for the value from now on: nobody joins the load after that has gone.
    pub(super) fn stand_for(&self, claim: Option<u64>) {
        self.flight.state.lock().claim = claim;
    }

    /// Tells those who wait. A failure that has an `until` is told to others until then.
    pub(super) fn land(self, outcome: Outcome, until: Option<Moment>) {
        self.end(outcome, until);
    }

    fn end(&self, outcome: Outcome, until: Option<Moment>) {
        if until.is_none() {
            self.flights.give_up(&self.flight);
        }
        let wakers = {
            let mut state = self.flight.state.lock();
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
        if self.flight.state.lock().outcome.is_none() {
            self.end(Outcome::Abandoned, None);
        }
    }
}

impl Flight {
    /// Whether this thread is the one that loads, so that it would wait for itself.
    pub(super) fn is_own(&self) -> bool {
        self.leader == thread_id() && self.state.lock().outcome.is_none()
    }

    /// The version of the item that has to be there still for others to join this load: whoever
    /// writes or removes the key, or invalidates a tag, has ended it. None if the load has not
    /// begun, or is over, or nothing can stand for the value.
    pub(super) fn claim(&self) -> Option<u64> {
        let state = self.state.lock();
        state.claim.filter(|_| state.outcome.is_none())
    }

    /// Waits for the outcome, at most so long.
    pub(super) fn wait(&self, most: Duration) -> Option<Outcome> {
        let is_open = |state: &mut State| state.outcome.is_none();
        wait_while(&self.landed, self.state.lock(), is_open, most).outcome.clone()
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
        let mut state = self.0.state.lock();
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}
