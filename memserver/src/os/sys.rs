//! What only the operating system can do for the process: signals, limits, users, memory locks,
//! files that announce it. It must never know the protocol or the cache.

use std::fs;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::{Interest, Registry, Token};
use rustix::mm::MlockAllFlags;
use rustix::process::{Gid, Resource, Rlimit, Uid};
use rustix::thread::CapabilitySet;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Stop at once.
    Stop,
    /// Stop, and say so.
    StopGracefully,
}

/// The signals of this process, as something to poll. SIGHUP is taken and changes nothing.
#[derive(Debug)]
pub(crate) struct Signals {
    pipe: mio::net::UnixStream,
    stop: Arc<AtomicBool>,
    graceful: Arc<AtomicBool>,
}

impl Signals {
    /// Takes the signals over. Handlers are needed even for the default reaction, as the first
    /// process of a container gets no signal without one.
    ///
    /// # Errors
    /// The system refused a socket pair or a handler.
    pub(crate) fn new() -> io::Result<Self> {
        let (receiver, sender) = UnixStream::pair()?;
        receiver.set_nonblocking(true)?;
        sender.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let graceful = Arc::new(AtomicBool::new(false));
        for (signal, flag) in [(SIGINT, &stop), (SIGTERM, &stop), (SIGUSR1, &graceful)] {
            // The flag comes first: handlers run in the order of registration.
            signal_hook::flag::register(signal, Arc::clone(flag))?;
            signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        signal_hook::flag::register(SIGHUP, Arc::new(AtomicBool::new(false)))?;
        Ok(Self { pipe: mio::net::UnixStream::from_std(receiver), stop, graceful })
    }

    /// Reports signals to `registry`.
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.pipe, token, Interest::READABLE)
    }

    /// What arrived.
    pub(crate) fn take(&mut self) -> Option<Signal> {
        let mut bytes = [0; 64];
        while matches!(self.pipe.read(&mut bytes), Ok(1..)) {}
        if self.stop.swap(false, Ordering::AcqRel) {
            Some(Signal::Stop)
        } else {
            self.graceful.swap(false, Ordering::AcqRel).then_some(Signal::StopGracefully)
        }
    }
}

/// The system's words for an error, without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = match error.kind() {
        io::ErrorKind::AddrInUse => "Address already in use".to_owned(),
        _ => error.to_string(),
    };
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Raises the limit of descriptors towards `wanted`; returns how many there can be.
pub(crate) fn raise_descriptors(wanted: u64) -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let enough = |bound: Option<u64>| bound.is_none_or(|bound| bound >= wanted);
    if enough(limit.current) {
        return wanted;
    }
    let hard = if enough(limit.maximum) { limit.maximum } else { Some(wanted) };
    let raised = Rlimit { current: Some(wanted), maximum: hard };
    if rustix::process::setrlimit(Resource::Nofile, raised).is_ok() {
        return wanted;
    }
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = rustix::process::setrlimit(Resource::Nofile, most);
    rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(wanted).min(wanted)
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

/// Whether memory that is reserved costs nothing before it is used: neither a bound of the process
/// (`ulimit -v`) nor the system's own count of promises (`vm.overcommit_memory=2`) includes it.
pub(crate) fn address_space_is_free() -> bool {
    let counted = fs::read_to_string("/proc/sys/vm/overcommit_memory");
    let counted = counted.is_ok_and(|mode| mode.trim() == "2");
    !counted && rustix::process::getrlimit(Resource::As).current.is_none()
}

/// Whether the system gives large pages to whoever asks for them.
pub(crate) fn grants_large_pages() -> bool {
    let modes = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    modes.is_ok_and(|modes| !modes.contains("[never]"))
}

/// Whether the process has the superuser's rights.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root() || rustix::process::getuid().is_root()
}

/// An identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// Its name, or its number as text.
    pub(crate) name: String,
    /// Its number.
    pub(crate) uid: u32,
    /// Its first group.
    pub(crate) gid: u32,
}

impl User {
    /// Looks a name or a number up. The file is read here because a static program has no other
    /// way; a number needs no entry.
    pub(crate) fn find(name: &str) -> Option<Self> {
        find_user(&fs::read_to_string("/etc/passwd").unwrap_or_default(), name)
    }

    /// Becomes this user for good, without any other group. Only the calling thread changes, so
    /// this has to come before there are others.
    ///
    /// # Errors
    /// Missing privileges.
    pub(crate) fn assume(&self) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        Ok(())
    }
}

fn find_user(passwd: &str, name: &str) -> Option<User> {
    let number = name.parse::<u32>().ok().filter(|_| !name.starts_with('+'));
    let entries = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _) = (fields.next()?, fields.next()?);
        Some((name, fields.next()?.parse::<u32>().ok()?, fields.next()?.parse::<u32>().ok()?))
    });
    let mut entries: Vec<_> = entries.collect();
    // A name counts more than a number.
    entries.sort_by_key(|entry| entry.0 != name);
    let entry = entries.into_iter().find(|entry| entry.0 == name || Some(entry.1) == number);
    let known = entry.map(|entry| (entry.1, entry.2));
    // The superuser's number is the same everywhere, also where there is no list.
    let (uid, gid) = known.or(number.or((name == "root").then_some(0)).map(|uid| (uid, uid)))?;
    Some(User { name: name.to_owned(), uid, gid })
}

/// A file that exists as long as this value.
#[derive(Debug)]
pub(crate) struct TemporaryFile(PathBuf);

impl TemporaryFile {
    /// Writes the process number to `path`.
    ///
    /// # Errors
    /// The file can't be written.
    pub(crate) fn with_pid(path: &Path) -> io::Result<Self> {
        replace(path, &format!("{}\n", std::process::id()))?;
        Ok(Self(path.to_owned()))
    }

    /// Takes over a file that something else has made.
    pub(crate) fn adopt(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // It may be gone already, or its folder may have become out of reach.
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes a file in one step: whoever looks sees the old content or the new one.
///
/// # Errors
/// The file or the one beside it can't be written.
pub(crate) fn replace(path: &Path, content: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    fs::write(&beside, content)?;
    fs::rename(&beside, path).inspect_err(|_| {
        // The first error is the one to report.
        let _ = fs::remove_file(&beside);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nnobody:x:65534:65533::/:\n\
        12:x:77:78::/:\nmemcached:x:11211:11212::/:\n";

    #[test]
    fn users_are_found_by_name_and_number() {
        let user = |name: &str| find_user(PASSWD, name).map(|user| (user.uid, user.gid));
        assert_eq!(user("memcached"), Some((11211, 11212)));
        assert_eq!(user("11211"), Some((11211, 11212)));
        assert_eq!(user("12"), Some((77, 78)));
        assert_eq!(user("4711"), Some((4711, 4711)));
        assert_eq!(user("root"), Some((0, 0)));
        assert_eq!(find_user("", "root").map(|user| user.uid), Some(0));
        for unknown in ["nosuch", "", "broken", "+5", "-5", "4294967296"] {
            assert_eq!(user(unknown), None, "{unknown}");
        }
    }
}
