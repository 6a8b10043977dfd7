//! Logins: what a client says is looked up, and its connection gets the user's rights.

use std::sync::atomic::Ordering;

use memproto::binary::write::ReplyTo;
use memproto::binary::{AUTHENTICATED, Plain, Status, parse_plain, write};
use memproto::text::write::STORED;
use memproto::text::{AuthError, parse_credentials};

use super::{Exec, binary};
use crate::auth::accounts::Scheme;
use crate::net::socket::Peer;
use crate::os::log;
use crate::session::access::{Login, Verdict};
use crate::session::output::Output;
use crate::session::pending::Pending;
use crate::state::core::Core;

impl Exec<'_> {
    /// A login. It leaves what came of it in `pending`.
    #[cold]
    pub(super) fn login(&mut self, login: &Login<'_>, pending: &mut Pending, out: &mut Output) {
        let verdict = match *login {
            Login::Text(block) => self.login_in_text(block, out),
            Login::Sasl { to, mechanism, message, step } => {
                // Whoever begins anew is nobody until that has succeeded.
                self.forget();
                self.login_by_sasl(to, mechanism, message, step, out)
            }
        };
        pending.put(Pending::Login(verdict));
    }

    fn login_in_text(&mut self, block: &[u8], out: &mut Output) -> Verdict {
        let granted = match parse_credentials(block) {
            Ok((user, password)) => {
                let granted = self.identify(Scheme::Text, user, password);
                if granted {
                    out.put(STORED)
                } else {
                    refuse(AuthError::Failure, out)
                }
                granted
            }
            Err(error) => {
                refuse(error, out);
                false
            }
        };
        Verdict { granted, goes_on: false }
    }

    fn login_by_sasl(
        &mut self,
        to: ReplyTo,
        mechanism: &[u8],
        message: &[u8],
        step: Option<bool>,
        out: &mut Output,
    ) -> Verdict {
        let is_known = match step {
            None => mechanism.eq_ignore_ascii_case(memproto::binary::MECHANISMS),
            // The mechanism is the one that the login began with.
            Some(has_begun) => has_begun,
        };
        if is_known && step.is_none() && message.is_empty() {
            write::message(out.bytes(), to, Status::AuthContinue, b"");
            return Verdict { granted: false, goes_on: true };
        }
        let granted = match parse_plain(message).filter(|_| is_known) {
            Some(Plain { user, password }) => self.identify(Scheme::Sasl, user, password),
            None => {
                self.count_login(false);
                false
            }
        };
        if granted {
            write::message(out.bytes(), to, Status::Ok, AUTHENTICATED);
        } else {
            binary::refuse(to, Status::AuthError, out);
        }
        // As in memcached, a further step may do better than the last.
        Verdict { granted, goes_on: granted || step == Some(true) }
    }

    /// Looks a user up, and gives the connection the user's rights; false if there is no such user.
    fn identify(&mut self, scheme: Scheme, user: &[u8], password: &[u8]) -> bool {
        let Core { accounts, lockout, cache, .. } = &self.shared.core;
        let now = cache.now().as_secs();
        let peer = self.guard.as_ref().map_or(Peer::Gone, |guard| guard.peer);
        let account = match accounts {
            Some(accounts) if !lockout.refuses(peer, now) => {
                let account = accounts.find(scheme, user, password);
                lockout.note(peer, account.is_some(), now);
                account
            }
            _ => None,
        };
        let granted = account.is_some();
        self.count_login(granted);
        if let Some(guard) = &mut self.guard {
            if self.shared.core.verbosity.load(Ordering::Relaxed) > 0 {
                match account.as_ref().map(|account| &account.name) {
                    Some(name) => log::line(format_args!("{peer} logged in as {name}")),
                    None => {
                        let name = user.escape_ascii();
                        log::line(format_args!("{peer} failed to log in as {name}"));
                    }
                }
            }
            guard.account = account;
        }
        self.refresh_rights();
        granted
    }

    /// Takes the rights of the last login away.
    fn forget(&mut self) {
        if let Some(guard) = &mut self.guard {
            guard.account = None;
        }
        self.refresh_rights();
    }

    fn refresh_rights(&mut self) {
        let guard = self.guard.take();
        self.admit(guard);
    }

    fn count_login(&self, granted: bool) {
        self.counters.auth_cmds.add(1);
        self.counters.auth_errors.add(u64::from(!granted));
    }
}

/// Answers a client whose line was not a login, or not the right one.
pub(super) fn refuse(error: AuthError, out: &mut Output) {
    out.put(error.to_string().as_bytes());
    out.put(b"\r\n");
}
