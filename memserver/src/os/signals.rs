//! The signals that end the process.

use std::{fmt, io};

use mio::event::Source;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_mio::v1_0 as signal_hook_mio;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Stop at once.
    Stop,
    /// Stop, and say so.
    StopGracefully,
}

/// The signals of this process, as something to poll. SIGHUP is taken and changes nothing.
pub(crate) struct Signals(signal_hook_mio::Signals);

impl Signals {
    /// Takes the signals over. Handlers are needed even for the default reaction, as the first
    /// process of a container gets no signal without one.
    ///
    /// # Errors
    /// The system refused a socket pair or a handler.
    pub(crate) fn new() -> io::Result<Self> {
        signal_hook_mio::Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGHUP]).map(Self)
    }

    /// Reports signals to `registry`.
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.0.register(registry, token, Interest::READABLE)
    }

    /// What arrived. Of several the most urgent counts.
    pub(crate) fn take(&mut self) -> Option<Signal> {
        let mut found = None;
        for number in self.0.pending() {
            match number {
                SIGINT | SIGTERM => found = Some(Signal::Stop),
                // It does not weaken a stop that was asked for as well.
                SIGUSR1 => found = found.or(Some(Signal::StopGracefully)),
                _ => {}
            }
        }
        found
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signals")
    }
}
