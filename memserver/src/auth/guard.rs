//! What a server with users remembers about one connection.

use std::sync::Arc;

use crate::auth::account::Account;
use crate::auth::rights::Rights;
use crate::net::socket::Peer;

/// One connection to a server with users.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Whose connection it is, once that is known.
    pub(crate) account: Option<Arc<Account>>,
    /// Where it comes from.
    pub(crate) peer: Peer,
}

impl Guard {
    /// What its client may do.
    pub(crate) fn rights(&self) -> Rights {
        self.account.as_ref().map_or(Rights::NONE, |account| account.rights)
    }
}
