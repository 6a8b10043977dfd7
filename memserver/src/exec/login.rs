//! Logins: what a client says is looked up, and its connection gets the user's rights.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use memproto::binary::{AUTHENTICATED, MECHANISMS, Plain, Status, parse_plain, write};
use memproto::text::write::STORED;
use memproto::text::{AuthError, parse_credentials};

use super::{Exec, binary};
use crate::auth::account::Account;
use crate::auth::accounts::Scheme;
use crate::auth::audit::{self, Event, EventKind};
use crate::auth::lockout::Source;
use crate::auth::table::{Lookup, Question};
use crate::auth::verifier::{Ask, PendingLogin, Refusal};
use crate::net::socket::Peer;
use crate::os::log;
use crate::session::access::{Login, LoginReply, Verdict, Verifying};
use crate::session::dialogue::Flow;
use crate::session::hello;
use crate::session::output::Output;
use crate::session::pending::Pending;
use crate::state::core::Core;

impl Exec<'_> {
    /// A login. It leaves what came of it, or is to come, in `pending`.
    #[cold]
    pub(super) fn login(
        &mut self,
        login: &Login<'_>,
        pending: &mut Pending,
        out: &mut Output,
    ) -> Flow {
        let verdict = match *login {
            Login::Text(block) => match parse_credentials(block) {
                Ok((user, password)) => {
                    let reply = LoginReply::Text;
                    let login = Plain { user, password };
                    return self.identify(Scheme::Text, login, reply, pending, out);
                }
                Err(error) => {
                    refuse(error, out);
                    Verdict { granted: false, goes_on: false }
                }
            },
            Login::Sasl { to, mechanism, message, step } => {
                // Whoever begins anew is nobody until that has succeeded.
                self.forget();
                let is_known = match step {
                    None => mechanism.eq_ignore_ascii_case(MECHANISMS),
                    // The mechanism is the one that the login began with.
                    Some(has_begun) => has_begun,
                };
                // As in memcached, a further step may do better than the last.
                let reply = LoginReply::Sasl { to, goes_on: step == Some(true) };
                if is_known && step.is_none() && message.is_empty() {
                    write::message(out.bytes(), to, Status::AuthContinue, b"");
                    Verdict { granted: false, goes_on: true }
                } else if let Some(login) = parse_plain(message).filter(|_| is_known) {
                    return self.identify(Scheme::Sasl, login, reply, pending, out);
                } else {
                    self.count_login(false);
                    answer(reply, false, out)
                }
            }
        };
        pending.put(Pending::Login(verdict));
        Flow::Done
    }

    /// Looks a user up by name and password.
    fn identify(
        &mut self,
        scheme: Scheme,
        login: Plain<'_>,
        reply: LoginReply,
        pending: &mut Pending,
        out: &mut Output,
    ) -> Flow {
        let Plain { user, password } = login;
        let Core { accounts, lockout, cache, .. } = &self.shared.core;
        let (peer, now) = (self.peer(), cache.now().as_secs());
        let account = match accounts {
            Some(accounts) if !lockout.refuses(peer, user, now) => {
                match accounts.find(scheme, user, password) {
                    Lookup::Known(account) => account.ok_or(Refusal::Failed),
                    Lookup::Slow(question) => {
                        let login = self.verify(question, user);
                        let verifying = Verifying { login, user: user.into(), reply };
                        pending.put(Pending::Verifying(Box::new(verifying)));
                        return Flow::Done;
                    }
                }
            }
            _ => Err(Refusal::Locked),
        };
        self.conclude(user, account, reply, pending, out);
        Flow::Done
    }

    /// Has a password compared with hashes.
    fn verify(&self, question: Question, user: &[u8]) -> Arc<PendingLogin> {
        let Core { verifier, lockout, cache, .. } = &self.shared.core;
        let Some(verifier) = verifier else {
            return Arc::new(PendingLogin::of(question.answer().ok_or(Refusal::Failed)));
        };
        let peer = self.peer();
        let standing = lockout.standing(peer, user, cache.now().as_secs());
        let (shared, worker) = (Arc::clone(self.shared), self.index);
        let wake = move || shared.control.wake(worker);
        let (shared, user) = (Arc::clone(self.shared), Box::<[u8]>::from(user));
        // Others of the same source may have failed by then.
        let is_wanted = move || {
            let Core { lockout, cache, .. } = &shared.core;
            !lockout.refuses(peer, &user, cache.now().as_secs())
        };
        verifier.ask(Ask { question, source: Source::of(peer), standing }, is_wanted, wake)
    }

    /// Ends a login whose password was compared with a hash.
    #[cold]
    pub(super) fn finish_login(&mut self, pending: &mut Pending, out: &mut Output) {
        let Pending::Verifying(verifying) = std::mem::take(pending) else { return };
        let Verifying { login, user, reply } = *verifying;
        let account = login.answer().unwrap_or(Err(Refusal::Failed));
        self.conclude(&user, account, reply, pending, out);
    }

    /// Gives the connection the rights of `account`, if it is not said why there is none, and
    /// answers.
    fn conclude(
        &mut self,
        user: &[u8],
        account: Result<Arc<Account>, Refusal>,
        reply: LoginReply,
        pending: &mut Pending,
        out: &mut Output,
    ) {
        let granted = account.is_ok();
        self.count_login(granted);
        // Without a look at the password nobody has guessed.
        if matches!(account, Ok(_) | Err(Refusal::Failed)) {
            let Core { lockout, cache, .. } = &self.shared.core;
            lockout.note(self.peer(), user, granted, cache.now().as_secs());
        }
        if self.verbosity() > 0 {
            let peer = self.peer();
            match &account {
                Ok(account) => log::line(format_args!("{peer} logged in as {}", account.name)),
                Err(_) => {
                    let name = user.escape_ascii();
                    log::line(format_args!("{peer} failed to log in as {name}"));
                }
            }
        }
        if let Some(format) = self.shared.core.config.audit {
            let result = account.as_ref().map_or_else(|refusal| refusal.word(), |_| "ok");
            let name = user.escape_ascii().to_string();
            let (what, peer) = (EventKind::Login(result), self.peer());
            audit::write(format, Event { what, peer, user: Some(&name) });
        }
        if let Some(guard) = &mut self.guard {
            guard.account = account.ok();
        }
        self.refresh_rights();
        pending.put(Pending::Login(answer(reply, granted, out)));
    }

    /// Tells a client that there is no TLS here, and the log as well the first time.
    #[cold]
    pub(super) fn refuse_tls(&self, out: &mut Output) {
        out.put(hello::ALERT);
        if !self.shared.gauges.tls.is_missed.swap(true, Ordering::Relaxed) {
            log::warning("a client speaks TLS to a port without it; others may do so as well");
        }
    }

    fn peer(&self) -> Peer {
        self.guard.as_ref().map_or(Peer::Gone, |guard| guard.peer)
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

/// Answers a login.
fn answer(reply: LoginReply, granted: bool, out: &mut Output) -> Verdict {
    let goes_on = match reply {
        LoginReply::Text if granted => {
            out.put(STORED);
            false
        }
        LoginReply::Text => {
            refuse(AuthError::Failure, out);
            false
        }
        LoginReply::Sasl { to, .. } if granted => {
            write::message(out.bytes(), to, Status::Ok, AUTHENTICATED);
            true
        }
        LoginReply::Sasl { to, goes_on } => {
            binary::refuse(to, Status::AuthError, out);
            goes_on
        }
    };
    Verdict { granted, goes_on }
}

/// Answers a client whose line was not a login, or not the right one.
pub(super) fn refuse(error: AuthError, out: &mut Output) {
    out.put(error.to_string().as_bytes());
    out.put(b"\r\n");
}
