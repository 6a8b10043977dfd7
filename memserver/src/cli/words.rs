//! One row for every `-o` word, in the manner of the flags. How arguments are split is not known
//! here.

use super::error::StartupError;
use super::options::{Options, SandboxMode};
use super::row::{Policy, Set, Takes};
use super::value::{Value, put};
use crate::config::tls::{KeyFormat, MinVersion, VerifyMode};
use crate::config::{AdminOnly, AuditFormat};
use crate::os::log;

use Policy::{Act, Ignore, Refuse};
use Takes::{Maybe, Nothing, Value as Takes1};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// Bytes of replies that may be encrypted at once.
const WBUF_MAX: usize = 16 << 20;

/// A word of `-o`.
#[derive(Debug)]
pub(super) struct Word {
    /// Its name.
    pub(super) name: &'static str,
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

const fn word(
    name: &'static str,
    takes: Takes,
    default: &'static str,
    about: &'static str,
    policy: Policy,
    set: Set,
) -> Word {
    Word { name, takes, default, about, policy, set }
}

const FLOWS: Policy = Ignore("memory always flows between the size classes");
const CLASSES: Policy = Ignore("the size classes are fixed");
const INDEX: Policy = Ignore("the size of the index follows the memory limit");
const SWEEP: Policy = Ignore("expired items are always removed, within a fixed budget");
const QUEUES: Policy = Ignore("the eviction queues balance themselves");
const DEAD: Policy = Ignore("it has no meaning in current versions of memcached either");
const RELAXED: Policy = Refuse("there is one list of system calls; --no-sandbox does without");
/// Why there is no UDP.
pub(super) const NO_UDP: &str = "this build has no UDP";
const UDP: Policy = if cfg!(feature = "udp") { Act } else { Refuse(NO_UDP) };
/// What TLS needs. A build without it refuses all of that.
pub(super) const TLS: Policy = match cfg!(feature = "rustls") {
    true => Act,
    false => Refuse("this build has no TLS; put a TLS proxy in front"),
};
const KERNEL_TLS: Policy = match TLS {
    Act => Ignore("records are encrypted by the program itself"),
    without => without,
};
const COMPACTS: Policy = Ignore("the log is overwritten in order, and not compacted");
const NO_PROXY: Policy = Refuse("this build has no proxy");

/// Every word, in the order of the help.
#[rustfmt::skip]
pub(super) static WORDS: &[Word] = &[
    word("maxconns_fast", Nothing, "on",
        "clients over the limit are refused with an error line", Act,
        |o, _| put(&mut o.config.maxconns_fast, Ok(true))),
    word("no_maxconns_fast", Nothing, "", "clients over the limit wait", Act,
        |o, _| put(&mut o.config.maxconns_fast, Ok(false))),
    word("hashpower", Takes1("N"), "", "initial index size as a power of two, 12 to 32", INDEX,
        |o, v| put(&mut o.config.hashpower_init, v.number(12..=32))),
    word("no_hashexpand", Nothing, "", "do not let the index grow", INDEX, nothing),
    word("slab_reassign", Nothing, "on", "let memory move between size classes", Act,
        |o, _| put(&mut o.config.slab_reassign, Ok(true))),
    word("no_slab_reassign", Nothing, "", "keep memory in its size class", FLOWS,
        |o, _| put(&mut o.config.slab_reassign, Ok(false))),
    word("slab_automove", Maybe("0..2"), "1", "move memory automatically", Act, automove),
    word("no_slab_automove", Nothing, "", "do not move memory automatically", FLOWS,
        |o, _| put(&mut o.config.runtime.slab_automove, Ok(0))),
    word("slab_automove_ratio", Takes1("X"), "0.8", "age ratio that triggers a move", FLOWS,
        |o, v| put(&mut o.config.runtime.slab_automove_ratio, v.factor(0.0, 1.0))),
    word("slab_automove_window", Takes1("N"), "10", "decision window, 3 to 1800", FLOWS,
        |o, v| put(&mut o.config.runtime.slab_automove_window, v.number(3..=1800))),
    word("slab_automove_freeratio", Takes1("X"), "0.01", "share of memory kept free", FLOWS,
        |o, v| put(&mut o.config.runtime.slab_automove_freeratio, v.factor(0.0, 1.0))),
    word("slab_chunk_max", Takes1("KB"), "512", "larger items are stored in pieces", CLASSES,
        chunk_max),
    word("slab_sizes", Takes1("A-B-C"), "", "sizes of the classes", CLASSES, nothing),
    word("no_chunked_items", Nothing, "", "store every item in one piece", CLASSES, nothing),
    word("tail_repair_time", Takes1("SEC"), "off",
        "seconds after which leaked items are freed, at least 10",
        Ignore("items can't leak"),
        |o, v| put(&mut o.config.tail_repair_time, v.number(10..=i32::MAX as u32))),
    word("hash_algorithm", Takes1("NAME"), "murmur3", "jenkins, murmur3 or xxh3",
        Ignore("keys are hashed with a secret that changes at each start"), hash_algorithm),
    word("lru_crawler", Nothing, "on", "remove expired items in the background", Act,
        |o, _| put(&mut o.config.runtime.lru_crawler, Ok(true))),
    word("no_lru_crawler", Nothing, "", "do not remove expired items in the background", SWEEP,
        |o, _| put(&mut o.config.runtime.lru_crawler, Ok(false))),
    word("lru_crawler_sleep", Takes1("USEC"), "100",
        "pause between removals, at most 1000000", SWEEP,
        |o, v| put(&mut o.config.runtime.lru_crawler_sleep, v.number(0..=1_000_000))),
    word("lru_crawler_tocrawl", Takes1("N"), "0", "items examined per run", SWEEP,
        |o, v| put(&mut o.config.runtime.lru_crawler_tocrawl, v.number(0..=u32::MAX))),
    word("lru_maintainer", Nothing, "on", "maintain the eviction queues in the background", Act,
        |o, _| put(&mut o.config.lru_maintainer, Ok(true))),
    word("no_lru_maintainer", Nothing, "", "one plain queue", QUEUES,
        one_queue),
    word("hot_lru_pct", Takes1("N"), "20", "percentage of memory for new items, 1 to 79", QUEUES,
        |o, v| put(&mut o.config.runtime.hot_lru_pct, v.number(1..=79))),
    word("warm_lru_pct", Takes1("N"), "40",
        "percentage of memory for items in use, 1 to 79", QUEUES,
        |o, v| put(&mut o.config.runtime.warm_lru_pct, v.number(1..=79))),
    word("hot_max_factor", Takes1("X"), "0.2", "age limit of new items, relative", QUEUES,
        |o, v| put(&mut o.config.runtime.hot_max_factor, v.factor(0.0, f64::INFINITY))),
    word("warm_max_factor", Takes1("X"), "2.0", "age limit of items in use, relative", QUEUES,
        |o, v| put(&mut o.config.runtime.warm_max_factor, v.factor(0.0, f64::INFINITY))),
    word("temporary_ttl", Takes1("SEC"), "61", "do not evict items with a shorter lifetime", QUEUES,
        |o, v| {
            o.config.runtime.temporary_ttl = v.number(0..=u32::MAX)?;
            o.config.runtime.temp_lru = true;
            Ok(())
        }),
    word("evict_size_weight", Takes1("X"), "0.565", "how much sizes count in eviction, 0 to 1", Act,
        |o, v| put(&mut o.config.evict_size_weight, v.factor(0.0, 1.0))),
    word("group_flush", Nothing, "off",
        "deleting a key that ends in the character of -D removes all keys that begin with it", Act,
        |o, _| put(&mut o.config.group_flush, Ok(true))),
    word("idle_timeout", Takes1("SEC"), "0",
        "close connections that are idle for longer, 0 for never", Act,
        |o, v| put(&mut o.config.idle_timeout, v.number(0..=i32::MAX as u32))),
    word("request_timeout", Takes1("SEC"), "30",
        "time for a request to arrive, plus 1 per MiB of its value; 0 for no limit", Act,
        |o, v| put(&mut o.config.request_timeout, v.number(0..=i32::MAX as u32))),
    word("watcher_logbuf_size", Takes1("KB"), "256", "buffer of one watcher", Act,
        |o, v| put(&mut o.config.watcher_logbuf_size, v.size(KIB, KIB..=1 << 30))),
    word("worker_logbuf_size", Takes1("KB"), "64", "buffer of one worker for watchers", Act,
        |o, v| put(&mut o.config.worker_logbuf_size, v.size(KIB, KIB..=1 << 30))),
    word("read_buf_mem_limit", Takes1("MB"), "0",
        "limit for long request lines of all clients together, 0 for 16", Act,
        |o, v| put(&mut o.config.read_buf_mem_limit, v.size(MIB, 0..=1 << 40))),
    word("client_memory", Takes1("MB"), "64",
        "memory outside the cache for all clients together", Act,
        |o, v| put(&mut o.config.client_memory, v.size(MIB, 0..=usize::MAX))),
    word("accounts", Takes1("FILE"), "", "clients log in; users, rights and prefixes, in TOML",
        Act, |o, v| { o.config.users.accounts = Some(v.path()?); Ok(()) }),
    word("admin_only", Takes1("WHERE"), "", "administration from loopback or unix only", Act,
        admin_only),
    word("audit", Takes1("FORM"), "", "log connections, logins and administration: text or json",
        Act, audit),
    word("log_format", Takes1("FORM"), "", "time and level of log lines: text or json", Act,
        log_format),
    word("auth_lockout", Takes1("N"), "20", "failed logins before a source has to wait, 0: never",
        Act, |o, v| put(&mut o.config.auth_lockout, v.number(0..=u32::MAX))),
    word("sasl_pwdb", Takes1("FILE"), "", "with -S: the users, instead of MEMCACHED_SASL_PWDB",
        Act, |o, v| { o.config.users.sasl_file = Some(v.path()?); Ok(()) }),
    word("resp_obj_mem_limit", Maybe("MB"), "", "obsolete", DEAD, nothing),
    word("memlimit_max", Takes1("MB"), "-m", "limit to which clients may raise -m (cache_memlimit)",
        Act, |o, v| put(&mut o.config.memlimit_max, v.size(MIB, 0..=usize::MAX))),
    word("memory_file_strict", Nothing, "off", "with -e: a file that can't be used is an error",
        Act, |o, _| { o.config.memory_file_strict = true; Ok(()) }),
    word("udp_public", Nothing, "off", "with -U: also serve other machines, in single datagrams",
        UDP, |o, _| { o.config.udp_public = true; Ok(()) }),
    word("udp_writes", Nothing, "off", "with -U: let datagrams change items",
        UDP, |o, _| { o.config.udp_writes = true; Ok(()) }),
    word("listen_optional", Nothing, "off",
        "skip addresses of -l that this machine does not have, if it has others", Act,
        |o, _| put(&mut o.config.listen_optional, Ok(true))),
    word("socket_buffers", Takes1("KB"), "128",
        "what the kernel keeps of a client's requests and replies, 0: what it likes", Act,
        |o, v| put(&mut o.config.socket_buffers, v.size(KIB, 0..=1 << 30))),
    word("reuseport", Nothing, "off", "let another server listen on the same TCP ports", Act,
        |o, _| put(&mut o.config.reuse_port, Ok(true))),
    word("incoming_cpu", Nothing, "off",
        "connections whose packets one processor receives go to one worker", Act,
        |o, _| put(&mut o.incoming_cpu, Ok(true))),
    word("busy_poll", Takes1("USEC"), "0",
        "workers look for packets for this time before they sleep, at most 1000000", Act,
        |o, v| put(&mut o.config.busy_poll, v.number(0..=1_000_000))),
    word("track_sizes", Nothing, "off", "enable stats sizes", Act,
        |o, _| put(&mut o.config.runtime.track_sizes, Ok(true))),
    word("inline_ascii_resp", Nothing, "", "obsolete", DEAD, nothing),
    word("no_inline_ascii_resp", Nothing, "", "obsolete", DEAD, nothing),
    word("modern", Nothing, "", "the current defaults", DEAD, nothing),
    word("no_modern", Nothing, "", "the defaults of old versions",
        Ignore("the current defaults always apply"), nothing),
    word("drop_privileges", Nothing, "", "do not start if a part of the sandbox is not available",
        Act, |o, _| put(&mut o.process.sandbox, Ok(SandboxMode::Required))),
    word("no_drop_privileges", Nothing, "", "the same as --no-sandbox",
        Act, |o, _| put(&mut o.process.sandbox, Ok(SandboxMode::Off))),
    word("relaxed_privileges", Nothing, "", "filter fewer system calls", RELAXED, nothing),
    word("sock_cookie_id", Takes1("N"), "0", "mark of the sockets",
        Ignore("sockets are not marked"), |_, v| v.number(0..=u32::MAX).map(drop)),
    word("ssl_chain_cert", Takes1("FILE"), "",
        "certificate of the server and those up to its authority, PEM", TLS,
        |o, v| put(&mut o.tls.chain_cert, v.path())),
    word("ssl_key", Takes1("FILE"), "ssl_chain_cert", "private key of the certificate", TLS,
        |o, v| put(&mut o.tls.key, v.path().map(Some))),
    word("ssl_ca_cert", Takes1("FILE"), "",
        "authorities that clients' certificates may come from, PEM", TLS,
        |o, v| put(&mut o.tls.ca_cert, v.path().map(Some))),
    word("ssl_verify_mode", Takes1("0..3"), "0",
        "client certificates: 0 none, 1 verified if sent, 2 and 3 required", TLS, verify_mode),
    word("ssl_keyformat", Takes1("1..2"), "1", "format of ssl_key: 1 PEM, 2 DER", TLS, key_format),
    word("ssl_ciphers", Takes1("A:B"), "all that are secure",
        "cipher suites, separated by colons", TLS,
        |o, v| put(&mut o.tls.ciphers, v.word().map(|list| Some(list.to_owned())))),
    word("ssl_wbuf_size", Takes1("KB"), "16", "replies that are encrypted at once", TLS,
        |o, v| put(&mut o.tls.wbuf_size, v.size(KIB, KIB..=WBUF_MAX))),
    word("ssl_session_cache", Nothing, "off", "let clients resume sessions", TLS,
        |o, _| put(&mut o.tls.session_cache, Ok(true))),
    word("ssl_kernel_tls", Nothing, "", "TLS in the kernel", KERNEL_TLS, nothing),
    word("ssl_min_version", Takes1("0..3"), "2", "lowest version: 2 TLS 1.2, 3 TLS 1.3", TLS,
        min_version),
    word("ext_path", Takes1("FILE:SIZE"), "",
        "flash tier: a file or device, and its bytes; may be given several times", Act, ext_path),
    word("ext_page_size", Takes1("MB"), "64", "flash: a region, which is overwritten as a whole",
        Act, |o, v| put(&mut o.config.flash.page_size,
            v.size(MIB, MIB..=4 << 30).map(|size| size as u64))),
    word("ext_wbuf_size", Takes1("MB"), "1/32 of -m, at most 4",
        "flash: what is written at once, and the largest item that goes there", Act,
        |o, v| put(&mut o.config.flash.wbuf_size, v.size(MIB, 4096..=1 << 30).map(Some))),
    word("ext_threads", Takes1("N"), "4", "flash: threads that read", Act,
        |o, v| put(&mut o.config.flash.threads, v.number(1..=256))),
    word("ext_io_depth", Takes1("N"), "64", "flash: reads that may wait for each of them", Act,
        |o, v| put(&mut o.config.flash.io_depth, v.number(1..=65_536))),
    word("ext_item_size", Takes1("BYTES"), "512", "flash: smaller items stay in memory", Act,
        |o, v| put(&mut o.config.flash.item_size, v.size(1, 0..=1 << 30))),
    word("ext_fetched_only", Nothing, "off", "flash: items that nobody has read don't go there",
        Act, |o, _| put(&mut o.config.flash.fetched_only, Ok(true))),
    word("ext_item_age", Takes1("SEC"), "", "flash: how long an item is unused when it goes there",
        Ignore("items go to flash when they are evicted"),
        |o, v| put(&mut o.config.flash.item_age, v.number(0..=u32::MAX))),
    word("ext_low_ttl", Takes1("SEC"), "0", "flash: items with shorter lives lie apart",
        Ignore("the log is overwritten in order"),
        |o, v| put(&mut o.config.flash.low_ttl, v.number(0..=u32::MAX))),
    word("ext_recache_rate", Takes1("N"), "2000", "flash: one item in N comes back to memory",
        Ignore("each item that is asked for comes back to memory"),
        |o, v| put(&mut o.config.flash.recache_rate, v.number(0..=u32::MAX))),
    word("ext_compact_under", Takes1("N"), "", "flash: compact below so many free regions",
        COMPACTS, |o, v| put(&mut o.config.flash.compact_under, v.number(0..=u32::MAX))),
    word("ext_drop_under", Takes1("N"), "", "flash: drop below so many free regions",
        COMPACTS, |o, v| put(&mut o.config.flash.drop_under, v.number(0..=u32::MAX))),
    word("ext_max_sleep", Takes1("USEC"), "1000000", "flash: sleep of background threads",
        COMPACTS, |o, v| put(&mut o.config.flash.max_sleep, v.number(0..=u32::MAX))),
    word("ext_max_frag", Takes1("X"), "0.8", "flash: share of holes from which on to compact",
        COMPACTS, |o, v| put(&mut o.config.flash.max_frag, v.factor(0.0, 1.0))),
    word("ext_drop_unread", Nothing, "off", "flash: drop what was never read", COMPACTS,
        |o, _| put(&mut o.config.flash.drop_unread, Ok(true))),
    word("proxy_config", Takes1("FILE"), "", "proxy", NO_PROXY, nothing),
    word("proxy_arg", Takes1("TEXT"), "", "proxy", NO_PROXY, nothing),
    word("proxy_uring", Nothing, "", "proxy", NO_PROXY, nothing),
    word("proxy_memprofile", Nothing, "", "proxy", NO_PROXY, nothing),
];

/// A path and a size; what may follow in memcached says what kind of items belong there.
fn ext_path(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    let unfit = || value.unfit("FILE:SIZE, such as /flash/cache:64g");
    let mut parts = value.text.rsplitn(3, ':');
    let (last, before, first) = (parts.next(), parts.next(), parts.next());
    let is_kind =
        |word| matches!(word, "default" | "compact" | "coldcompact" | "lowttl" | "chunked" | "old");
    let (path, size) = match (first, before, last) {
        (Some(path), Some(size), Some(kind)) if is_kind(kind) => (path.to_owned(), size),
        (Some(start), Some(end), Some(size)) => (format!("{start}:{end}"), size),
        (None, Some(path), Some(size)) => (path.to_owned(), size),
        _ => return Err(unfit()),
    };
    if path.is_empty() {
        return Err(unfit());
    }
    // Nothing else is as large as memcached's `p`.
    let (text, unit) = match size.strip_suffix(['p', 'P']) {
        Some(number) if number.ends_with(|last: char| last.is_ascii_digit()) => (number, 1 << 50),
        _ => (size, MIB),
    };
    let size = Value { name: value.name, text }.size(unit, MIB..=1 << 50)?;
    options.config.flash.paths.push((path.into(), size as u64));
    Ok(())
}

fn verify_mode(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    let mode = VerifyMode::from_number(value.number(0..=3)?);
    options.tls.verify_mode = mode.unwrap_or_default();
    Ok(())
}

fn key_format(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    let is_der = value.number(1..=2u8)? == 2;
    options.tls.key_format = if is_der { KeyFormat::Der } else { KeyFormat::Pem };
    Ok(())
}

fn min_version(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    let version = value.number(0..=3u8)?;
    if version < 2 {
        options.warn(format!("{}={version}: TLS 1.2 is the lowest version spoken", value.name));
    }
    options.tls.min_version = if version == 3 { MinVersion::Tls13 } else { MinVersion::Tls12 };
    Ok(())
}

fn nothing(_: &mut Options, _: Value<'_>) -> Result<(), StartupError> {
    Ok(())
}

fn one_queue(options: &mut Options, _: Value<'_>) -> Result<(), StartupError> {
    options.config.runtime.lru_segmented = false;
    put(&mut options.config.lru_maintainer, Ok(false))
}

fn automove(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    let mode = if value.text.is_empty() { 1 } else { value.number(0..=2)? };
    // What 1 asks for happens always.
    if mode != 1 {
        let name = value.name;
        options.warn(format!("{name}={mode} has no effect: memory always flows between classes"));
    }
    put(&mut options.config.runtime.slab_automove, Ok(mode))
}

/// It must divide a page, which is 1 MiB.
fn chunk_max(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    let size = value.size(KIB, KIB..=MIB)?;
    if !MIB.is_multiple_of(size) {
        return Err(StartupError::usage(format!("{} must divide 1m", value.name)));
    }
    put(&mut options.config.slab_chunk_max, Ok(size))
}

fn audit(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    options.config.audit = match value.text {
        "text" => Some(AuditFormat::Text),
        "json" => Some(AuditFormat::Json),
        _ => return Err(value.unfit("text or json")),
    };
    Ok(())
}

fn log_format(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    options.process.log_format = Some(match value.text {
        "text" => log::Format::Text,
        "json" => log::Format::Json,
        _ => return Err(value.unfit("text or json")),
    });
    Ok(())
}

fn admin_only(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    options.config.admin_only = match value.text {
        "loopback" => AdminOnly::Loopback,
        "unix" => AdminOnly::Unix,
        _ => return Err(value.unfit("loopback or unix")),
    };
    Ok(())
}

fn hash_algorithm(options: &mut Options, value: Value<'_>) -> Result<(), StartupError> {
    let known = ["jenkins", "murmur3", "xxh3"].into_iter().find(|name| *name == value.text);
    let unknown = || {
        let Value { name, text } = value;
        StartupError::illegal(format!("{name} must be jenkins, murmur3 or xxh3, not {text:?}"))
    };
    put(&mut options.config.hash_algorithm, known.ok_or_else(unknown))
}
