//! The file of users with their rights, in TOML: text in, users out.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use crate::auth::account::Account;
use crate::auth::rights::{Right, Rights};
use crate::config::document;

/// A user with all ways to be recognised.
pub(crate) struct User {
    /// Who it is.
    pub(crate) account: Arc<Account>,
    /// The passwords that are right.
    pub(crate) passwords: Vec<String>,
    /// The users of this machine whose processes need no password over a Unix socket.
    pub(crate) uids: Vec<u32>,
    /// The owners of certificates with which clients need no password over TLS.
    pub(crate) subjects: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    users: BTreeMap<String, Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    password: Option<String>,
    #[serde(default)]
    passwords: Vec<String>,
    rights: Vec<Name>,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    uids: Vec<u32>,
    #[serde(default)]
    subjects: Vec<String>,
}

/// The rights that a file may name.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Name {
    Read,
    Write,
    Delete,
    Flush,
    Stats,
    Dump,
    Watch,
    Admin,
}

/// Reads a file.
///
/// # Errors
/// One line that says what is wrong, and where.
pub(crate) fn parse(text: &str) -> Result<Vec<User>, String> {
    let document: Document = document::parse(text)?;
    document.users.into_iter().map(|(name, row)| user(name, row)).collect()
}

fn user(name: String, row: Row) -> Result<User, String> {
    let Row { password, mut passwords, rights, prefix, uids, subjects } = row;
    passwords.extend(password);
    let wrong = |what: &str| Err(format!("user {name}: {what}"));
    if name.is_empty() || name.contains([' ', '\0', '\n']) {
        return wrong("a name has no spaces, and is not empty");
    }
    if passwords.iter().any(|password| password.is_empty() || password.contains(['\0', '\n'])) {
        return wrong("a password is not empty, and one line");
    }
    if passwords.is_empty() && uids.is_empty() && subjects.is_empty() {
        return wrong("there has to be a password, or something in uids or subjects");
    }
    let whole = [Name::Flush, Name::Admin];
    if let Some(right) = rights.iter().find(|right| !prefix.is_empty() && whole.contains(right)) {
        return wrong(&format!("with a prefix there can't be the right {right:?}").to_lowercase());
    }
    let granted = rights.iter().flat_map(|name| name.rights()).copied();
    let rights = granted.fold(Rights::NONE, |all, right| all.with(right, true));
    let rights = rights.with(Right::OtherKeys, prefix.is_empty());
    // Of its own keys, which it may list anyway.
    let rights = rights.with(Right::HotKeys, !prefix.is_empty() && rights.has(Right::Dump));
    let account = Account { name, rights, prefix: prefix.into_bytes().into() };
    Ok(User { account: Arc::new(account), passwords, uids, subjects })
}

impl Name {
    fn rights(self) -> &'static [Right] {
        match self {
            Self::Read => &[Right::Read],
            Self::Write => &[Right::Write],
            Self::Delete => &[Right::Delete],
            Self::Flush => &[Right::Flush],
            Self::Stats => &[Right::Stats],
            Self::Dump => &[Right::Dump],
            Self::Watch => &[Right::Watch],
            Self::Admin => &[Right::Admin, Right::HotKeys, Right::Verbosity, Right::Shutdown],
        }
    }
}

impl fmt::Debug for User {
    /// Without the passwords, which have no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("account", &self.account).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_their_rights() {
        let users = parse(
            "[users.app]\npassword = 'a'\npasswords = ['b']\nrights = ['read', 'write']\n\
             prefix = 'app:'\n[users.ops]\nuids = [0, 7]\nrights = ['admin', 'stats']\n",
        )
        .unwrap();
        let [app, ops] = &users[..] else { panic!("{users:?}") };
        assert_eq!((&app.account.name[..], app.passwords.len()), ("app", 2));
        assert!(app.account.rights == Rights::of(&[Right::Read, Right::Write]));
        assert!(app.account.owns(b"app:1") && !app.account.owns(b"ap"));
        assert!(
            ops.account.rights.has(Right::OtherKeys) && ops.account.rights.has(Right::Shutdown)
        );
        assert_eq!(ops.uids, [0, 7]);
        assert!(!format!("{users:?}").contains("passwords"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            ("[users.a]\nrights = []\n", "user a: there has to be a password"),
            ("[users.a]\npassword = 'x'\n", "line 1: missing field `rights`"),
            ("[users.a]\npassword = ''\nrights = []\n", "user a: a password is not empty"),
            ("[users.a]\npassword = 'x'\nrights = ['fly']\n", "line 3: unknown variant `fly`"),
            ("[users.a]\nprefixes = 'x'\nrights = []\n", "line 2: unknown field `prefixes`"),
            ("[users.'a b']\npassword = 'x'\nrights = []\n", "a name has no spaces"),
            (
                "[users.a]\npassword = 'x'\nprefix = 'a'\nrights = ['flush']\n",
                "with a prefix there can't be the right flush",
            ),
            ("[users", "line 1: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words) && !error.contains('\n'), "{text}: {error}");
        }
    }
}
