//! What is remembered about one connection to a server whose clients may not all do the same.

use std::sync::Arc;

use crate::auth::account::{Account, Scope};
use crate::auth::accounts::Accounts;
use crate::auth::audit::{self, Event, EventKind};
use crate::auth::rights::Rights;
use crate::config::{AdminOnly, AuditFormat};
use crate::net::socket::Peer;

/// One connection.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Whose connection it is, once that is known.
    pub(crate) account: Option<Arc<Account>>,
    /// Where it comes from.
    pub(crate) peer: Peer,
    /// Whether the client's certificate, if it has one, has been looked at.
    pub(crate) is_recognised: bool,
    /// Which generation of the users the account is of.
    pub(crate) generation: u32,
    /// What its client may do without an account.
    unknown: Rights,
    /// What its client may do with any account.
    most: Rights,
}

impl Guard {
    /// A connection from `peer`, of a process of user number `uid` if it is one of this machine, to
    /// a server with these accounts, if it has any.
    pub(crate) fn new(
        accounts: Option<&Accounts>,
        admin_only: AdminOnly,
        peer: Peer,
        uid: Option<u32>,
    ) -> Self {
        let account = accounts.zip(uid).and_then(|(accounts, uid)| accounts.of_process(uid));
        let unknown = if accounts.is_some() { Rights::NONE } else { Rights::ALL };
        let most = if may_administer(admin_only, peer) {
            Rights::ALL
        } else {
            Rights::ALL.without(Rights::administrative())
        };
        let generation = accounts.map_or(0, Accounts::generation);
        Self { account, peer, is_recognised: false, generation, unknown, most }
    }

    /// What its client may do.
    pub(crate) fn rights(&self) -> Rights {
        self.account.as_ref().map_or(self.unknown, |account| account.rights) & self.most
    }

    /// Writes a line about `what` happened on it.
    pub(crate) fn audit(&self, format: AuditFormat, what: EventKind<'_>) {
        let user = self.account.as_ref().map(|account| account.name.as_str());
        audit::write(format, Event { what, peer: self.peer, user });
    }

    /// The keys that its client may see.
    pub(crate) fn scope(&self) -> Scope {
        Scope::of(self.account.as_ref())
    }

    /// Whether its client may use `key`.
    pub(crate) fn owns(&self, key: &[u8]) -> bool {
        self.account.as_ref().is_none_or(|account| account.owns(key))
    }
}

fn may_administer(only: AdminOnly, peer: Peer) -> bool {
    match (only, peer) {
        (AdminOnly::Anywhere, _) | (_, Peer::Local) => true,
        (AdminOnly::Loopback, Peer::Tcp(address)) => address.ip().to_canonical().is_loopback(),
        (AdminOnly::Loopback, Peer::Gone) | (AdminOnly::Unix, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::rights::Right;

    #[test]
    fn administration_may_be_kept_apart() {
        let tcp = |address: &str| Peer::Tcp(address.parse().unwrap());
        for (peer, loopback, unix) in [
            (Peer::Local, true, true),
            (tcp("127.0.0.9:1"), true, false),
            (tcp("[::1]:1"), true, false),
            (tcp("[::ffff:127.0.0.1]:1"), true, false),
            (tcp("192.0.2.1:1"), false, false),
            (Peer::Gone, false, false),
        ] {
            let rights = |only| Guard::new(None, only, peer, None).rights();
            assert!(rights(AdminOnly::Anywhere) == Rights::ALL);
            assert_eq!(rights(AdminOnly::Loopback).has(Right::Flush), loopback, "{peer}");
            assert_eq!(rights(AdminOnly::Unix).has(Right::Dump), unix, "{peer}");
            assert!(rights(AdminOnly::Unix).has(Right::Write));
        }
    }
}
