//! One user and what the user may do.

use std::sync::Arc;

use crate::auth::rights::Rights;

/// One user.
#[derive(Debug)]
pub(crate) struct Account {
    /// The name, to be shown.
    pub(crate) name: String,
    /// What the user may do, as far as the server allows it at all.
    pub(crate) rights: Rights,
    /// What the user's keys begin with; empty for any keys.
    pub(crate) prefix: Box<[u8]>,
}

impl Account {
    /// A user who may do everything.
    pub(crate) fn full(name: &[u8]) -> Self {
        let name = name.escape_ascii().to_string();
        Self { name, rights: Rights::ALL, prefix: Box::default() }
    }

    /// Whether the user may use this key.
    pub(crate) fn owns(&self, key: &[u8]) -> bool {
        key.starts_with(&self.prefix)
    }
}

/// Which keys a client may see in lists, statistics and lines of watchers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope(Option<Arc<Account>>);

impl Scope {
    /// That of `account`, or of anyone if there is none.
    pub(crate) fn of(account: Option<&Arc<Account>>) -> Self {
        Self(account.filter(|account| !account.prefix.is_empty()).cloned())
    }

    /// What all of its keys begin with; nothing if it has all.
    pub(crate) fn prefix(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |account| &account.prefix)
    }

    /// Whether `key` is one of them.
    pub(crate) fn has(&self, key: &[u8]) -> bool {
        key.starts_with(self.prefix())
    }

    /// Whether all keys are.
    pub(crate) fn has_all(&self) -> bool {
        self.0.is_none()
    }
}
