//! What a client may be allowed to do. Which right a request needs is not known here.

use std::ops::BitAnd;

use crate::config::Config;

/// What a client may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Look items up.
    Read,
    /// Store items, change them or their expiry.
    Write,
    /// Remove items.
    Delete,
    /// Remove all items.
    Flush,
    /// See statistics.
    Stats,
    /// Change settings, counters and the memory limit.
    Admin,
    /// List keys or their prefixes.
    Dump,
    /// See what other clients do.
    Watch,
    /// See which keys are asked for most.
    HotKeys,
    /// Use keys outside the prefix that belongs to the user.
    OtherKeys,
    /// Change how much is logged. A log may show keys.
    Verbosity,
    /// Stop the server. It stays the last one: `Rights::ALL` is made of it.
    Shutdown,
}

/// Some of the rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights(u16);

impl Rights {
    /// No right at all.
    pub(crate) const NONE: Self = Self(0);
    /// Every right.
    pub(crate) const ALL: Self = Self((Self::bit(Right::Shutdown) << 1) - 1);

    /// What one needs to do whatever one likes with items, and nothing else.
    pub(crate) const ITEMS: Self = Self(
        Self::bit(Right::Read)
            | Self::bit(Right::Write)
            | Self::bit(Right::Delete)
            | Self::bit(Right::OtherKeys),
    );

    /// These rights.
    pub(crate) fn of(rights: &[Right]) -> Self {
        Self(rights.iter().fold(0, |all, &right| all | Self::bit(right)))
    }

    /// What every client with a connection may do.
    pub(crate) fn of_connections(config: &Config) -> Self {
        const ALWAYS: [Right; 7] = [
            Right::Read,
            Right::Write,
            Right::Delete,
            Right::Stats,
            Right::Admin,
            Right::HotKeys,
            Right::OtherKeys,
        ];
        Self::of(&ALWAYS)
            .with(Right::Flush, config.flush_enabled)
            .with(Right::Dump, config.dump_enabled)
            .with(Right::Watch, config.watch_enabled)
            .with(Right::Verbosity, config.verbosity_enabled)
            .with(Right::Shutdown, config.shutdown_command)
    }

    /// What may be asked for in a datagram. Statistics and the like are not: their replies are
    /// long, and the sender's address may be another's.
    #[cfg(feature = "udp")]
    pub(crate) fn of_datagrams(config: &Config) -> Self {
        Self::of(&[Right::Read, Right::OtherKeys])
            .with(Right::Write, config.udp_writes)
            .with(Right::Delete, config.udp_writes)
    }

    /// The same, and `right` if it is granted.
    pub(crate) fn with(self, right: Right, granted: bool) -> Self {
        if granted { Self(self.0 | Self::bit(right)) } else { self }
    }

    /// What administration needs, and nobody else.
    pub(crate) fn administrative() -> Self {
        use Right::{Admin, Dump, Flush, HotKeys, Shutdown, Verbosity, Watch};
        Self::of(&[Admin, Dump, Flush, HotKeys, Shutdown, Verbosity, Watch])
    }

    /// Those that are not in `others`.
    pub(crate) fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether `right` is one of them.
    #[inline(always)]
    pub(crate) fn has(self, right: Right) -> bool {
        self.0 & Self::bit(right) != 0
    }

    /// Whether all of `others` are among them.
    #[inline(always)]
    pub(crate) fn include(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    const fn bit(right: Right) -> u16 {
        1 << right as u16
    }
}

impl BitAnd for Rights {
    type Output = Self;

    /// Those that are in both.
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}
