//! The threads of the flash tier: some read what connections wait for, one writes what is evicted.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use memcore::Cache;

use crate::os::log;
use crate::state::flash::FlashQueue;
use crate::state::shared::Shared;

/// How long the writer waits before it looks whether the end has come.
const PAUSE: Duration = Duration::from_millis(100);

/// The threads. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct FlashThreads {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl FlashThreads {
    /// Starts the threads of a server with a tier; none for one without. What `guard` makes lives
    /// as long as a thread does.
    ///
    /// # Errors
    /// The system refused one.
    pub(crate) fn start<G: Send + 'static>(
        shared: &Arc<Shared>,
        guard: impl Fn() -> G,
    ) -> io::Result<Self> {
        let mut started = Self { shared: Arc::clone(shared), threads: Vec::new() };
        if shared.core.flash.is_none() {
            return Ok(started);
        }
        for number in 0..shared.core.config.flash.threads {
            let (shared, guard) = (Arc::clone(shared), guard());
            let read = move || {
                let _guard = guard;
                if let Some(queue) = &shared.core.flash {
                    queue.run(|worker| shared.control.wake(worker));
                }
            };
            started.threads.push(spawn(format!("flash-{number}"), read)?);
        }
        let (shared, guard) = (Arc::clone(shared), guard());
        let write = move || {
            let _guard = guard;
            if let Some(queue) = &shared.core.flash {
                write(&shared.core.cache, queue);
            }
        };
        started.threads.push(spawn("flash-writer".to_owned(), write)?);
        Ok(started)
    }
}

impl Drop for FlashThreads {
    fn drop(&mut self) {
        if let Some(queue) = &self.shared.core.flash {
            queue.end();
        }
        for thread in self.threads.drain(..) {
            // A panic of the thread has been reported by itself.
            let _ = thread.join();
        }
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name).spawn(run)
}

/// Writes buffers until the end.
fn write(cache: &Cache, queue: &FlashQueue) {
    let mut is_told = false;
    while !queue.has_ended() {
        if let Some(job) = cache.wait_for_flash_work(PAUSE) {
            job.run();
            continue;
        }
        let failure = cache.flash_stats().and_then(|stats| stats.failure);
        if let Some(failure) = failure {
            if !is_told {
                is_told = true;
                log::warning(&format!("the flash tier is off since it failed: {failure}"));
            }
            thread::sleep(PAUSE);
        }
    }
}
