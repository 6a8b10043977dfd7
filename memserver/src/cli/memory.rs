//! How memory is shared between the cache, its clients and the program, where the machine or a
//! control group has so much and no more: `-m auto` and `--strict-memory`.

use std::fmt;

use super::error::StartupError;
use super::options::{Memory, Options};
use crate::config::Config;
use crate::state::budgets::CLIENT_MEMORY;

const MIB: usize = 1 << 20;
/// Bytes that the program takes beside the cache and what its clients hold, with as many
/// connections as this.
const PROGRAM: usize = 24 * MIB;
const PROGRAM_CONNECTIONS: usize = 1000;
/// Bytes of kernel memory for each further one, all of which count in a control group.
const CONNECTION: usize = 4 << 10;
/// Bytes of the cache for each byte of the system's page tables.
const PAGE_TABLES: usize = 512;
/// With fewer bytes for all clients few could be served.
const CLIENTS_MIN: usize = 4 * MIB;
/// With `-m auto` clients have a share of 1/this.
const CLIENTS_SHARE: usize = 8;

/// The most that a server may need, in bytes.
struct Needs {
    cache: usize,
    clients: usize,
    connections: usize,
    page_tables: usize,
}

impl Needs {
    fn of(config: &Config, cache: usize) -> Self {
        let more = config.max_connections.saturating_sub(PROGRAM_CONNECTIONS);
        // Whole mebibytes, so that what is shown adds up.
        let whole = |bytes: usize| bytes.next_multiple_of(MIB);
        Self {
            cache,
            clients: config.client_memory,
            connections: whole(more.saturating_mul(CONNECTION).min(usize::MAX - MIB)),
            page_tables: whole(cache / PAGE_TABLES),
        }
    }

    /// All but what clients hold.
    fn fixed(&self) -> usize {
        let parts = [self.cache, PROGRAM, self.connections, self.page_tables];
        parts.into_iter().fold(0, usize::saturating_add)
    }

    fn sum(&self) -> usize {
        self.fixed().saturating_add(self.clients)
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cache, clients, connections, page_tables } = self;
        write!(f, "{} for the cache (-m)", megabytes(*cache))?;
        write!(f, " + {} for clients (-o client_memory)", megabytes(*clients))?;
        write!(f, " + {} for the program", megabytes(PROGRAM))?;
        if *connections > 0 {
            write!(f, " + {} for connections (-c)", megabytes(*connections))?;
        }
        write!(f, " + {} for page tables", megabytes(*page_tables))?;
        write!(f, " = {}", megabytes(self.sum()))
    }
}

/// Whole mebibytes, rounded up.
fn megabytes(bytes: usize) -> String {
    format!("{}m", bytes.div_ceil(MIB))
}

/// Nobody says how much memory there is.
pub(super) fn unknown(flag: &str) -> StartupError {
    StartupError::system(format!("{flag}: can't find out how much memory there is"))
}

/// Gives the cache and its clients their limits, as far as flags have not.
///
/// # Errors
/// With `-m auto` or `--strict-memory` there is too little, or nobody knows how much.
pub(super) fn share(options: &mut Options) -> Result<(), StartupError> {
    let Memory { available, auto, strict } = options.memory;
    let config = &mut options.config;
    let available = available.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if auto {
        let available = available.ok_or_else(|| unknown("-m auto"))?;
        config.memory_limit = left_for_cache(config, available)?;
    }
    let cache = config.memory_limit.max(config.memlimit_max);
    if let Some(available) = available.filter(|_| config.client_memory == 0) {
        let left = available.saturating_sub(Needs::of(config, cache).fixed());
        config.client_memory = left.clamp(CLIENTS_MIN, CLIENT_MEMORY);
    }
    if !strict {
        return Ok(());
    }
    let available = available.ok_or_else(|| unknown("--strict-memory"))?;
    let needs = Needs::of(config, cache);
    if needs.sum() <= available {
        return Ok(());
    }
    let there = available / MIB;
    Err(StartupError::usage(format!(
        "--strict-memory: {needs}, but there are only {there}m; -m auto takes what is left"
    )))
}

/// What a cache may take, in whole mebibytes.
fn left_for_cache(config: &mut Config, available: usize) -> Result<usize, StartupError> {
    if config.client_memory == 0 {
        config.client_memory = (available / CLIENTS_SHARE).clamp(CLIENTS_MIN, CLIENT_MEMORY);
    }
    let others = Needs::of(config, 0);
    // Of what is left, each 513th byte is for the page tables of the 512 before.
    let left = available.saturating_sub(others.sum()) / MIB;
    let cache = left - left.div_ceil(PAGE_TABLES + 1);
    if cache > 0 {
        return Ok(cache * MIB);
    }
    let there = available / MIB;
    Err(StartupError::usage(format!("-m auto: nothing is left of {there}m: {others}")))
}

/// The arithmetic as a line, if it is known how much memory there is.
pub(super) fn shown(options: &Options) -> Option<String> {
    let available = options.memory.available?;
    let config = &options.config;
    let needs = Needs::of(config, config.memory_limit.max(config.memlimit_max));
    Some(format!("of {}m: {needs}", available / MIB as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(available: u64, change: fn(&mut Options)) -> Result<Config, String> {
        let mut options = Options::default();
        options.memory.available = Some(available << 20);
        change(&mut options);
        share(&mut options).map_err(|error| error.message)?;
        Ok(options.config)
    }

    #[test]
    fn clients_get_what_is_left_beside_the_cache() {
        let clients = |limit: usize, available| {
            let mut options = Options::default();
            options.config.memory_limit = limit << 20;
            options.config.max_connections = 100;
            options.memory.available = available;
            share(&mut options).unwrap();
            options.config.client_memory
        };
        // The default of the server applies.
        assert_eq!(clients(64, None), 0);
        assert_eq!(clients(64, Some(1 << 30)), 64 << 20);
        assert_eq!(clients(512, Some(577 << 20)), 40 << 20);
        assert_eq!(clients(768, Some(768 << 20)), 4 << 20);
    }

    #[test]
    fn auto_fills_what_there_is_and_no_more() {
        for available in [64, 128, 1024, 65_536] {
            let config = shared(available, |o| o.memory.auto = true).unwrap();
            let needs = Needs::of(&config, config.memory_limit);
            let left = ((available as usize) << 20) - needs.sum();
            assert!(left < 2 * MIB, "{available}: {left} are left of {needs}");
        }
        let config = shared(1024, |o| o.memory.auto = true).unwrap();
        assert_eq!((config.memory_limit, config.client_memory), (933 << 20, 64 << 20));
        let config = shared(1024, |o| {
            o.memory.auto = true;
            o.config.max_connections = 9000;
            o.config.client_memory = 100 << 20;
        });
        assert_eq!(config.unwrap().memory_limit, 866 << 20);
        let refusal = shared(24, |o| o.memory.auto = true).unwrap_err();
        assert!(refusal.starts_with("-m auto: nothing is left of 24m: 0m for the"), "{refusal}");
    }

    #[test]
    fn strict_shows_why_it_refuses() {
        let strict = |available| {
            shared(available, |o| {
                o.memory.strict = true;
                o.config.memory_limit = 768 << 20;
                o.config.max_connections = 8192;
            })
        };
        assert!(strict(827).is_ok());
        assert_eq!(
            strict(826).unwrap_err(),
            "--strict-memory: 768m for the cache (-m) + 4m for clients (-o client_memory) + 24m \
             for the program + 29m for connections (-c) + 2m for page tables = 827m, but there \
             are only 826m; -m auto takes what is left"
        );
        // What clients may raise the limit to counts.
        let raised = shared(1024, |o| {
            o.memory.strict = true;
            o.config.memlimit_max = 1024 << 20;
        });
        assert!(raised.unwrap_err().contains("1024m for the cache"));
        let mut options = Options::default();
        options.memory.strict = true;
        assert_eq!(share(&mut options).unwrap_err().exit, super::super::Exit::System);
    }
}
