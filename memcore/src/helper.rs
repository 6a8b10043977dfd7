//! Who calls [`Cache::maintain`]: a thread on request, or a task of the host's.

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use crate::Cache;
use crate::engine::Engine;

/// Items' worth of work that is done at a time.
const STEP: usize = 1_000;
/// The shortest pause: a helper is not to keep a processor busy.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// A thread that calls [`Cache::maintain`], from [`Cache::spawn_helper`]. It ends when this is
/// dropped, or when the cache is.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use memcore::Cache;
///
/// let cache = Cache::new(64 << 20)?;
/// let helper = cache.spawn_helper(Duration::from_millis(500))?;
/// assert!(helper.is_running());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the helper ends when this is dropped"]
pub struct Helper {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

/// Tells the thread to end.
#[derive(Default)]
struct Stop {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits so long; whether to end.
    fn wait(&self, pause: Duration) -> bool {
        let is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(is_set, pause, |is_set| !*is_set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn set(&self) {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

/// One step of housekeeping, if there is still a cache: whether there is more to do.
fn step(engine: &Weak<Engine>) -> Option<bool> {
    engine.upgrade().map(|engine| Cache::of(&engine).maintain(STEP))
}

impl Cache {
    /// Starts a thread that calls [`maintain`](Self::maintain) after each pause of this length, for
    /// programs that have no place of their own to do that. The crate starts no other thread. Half
    /// a second is a good length; a pause is a millisecond at least.
    ///
    /// The thread does not keep the cache from being dropped. Before [`close`](Self::close) drop
    /// the helper.
    ///
    /// # Errors
    /// The system refuses the thread.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use memcore::{Attrs, Cache, ManualClock, Moment};
    ///
    /// let clock = ManualClock::new(Moment::from_secs(1_000));
    /// let cache = Cache::builder(8 << 20).clock(clock.clone()).build()?;
    /// let helper = cache.spawn_helper(Duration::from_millis(1))?;
    /// cache.set("k", b"v", Attrs::new().ttl(Duration::from_secs(60)))?;
    /// clock.advance(Duration::from_secs(60));
    /// // Its memory comes back though nobody asks for it.
    /// while cache.stats().total.items > 0 {
    ///     std::thread::yield_now();
    /// }
    /// drop(helper);
    /// cache.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_helper(&self, pause: Duration) -> io::Result<Helper> {
        let stop = Arc::new(Stop::default());
        let (engine, told) = (Arc::downgrade(self.engine()), Arc::clone(&stop));
        let pause = pause.max(PAUSE_MIN);
        let run = move || {
            while !told.wait(pause) {
                loop {
                    match step(&engine) {
                        None => return,
                        Some(true) if !told.wait(Duration::ZERO) => {}
                        Some(_) => break,
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("memcore".to_owned()).spawn(run)?;
        Ok(Helper { stop, thread: Some(thread) })
    }

    /// A task that calls [`maintain`](Self::maintain) after each `sleep`, for the host's runtime,
    /// whichever it is. It yields often, does not keep the cache from being dropped, and ends when
    /// it is.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use memcore::Cache;
    ///
    /// # let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    /// # runtime.block_on(async {
    /// let cache = Cache::new(64 << 20)?;
    /// let sleep = || tokio::time::sleep(Duration::from_millis(500));
    /// tokio::spawn(cache.maintenance(sleep));
    /// # Ok::<(), memcore::ConfigError>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn maintenance<S, F>(&self, mut sleep: S) -> impl Future<Output = ()> + use<S, F>
    where
        S: FnMut() -> F,
        F: Future<Output = ()>,
    {
        let engine = Arc::downgrade(self.engine());
        async move {
            loop {
                sleep().await;
                loop {
                    match step(&engine) {
                        None => return,
                        Some(true) => Yield::default().await,
                        Some(false) => break,
                    }
                }
            }
        }
    }
}

impl Helper {
    /// Whether it has not ended: it ends with the cache.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use memcore::Cache;
    /// let cache = Cache::new(8 << 20)?;
    /// let helper = cache.spawn_helper(Duration::from_millis(1))?;
    /// drop(cache);
    /// while helper.is_running() {
    ///     std::thread::yield_now();
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.stop.set();
        // A listener that it calls may drop it.
        if let Some(thread) = self.thread.take().filter(|own| own.thread().id() != this_thread()) {
            // It has panicked if a clock has: the hook has told of it.
            let _ = thread.join();
        }
    }
}

fn this_thread() -> thread::ThreadId {
    thread::current().id()
}

impl fmt::Debug for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Helper").field("is_running", &self.is_running()).finish_non_exhaustive()
    }
}

/// Lets other tasks run once.
#[derive(Default)]
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
