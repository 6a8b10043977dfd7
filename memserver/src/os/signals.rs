//! The signals that end the process, or have it read its files again.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::{fmt, io};

use mio::event::Source;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook_mio::v1_0 as signal_hook_mio;

/// Those that end the process.
pub(crate) const STOPPING: [i32; 3] = [SIGINT, SIGTERM, SIGUSR1];

/// What a signal asks for, in the order of urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Signal {
    /// Read files again.
    Reload,
    /// Stop, and say so.
    StopGracefully,
    /// Stop at once.
    Stop,
}

/// The signals of this process, as something to poll.
pub(crate) struct Signals(signal_hook_mio::Signals);

impl Signals {
    /// Takes the signals over. Handlers are needed even for the default reaction, as the first
    /// process of a container gets no signal without one.
    ///
    /// # Errors
    /// The system refused a socket pair or a handler.
    pub(crate) fn new() -> io::Result<Self> {
        let signals = STOPPING.into_iter().chain([SIGHUP]);
        signal_hook_mio::Signals::new(signals).map(Self)
    }

    /// Reports signals to `registry`.
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.0.register(registry, token, Interest::READABLE)
    }

    /// What arrived. Of several the most urgent counts.
    pub(crate) fn take(&mut self) -> Option<Signal> {
        let signals = self.0.pending().map(|number| match number {
            SIGHUP => Signal::Reload,
            SIGUSR1 => Signal::StopGracefully,
            _ => Signal::Stop,
        });
        signals.max()
    }
}

/// From now on a file that would grow beyond the limit of the process is an error to whoever writes
/// it, and not the end.
///
/// # Errors
/// The system refused a handler.
pub(crate) fn outlive_large_files() -> io::Result<()> {
    // Nobody reads the flag.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map(drop)
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signals")
    }
}
