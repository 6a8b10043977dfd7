//! What the process gives up once it serves: capabilities, new privileges, files, and most calls to
//! the system. Each part works without the others, so that a system that lacks one has the rest.
//!
//! ```text
//!   begin    as root: nothing that is executed later can get capabilities
//!   confine  sockets are open, no thread has started: capabilities, dumps, files, ports
//!   filter   all threads have started: calls to the system
//! ```

mod calls;
mod paths;

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::os::reason;

/// The number behind the highest capability that any kernel has.
const CAPABILITIES: u32 = 64;

/// What the process needs while it serves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    /// It may be dumped to a core file (`-r`).
    pub(crate) core_dumps: bool,
    /// It locks its memory (`-k`), for which its limit may not be enough.
    pub(crate) locked_memory: bool,
    /// The cache lies in a file (`-e`), which is open already.
    pub(crate) memory_file: bool,
    /// Files that are open already are read and written at any place.
    pub(crate) flash: bool,
    /// Files that are read again when that is asked for.
    pub(crate) read: Vec<PathBuf>,
    /// Files that are written, and removed at the end.
    pub(crate) written: Vec<PathBuf>,
    /// Files that are removed at the end.
    pub(crate) removed: Vec<PathBuf>,
}

/// What was given up, and what could not be.
#[derive(Debug, Default)]
pub(crate) struct Sandbox {
    needs: Needs,
    lacks: Vec<String>,
}

impl Sandbox {
    /// Begins with what takes privileges that are given up next.
    pub(crate) fn begin(needs: Needs) -> Self {
        let mut sandbox = Self { needs, lacks: Vec::new() };
        sandbox.note("no_new_privs", rustix::thread::set_no_new_privs(true));
        for number in 0..CAPABILITIES {
            let one = CapabilitySet::from_bits_retain(1 << number);
            // Only the superuser can, and for others there is nothing to gain.
            if rustix::thread::remove_capability_from_bounding_set(one).is_err() {
                break;
            }
        }
        sandbox
    }

    /// Gives up what no thread will need. The threads that are started next do so too.
    pub(crate) fn confine(&mut self) {
        // A kernel without ambient capabilities has none to clear.
        let _ = rustix::thread::clear_ambient_capability_set();
        let kept = self.kept();
        let inheritable = CapabilitySet::empty();
        let kept = CapabilitySets { effective: kept, permitted: kept, inheritable };
        self.note("capabilities", rustix::thread::set_capabilities(None, kept));
        if !self.needs.core_dumps {
            let nothing = Rlimit { current: Some(0), maximum: Some(0) };
            self.note("core limit", rustix::process::setrlimit(Resource::Core, nothing));
            let dumpable = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
            self.note("dumpable", dumpable);
        }
        if let Err(lack) = paths::restrict(&self.needs) {
            self.lacks.push(format!("landlock: {lack}"));
        }
    }

    /// Has the system refuse calls, to this thread and all others, that none of them makes.
    pub(crate) fn filter(&mut self) {
        if let Err(error) = calls::filter(&self.needs) {
            self.lacks.push(format!("seccomp: {error}"));
        }
    }

    /// The capabilities that are needed, of those that there are.
    fn kept(&self) -> CapabilitySet {
        let limit = rustix::process::getrlimit(Resource::Memlock).current;
        if !self.needs.locked_memory || limit.is_none() {
            return CapabilitySet::empty();
        }
        let held = rustix::thread::capabilities(None);
        held.map_or(CapabilitySet::empty(), |held| held.permitted & CapabilitySet::IPC_LOCK)
    }

    /// What the system did not let it give up.
    pub(crate) fn lacks(&self) -> &[String] {
        &self.lacks
    }

    /// One that could not give `lack` up.
    #[cfg(test)]
    pub(crate) fn lacking(lack: &str) -> Self {
        Self { lacks: vec![lack.to_owned()], ..Self::default() }
    }

    fn note(&mut self, what: &str, result: rustix::io::Result<()>) {
        if let Err(error) = result {
            let error = io::Error::from(error);
            self.lacks.push(format!("{what}: {}", reason(&error)));
        }
    }
}

impl fmt::Display for Sandbox {
    /// As `stats settings` shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lacks.is_empty() {
            return f.write_str("on");
        }
        write!(f, "without {}", self.lacks.join("; "))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
