//! What a request leaves behind for later. A dialogue has at most one of these: no request is
//! executed before it is through.

use std::sync::Arc;

use memcore::{Reservation, StoreError};

use crate::report::stream::Stream;
use crate::session::access::{Verdict, Verifying};
use crate::session::job::OwnedRequest;
use crate::session::join::Join;
use crate::state::flash::Fetching;
use crate::watch::WatchPermit;

/// What the last request left behind.
#[derive(Debug, Default)]
pub(crate) enum Pending {
    /// Nothing.
    #[default]
    Nothing,
    /// An answer that is sent piece by piece.
    Stream(Box<Stream>),
    /// A value that is arriving.
    Upload(Box<Upload>),
    /// A large value to which something is added.
    Join(Box<Join>),
    /// The permit with which the connection becomes a watcher once it is closed.
    Watch(Box<WatchPermit>),
    /// A value that is arriving and is not stored.
    Refused(Box<OwnedRequest>),
    /// Items that the next request needs.
    Fetching(Arc<Fetching>),
    /// A login that takes a while.
    Verifying(Box<Verifying>),
    /// What came of a login.
    Login(Verdict),
}

/// A value on its way into the cache.
#[derive(Debug)]
pub(crate) struct Upload {
    /// The request that it belongs to.
    pub(crate) request: OwnedRequest,
    /// Its place in the cache, or why it gets none.
    pub(crate) place: Result<Reservation, StoreError>,
}

impl Pending {
    /// Whether this waits for something other than its client.
    pub(crate) fn is_waiting(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.is_waiting(),
            Self::Fetching(fetch) => !fetch.is_done(),
            Self::Verifying(verifying) => !verifying.login.is_settled(),
            _ => false,
        }
    }

    /// Keeps `later`.
    pub(crate) fn put(&mut self, later: Self) {
        debug_assert!(matches!(self, Self::Nothing), "two requests at once: {self:?}");
        *self = later;
    }
}
