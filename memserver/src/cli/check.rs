//! Rules that concern several settings at once. It must never know how they were spelled.

use super::{Options, Refusal};
use crate::config::{Config, Port};

/// `hot_lru_pct` and `warm_lru_pct` together, as in memcached.
const LRU_PCT_MAX: u32 = 80;

/// Checks all settings together.
pub(super) fn together(options: &mut Options) -> Result<(), Refusal> {
    if options.config.udp != Port::Off && !options.port_given {
        options.config.port = options.config.udp;
    }
    let config = &options.config;
    fits(config)?;
    if options.napi_ids > config.threads {
        let (napi_ids, threads) = (options.napi_ids, config.threads);
        let message = format!("-N {napi_ids} is more than there are threads (-t {threads})");
        return Err(Refusal::usage(message));
    }
    if config.runtime.hot_lru_pct + config.runtime.warm_lru_pct > LRU_PCT_MAX {
        let message = "-o hot_lru_pct and warm_lru_pct together must not exceed 80";
        return Err(Refusal::usage(message));
    }
    let everywhere = config.listen.is_empty();
    let needs_port = config.listen.iter().any(|listen| listen.port.is_none()) || everywhere;
    let deaf = config.port == Port::Off && (needs_port || everywhere);
    if config.unix_socket.is_none() && deaf {
        let message = "nothing to listen on: -p 0 needs -s FILE, or -l with ports of its own";
        return Err(Refusal::usage(message));
    }
    if config.unix_socket.is_none() {
        return Ok(());
    }
    let udp = config.udp != Port::Off;
    if !everywhere {
        options.warn("-s listens on nothing else: -l has no effect".to_owned());
    }
    if udp {
        options.warn("-s listens on nothing else: -U has no effect".to_owned());
    }
    Ok(())
}

/// An item may take half of the memory, as in memcached.
fn fits(config: &Config) -> Result<(), Refusal> {
    let most = config.memory_limit / 2;
    if config.item_size_max <= most {
        return Ok(());
    }
    Err(Refusal::usage(format!(
        "an item of {} bytes (-I) can't be more than half of the memory (-m, {} bytes)",
        config.item_size_max, config.memory_limit
    )))
}
