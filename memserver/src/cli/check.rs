//! Rules that concern several settings at once.

use super::error::StartupError;
use super::memory;
use super::options::Options;
use crate::config::tls::{ClientCheck, KeyFormat, Security, TlsSettings};
use crate::config::{Binding, Config, Listen, Placing, Port};

/// `hot_lru_pct` and `warm_lru_pct` together, as in memcached.
const LRU_PCT_MAX: u32 = 80;

/// Checks all settings together.
pub(super) fn together(options: &mut Options) -> Result<(), StartupError> {
    // As in memcached, `-U` alone moves the TCP port as well.
    if options.config.udp != Port::Off && !options.port_given {
        options.config.port = options.config.udp;
    }
    users(options)?;
    memory::share(options)?;
    placing(options)?;
    let config = &options.config;
    fits(config)?;
    if config.runtime.hot_lru_pct + config.runtime.warm_lru_pct > LRU_PCT_MAX {
        let message = "-o hot_lru_pct and warm_lru_pct together must not exceed 80";
        return Err(StartupError::usage(message));
    }
    sockets(options)?;
    encryption(options)
}

/// Connections go to workers in one way.
fn placing(options: &mut Options) -> Result<(), StartupError> {
    let Config { napi_ids, threads, .. } = options.config;
    if napi_ids > threads {
        let message = format!("-N {napi_ids} exceeds the number of threads (-t {threads})");
        return Err(StartupError::usage(message));
    }
    options.config.placing = match (napi_ids > 0, options.incoming_cpu) {
        (false, false) => Placing::InTurn,
        (true, false) => Placing::ByQueue,
        (false, true) => Placing::ByProcessor,
        (true, true) => {
            let message = "-N and -o incoming_cpu place connections in different ways";
            return Err(StartupError::usage(message));
        }
    };
    Ok(())
}

/// TLS has all that it needs, and nothing is served in plain text by mistake.
fn encryption(options: &mut Options) -> Result<(), StartupError> {
    let usage = |message: &str| Err(StartupError::usage(message));
    let prefixed = options.config.listen.iter().any(|listen| listen.security.is_some());
    if !options.tls_enabled {
        if prefixed {
            return usage("-l: notls:, btls: and mtls: need -Z");
        }
        if options.tls != TlsSettings::default() {
            options.warn("-o ssl_* has no effect without -Z: clients are served in plain text");
        }
        return Ok(());
    }
    let TlsSettings { chain_cert, key, ca_cert, verify_mode, key_format, .. } = &options.tls;
    if chain_cert.as_os_str().is_empty() {
        return usage("-Z needs a certificate and its key: -o ssl_chain_cert=FILE,ssl_key=FILE");
    }
    if *key_format == KeyFormat::Der && key.is_none() {
        return usage("-o ssl_keyformat=2 needs -o ssl_key");
    }
    let required = Some(Security::Tls(ClientCheck::Required));
    let checks = options.config.listen.iter().any(|listen| listen.security == required);
    if ca_cert.is_none() && (checks || verify_mode.asks()) {
        return usage("client certificates can't be verified without -o ssl_ca_cert=FILE");
    }
    if options.config.udp != Port::Off {
        return usage("-U can't be used with -Z: datagrams are not encrypted");
    }
    if options.config.unix_socket.is_some() {
        options.warn("-Z does not concern the Unix socket: its clients are served in plain text");
    }
    options.config.tls = Some(options.tls.clone());
    Ok(())
}

/// Clients that have to log in do so in one protocol, and are given no other. Over UDP nobody could
/// log in.
fn users(options: &mut Options) -> Result<(), StartupError> {
    let users = &options.config.users;
    if users.accounts.is_some() {
        return accounts(options);
    }
    let (flag, only) = match (users.sasl, users.text.is_some()) {
        // Like users of a file with rights, one of a variable logs in over each protocol.
        (false, false) if users.login.is_some() => return accounts(options),
        (false, false) => return Ok(()),
        (true, false) => ("-S", Binding::Binary),
        (false, true) => ("-Y", Binding::Ascii),
        (true, true) => {
            let message = "-S and -Y exclude each other: one is for the binary protocol, the other \
                           for text";
            return Err(StartupError::usage(message));
        }
    };
    let config = &mut options.config;
    if options.protocol_given && config.protocol != only {
        let message = format!("{flag}: clients log in over -B {} only", only.name());
        return Err(StartupError::usage(message));
    }
    config.protocol = only;
    let other = config.listen.iter().filter_map(|listen| listen.binding);
    if let Some(other) = other.into_iter().find(|binding| *binding != only) {
        let message = format!("{flag}: nobody could log in over -l proto[{}]", other.name());
        return Err(StartupError::usage(message));
    }
    if config.udp != Port::Off {
        let message = format!("{flag}: nobody could log in over UDP; leave -U away");
        return Err(StartupError::usage(message));
    }
    Ok(())
}

/// Users with accounts log in over each protocol.
fn accounts(options: &Options) -> Result<(), StartupError> {
    let config = &options.config;
    if config.users.sasl || config.users.text.is_some() {
        let message = "-o accounts stands in for -S and -Y: its users log in either way";
        return Err(StartupError::usage(message));
    }
    if config.udp != Port::Off {
        let flag =
            if config.users.accounts.is_some() { "-o accounts" } else { "MEMCACHED_PASSWORD" };
        let message = format!("{flag}: nobody could log in over UDP; leave -U away");
        return Err(StartupError::usage(message));
    }
    Ok(())
}

/// As in memcached a Unix socket stands in for the network. With a port for TCP both are served.
fn sockets(options: &mut Options) -> Result<(), StartupError> {
    let config = &mut options.config;
    config.network = config.unix_socket.is_none() || options.port_given;
    if config.network {
        let at_default_port = |listen: &Listen| listen.port.is_none();
        let has_tcp = match config.port {
            // `-p 0` leaves the addresses that have a port of their own.
            Port::Off => !config.listen.is_empty() && !config.listen.iter().all(at_default_port),
            Port::Ephemeral | Port::Fixed(_) => true,
        };
        if !has_tcp && config.udp == Port::Off && config.unix_socket.is_none() {
            let message = "nothing to listen on: with -p 0, give -s FILE, -U NUM or -l with a port";
            return Err(StartupError::usage(message));
        }
        return Ok(());
    }
    let has_listen = !config.listen.is_empty();
    let has_udp = config.udp != Port::Off;
    let only = "with -s and without -p, the server listens on the Unix socket only";
    if has_listen {
        options.warn(format!("-l has no effect: {only}"));
    }
    if has_udp {
        options.warn(format!("-U has no effect: {only}"));
    }
    Ok(())
}

/// An item may take half of the memory, as in memcached.
fn fits(config: &Config) -> Result<(), StartupError> {
    let most = config.memory_limit / 2;
    if config.item_size_max <= most {
        return Ok(());
    }
    Err(StartupError::usage(format!(
        "the largest item (-I, {} bytes) must not exceed half of the memory (-m, {} bytes)",
        config.item_size_max, config.memory_limit
    )))
}
