//! What a server's TLS listeners share: the configurations that are in force, and how others take
//! their place while clients stay connected.

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::endpoint::Endpoints;
use super::error::TlsError;
use super::files::{self, Stamp};
use super::{Session, provider};
use crate::config::tls::{ClientCheck, TlsSettings};
use crate::os::log;

/// Days before the end of a certificate from which on it is warned of.
const ENDS_SOON_DAYS: u64 = 14;

/// The TLS of one server.
pub(crate) struct Context {
    settings: TlsSettings,
    current: Mutex<Current>,
    look: Mutex<Look>,
}

/// What is in force.
#[derive(Clone)]
struct Current {
    endpoints: Arc<Endpoints>,
    since: Instant,
}

/// What is known of the files.
struct Look {
    /// How they looked at the last look.
    seen: Stamp,
    /// How they looked when they were last read.
    read: Stamp,
}

impl Context {
    /// Reads the files for the first time, with the rights that the process has now. What the user
    /// has to know about them is added to `warnings`.
    ///
    /// # Errors
    /// They can't be used.
    pub(crate) fn new(
        settings: &TlsSettings,
        warnings: &mut Vec<String>,
    ) -> Result<Self, TlsError> {
        let seen = Stamp::of(settings);
        let endpoints = Endpoints::read(settings)?;
        warnings.extend(files::exposure(settings.key.as_ref().unwrap_or(&settings.chain_cert)));
        warnings.extend(ends_soon(endpoints.ends));
        let now = Instant::now();
        Ok(Self {
            settings: settings.clone(),
            current: Mutex::new(Current { endpoints: Arc::new(endpoints), since: now }),
            look: Mutex::new(Look { read: seen.clone(), seen }),
        })
    }

    /// The session of a client that has just connected. None if clients are to be checked without
    /// anything to check against.
    pub(crate) fn session(&self, check: ClientCheck) -> Option<Session> {
        // The lock is held for two reference counts.
        let endpoints = Arc::clone(&self.current.lock().endpoints);
        Session::new(Arc::clone(endpoints.of(check)?))
    }

    /// Bytes of replies that are encrypted at once.
    pub(crate) fn wbuf_size(&self) -> usize {
        self.settings.wbuf_size
    }

    /// Reads the files again; new clients are shown what is in them, old ones stay.
    ///
    /// # Errors
    /// They can't be used, and what was in force stays. That is logged as well.
    pub(crate) fn refresh(&self) -> Result<(), TlsError> {
        let stamp = Stamp::of(&self.settings);
        let mut look = self.look.lock();
        look.seen = stamp.clone();
        look.read = stamp;
        // Locked meanwhile, so that of two refreshes the later one wins.
        let endpoints = Endpoints::read(&self.settings).inspect_err(|error| {
            log::warning(&format!("TLS: the old certificate stays in use: {error}"));
        })?;
        let days = days_until(endpoints.ends);
        log::line(format_args!("TLS: new certificate, which ends in {days} days"));
        if let Some(warning) = ends_soon(endpoints.ends) {
            log::warning(&warning);
        }
        *self.current.lock() = Current { endpoints: Arc::new(endpoints), since: Instant::now() };
        Ok(())
    }

    /// Reads the files again if they have changed, and stayed the same since the last look: they
    /// may be written one after the other.
    pub(crate) fn look_for_changes(&self) {
        let mut look = self.look.lock();
        let seen = Stamp::of(&self.settings);
        let is_still = seen == look.seen;
        let is_new = seen != look.read;
        look.seen = seen;
        drop(look);
        if is_still && is_new {
            // It has been logged.
            let _ = self.refresh();
        }
    }

    /// Seconds since the certificate in use was read.
    pub(crate) fn age_secs(&self) -> u64 {
        self.current.lock().since.elapsed().as_secs()
    }

    /// Whole days until the first of the server's certificates ends; 0 if it has.
    pub(crate) fn days_left(&self) -> u64 {
        days_until(self.current.lock().endpoints.ends)
    }

    /// The library that the cryptography comes from.
    pub(crate) fn provider(&self) -> &'static str {
        provider::NAME
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn days_until(second: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    second.saturating_sub(now) / (24 * 60 * 60)
}

fn ends_soon(second: u64) -> Option<String> {
    let days = days_until(second);
    (days < ENDS_SOON_DAYS).then(|| format!("TLS: the certificate ends in {days} days"))
}
