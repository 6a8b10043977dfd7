//! Numbers of threads, by which they keep out of each other's way. A cache has none of its own.
//!
//! A thread has the lowest number that no other one has, for as long as it runs: programs that
//! start threads again and again come by with few numbers.

/// The number of this thread.
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

    use crate::memory::sync::Mutex;

    /// The number of all threads that are about to end and have given theirs back.
    pub(super) const GONE: usize = usize::MAX - 1;
    const UNKNOWN: usize = usize::MAX;

    /// Numbers that no thread has.
    struct Free {
        returned: BinaryHeap<Reverse<usize>>,
        /// The first one that was never given out.
        next: usize,
    }

    static FREE: Mutex<Free> = Mutex::new(Free { returned: BinaryHeap::new(), next: 0 });

    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(UNKNOWN) };
        static OWNED: Owned = const { Owned(Cell::new(None)) };
    }

    /// A number that goes back when its thread ends.
    struct Owned(Cell<Option<usize>>);

    impl Drop for Owned {
        fn drop(&mut self) {
            // First: from the moment it is free, another thread may have it.
            NUMBER.set(GONE);
            if let Some(number) = self.0.take() {
                FREE.lock().returned.push(Reverse(number));
            }
        }
    }

    /// The number of this thread. Threads that run at the same time have different ones, but for
    /// [`GONE`].
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
        let number = OWNED.try_with(|owned| {
            let number = lowest();
            owned.0.set(Some(number));
            number
        });
        let number = number.unwrap_or(GONE);
        NUMBER.set(number);
        number
    }

    fn lowest() -> usize {
        // The lowest, because only low numbers have memory of their own where threads are counted
        // apart.
        let free = &mut *FREE.lock();
        let number = free.returned.pop().map_or(free.next, |Reverse(number)| number);
        free.next = free.next.max(number + 1);
        number
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::Cell;
    use std::collections::HashSet;
    use std::sync::{Barrier, mpsc};
    use std::thread::{scope, spawn};

    use super::real::{GONE, number};

    #[test]
    fn threads_that_run_together_have_different_numbers() {
        let barrier = Barrier::new(8);
        let number = || (number(), barrier.wait()).0;
        let numbers: HashSet<_> = scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(number)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(numbers.len(), 8);
    }

    #[test]
    fn numbers_are_given_out_again() {
        // Other tests run at the same time and take some as well.
        let numbers = (0..1000).map(|_| spawn(|| [number(), number()]).join().unwrap());
        assert!(numbers.into_iter().all(|[one, two]| one == two && one < 500));
    }

    /// Asks for the number when its thread ends.
    struct Late(Cell<Option<mpsc::Sender<usize>>>);

    impl Drop for Late {
        fn drop(&mut self) {
            if let Some(numbers) = self.0.take() {
                numbers.send(number()).unwrap();
            }
        }
    }

    thread_local! {
        static LATE: Late = const { Late(Cell::new(None)) };
    }

    #[test]
    fn a_thread_that_is_about_to_end_has_no_number_of_its_own() {
        let (sender, numbers) = mpsc::channel();
        // Thread-locals end in the order of their first use or in the opposite one.
        for late_first in [true, false] {
            let sender = sender.clone();
            let thread = spawn(move || {
                let enter = || LATE.with(|late| late.0.set(Some(sender)));
                if late_first { (enter(), number()).1 } else { (number(), enter()).0 }
            });
            let own = thread.join().unwrap();
            let late = numbers.recv().unwrap();
            assert!(late == own || late == GONE, "{late}, {own} before");
            if late == GONE {
                return;
            }
        }
        panic!("the number was never given back");
    }
}
