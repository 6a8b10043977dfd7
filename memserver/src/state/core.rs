//! The cache and the settings of a server. Only what clients may set changes after the start.

use std::sync::atomic::AtomicU8;
use std::sync::{Arc, Once, OnceLock};

use memcore::Cache;
use parking_lot::Mutex;

use crate::auth::accounts::Accounts;
use crate::auth::lockout::Lockout;
use crate::auth::rights::Rights;
use crate::auth::verifier::Verifier;
use crate::config::flash::FlashConfig;
use crate::config::runtime::RuntimeSettings;
use crate::config::{AdminOnly, Config};
use crate::net::conn_info::ConnInfo;
use crate::state::clock::DrivenClock;
use crate::state::flash::FlashQueue;
use crate::tls::Context;

/// The cache and the settings.
#[derive(Debug)]
pub(crate) struct Core {
    /// The items.
    pub(crate) cache: Cache,
    /// The settings that the server was started with.
    pub(crate) config: Config,
    /// What every client with a connection may do, going by the settings.
    pub(crate) rights: Rights,
    /// The settings that clients may change, as they are now.
    pub(crate) runtime: Mutex<RuntimeSettings>,
    /// How much is logged; `verbosity` changes it.
    pub(crate) verbosity: AtomicU8,
    /// Completed when a client first asks how long ago an item was used: only from then on the
    /// cache keeps access times to the second.
    pub(crate) exact_access: Once,
    /// Where the server listens.
    pub(crate) listening: Listening,
    /// The cache's clock, if the server drives it.
    pub(crate) clock: Option<Arc<DrivenClock>>,
    /// Sources of failed logins.
    pub(crate) lockout: Lockout,
    /// What the process has given up, to be shown; empty for nothing, and before it serves.
    pub(crate) sandbox: OnceLock<String>,
    /// Who may log in; none if nobody has to.
    pub(crate) accounts: Option<Accounts>,
    /// Compares passwords with hashes; without it, whoever asks does.
    pub(crate) verifier: Option<Verifier>,
    /// How listeners speak TLS, if some do.
    pub(crate) tls: Option<Arc<Context>>,
    /// Reads of the flash tier, if there is one.
    pub(crate) flash: Option<FlashQueue>,
    /// Second when the server started.
    pub(crate) started: u32,
}

/// The sockets that a server listens on, as they were really opened.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    /// The first TCP port; 0 for none.
    pub(crate) tcp_port: u16,
    /// The first UDP port; 0 for none.
    pub(crate) udp_port: u16,
    /// Every socket, as `stats conns` shows it.
    pub(crate) sockets: Vec<ConnInfo>,
}

impl Core {
    /// The core of a server that starts now.
    pub(crate) fn new(
        cache: Cache,
        config: Config,
        listening: Listening,
        clock: Option<Arc<DrivenClock>>,
    ) -> Self {
        Self {
            rights: Rights::of_connections(&config),
            runtime: Mutex::new(config.runtime),
            verbosity: AtomicU8::new(config.verbosity),
            lockout: Lockout::new(config.auth_lockout),
            exact_access: Once::new(),
            started: cache.now().as_secs(),
            flash: cache.flash_stats().map(|_| FlashQueue::new(flash_settings(&config))),
            cache,
            config,
            listening,
            clock,
            sandbox: OnceLock::new(),
            accounts: None,
            verifier: None,
            tls: None,
        }
    }

    /// The same for a server whose clients have to log in, if there are `accounts`.
    pub(crate) fn with_accounts(self, accounts: Option<Accounts>) -> Self {
        Self { accounts, ..self }
    }

    /// Whether connections differ in what their clients may do.
    pub(crate) fn has_guards(&self) -> bool {
        self.accounts.is_some()
            || self.config.admin_only != AdminOnly::Anywhere
            || self.config.audit.is_some()
    }

    /// Shows the present second to the cache, if the server drives its clock. For threads that have
    /// waited for requests.
    #[inline]
    pub(crate) fn catch_up(&self) {
        if let Some(clock) = &self.clock {
            clock.catch_up();
        }
    }
}

/// The settings of the flash tier, with what follows from the others.
fn flash_settings(config: &Config) -> FlashConfig {
    let buffer = config.flash.buffer(config.memory_limit, config.item_size_max);
    FlashConfig { wbuf_size: Some(buffer), ..config.flash.clone() }
}
