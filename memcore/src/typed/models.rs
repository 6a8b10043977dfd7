//! Models of loads that several threads ask for, for the model checker.

use core::time::Duration;

use std::sync::Arc;

use loom::thread as modelled;

use super::TypedCache;
use super::flight::{Asker, Flights, Outcome, Turn};
use crate::Moment;
use crate::memory::sync::{AtomicU32, Ordering};
use crate::models::{cache, check_bounded};

type Words = TypedCache<str, Vec<u8>>;

/// Loads, or waits for who does; how many loads were under way at most, this one included.
fn ask(flights: &Flights, under_way: &AtomicU32, gives_up: bool) -> Outcome {
    let mut gives_up = gives_up;
    loop {
        match flights.turn(7, b"k", Asker::Thread, Moment::from_secs(1)) {
            Turn::Lead(lead) => {
                let others = under_way.fetch_add(1, Ordering::SeqCst);
                assert_eq!(others, 0, "another one is loading");
                under_way.fetch_sub(1, Ordering::SeqCst);
                // Who panics or is cancelled drops its lead.
                if !std::mem::take(&mut gives_up) {
                    let outcome = Outcome::Loaded(Some(Arc::from(&b"value"[..])));
                    lead.land(outcome.clone(), None);
                    return outcome;
                }
            }
            Turn::Wait(flight) => match flight.wait(Duration::MAX) {
                Some(Outcome::Abandoned) => flights.give_up(&flight),
                Some(outcome) => return outcome,
                None => unreachable!("who waits for ever gets an outcome"),
            },
        }
    }
}

fn all_get_the_value(gives_up: [bool; 3]) {
    check_bounded(2, move || {
        let shared = Arc::new((Flights::new(), AtomicU32::new(0)));
        let others = [gives_up[1], gives_up[2]].map(|gives_up| {
            let shared = Arc::clone(&shared);
            modelled::spawn(move || ask(&shared.0, &shared.1, gives_up))
        });
        let outcomes = others.map(|other| other.join().unwrap());
        let own = ask(&shared.0, &shared.1, gives_up[0]);
        for outcome in outcomes.into_iter().chain([own]) {
            assert!(matches!(outcome, Outcome::Loaded(Some(value)) if *value == *b"value"));
        }
    });
}

#[test]
fn one_loads_at_a_time_and_none_of_those_who_wait_is_forgotten() {
    all_get_the_value([false; 3]);
}

#[test]
fn a_load_that_is_given_up_is_taken_over() {
    all_get_the_value([false, true, true]);
}

/// All of it: what stands for the value, the flight, and the value in its place.
#[test]
fn two_who_ask_get_one_value() {
    check_bounded(1, || {
        let words: Words = TypedCache::new(cache());
        let loads = Arc::new(AtomicU32::new(0));
        let ask = |words: Words, loads: Arc<AtomicU32>| {
            let load = || {
                loads.fetch_add(1, Ordering::SeqCst);
                Ok::<_, ()>(b"v".to_vec())
            };
            assert_eq!(words.get_or_load("k", load).unwrap(), b"v");
        };
        let other = (words.clone(), Arc::clone(&loads));
        let other = modelled::spawn(move || ask(other.0, other.1));
        ask(words.clone(), Arc::clone(&loads));
        other.join().unwrap();
        assert_eq!(loads.load(Ordering::SeqCst), 1);
        assert_eq!(words.get("k").as_deref(), Some(&b"v"[..]));
    });
}

/// Data changes while it is loaded. Who asks after the removal gets the new data.
#[test]
fn who_asks_after_a_removal_gets_no_older_value() {
    check_bounded(1, || {
        let words: Words = TypedCache::new(cache());
        let data = Arc::new(AtomicU32::new(1));
        let load = |data: &AtomicU32| Ok::<_, ()>(vec![data.load(Ordering::SeqCst) as u8]);
        let (other, read) = (words.clone(), Arc::clone(&data));
        let other = modelled::spawn(move || _ = other.get_or_load("k", || load(&read)).unwrap());
        data.store(2, Ordering::SeqCst);
        words.remove("k");
        assert_eq!(words.get_or_load("k", || load(&data)).unwrap(), [2]);
        other.join().unwrap();
        assert_ne!(words.get("k"), Some(vec![1]));
    });
}
