//! The program around a server: from arguments to an exit status. It must never know what serves
//! the clients, only how it is started and ends.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use memcore::{Cache, Clock, ConfigError, ManualClock, SystemClock};

use crate::cli::{self, Command, Exit, Options, Process, Refusal};
use crate::config::Config;
use crate::net::listener::{self, Listener};
use crate::os::files::{self, TemporaryFile};
use crate::os::signals::Signals;
use crate::os::user::{self, User};
use crate::os::{cgroup, limits, log, reason};
use crate::server::{ProcessHooks, Server, Sockets};
use crate::state::clock::DrivenClock;
use crate::watch::Evictions;

/// The file that is to receive the ports, for whoever asked for any that is free.
const PORT_FILE: &str = "MEMCACHED_PORT_FILENAME";
/// Who serves if the superuser started the program and named nobody, the first that exists.
const USERS: [&str; 3] = ["memcached", "memcache", "nobody"];
/// The memory limit can be raised to at least so many times what it was in the beginning.
const GROWTH: usize = 4;
/// The number that stands for nobody where there is no list of users.
const NOBODY: u32 = 65534;

/// Runs the program with these arguments, its own name first.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            log::line(format_args!("{refusal}"));
            ExitCode::from(refusal.exit as u8)
        }
    }
}

fn run(args: impl Iterator<Item = OsString>) -> Result<(), Refusal> {
    let strange = |arg: OsString| Refusal::usage(format!("argument {arg:?} is not UTF-8"));
    let args: Result<Vec<String>, _> = args.map(|arg| arg.into_string().map_err(strange)).collect();
    match cli::parse(&args?)? {
        Command::Serve(options) => serve(*options),
        Command::Print(text) => {
            // Whoever reads only the first lines has closed the pipe, which is fine.
            let _ = io::stdout().write_all(text.as_bytes());
            Ok(())
        }
    }
}

/// Serves until a signal or a client ends it.
fn serve(options: Options) -> Result<(), Refusal> {
    let Options { mut config, process, mut warnings, .. } = options;
    warnings.extend(fit_connections(&mut config));
    if config.large_pages && !limits::grants_large_pages() {
        warnings.push("-L has no effect: the system grants no large pages".to_owned());
    }
    warnings.iter().for_each(|warning| log::line(format_args!("WARNING: {warning}")));
    // The first thing, so that a stop while starting is not lost.
    let signals = Signals::new().map_err(|error| system("watch for signals", &error))?;
    let identity = identity(process.user.as_deref(), user::is_root(), User::find)?;
    let clock = ManualClock::new(SystemClock::new().now());
    let evictions = Evictions::new();
    // What may fail comes before a socket file is left behind.
    let cache = cache(&config, clock.clone(), evictions.clone())?;
    let sockets = open_as(identity.as_ref(), &config, &process)?;
    announce(&sockets.listeners, config.verbosity);
    if let Some(path) = env::var_os(PORT_FILE).filter(|_| config.unix_socket.is_none()) {
        let written = write_ports(Path::new(&path), &sockets);
        written.map_err(|error| system(&format!("write {}", path.display()), &error))?;
    }
    let clock = Some(Arc::new(DrivenClock::new(clock)));
    let hooks = ProcessHooks { signals: Some(signals), clock, evictions };
    let server = Server::start(cache, config, sockets, hooks);
    let server = server.map_err(|error| Refusal::system(error.to_string()))?;
    if process.lock_memory
        && let Err(error) = limits::lock_memory()
    {
        let reason = reason(&error);
        log::line(format_args!("WARNING: -k has no effect: can't lock memory: {reason}"));
    }
    let _pid_file = process.pid_file.as_deref().and_then(write_pid);
    server.join().map_err(|error| system("go on serving", &error))
}

/// Lowers the number of clients to what there can be descriptors for; returns a warning then.
fn fit_connections(config: &mut Config) -> Option<String> {
    let wanted = config.max_connections;
    let own = config.own_descriptors();
    let allowed = limits::raise_descriptors((wanted + own) as u64);
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
    if allowed >= wanted + own {
        return None;
    }
    config.max_connections = allowed.saturating_sub(own).max(1);
    let most = config.max_connections;
    Some(format!(
        "-c {wanted} lowered to {most}: the system allows this process {allowed} descriptors"
    ))
}

/// Who is to serve, if it is not whoever started the program.
fn identity(
    wanted: Option<&str>,
    is_root: bool,
    find: impl Fn(&str) -> Option<User>,
) -> Result<Option<User>, Refusal> {
    if !is_root {
        return Ok(None);
    }
    let user = match wanted {
        Some(name) => find(name).ok_or_else(|| Refusal {
            exit: Exit::NoUser,
            message: format!("can't find the user {name} to switch to (-u)"),
        })?,
        None => USERS.iter().find_map(|name| find(name)).unwrap_or_else(|| User {
            name: "nobody".to_owned(),
            uid: NOBODY,
            gid: NOBODY,
        }),
    };
    Ok((user.uid != 0).then_some(user))
}

/// Opens the listening sockets and gives the superuser's rights up for `user`. Ports below 1024
/// need the rights; a socket file has to belong to the user.
fn open_as(user: Option<&User>, config: &Config, process: &Process) -> Result<Sockets, Refusal> {
    let open = || {
        let all = listener::open(config).and_then(|listeners| {
            Ok(Sockets { listeners, datagrams: listener::open_udp(config)? })
        });
        all.map_err(|error| Refusal::system(error.to_string()))
    };
    let Some(user) = user else { return open() };
    if process.lock_memory {
        limits::allow_locked_memory();
    }
    if config.unix_socket.is_some() {
        assume(user, process)?;
        return open();
    }
    let sockets = open()?;
    assume(user, process)?;
    Ok(sockets)
}

fn assume(user: &User, process: &Process) -> Result<(), Refusal> {
    let User { name, uid, .. } = user;
    user.assume().map_err(|error| {
        let reason = reason(&error);
        Refusal::system(format!("can't become user {name} ({uid}): {reason}; -u root keeps root"))
    })?;
    if process.user.is_none() {
        log::line(format_args!("started as root: serving as user {name} (-u root keeps root)"));
    }
    Ok(())
}

fn cache(config: &Config, clock: ManualClock, evictions: Evictions) -> Result<Cache, Refusal> {
    let mut builder = Cache::builder(config.memory_limit)
        .max_limit(room_to_grow(config.memory_limit))
        .max_item_size(config.item_size_max)
        .evictions(config.evictions)
        .on_removal(move |removal| evictions.note(removal))
        .clock(clock);
    if config.large_pages {
        builder = builder.huge_pages(true);
    }
    builder.build().map_err(|error| match error {
        ConfigError::System { .. } => Refusal::system(error.to_string()),
        _ => Refusal::usage(format!("-m: {error}")),
    })
}

/// How far `cache_memlimit` may raise `limit`: to all memory of the machine, and several times the
/// limit in any case, as the machine or the container may be given more. Not at all where address
/// space is scarce: threads and buffers need some of it as well.
fn room_to_grow(limit: usize) -> usize {
    if !limits::address_space_is_free() {
        return limit;
    }
    let machine = cgroup::machine_memory().and_then(|bytes| usize::try_from(bytes).ok());
    limit.saturating_mul(GROWTH).max(machine.unwrap_or(0))
}

/// The lines that harnesses wait for.
fn announce(listeners: &[Listener], verbosity: u8) {
    for listener in listeners.iter().filter(|_| verbosity > 1) {
        let (number, speaks) = (listener.number(), listener.binding.name());
        log::line(format_args!("<{number} server listening ({speaks})"));
    }
}

/// Tells the ports in memcached's form.
fn write_ports(path: &Path, sockets: &Sockets) -> io::Result<()> {
    let tcp = sockets.listeners.iter().filter_map(Listener::local_addr).map(|at| ("TCP", at));
    let udp = sockets.datagrams.iter().filter_map(|socket| socket.local_addr().ok());
    let mut text = String::new();
    for (kind, address) in tcp.chain(udp.map(|at| ("UDP", at))) {
        let family = if address.is_ipv6() { "INET6" } else { "INET" };
        // Writing to a string can't fail.
        let _ = writeln!(text, "{kind} {family}: {}", address.port());
    }
    files::replace(path, &text)
}

/// Writes the process number. A server that has given its rights up often can't, and as with
/// memcached that is no reason not to serve.
fn write_pid(path: &Path) -> Option<TemporaryFile> {
    TemporaryFile::with_pid(path)
        .inspect_err(|error| {
            let (path, reason) = (path.display(), reason(error));
            log::line(format_args!("WARNING: -P has no effect: can't write {path}: {reason}"));
        })
        .ok()
}

fn system(what: &str, error: &io::Error) -> Refusal {
    Refusal::system(format!("can't {what}: {}", reason(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(known: &'static [(&str, u32)]) -> impl Fn(&str) -> Option<User> {
        let user = |(name, uid): &(&str, u32)| User { name: (*name).into(), uid: *uid, gid: *uid };
        move |wanted| known.iter().find(|(name, _)| *name == wanted).map(user)
    }

    fn uid(wanted: Option<&str>, known: &'static [(&str, u32)]) -> Option<u32> {
        identity(wanted, true, found(known)).unwrap().map(|user| user.uid)
    }

    #[test]
    fn root_serves_only_when_it_is_asked_to() {
        const ALL: &[(&str, u32)] =
            &[("root", 0), ("nobody", 3), ("memcache", 2), ("memcached", 1), ("me", 9)];
        assert_eq!(uid(None, ALL), Some(1));
        assert_eq!(uid(None, &ALL[..3]), Some(2));
        assert_eq!(uid(None, &ALL[..2]), Some(3));
        assert_eq!(uid(None, &[]), Some(NOBODY));
        assert_eq!(uid(Some("me"), ALL), Some(9));
        assert_eq!(uid(Some("root"), ALL), None);
        let refusal = identity(Some("nosuch"), true, found(ALL)).unwrap_err();
        assert_eq!(refusal.exit, Exit::NoUser);
    }

    #[test]
    fn others_are_not_looked_up() {
        let identity = identity(Some("me"), false, |_| panic!("nobody has to be found"));
        assert_eq!(identity, Ok(None));
    }
}
