//! The settings of one server: plain values, complete and valid, unchanged while it runs. How they
//! are spelled on a command line is not known here.

pub(crate) mod document;
pub(crate) mod endpoint;
pub(crate) mod flash;
pub(crate) mod runtime;
pub(crate) mod tls;

use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::endpoint::Endpoint;
use crate::config::flash::FlashConfig;
use crate::config::runtime::RuntimeSettings;
use crate::config::tls::{ClientCheck, Security, TlsSettings};

/// The port of the admin address unless it names one: that of memcached's exporter, which is what
/// monitoring asks.
pub(crate) const ADMIN_PORT: u16 = 9150;
/// Connections to the admin address at once.
pub(crate) const ADMIN_CONNECTIONS: usize = 16;
/// These, and the thread's own descriptors.
const ADMIN_DESCRIPTORS: usize = ADMIN_CONNECTIONS + 4;

/// What the clients of a listener speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Binding {
    /// The first byte of a connection decides.
    #[default]
    Auto,
    /// Text only.
    Ascii,
    /// Binary only.
    Binary,
}

impl Binding {
    /// The word that memcached's log lines and statistics use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto-negotiate",
            Self::Ascii => "ascii",
            Self::Binary => "binary",
        }
    }
}

/// The port of listeners that name none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// There are no such listeners.
    Off,
    /// Any free one.
    Ephemeral,
    /// This one.
    Fixed(u16),
}

/// One address to listen on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listen {
    /// A name or an address; none stands for all of them.
    pub(crate) host: Option<String>,
    /// Its own port; 0 for any free one.
    pub(crate) port: Option<u16>,
    /// The protocol of its clients, if it is fixed.
    pub(crate) binding: Option<Binding>,
    /// A name for log lines.
    pub(crate) tag: Option<String>,
    /// How its clients are spoken to, if not as at other addresses.
    pub(crate) security: Option<Security>,
}

/// Where the users of a server are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Users {
    /// The file of `-Y`: clients log in in text.
    pub(crate) text: Option<PathBuf>,
    /// Whether clients of the binary protocol log in (`-S`).
    pub(crate) sasl: bool,
    /// The file for those, `MEMCACHED_SASL_PWDB`.
    pub(crate) sasl_file: Option<PathBuf>,
    /// The file of users with their rights, who log in either way.
    pub(crate) accounts: Option<PathBuf>,
    /// One more user, without limits, who logs in in each way that there is.
    pub(crate) login: Option<Login>,
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    /// The name.
    pub(crate) user: String,
    /// The password, or its hash.
    pub(crate) password: String,
}

impl fmt::Debug for Login {
    /// Without the password, which has no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Users {
    /// Whether clients have to log in.
    pub(crate) fn are_given(&self) -> bool {
        self.text.is_some() || self.sasl || self.either()
    }

    /// Whether clients log in in text.
    pub(crate) fn by_text(&self) -> bool {
        self.text.is_some() || self.either()
    }

    /// Whether clients log in by SASL.
    pub(crate) fn by_sasl(&self) -> bool {
        self.sasl || self.either()
    }

    /// Whether clients log in in the one way or the other.
    fn either(&self) -> bool {
        let one_way = self.text.is_some() || self.sasl;
        self.accounts.is_some() || (self.login.is_some() && !one_way)
    }
}

/// How connections are spread over the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Placing {
    /// In turn.
    #[default]
    InTurn,
    /// Those of one queue of the network card go to one worker.
    ByQueue,
    /// Those whose packets one processor receives go to one worker.
    ByProcessor,
}

/// How lines about clients are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuditFormat {
    /// Words with values.
    Text,
    /// One object a line.
    Json,
}

/// Where clients may come from that administer the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AdminOnly {
    /// From anywhere.
    #[default]
    Anywhere,
    /// From this machine.
    Loopback,
    /// Over the Unix socket.
    Unix,
}

/// The settings of a server. [`Default`] is memcached's, and the names are those that `stats
/// settings` prints. Settings that the engine ignores are kept as given, to be reported.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// Bytes for items and all that belongs to them.
    pub(crate) memory_limit: usize,
    /// Whether clients may change the memory limit.
    pub(crate) memlimit_enabled: bool,
    /// The most that clients may raise the limit to; at least `memory_limit` counts.
    pub(crate) memlimit_max: usize,
    /// The file that the cache lies in (`-e`).
    pub(crate) memory_file: Option<PathBuf>,
    /// Whether it is an error that the file can't be used.
    pub(crate) memory_file_strict: bool,
    /// The flash tier.
    pub(crate) flash: FlashConfig,
    /// Clients at once.
    pub(crate) max_connections: usize,
    /// Event loops.
    pub(crate) threads: usize,
    /// How connections are spread over them.
    pub(crate) placing: Placing,
    /// Queues of the network card that were announced (`-N`); 0 if they don't matter.
    pub(crate) napi_ids: usize,
    /// Microseconds that a worker looks for packets itself before it sleeps; 0 if it does not.
    pub(crate) busy_poll: u32,
    /// The port of listeners that name none.
    pub(crate) port: Port,
    /// The port for requests in datagrams.
    pub(crate) udp: Port,
    /// Datagrams are taken from other machines as well.
    pub(crate) udp_public: bool,
    /// Datagrams may change items.
    pub(crate) udp_writes: bool,
    /// Where to listen over TCP; empty for all addresses.
    pub(crate) listen: Vec<Listen>,
    /// Addresses that this machine does not have are passed over, if it has others of them.
    pub(crate) listen_optional: bool,
    /// What `listen` has, as it was spelled.
    pub(crate) inter: Option<String>,
    /// Where to listen for clients of this machine.
    pub(crate) unix_socket: Option<PathBuf>,
    /// Whether to listen on network ports, as well as on the Unix socket if there is one.
    pub(crate) network: bool,
    pub(crate) unix_mask: u32,
    pub(crate) verbosity: u8,
    pub(crate) evictions: bool,
    /// How much sizes count in eviction.
    pub(crate) evict_size_weight: f64,
    /// Ask the system for large pages.
    pub(crate) large_pages: bool,
    pub(crate) shutdown_command: bool,
    pub(crate) growth_factor: f64,
    pub(crate) chunk_size: usize,
    pub(crate) stat_key_prefix: char,
    pub(crate) detail_enabled: bool,
    /// Whether to delete a key that ends in `stat_key_prefix` removes all keys that begin with it.
    pub(crate) group_flush: bool,
    pub(crate) max_reqs_per_event: usize,
    pub(crate) cas_enabled: bool,
    pub(crate) tcp_backlog: u32,
    pub(crate) protocol: Binding,
    pub(crate) item_size_max: usize,
    pub(crate) maxconns_fast: bool,
    pub(crate) hashpower_init: u32,
    pub(crate) slab_reassign: bool,
    pub(crate) slab_chunk_max: usize,
    pub(crate) tail_repair_time: u32,
    pub(crate) flush_enabled: bool,
    pub(crate) dump_enabled: bool,
    pub(crate) watch_enabled: bool,
    /// Whether clients may change how much is logged.
    pub(crate) verbosity_enabled: bool,
    pub(crate) hash_algorithm: &'static str,
    pub(crate) lru_maintainer: bool,
    /// Seconds; 0 keeps idle connections.
    pub(crate) idle_timeout: u32,
    /// Seconds that a request may take to arrive, and one more per MiB of its value; 0 for any.
    pub(crate) request_timeout: u32,
    pub(crate) watcher_logbuf_size: usize,
    pub(crate) worker_logbuf_size: usize,
    pub(crate) read_buf_mem_limit: usize,
    /// Bytes outside the cache that all clients together may hold; 0 for the default.
    pub(crate) client_memory: usize,
    /// How lines are written about who connects, logs in and administers; none for no lines.
    pub(crate) audit: Option<AuditFormat>,
    /// Where administration is allowed.
    pub(crate) admin_only: AdminOnly,
    /// Failed logins after which their source has to wait; 0 for any number.
    pub(crate) auth_lockout: u32,
    /// Where the users are listed, if clients have to log in.
    pub(crate) users: Users,
    /// How to speak TLS, if TCP listeners do unless they say otherwise.
    pub(crate) tls: Option<TlsSettings>,
    /// How long clients may finish what they are about when a signal ends the server.
    pub(crate) drain_timeout: Duration,
    /// What the kernel may keep of one connection's requests, and of its replies: twice as many
    /// bytes for its own. 0 leaves it to the system.
    pub(crate) socket_buffers: usize,
    /// Ports may be shared with other servers, as far as the system lets them.
    pub(crate) reuse_port: bool,
    /// Where health and metrics are asked for over HTTP. Without it nothing is measured for them.
    pub(crate) admin: Option<Endpoint>,
    /// The initial values of what clients can change.
    pub(crate) runtime: RuntimeSettings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            memory_limit: 64 << 20,
            memlimit_enabled: true,
            memlimit_max: 0,
            memory_file: None,
            memory_file_strict: false,
            flash: FlashConfig::default(),
            max_connections: 1024,
            threads: 4,
            placing: Placing::InTurn,
            napi_ids: 0,
            busy_poll: 0,
            port: Port::Fixed(11211),
            udp: Port::Off,
            udp_public: false,
            udp_writes: false,
            listen: Vec::new(),
            listen_optional: false,
            unix_socket: None,
            network: true,
            unix_mask: 0o700,
            inter: None,
            verbosity: 0,
            evictions: true,
            evict_size_weight: 0.565,
            large_pages: false,
            shutdown_command: false,
            growth_factor: 1.25,
            chunk_size: 48,
            stat_key_prefix: ':',
            detail_enabled: false,
            group_flush: false,
            max_reqs_per_event: 20,
            cas_enabled: true,
            tcp_backlog: 1024,
            protocol: Binding::Auto,
            item_size_max: 1 << 20,
            maxconns_fast: true,
            hashpower_init: 0,
            slab_reassign: true,
            slab_chunk_max: 512 << 10,
            tail_repair_time: 0,
            flush_enabled: true,
            dump_enabled: true,
            watch_enabled: true,
            verbosity_enabled: true,
            hash_algorithm: "murmur3",
            lru_maintainer: true,
            idle_timeout: 0,
            request_timeout: 30,
            watcher_logbuf_size: 256 << 10,
            worker_logbuf_size: 64 << 10,
            read_buf_mem_limit: 0,
            client_memory: 0,
            audit: None,
            admin_only: AdminOnly::Anywhere,
            auth_lockout: 20,
            users: Users::default(),
            tls: None,
            drain_timeout: Duration::from_millis(500),
            socket_buffers: 128 << 10,
            reuse_port: false,
            admin: None,
            runtime: RuntimeSettings::default(),
        }
    }
}

impl Config {
    /// The settings of a server inside another program: clients can read and change items, but
    /// not do what is up to the program.
    pub(crate) fn embedded() -> Self {
        Self {
            memlimit_enabled: false,
            flush_enabled: false,
            dump_enabled: false,
            watch_enabled: false,
            verbosity_enabled: false,
            shutdown_command: false,
            ..Self::default()
        }
    }

    /// What ends the name of a group of keys, if groups can be removed.
    pub(crate) fn group_delimiter(&self) -> Option<u8> {
        u8::try_from(self.stat_key_prefix).ok().filter(|_| self.group_flush)
    }

    /// How the clients at `place` are spoken to.
    pub(crate) fn security(&self, place: &Listen) -> Security {
        let usual = match self.tls {
            Some(_) => Security::Tls(ClientCheck::AsConfigured),
            None => Security::Plain,
        };
        place.security.unwrap_or(usual)
    }

    /// The files of the sockets.
    pub(crate) fn socket_files(&self) -> impl Iterator<Item = &Path> {
        let admin = match &self.admin {
            Some(Endpoint::Unix(path)) => Some(path.as_path()),
            _ => None,
        };
        self.unix_socket.as_deref().into_iter().chain(admin)
    }

    /// Descriptors that the server needs beside those of its clients: three for each event loop
    /// (the workers' and the acceptor's), and some for standard streams, sockets to listen at,
    /// signals, files.
    pub(crate) fn own_descriptors(&self) -> usize {
        let admin = if self.admin.is_some() { ADMIN_DESCRIPTORS } else { 0 };
        16 + 3 * (self.threads + 1) + 2 * self.listen.len() + admin
    }
}

/// Splits `HOST`, `HOST:PORT`, `[IPV6]`, `[IPV6]:PORT` or a bare IPv6 address into host and port.
pub(crate) fn split_address(text: &str) -> Option<(&str, Option<&str>)> {
    let is_v6 = |host: &str| {
        // The parser knows no zones, such as `%eth0`.
        let bare = host.split_once('%').map_or(host, |(bare, _)| bare);
        bare.parse::<Ipv6Addr>().is_ok()
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (host, behind) = rest.split_once(']').filter(|(host, _)| is_v6(host))?;
        return match behind.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => behind.is_empty().then_some((host, None)),
        };
    }
    match text.split_once(':') {
        None => (!text.is_empty()).then_some((text, None)),
        Some((host, port)) if !port.contains(':') => {
            (!host.is_empty() && !port.is_empty()).then_some((host, Some(port)))
        }
        // Several colons without brackets: an IPv6 address, in which a port could not be told.
        Some(_) => is_v6(text).then_some((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split() {
        for (text, host, port) in [
            ("localhost", "localhost", None),
            ("*", "*", None),
            ("*:80", "*", Some("80")),
            ("127.0.0.1:80", "127.0.0.1", Some("80")),
            ("::1", "::1", None),
            ("::", "::", None),
            ("[::1]", "::1", None),
            ("[::1]:80", "::1", Some("80")),
            ("fe80::1%eth0", "fe80::1%eth0", None),
            ("[fe80::1%2]:80", "fe80::1%2", Some("80")),
        ] {
            assert_eq!(split_address(text), Some((host, port)), "{text}");
        }
        for text in ["", ":80", "host:", "a:b:c", "[::1", "[host]:80", "[::1]80", "[]:80"] {
            assert_eq!(split_address(text), None, "{text}");
        }
    }
}
