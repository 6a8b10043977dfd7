//! The one place that names atomics and locks, so that the model checker can put its own in.

#[cfg(not(loom))]
mod real {
    use core::time::Duration;

    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use std::thread::ThreadId;

    /// Waits while this is so, at most so long.
    pub(crate) fn wait_while<'g, T>(
        condition: &Condvar,
        mut guard: MutexGuard<'g, T>,
        is_so: impl FnMut(&mut T) -> bool,
        most: Duration,
    ) -> MutexGuard<'g, T> {
        condition.wait_while_for(&mut guard, is_so, most);
        guard
    }

    pub(crate) fn thread_id() -> ThreadId {
        std::thread::current().id()
    }
}

#[cfg(loom)]
mod real {
    use core::time::Duration;

    pub(crate) use loom::sync::Condvar;
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use loom::thread::ThreadId;

    /// loom's mutex with parking_lot's face.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("no thread panics while it holds a lock")
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }

    pub(crate) fn spin_loop() {
        loom::thread::yield_now();
    }

    /// There is no time in a model: whoever would wait for ever is found to do so.
    pub(crate) fn wait_while<'g, T>(
        condition: &Condvar,
        mut guard: MutexGuard<'g, T>,
        mut is_so: impl FnMut(&mut T) -> bool,
        _: Duration,
    ) -> MutexGuard<'g, T> {
        while is_so(&mut guard) {
            guard = condition.wait(guard).expect("no thread panics while it holds a lock");
        }
        guard
    }

    pub(crate) fn thread_id() -> ThreadId {
        loom::thread::current().id()
    }
}

pub(crate) use real::*;
/// A flag that callers set. No model has one.
pub(crate) use std::sync::atomic::AtomicBool;
