//! The thread that reads the files of users and of TLS again: on a signal, and those of TLS also
//! when they have changed. A file may be large, or on a disk that does not answer, for which those
//! who accept and serve clients have no time.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::auth::accounts::Accounts;
use crate::os::log;
use crate::state::core::Core;
use crate::state::reload::Wake;
use crate::state::shared::Shared;

/// How often files of TLS are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The running thread.
#[derive(Debug)]
pub(crate) struct Reloader {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Reloader {
    /// Starts the thread; none if there are no such files.
    ///
    /// # Errors
    /// The system refused a thread.
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Option<Self>> {
        if shared.core.tls.is_none() && shared.core.accounts.is_none() {
            return Ok(None);
        }
        let reads = Arc::clone(shared);
        let thread = thread::Builder::new().name("reloader".into()).spawn(move || run(&reads))?;
        Ok(Some(Self { shared: Arc::clone(shared), thread: Some(thread) }))
    }
}

impl Drop for Reloader {
    /// Stops the thread and waits for it.
    fn drop(&mut self) {
        self.shared.reload.end();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by itself.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared) {
    let Core { tls, accounts, .. } = &shared.core;
    let pause = tls.as_ref().map(|_| LOOK_EVERY);
    loop {
        match shared.reload.wait(pause) {
            Wake::End => return,
            Wake::Time => {
                if let Some(tls) = tls {
                    tls.look_for_changes();
                }
            }
            Wake::Reload => {
                if let Some(tls) = tls {
                    // What came of it has been logged.
                    let _ = tls.refresh();
                }
                match accounts.as_ref().map(Accounts::reload) {
                    None => {}
                    Some(Ok(())) => log::line(format_args!("read the users again")),
                    Some(Err(error)) => {
                        log::warning(&format!("the users stay as they were: {error}"));
                    }
                }
            }
        }
    }
}
