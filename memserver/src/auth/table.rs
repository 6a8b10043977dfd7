//! Names with their passwords, looked up in a time that does not depend on what is found.

use std::fmt;
use std::io;
use std::sync::Arc;

use blake2::Blake2sMac256;
use blake2::digest::{KeyInit, Mac};
use parking_lot::Mutex;
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::auth::account::Account;
use crate::auth::hash::{Hash, HashError};
use crate::os::random;

/// The keyed hash of a name and a password.
type Digest = [u8; 32];
/// No entry.
const NONE: u64 = u64::MAX;

/// What is known at once about a name and a password.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// Whose they are, if anyone's.
    Known(Option<Arc<Account>>),
    /// It has to be found out.
    Slow(Question),
}

/// A name and a password that may be those of a hash.
pub(crate) struct Question {
    table: Arc<Table>,
    user: Box<[u8]>,
    password: Box<[u8]>,
    /// Of both.
    digest: Digest,
}

/// Names with their passwords. The passwords themselves are not kept.
pub(crate) struct Table {
    /// Chosen at random, so that digests say nothing elsewhere.
    key: [u8; 32],
    /// What is appended to names without a realm, if anything.
    realm: Option<Box<[u8]>>,
    entries: Vec<Entry>,
    hashed: Vec<HashedEntry>,
}

struct Entry {
    digest: Digest,
    account: Arc<Account>,
}

struct HashedEntry {
    /// Of the name alone.
    name: Digest,
    hash: Hash,
    account: Arc<Account>,
    /// Of the name and the password that was right: the next time it is known at once.
    verified: Mutex<Option<Digest>>,
}

impl Table {
    /// An empty table. A name without `@` means the same as one with `@` and `realm` behind it.
    ///
    /// # Errors
    /// The system gave no random bytes.
    pub(crate) fn new(realm: Option<Box<[u8]>>) -> io::Result<Self> {
        let mut key = [0; 32];
        random::fill(&mut key)?;
        Ok(Self { key, realm, entries: Vec::new(), hashed: Vec::new() })
    }

    /// Lets `account` log in as `user`, with this password or that of this hash. With an empty
    /// password nobody can.
    ///
    /// # Errors
    /// [`HashError`].
    pub(crate) fn add(
        &mut self,
        user: &[u8],
        password: &[u8],
        account: Arc<Account>,
    ) -> Result<(), HashError> {
        match Hash::parse(password)? {
            Some(hash) => {
                let (name, verified) = (self.digest(user, b""), Mutex::new(None));
                self.hashed.push(HashedEntry { name, hash, account, verified });
            }
            None if password.is_empty() => {}
            None => self.entries.push(Entry { digest: self.digest(user, password), account }),
        }
        Ok(())
    }

    /// Whose name and password these are. All entries are compared, each as a whole.
    pub(crate) fn find(self: &Arc<Self>, user: &[u8], password: &[u8]) -> Lookup {
        let wanted = self.digest(user, password);
        let mut found = NONE;
        for (index, entry) in self.entries.iter().enumerate() {
            found.conditional_assign(&(index as u64), entry.digest.ct_eq(&wanted));
        }
        for (index, entry) in self.hashed.iter().enumerate() {
            let verified = entry.verified.lock().unwrap_or_default();
            let index = (self.entries.len() + index) as u64;
            found.conditional_assign(&index, verified.ct_eq(&wanted));
        }
        let accounts = self.entries.iter().map(|entry| &entry.account);
        let mut accounts = accounts.chain(self.hashed.iter().map(|entry| &entry.account));
        let account = usize::try_from(found).ok().and_then(|index| accounts.nth(index)).cloned();
        if account.is_some() || self.hashed.is_empty() || password.is_empty() {
            return Lookup::Known(account);
        }
        let table = Arc::clone(self);
        let (user, password) = (user.into(), password.into());
        Lookup::Slow(Question { table, user, password, digest: wanted })
    }

    /// Whose name and password these are, among those that are stored as hashes.
    fn find_hashed(&self, user: &[u8], password: &[u8]) -> Option<Arc<Account>> {
        let name = self.digest(user, b"");
        let mut of_user = self.hashed.iter().filter(|entry| entry.name == name).peekable();
        if of_user.peek().is_none() {
            // A name that does not exist takes as long as one that does.
            let _ = self.hashed.first()?.hash.is_of(password);
            return None;
        }
        let entry = of_user.find(|entry| entry.hash.is_of(password))?;
        *entry.verified.lock() = Some(self.digest(user, password));
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

impl Question {
    /// The answer. It takes milliseconds, unless it was found meanwhile for another connection.
    pub(crate) fn answer(&self) -> Option<Arc<Account>> {
        match self.table.find(&self.user, &self.password) {
            Lookup::Known(account) => account,
            Lookup::Slow(_) => self.table.find_hashed(&self.user, &self.password),
        }
    }
}

impl PartialEq for Question {
    /// Whether both have the same answer.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.table, &other.table) && self.digest == other.digest
    }
}

impl Eq for Question {}

impl fmt::Debug for Question {
    /// Without the password, which has no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("user", &self.user.escape_ascii()).finish_non_exhaustive()
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

    fn table(realm: Option<&str>, entries: &[(&str, &str)]) -> Arc<Table> {
        let mut table = Table::new(realm.map(|realm| realm.as_bytes().into())).unwrap();
        for (user, password) in entries {
            let account = Arc::new(Account::full(user.as_bytes()));
            table.add(user.as_bytes(), password.as_bytes(), account).unwrap();
        }
        Arc::new(table)
    }

    fn find(table: &Arc<Table>, user: &str, password: &str) -> Option<String> {
        let account = match table.find(user.as_bytes(), password.as_bytes()) {
            Lookup::Known(account) => account,
            Lookup::Slow(question) => question.answer(),
        };
        account.map(|account| account.name.clone())
    }

    #[test]
    fn a_hash_is_looked_up_slowly_until_it_is_known() {
        let hash = Hash::of(b"secret", b"0123456789abcdef").unwrap();
        let table = table(Some("host"), &[("u", &hash), ("plain", "word")]);
        let is_slow = |user: &str, password: &str| {
            matches!(table.find(user.as_bytes(), password.as_bytes()), Lookup::Slow(_))
        };
        assert!(is_slow("u", "secret") && is_slow("u", "other") && is_slow("nobody", "secret"));
        assert!(!is_slow("plain", "word") && is_slow("plain", "secret"));
        assert_eq!(find(&table, "u", "other"), None);
        assert_eq!(find(&table, "plain", "secret"), None);
        assert!(is_slow("u", "secret"));
        assert_eq!(find(&table, "u@host", "secret").as_deref(), Some("u"));
        assert!(!is_slow("u", "secret") && !is_slow("u@host", "secret"));
        assert!(is_slow("u", "other"));
        // Neither the hash itself nor nothing is a password.
        assert_eq!(find(&table, "u", &hash), None);
        assert_eq!(find(&table, "u", ""), None);
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
        table.add(b"u", b"p", Arc::new(Account::full(b"first"))).unwrap();
        table.add(b"u", b"p", Arc::new(Account::full(b"last"))).unwrap();
        let table = Arc::new(table);
        assert_eq!(find(&table, "u", "p").as_deref(), Some("last"));
    }
}
