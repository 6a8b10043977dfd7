//! Why items go, and who wants to know.

use std::fmt;
use std::sync::Arc;

use crate::{Meta, Miss, Moment};

/// Why an item was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Its time had come.
    Expired,
    /// To make room.
    Evicted,
    /// Somebody asked for it.
    Deleted,
    /// A newer value took its place.
    Replaced,
    /// It was older than the last flush.
    Flushed,
}

impl Cause {
    /// The cause for which an item goes that must not be seen any more.
    pub(crate) fn of_hidden(miss: Miss) -> Self {
        if miss == Miss::Expired { Self::Expired } else { Self::Flushed }
    }
}

/// The end of an item.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Removal<'a> {
    /// Why it was removed.
    pub cause: Cause,
    /// Its key.
    pub key: &'a [u8],
    /// What was known about it.
    pub meta: Meta,
    /// When it went.
    pub at: Moment,
}

/// Somebody who is told of each removal.
#[derive(Clone)]
pub(crate) struct Listener(Arc<dyn Fn(&Removal<'_>) + Send + Sync>);

impl Listener {
    pub(crate) fn new(listener: impl Fn(&Removal<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    pub(crate) fn call(&self, removal: &Removal<'_>) {
        (self.0)(removal);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}
