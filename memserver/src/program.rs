//! The program around a server: from arguments to an exit status.

mod cache;

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use memcore::ManualClock;

use crate::auth::accounts::Accounts;
use crate::cli::{self, Command, Exit, Options, ParseContext, Process, SandboxMode, StartupError};
use crate::config::tls::TlsSettings;
use crate::config::{Config, Users};
use crate::net::inherited;
use crate::net::listener::{self, ListenError, Listener, Opened};
use crate::os::files::{self, TemporaryFile};
use crate::os::last_resort::LastResort;
use crate::os::sandbox::{Needs, Sandbox};
use crate::os::service::{self, Manager};
use crate::os::signals::{self, Signals};
use crate::os::user::{self, User};
use crate::os::{daemon, limits, log, reason};
use crate::server::{ProcessHooks, Server, Sockets};
use crate::state::budgets::CLIENT_MEMORY;
use crate::state::clock::DrivenClock;
use crate::tls::Context;
use crate::tools;
use crate::watch::Evictions;

/// Names the file that receives the ports, for scripts that ask for any free one.
const PORT_FILE: &str = "MEMCACHED_PORT_FILENAME";
/// Names the file of users for SASL.
const SASL_FILE: &str = "MEMCACHED_SASL_PWDB";
/// The users to switch to when started as root without `-u`; the first that exists.
const USERS: [&str; 3] = ["memcached", "memcache", "nobody"];
/// The uid and gid of `nobody` where /etc/passwd is missing.
const NOBODY: u32 = 65534;

/// How long the last log lines may take.
const LAST_LINES: Duration = Duration::from_millis(200);

/// Runs the program with these arguments, its own name first.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let exit = run(args).unwrap_or_else(|error| {
        log::error(&error);
        ExitCode::from(error.exit as u8)
    });
    log::flush(LAST_LINES);
    exit
}

fn run(args: impl Iterator<Item = OsString>) -> Result<ExitCode, StartupError> {
    let not_text = |arg: OsString| StartupError::usage(format!("argument {arg:?} is not UTF-8"));
    let args: Result<Vec<String>, _> =
        args.map(|arg| arg.into_string().map_err(not_text)).collect();
    let args = args?;
    signals::outlive_large_files().map_err(|error| system("watch for signals", &error))?;
    if let Some(words) = cli::command(&args) {
        return Ok(tools::run(words));
    }
    match cli::parse(&args, &ParseContext::of_process()?)? {
        Command::Serve(options) if options.process.daemon && !daemon::is_child() => {
            let started = daemon::start().map_err(|error| system("start in background", &error))?;
            Ok(started.map_or_else(ExitCode::from, |()| ExitCode::SUCCESS))
        }
        Command::Serve(options) => {
            if let Some(format) = options.process.log_format {
                log::set_format(format);
            }
            serve(*options)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check(options) => {
            check(*options)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Print(text) => {
            // A reader that wanted only the first lines may have closed the pipe.
            let _ = io::stdout().write_all(text.as_bytes());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Reads the files that the settings name, as a start would.
fn check(options: Options) -> Result<(), StartupError> {
    let Options { mut config, process, mut warnings, .. } = options;
    identity(process.user.as_deref(), user::is_root(), User::find)?;
    if let Some(settings) = &config.tls {
        context(settings, &mut warnings)?;
    }
    config.users.sasl_file = sasl_file(config.users.sasl_file);
    accounts(&config)?;
    cache::check(&config)?;
    warnings.iter().for_each(|warning| log::warning(warning));
    // A reader that wanted nothing may have closed the pipe.
    let _ = writeln!(io::stdout(), "the settings are valid");
    Ok(())
}

fn context(settings: &TlsSettings, warnings: &mut Vec<String>) -> Result<Context, StartupError> {
    let context = Context::new(settings, warnings);
    context.map_err(|error| StartupError::usage(format!("-Z: {error}")))
}

fn accounts(config: &Config) -> Result<Option<Accounts>, StartupError> {
    Accounts::load(&config.users).map_err(|error| StartupError::illegal(error.to_string()))
}

/// Serves until a signal or a client ends it.
fn serve(options: Options) -> Result<(), StartupError> {
    let Options { mut config, process, mut warnings, .. } = options;
    if process.daemon {
        daemon::leave_session().map_err(|error| system("leave the session", &error))?;
    }
    warnings.extend(fit_connections(&mut config));
    prepare_memory();
    if config.large_pages && !limits::grants_large_pages() {
        warnings.push("-L has no effect: the system provides no large pages".to_owned());
    }
    // Before anything else, so that a signal during the start is not lost.
    let signals = Signals::new().map_err(|error| system("watch for signals", &error))?;
    // A memory file has to be closed, however long that takes.
    let last_resort = config.memory_file.is_none().then(last_resort).transpose()?;
    if process.core_dumps {
        limits::allow_core_files();
    }
    let identity = identity(process.user.as_deref(), user::is_root(), User::find)?;
    // The key may be readable now and not for the user that is switched to.
    let tls = config.tls.as_ref().map(|settings| context(settings, &mut warnings)).transpose()?;
    if user::is_root() && identity.is_none() {
        warnings.push("serving as root (-u root) is not recommended".to_owned());
    }
    warnings.iter().for_each(|warning| log::warning(warning));
    let has_sandbox = process.sandbox != SandboxMode::Off;
    config.users.sasl_file = sasl_file(config.users.sasl_file);
    let mut sandbox = has_sandbox.then(|| Sandbox::begin(needs(&config, &process)));
    // Later the sandbox has no new sockets.
    let manager = Manager::find();
    let clock = ManualClock::new(SystemTime::now().into());
    let evictions = Evictions::new();
    // What may fail comes before a socket file is created.
    let accounts = accounts(&config)?;
    // Comes first and so goes last, when nobody else has the cache any more.
    let (mut closer, cache) = cache::open(&config, clock.clone(), evictions.clone())?;
    let sockets = open_as(identity.as_ref(), &config, &process)?;
    if let Some(warning) = exposure(&config, sockets.addresses()) {
        log::warning(&warning);
    }
    announce(&sockets, &config)?;
    let start = start_line(&config, &sockets, accounts.is_some());
    sandbox.as_mut().map(Sandbox::confine);
    needs(&config, &process).read.iter().for_each(|path| warn_if_unreadable(path));
    if let Some(last_resort) = last_resort {
        last_resort.start(config.drain_timeout, announced(&config, &process))?;
    }
    let keep_stderr = config.verbosity > 0;
    let (clock, tls) = (Some(Arc::new(DrivenClock::new(clock))), tls.map(Arc::new));
    let (signals, told) = (Some(signals), manager.clone());
    let hooks = ProcessHooks { signals, manager: told, clock, evictions, accounts, tls };
    let server = Server::start(cache, config, sockets, hooks)
        .map_err(|error| StartupError::system(error.to_string()))?;
    closer.serves();
    if process.lock_memory {
        lock_memory();
    }
    // Only now, since scripts take the file for a sign that the server serves.
    let _pid_file = process.pid_file.as_deref().and_then(write_pid);
    if process.daemon {
        daemon::ready(keep_stderr).map_err(|error| system("run in background", &error))?;
    }
    let state = confine(&server, sandbox, process.sandbox)?;
    if keep_stderr || log::has_format() {
        log::line(format_args!("{start}, sandbox {state}"));
    }
    manager.notify(service::READY);
    server.join().map_err(|error| system("keep serving", &error))?;
    closer.close()
}

fn lock_memory() {
    if let Err(error) = limits::lock_memory() {
        let reason = reason(&error);
        log::warning(&format!("-k has no effect: can't lock memory: {reason}"));
    }
}

/// What is said when the server serves, but for the sandbox, which comes last.
fn start_line(config: &Config, sockets: &Sockets, has_logins: bool) -> String {
    let on = |is_on| if is_on { "on" } else { "off" };
    let places: Vec<String> = sockets.listeners.iter().map(Listener::end).collect();
    let (version, places) = (env!("CARGO_PKG_VERSION"), places.join(", "));
    let mut line = format!("memserver {version} serves at {places}");
    if let Some(admin) = &sockets.admin {
        // Writing to a string can't fail.
        let _ = write!(line, ", health and metrics over HTTP at {}", admin.end());
    }
    let clients = if config.client_memory > 0 { config.client_memory } else { CLIENT_MEMORY };
    let (cache, clients) = (config.memory_limit >> 20, clients >> 20);
    let (tls, logins) = (on(config.tls.is_some()), on(has_logins));
    let threads = config.threads;
    let _ = write!(line, "; {threads} workers, {cache}m for items, {clients}m for clients");
    let _ = write!(line, "; TLS {tls}, logins {logins}");
    line
}

/// Finishes the sandbox of a server whose threads all run, if it has one; what is in force.
fn confine(
    server: &Server,
    sandbox: Option<Sandbox>,
    wish: SandboxMode,
) -> Result<String, StartupError> {
    let mut state = "off".to_owned();
    if let Some(sandbox) = sandbox {
        server.confine(|| {
            state = finish(sandbox, wish)?;
            Ok::<_, StartupError>(state.clone())
        })?;
    }
    Ok(state)
}

/// Finishes the sandbox, now that all threads run; its state, to be shown.
fn finish(mut sandbox: Sandbox, wish: SandboxMode) -> Result<String, StartupError> {
    sandbox.filter();
    judge(&sandbox, wish)
}

/// What becomes of a sandbox that lacks something.
fn judge(sandbox: &Sandbox, wish: SandboxMode) -> Result<String, StartupError> {
    for lack in sandbox.lacks() {
        if wish == SandboxMode::Required {
            return Err(StartupError::system(format!("-o drop_privileges: no {lack}")));
        }
        log::warning(&format!("the sandbox has no {lack}"));
    }
    Ok(sandbox.to_string())
}

fn last_resort() -> Result<LastResort, StartupError> {
    LastResort::new().map_err(|error| system("watch for signals", &error))
}

/// The files that say where the server is reached, and by which process.
fn announced(config: &Config, process: &Process) -> Vec<PathBuf> {
    let files = config.socket_files().chain(process.pid_file.as_deref());
    // The folder may be another one when they are removed.
    files.map(|file| std::path::absolute(file).unwrap_or_else(|_| file.to_owned())).collect()
}

/// What the process needs while it serves.
fn needs(config: &Config, process: &Process) -> Needs {
    let Users { text, sasl, sasl_file, accounts, .. } = &config.users;
    let users = text.iter().chain(accounts).chain(sasl_file.iter().filter(|_| *sasl));
    Needs {
        core_dumps: process.core_dumps,
        locked_memory: process.lock_memory,
        memory_file: config.memory_file.is_some(),
        flash: config.flash.is_on(),
        read: users.chain(config.tls.iter().flat_map(TlsSettings::files)).cloned().collect(),
        written: process.pid_file.iter().cloned().collect(),
        removed: config.socket_files().map(Path::to_owned).collect(),
    }
}

/// Says so if a file was read with more rights than are left.
fn warn_if_unreadable(path: &Path) {
    // It is not opened: a pipe would wait for a writer.
    if let Err(rustix::io::Errno::ACCESS) = rustix::fs::access(path, rustix::fs::Access::READ_OK) {
        let path = path.display();
        log::warning(&format!("{path} can't be read again with the rights that are left"));
    }
}

/// Warns of addresses at which whoever reaches them may do everything.
fn exposure(config: &Config, addresses: impl Iterator<Item = SocketAddr>) -> Option<String> {
    let is_asked = |tls: &TlsSettings| tls.verify_mode.requires();
    let is_guarded = config.users.are_given() || config.tls.as_ref().is_some_and(is_asked);
    let is_open = |address: SocketAddr| !address.ip().to_canonical().is_loopback();
    let exposed = addresses.into_iter().find(|address| is_open(*address) && !is_guarded)?;
    let place = match (&config.inter, exposed.ip().is_unspecified()) {
        (Some(inter), _) => format!("-l {inter}"),
        (None, true) => "the server, without -l,".to_owned(),
        (None, false) => exposed.to_string(),
    };
    Some(format!("{place} serves everyone who can reach this machine, without authentication"))
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
        "-c {wanted} lowered to {most}: the system allows this process {allowed} file descriptors"
    ))
}

/// The user to switch to, if any.
fn identity(
    wanted: Option<&str>,
    is_root: bool,
    find: impl Fn(&str) -> Option<User>,
) -> Result<Option<User>, StartupError> {
    if !is_root {
        return Ok(None);
    }
    let user = match wanted {
        Some(name) => find(name).ok_or_else(|| StartupError {
            exit: Exit::NoUser,
            message: format!("can't find the user {name} to switch to (-u)"),
        })?,
        None => USERS.iter().find_map(|name| find(name)).unwrap_or_else(|| User {
            name: "nobody".to_owned(),
            uid: NOBODY,
            gid: NOBODY,
        }),
    };
    // `-u root` asks to stay what the process is.
    Ok((user.uid != 0).then_some(user))
}

/// Opens the listening sockets and switches to `user`. Ports below 1024 need root's rights; a
/// socket file has to belong to the user, so with one the ports can't be below 1024.
fn open_as(
    user: Option<&User>,
    config: &Config,
    process: &Process,
) -> Result<Sockets, StartupError> {
    if process.lock_memory {
        limits::allow_locked_memory();
    }
    let Some(user) = user else { return open(config) };
    // The file must belong to the user, so the user comes first.
    if config.socket_files().next().is_some() {
        assume(user, process)?;
        return open(config);
    }
    // Without a file the ports come first, while there are the rights for them.
    let sockets = open(config)?;
    assume(user, process)?;
    Ok(sockets)
}

fn open(config: &Config) -> Result<Sockets, StartupError> {
    let failed = |error: ListenError| StartupError::system(error.to_string());
    if let Some(opened) = inherited::take(config).map_err(failed)? {
        return Ok(inherit(opened, config));
    }
    // First, as it leaves no file behind if something else fails.
    let datagrams = listener::open_udp(config).map_err(failed)?;
    let Opened { listeners, admin, warnings } = listener::open(config).map_err(failed)?;
    warnings.iter().for_each(|warning| log::warning(warning));
    let files = config.socket_files().map(TemporaryFile::adopt).collect();
    Ok(Sockets { listeners, datagrams, admin, files })
}

/// The sockets of a service manager are all there are. Their files are not ours.
fn inherit(opened: Opened, config: &Config) -> Sockets {
    let defaults = Config::default();
    let given = [
        ("-l", config.listen != defaults.listen),
        ("-p", config.port != defaults.port),
        ("-s", config.unix_socket.is_some()),
        ("-U", config.udp != defaults.udp),
        ("--admin-addr", config.admin.is_some() && opened.admin.is_none()),
    ];
    let ignored: Vec<_> = given.iter().filter(|(_, given)| *given).map(|(flag, _)| *flag).collect();
    if !ignored.is_empty() {
        let flags = ignored.join(" and ");
        let verb = if ignored.len() == 1 { "has" } else { "have" };
        log::warning(&format!("{flags} {verb} no effect: the service manager opened the sockets"));
    }
    let Opened { listeners, admin, .. } = opened;
    Sockets { listeners, admin, ..Sockets::default() }
}

fn assume(user: &User, process: &Process) -> Result<(), StartupError> {
    let User { name, uid, .. } = user;
    user.assume().map_err(|error| {
        let reason = reason(&error);
        StartupError::system(format!(
            "can't switch to user {name} ({uid}): {reason}; -u root stays root"
        ))
    })?;
    if process.user.is_none() {
        log::line(format_args!("started as root: switched to user {name} (-u root stays root)"));
    }
    Ok(())
}

/// Prepares the heap for the memory that clients will take.
fn prepare_memory() {
    if limits::address_space().is_some() {
        memsys::heap::save_address_space();
    }
    memsys::heap::keep_reserve();
}

/// The file of users for SASL: the given one, or that which the environment names.
fn sasl_file(given: Option<PathBuf>) -> Option<PathBuf> {
    given.or_else(|| env::var_os(SASL_FILE).map(PathBuf::from))
}

/// Says where the server is reached: in the lines and the file that test harnesses wait for.
fn announce(sockets: &Sockets, config: &Config) -> Result<(), StartupError> {
    for listener in sockets.listeners.iter().filter(|_| config.verbosity > 1) {
        let number = listener.number();
        log::debug(format_args!("<{number} server listening ({})", listener.binding.name()));
    }
    if let Some(path) = env::var_os(PORT_FILE).filter(|_| config.network) {
        let written = write_ports(Path::new(&path), sockets);
        written.map_err(|error| system(&format!("write {}", path.display()), &error))?;
    }
    Ok(())
}

/// Writes the ports in memcached's form.
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

/// Writes the process ID. After switching users that often fails, and as in memcached the server
/// serves all the same.
fn write_pid(path: &Path) -> Option<TemporaryFile> {
    TemporaryFile::with_pid(path)
        .inspect_err(|error| {
            let reason = reason(error);
            let path = path.display();
            log::warning(&format!("-P has no effect: can't write {path}: {reason}"));
        })
        .ok()
}

impl From<io::Error> for StartupError {
    fn from(error: io::Error) -> Self {
        system("start a thread", &error)
    }
}

fn system(what: &str, error: &io::Error) -> StartupError {
    StartupError::system(format!("can't {what}: {}", reason(error)))
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
    fn a_sandbox_that_lacks_something_is_shown_or_refused() {
        let whole = Sandbox::default();
        assert_eq!(judge(&whole, SandboxMode::Required).as_deref(), Ok("on"));
        let part = Sandbox::lacking("landlock: the kernel has none");
        let shown = "without landlock: the kernel has none";
        assert_eq!(judge(&part, SandboxMode::Possible).as_deref(), Ok(shown));
        let refusal = judge(&part, SandboxMode::Required).unwrap_err();
        assert!(refusal.exit == Exit::System && refusal.message.contains("no landlock"));
    }

    #[test]
    fn addresses_of_others_are_warned_of() {
        let warned = |config: &Config, address: &str| {
            exposure(config, [address.parse().unwrap()].into_iter())
        };
        let open = Config { inter: Some("x".to_owned()), ..Config::default() };
        for address in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[2001:db8::1]:1"] {
            assert!(warned(&open, address).unwrap().starts_with("-l x serves everyone"));
        }
        let bare = warned(&Config::default(), "[::]:1").unwrap();
        assert!(bare.starts_with("the server, without -l, serves everyone"), "{bare}");
        for address in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(warned(&open, address), None, "{address}");
        }
        let users = Users { text: Some("/x".into()), ..Users::default() };
        assert_eq!(warned(&Config { users, ..open }, "0.0.0.0:1"), None);
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
