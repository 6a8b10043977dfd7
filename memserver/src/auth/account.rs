//! One user and what the user may do.

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
