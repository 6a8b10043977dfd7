//! Target `authfile`: whatever a file of users contains is understood or refused, and nobody gets
//! in who is not in it. It is not part of the API.

use std::sync::Arc;

use super::account::Account;
use super::file::{self, Entry};
use super::table::{Lookup, Table};
use super::users;

/// Users that are tried; each costs a search through all of them.
const TRIED_MAX: usize = 32;

/// Reads `data` as each kind of file.
///
/// # Panics
/// If a user is not found, if one is found who is not in the file, or if an error has several
/// lines.
pub fn authfile(data: &[u8]) {
    match file::text(data) {
        Ok(entries) => {
            for Entry { user, password } in &entries {
                let line = [user, &b":"[..], password].concat();
                assert!(!user.is_empty() && !user.contains(&b':') && !line.contains(&b'\n'));
                assert!(data.windows(line.len()).any(|part| part == line));
            }
            look_up(&entries);
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
    let entries = file::sasl(data);
    assert!(entries.iter().all(|entry| !entry.password.contains(&b':')));
    look_up(&entries);
    if let Err(error) = users::parse(&String::from_utf8_lossy(data)) {
        assert!(!error.is_empty() && !error.contains('\n'), "{error:?}");
    }
}

/// Each of the first users is found by its own password, and by no other.
fn look_up(entries: &[Entry<'_>]) {
    let Ok(mut table) = Table::new(None) else { return };
    // Hashes are slow, and have tests of their own.
    let is_plain = |entry: &&Entry<'_>| !entry.password.starts_with(b"$argon2");
    let entries: Vec<_> = entries.iter().filter(is_plain).take(TRIED_MAX).collect();
    for Entry { user, password } in &entries {
        let added = table.add(user, password, Arc::new(Account::full(user)));
        added.expect("a password is not a hash");
    }
    let table = Arc::new(table);
    let find = |user: &[u8], password: &[u8]| match table.find(user, password) {
        Lookup::Known(account) => account.is_some(),
        Lookup::Slow(_) => panic!("there are no hashes"),
    };
    for Entry { user, password } in &entries {
        assert_eq!(find(user, password), !password.is_empty());
        let longer = [password, &b"x"[..]].concat();
        let is_listed = |entry: &&Entry<'_>| entry.user == *user && entry.password == longer;
        assert_eq!(find(user, &longer), entries.iter().any(is_listed));
    }
}
