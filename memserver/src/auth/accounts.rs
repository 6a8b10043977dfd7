//! The users of a server. They are read from files at the start, and again when that is asked for.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use thiserror::Error;

use crate::auth::account::Account;
use crate::auth::file::{self, FileError};
use crate::auth::table::{Lookup, Table};
use crate::auth::users::{self, User};
use crate::config::{Login, Users};
use crate::os::{files, reason};

/// A larger file is not read.
const FILE_MAX: u64 = 64 << 20;

/// How a login is spelled. Each has its own list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// In text.
    Text,
    /// SASL, over the binary protocol.
    Sasl,
}

/// The users can't be read.
#[derive(Debug, Error)]
pub(crate) enum AccountsError {
    /// A file can't be read.
    #[error("can't read {}: {}", .path.display(), reason(.source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A file has a line that can't be understood.
    #[error("{}: {source}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line.
        source: FileError,
    },
    /// The file of users with their rights can't be understood.
    #[error("{}: {reason}", .path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The user of the environment can't be added.
    #[error("MEMCACHED_PASSWORD: {0}")]
    Login(String),
    /// There is no file for SASL.
    #[error("-S: MEMCACHED_SASL_PWDB has to name a file of lines user:password")]
    NoSaslFile,
    /// The system has no random bytes.
    #[error("can't get random bytes: {}", reason(.0))]
    Random(io::Error),
}

/// The users of a server.
#[derive(Debug)]
pub(crate) struct Accounts {
    users: Users,
    /// Exchanged as a whole. Only logins lock it.
    tables: Mutex<Arc<Tables>>,
    /// How often they were exchanged.
    generation: AtomicU32,
}

#[derive(Debug, Default)]
struct Tables {
    text: Option<Arc<Table>>,
    sasl: Option<Arc<Table>>,
    /// Users with rights of their own.
    named: HashMap<String, Arc<Account>>,
    /// Users of this machine who need no password over a Unix socket.
    processes: HashMap<u32, Arc<Account>>,
    /// Owners of certificates who need no password over TLS.
    subjects: HashMap<String, Arc<Account>>,
}

impl Accounts {
    /// Reads the users that `users` lists; none if there are no such lists.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) fn load(users: &Users) -> Result<Option<Self>, AccountsError> {
        if !users.are_given() {
            return Ok(None);
        }
        let tables = Mutex::new(Arc::new(Tables::read(users)?));
        Ok(Some(Self { users: users.clone(), tables, generation: AtomicU32::new(0) }))
    }

    /// Reads them again. If that fails, those from before stay.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) fn reload(&self) -> Result<(), AccountsError> {
        let tables = Arc::new(Tables::read(&self.users)?);
        *self.tables.lock() = tables;
        // Pairs with the load in `generation`: whoever sees this finds the new tables.
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// How often the users were exchanged.
    pub(crate) fn generation(&self) -> u32 {
        // Pairs with the addition in `reload`.
        self.generation.load(Ordering::Acquire)
    }

    /// What has become of a user who is logged in; none if the user is not listed any more. Users
    /// without rights of their own stay as they are.
    pub(crate) fn renew(&self, account: &Arc<Account>) -> Option<Arc<Account>> {
        if self.users.accounts.is_none() {
            return Some(Arc::clone(account));
        }
        self.tables.lock().named.get(&account.name).cloned()
    }

    /// Who a process of user number `uid` of this machine is, if it needs no password.
    pub(crate) fn of_process(&self, uid: u32) -> Option<Arc<Account>> {
        self.tables.lock().processes.get(&uid).cloned()
    }

    /// Who the owner of a client's certificate is, who needs no password.
    pub(crate) fn of_subject(&self, subject: &str) -> Option<Arc<Account>> {
        self.tables.lock().subjects.get(subject).cloned()
    }

    /// Whose name and password these are.
    pub(crate) fn find(&self, scheme: Scheme, user: &[u8], password: &[u8]) -> Lookup {
        let tables = Arc::clone(&self.tables.lock());
        let table = match scheme {
            Scheme::Text => &tables.text,
            Scheme::Sasl => &tables.sasl,
        };
        table.as_ref().map_or(Lookup::Known(None), |table| table.find(user, password))
    }
}

impl Tables {
    fn read(sources: &Users) -> Result<Self, AccountsError> {
        let mut tables = Self::default();
        let login = sources.login.as_ref();
        if let Some(path) = &sources.accounts {
            tables.add_accounts(path, login)?;
            return Ok(tables);
        }
        if let Some(path) = &sources.text {
            let bytes = read(path)?;
            let entries = file::text(&bytes)
                .map_err(|source| AccountsError::Malformed { path: path.clone(), source })?;
            tables.text = Some(table(None, &entries, path, login)?);
        } else if sources.by_text() {
            tables.text = Some(table(None, &[], Path::new(""), login)?);
        }
        match sources.sasl_file.as_deref().filter(|_| sources.sasl) {
            Some(path) => {
                let bytes = read(path)?;
                tables.sasl = Some(table(realm(), &file::sasl(&bytes), path, login)?);
            }
            None if sources.by_sasl() && login.is_none() => return Err(AccountsError::NoSaslFile),
            None if sources.by_sasl() => {
                tables.sasl = Some(table(realm(), &[], Path::new(""), login)?);
            }
            None => {}
        }
        Ok(tables)
    }

    /// Adds the users of a file with rights, who log in either way.
    fn add_accounts(&mut self, path: &Path, login: Option<&Login>) -> Result<(), AccountsError> {
        let wrong = |reason| AccountsError::Wrong { path: path.to_owned(), reason };
        let bytes = read(path)?;
        let text = str::from_utf8(&bytes).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
        let mut by_text = Table::new(None).map_err(AccountsError::Random)?;
        let mut by_sasl = Table::new(realm()).map_err(AccountsError::Random)?;
        for User { account, passwords, uids, subjects } in users::parse(text).map_err(wrong)? {
            self.named.insert(account.name.clone(), Arc::clone(&account));
            for password in passwords {
                let (user, password) = (account.name.as_bytes(), password.as_bytes());
                for table in [&mut by_text, &mut by_sasl] {
                    let added = table.add(user, password, Arc::clone(&account));
                    added.map_err(|error| wrong(format!("user {}: {error}", account.name)))?;
                }
            }
            for uid in uids {
                if let Some(other) = self.processes.insert(uid, Arc::clone(&account)) {
                    let (one, two) = (&other.name, &account.name);
                    return Err(wrong(format!("the number {uid} belongs to {one} and to {two}")));
                }
            }
            for subject in subjects {
                if let Some(other) = self.subjects.insert(subject, Arc::clone(&account)) {
                    let (one, two) = (&other.name, &account.name);
                    return Err(wrong(format!("one subject belongs to {one} and to {two}")));
                }
            }
        }
        if let Some(login) = login {
            let account = Arc::new(Account::full(login.user.as_bytes()));
            add_login(&mut by_text, login, &account)?;
            add_login(&mut by_sasl, login, &account)?;
            if self.named.insert(login.user.clone(), account).is_some() {
                return Err(wrong(format!("user {} is also MEMCACHED_USERNAME", login.user)));
            }
        }
        self.text = Some(Arc::new(by_text));
        self.sasl = Some(Arc::new(by_sasl));
        Ok(())
    }
}

fn table(
    realm: Option<Box<[u8]>>,
    entries: &[file::Entry<'_>],
    path: &Path,
    login: Option<&Login>,
) -> Result<Arc<Table>, AccountsError> {
    let mut table = Table::new(realm).map_err(AccountsError::Random)?;
    for file::Entry { user, password } in entries {
        table.add(user, password, Arc::new(Account::full(user))).map_err(|error| {
            let reason = format!("user {}: {error}", user.escape_ascii());
            AccountsError::Wrong { path: path.to_owned(), reason }
        })?;
    }
    if let Some(login) = login {
        add_login(&mut table, login, &Arc::new(Account::full(login.user.as_bytes())))?;
    }
    Ok(Arc::new(table))
}

fn add_login(
    table: &mut Table,
    login: &Login,
    account: &Arc<Account>,
) -> Result<(), AccountsError> {
    let (user, password) = (login.user.as_bytes(), login.password.as_bytes());
    let added = table.add(user, password, Arc::clone(account));
    added.map_err(|error| AccountsError::Login(error.to_string()))
}

/// The realm of names that have none: the name of the host, as with memcached.
fn realm() -> Option<Box<[u8]>> {
    let name = rustix::system::uname();
    Some(name.nodename().to_bytes().into())
}

fn read(path: &Path) -> Result<Vec<u8>, AccountsError> {
    let unreadable = |source| AccountsError::Unreadable { path: path.to_owned(), source };
    files::read(path, FILE_MAX).map_err(unreadable)
}
