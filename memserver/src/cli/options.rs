//! What the arguments say about serving.

use std::path::PathBuf;

use crate::config::Config;
use crate::config::tls::TlsSettings;
use crate::os::log;

/// Everything the arguments say about serving.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// The server's settings.
    pub(crate) config: Config,
    /// The process's settings.
    pub(crate) process: Process,
    /// Connections that one processor receives go to one worker.
    pub(crate) incoming_cpu: bool,
    /// Whether the protocol of the clients was named.
    pub(crate) protocol_given: bool,
    /// Whether a port for TCP was named.
    pub(crate) port_given: bool,
    /// How to speak TLS.
    pub(crate) tls: TlsSettings,
    /// Whether to speak it.
    pub(crate) tls_enabled: bool,
    /// How memory is to be shared.
    pub(crate) memory: Memory,
    /// What is done with the settings instead of starting a server.
    pub(super) ask: Option<ConfigAction>,
    /// What the user has to know about the arguments, a line each.
    pub(crate) warnings: Vec<String>,
}

/// What is known about memory, and what is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Bytes that there are, as far as that is known.
    pub(super) available: Option<u64>,
    /// The cache gets what is left.
    pub(super) auto: bool,
    /// The server does not start with less than it may need.
    pub(super) strict: bool,
}

/// What is done with the settings instead of starting a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConfigAction {
    /// They are checked.
    Check,
    /// They are printed.
    Print,
}

/// How much of the sandbox is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SandboxMode {
    /// None of it.
    Off,
    /// As much as the system supports.
    #[default]
    Possible,
    /// All of it; otherwise the server does not start.
    Required,
}

/// What concerns the process rather than the server.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Process {
    /// The user to become.
    pub(crate) user: Option<String>,
    /// Where to write the process ID.
    pub(crate) pid_file: Option<PathBuf>,
    /// Keep everything out of swap.
    pub(crate) lock_memory: bool,
    /// Run in the background.
    pub(crate) daemon: bool,
    /// Let the system write core files.
    pub(crate) core_dumps: bool,
    /// Give up what is not needed.
    pub(crate) sandbox: SandboxMode,
    /// How log lines begin, if not as memcached's.
    pub(crate) log_format: Option<log::Format>,
}

impl Options {
    /// Keeps a line for the user, once.
    pub(super) fn warn(&mut self, line: impl Into<String>) {
        let line = line.into();
        if !self.warnings.contains(&line) {
            self.warnings.push(line);
        }
    }
}
