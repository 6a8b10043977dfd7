//! One row for every flag: name, value, default, meaning, effect. Help and documentation are made
//! of these rows. How arguments are split is not known here.

use std::time::Duration;

use super::error::StartupError;
use super::options::{ConfigAction, Options, SandboxMode};
use super::row::{Policy, Set, Takes};
use super::value::{Value, put};
use super::{CONFIG, listen, memory, words};
use crate::config::endpoint::Endpoint;
use crate::config::{ADMIN_PORT, Binding, Port};
use crate::os::cgroup;

use Policy::{Act, Ignore};
use Takes::{Count, List, Nothing, Value as Takes1};

/// A flag.
#[derive(Debug)]
pub(super) struct Flag {
    /// Its letter.
    pub(super) short: Option<char>,
    /// Its long name.
    pub(super) long: &'static str,
    /// Whether it takes a value.
    pub(super) takes: Takes,
    /// What applies without it; empty if that is obvious.
    pub(super) default: &'static str,
    /// What it is for.
    pub(super) about: &'static str,
    /// What happens when it is given.
    pub(super) policy: Policy,
    /// Puts its value into the settings.
    pub(super) set: Set,
}

impl Flag {
    /// Both names, for messages.
    pub(super) fn label(&self) -> String {
        match (self.short, self.long) {
            (Some(short), long) => format!("-{short} (--{long})"),
            (None, long) => format!("--{long}"),
        }
    }
}

/// Most threads that make sense; beyond it only a warning.
const THREADS_USUAL: usize = 64;
const THREADS_MAX: usize = 1024;
/// Bounds of the largest item, as in memcached.
const ITEM_SIZE_MIN: usize = 1 << 10;
const ITEM_SIZE_MAX: usize = 1 << 30;

/// The longest drain. Nobody waits for longer.
const DRAIN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

const fn flag(
    short: char,
    long: &'static str,
    takes: Takes,
    default: &'static str,
    about: &'static str,
    policy: Policy,
    set: Set,
) -> Flag {
    Flag { short: Some(short), long, takes, default, about, policy, set }
}

/// A flag that memcached does not have. It has no letter and is never abbreviated, so that no
/// abbreviation of memcached's becomes ambiguous.
const fn own(
    long: &'static str,
    takes: Takes,
    default: &'static str,
    about: &'static str,
    set: Set,
) -> Flag {
    Flag { short: None, long, takes, default, about, policy: Act, set }
}

/// One that asks for something else than a server.
const fn asks(long: &'static str, about: &'static str, set: Set) -> Flag {
    Flag { policy: Policy::ConfigAction, ..own(long, Nothing, "", about, set) }
}

/// Every flag, in the order of the help.
#[rustfmt::skip]
pub(super) static FLAGS: &[Flag] = &[
    flag('p', "port", Takes1("NUM"), "11211", "TCP port; 0 for none, -1 for any free port",
        Act, port),
    flag('U', "udp-port", Takes1("NUM"), "0",
        "UDP port for lookups from this machine, 0 for none; without -p also the TCP port",
        UDP, udp_port),
    flag('s', "unix-socket", Takes1("FILE"), "",
        "listen on a Unix socket; on network ports only if -p is given too",
        Act, |o, v| { o.config.unix_socket = Some(v.path()?); Ok(()) }),
    flag('A', "enable-shutdown", Nothing, "", "let clients stop the server (shutdown)",
        Act, |o, _| { o.config.shutdown_command = true; Ok(()) }),
    flag('a', "unix-mask", Takes1("MODE"), "0700", "permission bits of the Unix socket, in octal",
        Act, |o, v| put(&mut o.config.unix_mask, v.mode())),
    flag('l', "listen", List("ADDR"), "all addresses",
        "addresses to listen on: HOST, HOST:PORT, [IPV6]:PORT or *, separated by commas; may be \
         repeated; proto[ascii]:, proto[binary]:, proto[negotiating]: and tag[NAME]: may precede \
         an address, and with -Z notls: (plain text), btls: (no client certificates) and mtls: \
         (client certificates required)",
        Act, listen::add),
    flag('d', "daemon", Nothing, "", "run in the background",
        Act, |o, _| { o.process.daemon = true; Ok(()) }),
    flag('r', "enable-coredumps", Nothing, "",
        "raise the core file size limit; a sandbox allows core files only with it",
        Act, |o, _| { o.process.core_dumps = true; Ok(()) }),
    flag('u', "user", Takes1("USER"), "memcached, memcache or nobody",
        "user (name or number) to switch to when started as root",
        Act, |o, v| { o.process.user = Some(v.word()?.to_owned()); Ok(()) }),
    flag('m', "memory-limit", Takes1("MB"), "64",
        "memory for items and all that belongs to them, in MiB; 256m, 8Gi and 75% (of the memory \
         of the machine or container) also work, and auto: all but what clients and the program \
         may need",
        Act, memory_limit),
    flag('M', "disable-evictions", Nothing, "",
        "return an error when memory is full instead of evicting items",
        Act, |o, _| { o.config.evictions = false; Ok(()) }),
    flag('c', "conn-limit", Takes1("NUM"), "1024",
        "client connections at once; lowered with a warning if the file descriptors don't suffice",
        Act, |o, v| put(&mut o.config.max_connections, v.number(1..=i32::MAX as usize))),
    flag('k', "lock-memory", Nothing, "", "keep all memory out of swap",
        Act, |o, _| { o.process.lock_memory = true; Ok(()) }),
    flag('v', "verbose", Count, "", "log more to standard error; -vv and -vvv log still more",
        Act, verbose),
    flag('h', "help", Nothing, "", "print this help", Policy::ConfigAction, |_, _| Ok(())),
    flag('i', "license", Nothing, "", "print the licence", Policy::ConfigAction, |_, _| Ok(())),
    flag('V', "version", Nothing, "", "print the version", Policy::ConfigAction, |_, _| Ok(())),
    flag('P', "pidfile", Takes1("FILE"), "", "write the process ID to this file",
        Act, pid_file),
    flag('f', "slab-growth-factor", Takes1("NUM"), "1.25", "growth factor of the size classes",
        Ignore("the size classes are fixed"),
        |o, v| put(&mut o.config.growth_factor, v.factor(1.0, f64::INFINITY))),
    flag('n', "slab-min-size", Takes1("BYTES"), "48", "smallest space for an item",
        Ignore("items take only the space that they need"),
        |o, v| put(&mut o.config.chunk_size, v.size(1, 1..=ITEM_SIZE_MAX))),
    flag('L', "enable-largepages", Nothing, "", "ask the system for large memory pages",
        Act, |o, _| { o.config.large_pages = true; Ok(()) }),
    flag('D', "stat-key-prefix", Takes1("CHAR"), ":",
        "character that ends a key prefix in stats detail, which it also switches on",
        Act, |o, v| {
            o.config.detail_enabled = true;
            put(&mut o.config.stat_key_prefix, v.character())
        }),
    flag('t', "threads", Takes1("NUM"), "4, or as many as a quota of processors grants",
        "worker threads; auto for one per processor",
        Act, threads),
    flag('R', "max-reqs-per-event", Takes1("NUM"), "20",
        "requests served per connection before others get their turn",
        Act, |o, v| put(&mut o.config.max_reqs_per_event, v.number(1..=i32::MAX as usize))),
    flag('C', "disable-cas", Nothing, "", "do not show the versions (CAS) of items",
        Act, |o, _| { o.config.cas_enabled = false; Ok(()) }),
    flag('b', "listen-backlog", Takes1("NUM"), "1024", "connections that may wait to be accepted",
        Act, |o, v| put(&mut o.config.tcp_backlog, v.number(1..=i32::MAX as u32))),
    flag('B', "protocol", Takes1("NAME"), "auto", "protocol of the clients: ascii, binary or auto",
        Act, protocol),
    flag('I', "max-item-size", Takes1("BYTES"), "1m",
        "largest item; 512k, 5MB and 1Gi also work; from 1k to 1g, at most half of -m",
        Act, item_size_max),
    flag('S', "enable-sasl", Nothing, "",
        "clients log in by SASL PLAIN; MEMCACHED_SASL_PWDB names a file of lines user:password",
        Act, |o, _| { o.config.users.sasl = true; Ok(()) }),
    flag('F', "disable-flush-all", Nothing, "", "refuse flush_all",
        Act, |o, _| { o.config.flush_enabled = false; Ok(()) }),
    flag('X', "disable-dumping", Nothing, "",
        "refuse stats cachedump, stats detail, metadump and mgdump",
        Act, |o, _| { o.config.dump_enabled = false; Ok(()) }),
    flag('W', "disable-watch", Nothing, "", "refuse watch",
        Act, |o, _| { o.config.watch_enabled = false; Ok(()) }),
    flag('Y', "auth-file", Takes1("FILE"), "",
        "clients log in in text; the file has lines user:password",
        Act, |o, v| { o.config.users.text = Some(v.path()?); Ok(()) }),
    flag('e', "memory-file", Takes1("FILE"), "", "keep items in a file across restarts",
        Act, |o, v| { o.config.memory_file = Some(v.path()?); Ok(()) }),
    flag('Z', "enable-ssl", Nothing, "", "speak TLS; needs -o ssl_chain_cert and ssl_key",
        words::TLS, |o, _| { o.tls_enabled = true; Ok(()) }),
    flag('N', "napi_ids", Takes1("NUM"), "0",
        "connections of one network queue, of so many, go to one worker", Act,
        |o, v| put(&mut o.config.napi_ids, v.number(0..=THREADS_MAX))),
    own("no-sandbox", Nothing, "",
        "keep all privileges and system calls",
        |o, _| { o.process.sandbox = SandboxMode::Off; Ok(()) }),
    flag('o', "extended", List("LIST"), "", "options from the list below, separated by commas",
        Act, |_, _| Ok(())),
    own("admin-addr", Takes1("ADDR"), "",
        "answer /, /livez, /readyz and /metrics over HTTP at HOST:PORT (port 9150 if there is \
         none) or unix:PATH",
        admin),
    own("drain-timeout", Takes1("TIME"), "500ms",
        "time for clients to finish when a signal ends the server, 500ms or 30s; 0 for none",
        |o, v| put(&mut o.config.drain_timeout, v.duration(DRAIN_MAX))),
    own("strict-memory", Nothing, "",
        "do not start if -m and the limits of clients and program exceed the memory of the \
         machine or container",
        |o, _| { o.memory.strict = true; Ok(()) }),
    own(CONFIG, Takes1("FILE"), "",
        "settings in TOML; variables such as MEMSERVER_THREADS take precedence over it, and \
         flags over both",
        |_, v| v.path().map(drop)),
    asks("check-config", "check all settings and the files that they name, and end",
        |o, _| { o.ask = Some(ConfigAction::Check); Ok(()) }),
    asks("print-config", "print the settings in force as a file for --config, and end",
        |o, _| { o.ask = Some(ConfigAction::Print); Ok(()) }),
];

/// As often as it is given, or as often as a number says.
fn verbose(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    let verbosity = &mut options.config.verbosity;
    let more = verbosity.saturating_add(1);
    put(verbosity, if value.text.is_empty() { Ok(more) } else { value.number(0..=u8::MAX) })
}

fn port(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    options.port_given = true;
    put(&mut options.config.port, named_port(value))
}

/// An empty name comes from scripts whose variable is not set.
fn pid_file(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    if value.text.is_empty() {
        options.warn(format!("{} has no effect: the file name is empty", value.name));
    } else {
        options.process.pid_file = Some(value.path()?);
    }
    Ok(())
}

fn named_port(value: Value<'_>) -> Result<Port, StartupError> {
    Ok(match port_number(value, -1)? {
        -1 => Port::Ephemeral,
        0 => Port::Off,
        // `port_number` lets nothing else through.
        number => u16::try_from(number).map_or(Port::Off, Port::Fixed),
    })
}

/// Without UDP 0 is the only port that there can be, and scripts give it.
const UDP: Policy = if cfg!(feature = "udp") { Act } else { Policy::Unlisted };

fn udp_port(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    let port = named_port(value)?;
    if port != Port::Off && !cfg!(feature = "udp") {
        return Err(StartupError::usage(format!("{}: {}", value.name, words::NO_UDP)));
    }
    put(&mut options.config.udp, Ok(port))
}

/// A port out of range is wrong use, unlike other numbers.
fn port_number(value: Value<'_>, least: i32) -> Result<i32, StartupError> {
    let number = value.number(least..=i32::from(u16::MAX));
    number.map_err(|refusal| StartupError::usage(refusal.message))
}

fn memory_limit(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    options.memory.auto = value.text == "auto";
    if options.memory.auto {
        return Ok(());
    }
    let Some(percent) = value.text.strip_suffix('%') else {
        let bytes = value.size(1 << 20, 0..=usize::MAX)?;
        if bytes == 0 {
            let Value { name, text } = value;
            return Err(StartupError::usage(format!("{name} must be at least 1, not {text}")));
        }
        return put(&mut options.config.memory_limit, Ok(bytes));
    };
    let share = Value { text: percent, ..value }.number(1..=100u64);
    let share = share.map_err(|refusal| StartupError::usage(refusal.message))?;
    let all = options.memory.available.ok_or_else(|| memory::unknown(value.name))?;
    // Whole mebibytes, as `-m` without a unit has them.
    let megabytes = (u128::from(all) * u128::from(share) / 100) >> 20;
    options.config.memory_limit = usize::try_from(megabytes << 20).unwrap_or(usize::MAX);
    Ok(())
}

fn admin(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    let unfit = || value.unfit("HOST, HOST:PORT, [IPV6]:PORT or unix:PATH");
    put(
        &mut options.config.admin,
        Endpoint::parse(value.text, ADMIN_PORT).map(Some).ok_or_else(unfit),
    )
}

fn threads(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    if value.text == "auto" {
        return put(&mut options.config.threads, Ok(cgroup::processors().min(THREADS_MAX)));
    }
    let threads = value.number(1..=THREADS_MAX)?;
    if threads > THREADS_USUAL {
        options.warn(format!(
            "{} {threads}: threads beyond the number of processors gain nothing",
            value.name
        ));
    }
    put(&mut options.config.threads, Ok(threads))
}

/// Workers for a quota of processors.
pub(super) fn threads_for(quota: usize) -> usize {
    quota.clamp(1, THREADS_USUAL)
}

fn protocol(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    options.protocol_given = true;
    options.config.protocol = match value.text {
        "auto" => Binding::Auto,
        "ascii" => Binding::Ascii,
        "binary" => Binding::Binary,
        _ => return Err(value.unfit("auto, ascii or binary")),
    };
    Ok(())
}

fn item_size_max(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    let size = value.size(1, ITEM_SIZE_MIN..=ITEM_SIZE_MAX);
    // Out of range is wrong use, unlike other numbers.
    let size = size.map_err(|refusal| StartupError::usage(refusal.message));
    put(&mut options.config.item_size_max, size)
}
