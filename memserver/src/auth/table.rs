//! Names with their passwords, looked up in a time that does not depend on what is found.

use std::fmt;
use std::io;
use std::sync::Arc;

use blake2::Blake2sMac256;
use blake2::digest::{KeyInit, Mac};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::auth::account::Account;

/// The keyed hash of a name and a password.
type Digest = [u8; 32];
/// No entry.
const NONE: u64 = u64::MAX;

/// Names with their passwords. The passwords themselves are not kept.
pub(crate) struct Table {
    /// Chosen at random, so that digests say nothing elsewhere.
    key: [u8; 32],
    /// What is appended to names without a realm, if anything.
    realm: Option<Box<[u8]>>,
    entries: Vec<Entry>,
}

struct Entry {
    digest: Digest,
    account: Arc<Account>,
}

impl Table {
    /// An empty table. A name without `@` means the same as one with `@` and `realm` behind it.
    ///
    /// # Errors
    /// The system gave no random bytes.
    pub(crate) fn new(realm: Option<Box<[u8]>>) -> io::Result<Self> {
        let mut key = [0; 32];
        let mut missing = &mut key[..];
        while !missing.is_empty() {
            let count =
                rustix::rand::getrandom(&mut *missing, rustix::rand::GetRandomFlags::empty())?;
            missing = &mut missing[count..];
        }
        Ok(Self { key, realm, entries: Vec::new() })
    }

    /// Lets `account` log in as `user`. With an empty password nobody can.
    pub(crate) fn add(&mut self, user: &[u8], password: &[u8], account: Arc<Account>) {
        if !password.is_empty() {
            self.entries.push(Entry { digest: self.digest(user, password), account });
        }
    }

    /// Whose name and password these are. All entries are compared, each as a whole.
    pub(crate) fn find(&self, user: &[u8], password: &[u8]) -> Option<Arc<Account>> {
        let wanted = self.digest(user, password);
        let mut found = NONE;
        for (index, entry) in self.entries.iter().enumerate() {
            found.conditional_assign(&(index as u64), entry.digest.ct_eq(&wanted));
        }
        let entry = self.entries.get(usize::try_from(found).ok()?)?;
        Some(Arc::clone(&entry.account))
    }

    fn digest(&self, user: &[u8], password: &[u8]) -> Digest {
        let mut mac = Blake2sMac256::new(&self.key.into());
        let realm = self.realm.as_deref().filter(|_| !user.contains(&b'@'));
        let realm = realm.map(|realm| [b"@", realm].concat()).unwrap_or_default();
        // With the length in front, no part of a password passes for a part of a name.
        mac.update(&(user.len() + realm.len()).to_le_bytes());
        mac.update(user);
        mac.update(&realm);
        mac.update(password);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(realm: Option<&str>, entries: &[(&str, &str)]) -> Table {
        let mut table = Table::new(realm.map(|realm| realm.as_bytes().into())).unwrap();
        for (user, password) in entries {
            let account = Arc::new(Account::full(user.as_bytes()));
            table.add(user.as_bytes(), password.as_bytes(), account);
        }
        table
    }

    fn find(table: &Table, user: &str, password: &str) -> Option<String> {
        let found = table.find(user.as_bytes(), password.as_bytes());
        found.map(|account| account.name.clone())
    }

    #[test]
    fn only_whole_names_with_whole_passwords_are_found() {
        let users: Vec<_> =
            (0..50).map(|number| (format!("u{number}"), format!("p{number}"))).collect();
        let entries: Vec<_> =
            users.iter().map(|(user, password)| (&user[..], &password[..])).collect();
        let table = table(None, &entries);
        for (user, password) in &entries {
            assert_eq!(find(&table, user, password).as_deref(), Some(*user));
        }
        for (user, password) in [
            ("u1", "p2"),
            ("u1p", "1"),
            ("u", "1p1"),
            ("u1", "p"),
            ("u1", "p11"),
            ("", ""),
            ("u1", ""),
        ] {
            assert_eq!(find(&table, user, password), None, "{user} {password}");
        }
    }

    #[test]
    fn a_user_may_have_several_passwords_and_none_without() {
        let table = table(None, &[("u", "old"), ("u", "new"), ("v", "")]);
        assert!(find(&table, "u", "old").is_some() && find(&table, "u", "new").is_some());
        assert!(find(&table, "v", "").is_none());
    }

    #[test]
    fn names_without_a_realm_have_that_of_the_host() {
        let table = table(Some("host"), &[("a", "x"), ("b@host", "x"), ("c@other", "x")]);
        for user in ["a", "a@host", "b", "b@host", "c@other"] {
            assert!(find(&table, user, "x").is_some(), "{user}");
        }
        for user in ["c", "c@host", "a@other", "a@"] {
            assert!(find(&table, user, "x").is_none(), "{user}");
        }
    }

    #[test]
    fn the_search_does_not_end_at_the_first_match() {
        let mut table = Table::new(None).unwrap();
        table.add(b"u", b"p", Arc::new(Account::full(b"first")));
        table.add(b"u", b"p", Arc::new(Account::full(b"last")));
        assert_eq!(find(&table, "u", "p").as_deref(), Some("last"));
    }
}
