//! One user and what the user may do.

use crate::auth::rights::Rights;

/// One user.
#[derive(Debug)]
pub(crate) struct Account {
    /// The name, to be shown.
    pub(crate) name: String,
    /// What the user may do, as far as the server allows it at all.
    pub(crate) rights: Rights,
}

impl Account {
    /// A user who may do everything.
    pub(crate) fn full(name: &[u8]) -> Self {
        Self { name: name.escape_ascii().to_string(), rights: Rights::ALL }
    }
}
