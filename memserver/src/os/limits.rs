//! Limits of the process, and how the system hands out memory.

use std::fs;
use std::io;

use rustix::mm::MlockAllFlags;
use rustix::process::{Resource, Rlimit};
use rustix::thread::CapabilitySet;

/// Raises the limit of descriptors towards `wanted`; returns how many there can be.
pub(crate) fn raise_descriptors(wanted: u64) -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let enough = |bound: Option<u64>| bound.is_none_or(|bound| bound >= wanted);
    if enough(limit.current) {
        return wanted;
    }
    // The hard limit is raised only if it must be: that takes privileges.
    let hard = if enough(limit.maximum) { limit.maximum } else { Some(wanted) };
    let raised = Rlimit { current: Some(wanted), maximum: hard };
    if rustix::process::setrlimit(Resource::Nofile, raised).is_ok() {
        return wanted;
    }
    // Without them the soft limit can still rise to the hard one.
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = rustix::process::setrlimit(Resource::Nofile, most);
    rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(wanted).min(wanted)
}

/// Lets core files be as large as the system allows at all.
pub(crate) fn allow_core_files() {
    let most = rustix::process::getrlimit(Resource::Core).maximum;
    // The superuser may have no limit; others have at least the hard one.
    for limit in [None, most] {
        let raised = Rlimit { current: limit, maximum: limit };
        if rustix::process::setrlimit(Resource::Core, raised).is_ok() {
            return;
        }
    }
}

/// Bytes of address space that the process may have, if that is limited.
pub(crate) fn address_space() -> Option<u64> {
    rustix::process::getrlimit(Resource::As).current
}

/// Lets the process lock as much memory as it wants, if it has the rights to decide that, also
/// after it gives them up.
pub(crate) fn allow_locked_memory() {
    let unlimited = Rlimit { current: None, maximum: None };
    // Without the rights `lock_memory` will say so.
    let _ = rustix::process::setrlimit(Resource::Memlock, unlimited);
}

/// Keeps memory out of swap, each page from its first use on: what is reserved and not used
/// stays unused.
///
/// # Errors
/// Missing privileges. A limit that is only large is refused as well: the system would answer it
/// by denying memory later, when it is reached.
pub(crate) fn lock_memory() -> io::Result<()> {
    let limit = rustix::process::getrlimit(Resource::Memlock).current;
    let capable = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    if limit.is_some() && !capable {
        let message = "the limit of locked memory is not unlimited (ulimit -l)";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    Ok(rustix::mm::mlockall(flags)?)
}

/// Whether the system provides large pages on request.
pub(crate) fn grants_large_pages() -> bool {
    let modes = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    modes.is_ok_and(|modes| !modes.contains("[never]"))
}
