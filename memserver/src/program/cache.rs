//! The cache as the settings say: how it is built, what is said of it, and its end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::SystemTime;

use memcore::flash::{Device, Flash};
use memcore::{Builder, Cache, ConfigError, ManualClock, MemoryFileError, Restored};

use crate::cli::StartupError;
use crate::config::Config;
use crate::config::flash::FlashConfig;
use crate::os::{files, log};
use crate::watch::Evictions;

/// Write buffers of the flash tier.
const FLASH_BUFFERS: usize = 4;

/// Closes a cache however serving ends: what a memory file holds would be lost otherwise. Where
/// it never began, files that were made for it go away.
pub(super) struct Closer {
    cache: Option<Cache>,
    has_served: bool,
}

impl Closer {
    /// Somebody may use it from now on.
    pub(super) fn serves(&mut self) {
        self.has_served = true;
    }

    /// Closes it.
    ///
    /// # Errors
    /// What it holds could not be kept.
    pub(super) fn close(mut self) -> Result<(), StartupError> {
        let closed = self.cache.take().map_or(Ok(()), Cache::close);
        closed.map_err(|error| StartupError::system(format!("can't keep the cache: {error}")))
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        // Why serving ended early is said elsewhere.
        if let Some(cache) = self.cache.take().filter(|_| !thread::panicking()) {
            let _ = if self.has_served { cache.close() } else { cache.abandon() };
        }
    }
}

/// Builds the cache, with its files, and what closes it.
///
/// # Errors
/// It can't be had like this.
pub(super) fn open(
    config: &Config,
    clock: ManualClock,
    evictions: Evictions,
) -> Result<(Closer, Cache), StartupError> {
    let mut builder = builder(config, clock, evictions);
    if let Some(path) = &config.memory_file {
        builder = builder.memory_file(path).memory_file_strict(config.memory_file_strict);
    }
    if config.flash.is_on() {
        builder = builder.flash(flash(config)?);
    }
    let cache = builder.build().map_err(cache_error)?;
    if let (Some(path), Some(restored)) = (&config.memory_file, cache.restored()) {
        log_restored(path, restored);
        if let Some(room) = files::room_for(path).filter(|room| *room < config.memory_limit as u64)
        {
            let (path, room, limit) = (path.display(), room >> 20, config.memory_limit >> 20);
            log::warning(&format!(
                "memory file {path}: its file system has room for {room}m, and not for {limit}m"
            ));
        }
        if let Some(restored) = cache.flash_restored() {
            log_flash(restored);
        }
    }
    let closer = Closer { cache: Some(cache.clone()), has_served: false };
    Ok((closer, cache))
}

/// A cache as it is asked for, but for its files.
fn builder(config: &Config, clock: ManualClock, evictions: Evictions) -> Builder {
    let mut builder = Cache::builder(config.memory_limit)
        .max_limit(config.memlimit_max.max(config.memory_limit))
        .max_item_size(config.item_size_max)
        .max_key_len(250)
        .evictions(config.evictions)
        .evict_size_weight(config.evict_size_weight as f32)
        .watch_removals_while(evictions.wanted(), move |removal| evictions.note(removal))
        .clock(clock);
    if config.large_pages {
        builder = builder.huge_pages(true);
    }
    if config.memory_file.is_some() {
        // The next start may have a larger limit.
        let most = config.memlimit_max.max(config.memory_limit.saturating_mul(4));
        builder = builder.max_limit(most);
    }
    builder
}

/// There is no cache like this.
fn cache_error(error: ConfigError) -> StartupError {
    match error {
        ConfigError::System { .. } => StartupError::system(error.to_string()),
        ConfigError::Flash { .. } => StartupError::usage(format!("-o ext_path: {error}")),
        ConfigError::MemoryFile(_) => StartupError::system(format!("-e: {error}")),
        _ => StartupError::usage(format!("-m: {error}")),
    }
}

/// Builds it without its files, to be told what does not fit, and looks at these. A server may use
/// them meanwhile.
///
/// # Errors
/// It can't be had like this.
pub(super) fn check(config: &Config) -> Result<(), StartupError> {
    check_files(config)?;
    let clock = ManualClock::new(SystemTime::now().into());
    let mut builder = builder(config, clock, Evictions::new());
    if config.flash.is_on() {
        let add = |flash: Flash, (_, bytes): &(PathBuf, u64)| flash.device(Nowhere, *bytes);
        let flash = config.flash.paths.iter().fold(Flash::new(), add);
        builder = builder.flash(set_up(flash, config));
    }
    builder.build().map(drop).map_err(cache_error)
}

/// Looks at the files that the cache would lie in, in the order in which a start opens them.
fn check_files(config: &Config) -> Result<(), StartupError> {
    let paths = &config.flash.paths;
    for (number, (path, bytes)) in paths.iter().enumerate() {
        let failed = |error: io::Error| flash_error(path, &error);
        if paths[..number].iter().any(|(other, _)| files::is_same(path, other)) {
            return Err(failed(io::Error::other("it is given twice")));
        }
        let looked = Flash::check_file(path, *bytes);
        looked.or_else(|error| files::can_be_made(path, error)).map_err(failed)?;
    }
    let Some(file) = &config.memory_file else { return Ok(()) };
    if paths.iter().any(|(path, _)| files::is_same(path, file)) {
        let reason = format!("{} is the memory file", file.display());
        return Err(cache_error(ConfigError::Flash { reason }));
    }
    let opened = fs::File::options().read(true).write(true).open(file);
    let is_file = opened.and_then(|file| Ok(file.metadata()?.is_file()));
    let looked = is_file.and_then(|is_file| match is_file {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")),
    });
    looked.or_else(|error| files::can_be_made(file, error)).map_err(|error| {
        let reason = error.to_string();
        cache_error(MemoryFileError::System { reason }.into())
    })
}

/// Stands for a device that is not opened.
struct Nowhere;

impl Device for Nowhere {
    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<usize> {
        Ok(0)
    }
}

/// Opens the files of the flash tier.
fn flash(config: &Config) -> Result<Flash, StartupError> {
    let mut flash = Flash::new();
    for (path, bytes) in &config.flash.paths {
        flash = flash.file(path, *bytes).map_err(|error| flash_error(path, &error))?;
    }
    Ok(set_up(flash, config))
}

/// A file of the flash tier can't be used.
fn flash_error(path: &Path, error: &io::Error) -> StartupError {
    StartupError::system(format!("-o ext_path: {}: {error}", path.display()))
}

/// A tier as it is asked for.
fn set_up(flash: Flash, config: &Config) -> Flash {
    let FlashConfig { page_size, threads, item_size, fetched_only, .. } = config.flash;
    flash
        .region_size(page_size)
        .buffer_size(config.flash.buffer(config.memory_limit, config.item_size_max))
        .buffers(FLASH_BUFFERS)
        .reads(threads)
        .min_item_size(item_size)
        .fetched_only(fetched_only)
        .waits(false)
}

/// Says what became of the items of the last run.
fn log_restored(path: &Path, restored: &Restored) {
    let path = path.display();
    match restored {
        Restored::Items(items) => {
            log::line(format_args!("memory file {path}: {items} items are there again"));
        }
        Restored::Discarded(MemoryFileError::InUse) => {
            log::warning(&format!("-e has no effect: another process uses {path}"))
        }
        Restored::Discarded(reason) => {
            log::warning(&format!("memory file {path}: starting empty, since {reason}"))
        }
        _ => {}
    }
}

/// Says what became of what the last run had on flash.
fn log_flash(restored: &Restored) {
    match restored {
        Restored::Items(items) => {
            log::line(format_args!("flash tier: {items} items are there again"));
        }
        Restored::Discarded(reason) => {
            log::warning(&format!("flash tier: starting empty, since {reason}"));
        }
        _ => {}
    }
}
