//! Numbers of threads, by which they keep out of each other's way. A cache has none of its own.
//!
//! A thread has the lowest number that no other one has, for as long as it runs: programs that
//! start threads again and again come by with few numbers.

/// The number of this thread; threads that run at the same time have different ones.
#[cfg(loom)]
pub(crate) fn number() -> usize {
    0
}

#[cfg(not(loom))]
pub(crate) use real::number;

#[cfg(not(loom))]
mod real {
    use std::cell::Cell;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use parking_lot::Mutex;

    /// What a thread is called that comes by when it has given its number back already.
    const GONE: usize = usize::MAX - 1;
    const UNKNOWN: usize = usize::MAX;

    /// Numbers given back, and the first one that was never given out.
    static NUMBERS: Mutex<(BinaryHeap<Reverse<usize>>, usize)> = Mutex::new((BinaryHeap::new(), 0));

    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(UNKNOWN) };
        static RETURN: Return = const { Return };
    }

    /// Gives the thread's number back when it ends.
    struct Return;

    impl Drop for Return {
        fn drop(&mut self) {
            let number = NUMBER.replace(GONE);
            NUMBERS.lock().0.push(Reverse(number));
        }
    }

    /// The number of this thread; threads that run at the same time have different ones.
    #[inline]
    pub(crate) fn number() -> usize {
        match NUMBER.get() {
            UNKNOWN => take(),
            number => number,
        }
    }

    #[cold]
    fn take() -> usize {
        // A thread that is about to end gets no other.
        let Ok(()) = RETURN.try_with(|_| ()) else { return GONE };
        let (returned, next) = &mut *NUMBERS.lock();
        let number = returned.pop().map_or(*next, |Reverse(number)| number);
        *next = (*next).max(number + 1);
        NUMBER.set(number);
        number
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Barrier;
    use std::thread::{scope, spawn};

    use super::number;

    #[test]
    fn threads_that_run_together_have_different_numbers() {
        let barrier = Barrier::new(8);
        let number = || (number(), barrier.wait()).0;
        let mut numbers: Vec<_> = scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(number)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 8);
    }

    #[test]
    fn numbers_are_given_out_again() {
        // Other tests run at the same time and take some as well.
        let numbers = (0..10_000).map(|_| spawn(|| [number(), number()]).join().unwrap());
        assert!(numbers.into_iter().all(|[one, two]| one == two && one < 5_000));
    }
}
