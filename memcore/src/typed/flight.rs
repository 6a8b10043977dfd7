//! Loads that are under way: who misses a key that somebody else is loading waits for that.

use core::any::Any;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::codec::CodecError;
use crate::memory::sync::{
    AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, ThreadId, thread_id, wait_while,
};
use crate::{Moment, Tagged};

/// Parts of the table, each with a lock.
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
    /// The codec can't write the value, whoever loads it.
    Unwritable(CodecError),
    /// The loader panicked or was cancelled: somebody else has to.
    Abandoned,
}

/// Who asks for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    Thread,
    Task,
}

/// Who loads, as seen by a thread that would wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leader {
    Other,
    ThisThread,
    /// It may be that the task goes on only when this thread does.
    TaskOfThisThread,
}

/// A load that is under way, or that failed lately.
#[derive(Debug)]
pub(super) struct Flight {
    hash: u64,
    key: Box<[u8]>,
    asker: Asker,
    thread: ThreadId,
    state: Mutex<State>,
    landed: Condvar,
    /// Whether nothing stands for the value, though it is being loaded.
    is_alone: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    outcome: Option<Outcome>,
    /// The version of the item that stands for the value, once there is one.
    claim: Option<u64>,
    /// The tags that the value will have, as they were before the load.
    tags: Option<Arc<Tagged>>,
    /// Tasks that wait, by the order in which they came.
    wakers: BTreeMap<u64, Waker>,
    tasks: u64,
}

/// A part of the loads of a cache.
#[derive(Debug, Default)]
struct Part {
    /// By hash; failures that are remembered are among them.
    flights: HashTable<Arc<Flight>>,
    failures: VecDeque<Failure>,
}

#[derive(Debug)]
struct Failure {
    until: Moment,
    flight: Arc<Flight>,
}

/// All loads of a cache.
#[derive(Debug)]
pub(super) struct Flights {
    parts: [Mutex<Part>; PARTS],
    /// Loads under way for which nothing stands.
    alone: AtomicUsize,
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

impl Part {
    fn remove(&mut self, flight: &Arc<Flight>) {
        let is_it = |other: &Arc<Flight>| Arc::ptr_eq(other, flight);
        if let Ok(entry) = self.flights.find_entry(flight.hash, is_it) {
            entry.remove();
        }
    }

    /// Takes out the failures for which `stays` is false. They are to be dropped when nothing is
    /// locked: an error is the caller's, and may use the cache.
    fn take_failures(&mut self, stays: impl Fn(&Failure) -> bool) -> VecDeque<Failure> {
        if self.failures.is_empty() {
            return VecDeque::new();
        }
        let (kept, gone) = std::mem::take(&mut self.failures).into_iter().partition(stays);
        self.failures = kept;
        let gone: VecDeque<Failure> = gone;
        gone.iter().for_each(|failure| self.remove(&failure.flight));
        gone
    }
}

impl Flights {
    pub(super) fn new() -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()), alone: AtomicUsize::new(0) }
    }

    fn part(&self, hash: u64) -> MutexGuard<'_, Part> {
        // Not by the bits that a table looks at.
        self.parts[(hash >> 32) as usize % PARTS].lock()
    }

    /// Joins the load of a key, or takes it over if there is none.
    pub(super) fn turn(&self, hash: u64, key: &[u8], asker: Asker, now: Moment) -> Turn<'_> {
        let mut part = self.part(hash);
        let gone = part.take_failures(|failure| now < failure.until);
        let is_it = |flight: &Arc<Flight>| flight.is_of(hash, key);
        let turn = match part.flights.entry(hash, is_it, |flight| flight.hash) {
            Entry::Occupied(entry) => Turn::Wait(Arc::clone(entry.get())),
            Entry::Vacant(entry) => {
                let flight = Arc::new(Flight {
                    hash,
                    key: key.into(),
                    asker,
                    thread: thread_id(),
                    state: Mutex::default(),
                    landed: Condvar::new(),
                    is_alone: AtomicBool::new(false),
                });
                entry.insert(Arc::clone(&flight));
                Turn::Lead(Lead { flights: self, flight })
            }
        };
        drop(part);
        drop(gone);
        turn
    }

    /// From now on others load this key, whether or not this load ends.
    pub(super) fn give_up(&self, flight: &Arc<Flight>) {
        self.part(flight.hash).remove(flight);
    }

    /// Others are told of a failure until then, unless there are too many younger ones.
    fn remember(&self, flight: &Arc<Flight>, until: Moment) {
        let mut part = self.part(flight.hash);
        part.failures.push_back(Failure { until, flight: Arc::clone(flight) });
        let is_full = part.failures.len() > FAILURES_MAX;
        let oldest = if is_full { part.failures.pop_front() } else { None };
        if let Some(oldest) = &oldest {
            part.remove(&oldest.flight);
        }
        drop(part);
        drop(oldest);
    }

    /// Whether [`forget`](Self::forget) has to be called by who changes a key for which nothing is
    /// stored. Only a load that begins after this may be missed.
    pub(super) fn any_alone(&self) -> bool {
        // Whoever reads 0 comes before the write of who is alone, and that before its load.
        self.alone.load(Ordering::SeqCst) > 0
    }

    /// The data of this key has changed: nobody is told any more that a load of it has failed, or
    /// joins one for which nothing stands.
    pub(super) fn forget(&self, hash: u64, key: &[u8]) {
        let mut part = self.part(hash);
        let gone = part.take_failures(|failure| !failure.flight.is_of(hash, key));
        let is_it = |flight: &Arc<Flight>| flight.is_of(hash, key) && flight.is_alone();
        if let Ok(entry) = part.flights.find_entry(hash, is_it) {
            entry.remove();
        }
        drop(part);
        drop(gone);
    }

    /// The data of all keys has changed.
    pub(super) fn forget_all(&self) {
        for part in &self.parts {
            let mut part = part.lock();
            let gone = part.take_failures(|_| false);
            // Who is alone holds its flight.
            part.flights.retain(|flight| !flight.is_alone());
            drop(part);
            drop(gone);
        }
    }
}

impl Lead<'_> {
    /// What stands for the value from now on: nobody joins the load after that has gone.
    pub(super) fn stand_for(&self, claim: Option<u64>) {
        self.flight.state.lock().claim = claim;
    }

    /// The tags that the value will have: nobody joins the load after one was invalidated.
    pub(super) fn has_tags(&self, tags: &Arc<Tagged>) {
        self.flight.state.lock().tags = Some(Arc::clone(tags));
    }

    /// Nothing can stand for the value.
    pub(super) fn go_alone(&self) {
        self.flight.is_alone.store(true, Ordering::SeqCst);
        self.flights.alone.fetch_add(1, Ordering::SeqCst);
    }

    /// Tells those who wait. A failure that has an `until` is told to others until then.
    pub(super) fn land(self, outcome: Outcome, until: Option<Moment>) {
        self.end(outcome, until);
    }

    fn end(&self, outcome: Outcome, until: Option<Moment>) {
        match until {
            // Before the outcome is there: who finds it may have it forgotten.
            Some(until) => self.flights.remember(&self.flight, until),
            None => self.flights.give_up(&self.flight),
        }
        let wakers = {
            let mut state = self.flight.state.lock();
            if state.outcome.is_some() {
                return;
            }
            state.outcome = Some(outcome);
            std::mem::take(&mut state.wakers)
        };
        if self.flight.is_alone() {
            self.flights.alone.fetch_sub(1, Ordering::SeqCst);
        }
        self.flight.landed.notify_all();
        wakers.into_values().for_each(Waker::wake);
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
    fn is_of(&self, hash: u64, key: &[u8]) -> bool {
        self.hash == hash && *self.key == *key
    }

    fn is_alone(&self) -> bool {
        self.is_alone.load(Ordering::SeqCst)
    }

    /// Whether one of the tags was invalidated since the load began.
    pub(super) fn is_outdated(&self) -> bool {
        let tags = self.state.lock().tags.clone();
        tags.is_some_and(|tags| !tags.is_current())
    }

    /// Who loads, if anybody still does.
    pub(super) fn leader(&self) -> Leader {
        if self.thread != thread_id() || self.state.lock().outcome.is_some() {
            return Leader::Other;
        }
        match self.asker {
            Asker::Thread => Leader::ThisThread,
            Asker::Task => Leader::TaskOfThisThread,
        }
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
        FlightOutcome { flight: Arc::clone(self), number: None }
    }
}

/// Waits for an outcome without blocking the thread.
#[derive(Debug)]
pub(super) struct FlightOutcome {
    flight: Arc<Flight>,
    /// Of the task among those that wait, once it does.
    number: Option<u64>,
}

impl Future for FlightOutcome {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        // Cloned and dropped with nothing locked: a waker may own a task that waits here as well.
        let waker = context.waker().clone();
        let flight = Arc::clone(&self.flight);
        let mut state = flight.state.lock();
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        let number = *self.number.get_or_insert(state.tasks);
        state.tasks = state.tasks.max(number + 1);
        let former = state.wakers.insert(number, waker);
        drop(state);
        drop(former);
        Poll::Pending
    }
}

impl Drop for FlightOutcome {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = self.flight.state.lock().wakers.remove(&number);
            drop(waker);
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use core::task::{Context, Poll};
    use std::pin::pin;
    use std::time::Instant;

    use super::*;

    const NOW: Moment = Moment::from_secs(1_000);

    fn lead<'f>(flights: &'f Flights, key: &[u8]) -> Lead<'f> {
        match flights.turn(hash(key), key, Asker::Task, NOW) {
            Turn::Lead(lead) => lead,
            Turn::Wait(_) => panic!("somebody loads {key:?}"),
        }
    }

    /// All keys in one part.
    fn hash(key: &[u8]) -> u64 {
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        key.iter().fold(0xcbf2_9ce4_8422_2325, fold) & !((PARTS as u64 - 1) << 32)
    }

    #[test]
    fn who_no_longer_waits_is_not_kept() {
        let flights = Flights::new();
        let lead = lead(&flights, b"k");
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..1_000 {
            let mut waiter = pin!(lead.flight.outcome());
            assert!(waiter.as_mut().poll(&mut context).is_pending());
            assert!(waiter.as_mut().poll(&mut context).is_pending());
            assert_eq!(lead.flight.state.lock().wakers.len(), 1);
        }
        let flight = Arc::clone(&lead.flight);
        assert!(flight.state.lock().wakers.is_empty());
        lead.land(Outcome::Loaded(None), None);
        let landed = pin!(flight.outcome()).poll(&mut context);
        assert!(matches!(landed, Poll::Ready(Outcome::Loaded(None))));
    }

    #[test]
    fn many_loads_are_not_looked_through_one_by_one() {
        let flights = Flights::new();
        let began = Instant::now();
        let leads: Vec<_> =
            (0..100_000_u32).map(|key| lead(&flights, &key.to_le_bytes())).collect();
        drop(leads);
        // One by one it would be five thousand million comparisons.
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(flights.parts.iter().all(|part| part.lock().flights.is_empty()));
    }

    #[test]
    fn failures_are_remembered_for_their_time_and_only_so_many() {
        let flights = Flights::new();
        let fail = |number: u32| {
            let error = Outcome::Failed(Arc::new("down"));
            let until = NOW + Duration::from_secs(5);
            lead(&flights, &number.to_le_bytes()).land(error, Some(until));
        };
        let is_known = |number: u32, now| {
            let key = number.to_le_bytes();
            matches!(flights.turn(hash(&key), &key, Asker::Task, now), Turn::Wait(_))
        };
        (0..100).for_each(fail);
        assert_eq!([0, 35, 36, 99].map(|number| is_known(number, NOW)), [false, false, true, true]);
        let key = 99_u32.to_le_bytes();
        flights.forget(hash(&key), &key);
        assert!(!is_known(99, NOW) && is_known(98, NOW));
        let later = NOW + Duration::from_secs(5);
        assert!((0..100).all(|number| !is_known(number, later)));
        assert!(flights.parts.iter().all(|part| part.lock().flights.is_empty()));
    }
}
