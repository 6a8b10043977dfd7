//! What is remembered of logins by their source. Whoever guesses has to wait, and those who have
//! logged in before go first.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};

use parking_lot::Mutex;

use crate::net::socket::Peer;

/// Seconds after which failures are forgotten, counted from the last one that was looked up.
const MEMORY: u32 = 60;
/// Sources of failures that are remembered.
const SOURCES_MAX: usize = 10_000;
/// Successes that are remembered.
const PROVEN_MAX: usize = 10_000;

/// Sources of logins that failed or succeeded.
#[derive(Debug)]
pub(crate) struct Lockout {
    /// Failures after which a source is locked out; 0 for never.
    failures_max: u32,
    /// Names are known by their hash.
    hasher: RandomState,
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    /// Failures by source.
    failed: HashMap<Source, Failures>,
    /// Who has logged in from where, with the failures since then.
    proven: HashMap<Proven, Failures>,
}

/// Where logins come from. An IPv6 host has a whole network of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// An address or a network.
    Address(IpAddr),
    /// A process of this machine.
    Here,
}

/// How much speaks for a login before its password is looked at: the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// The user has logged in from there and not failed since; or others have, and nobody fails.
    Proven,
    /// Nothing is known.
    Unknown,
    /// Logins from there have failed, so often.
    Failed(u32),
}

/// A source from which a user has logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Proven {
    source: Source,
    /// The hash of the name; none for any user.
    user: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    last: u32,
}

impl Lockout {
    /// Failures after which a source is locked out.
    pub(crate) fn new(failures_max: u32) -> Self {
        Self { failures_max, hasher: RandomState::new(), records: Mutex::default() }
    }

    /// Whether logins of `user` from `peer` are refused at second `now`. Users who have logged in
    /// from there before answer for their own failures alone.
    pub(crate) fn refuses(&self, peer: Peer, user: &[u8], now: u32) -> bool {
        if self.failures_max == 0 {
            return false;
        }
        let key = self.key(peer, user);
        let records = self.records.lock();
        let own = records.proven.get(&key);
        let failures = own.or_else(|| records.failed.get(&key.source));
        failures.is_some_and(|failures| failures.count_at(now) >= self.failures_max)
    }

    /// What speaks for a login of `user` from `peer` at second `now`.
    pub(crate) fn standing(&self, peer: Peer, user: &[u8], now: u32) -> Standing {
        let key = self.key(peer, user);
        let records = self.records.lock();
        if records.proven.get(&key).is_some_and(|own| own.count_at(now) == 0) {
            return Standing::Proven;
        }
        match records.failed.get(&key.source).map_or(0, |failures| failures.count_at(now)) {
            0 if records.proven.contains_key(&Proven { user: None, ..key }) => Standing::Proven,
            0 => Standing::Unknown,
            count => Standing::Failed(count),
        }
    }

    /// Takes note of a login that was looked up at second `now`. One that succeeds does not make
    /// up for failures with other names: whoever has a password could guess on otherwise.
    pub(crate) fn note(&self, peer: Peer, user: &[u8], granted: bool, now: u32) {
        let key = self.key(peer, user);
        let Records { failed, proven } = &mut *self.records.lock();
        if granted {
            for key in [key, Proven { user: None, ..key }] {
                make_room(proven, PROVEN_MAX, &key, |_| true);
                proven.insert(key, Failures::default());
            }
            return;
        }
        if let Some(own) = proven.get_mut(&key) {
            own.add(now);
        }
        make_room(failed, SOURCES_MAX, &key.source, |failures| failures.count_at(now) > 0);
        failed.entry(key.source).or_default().add(now);
    }

    fn key(&self, peer: Peer, user: &[u8]) -> Proven {
        Proven { source: Source::of(peer), user: Some(self.hasher.hash_one(user)) }
    }
}

/// Makes room for `key`: forgets records that no longer count, or else any one.
fn make_room<K: Copy + Eq + std::hash::Hash>(
    records: &mut HashMap<K, Failures>,
    most: usize,
    key: &K,
    counts: impl Fn(&Failures) -> bool,
) {
    if records.len() < most || records.contains_key(key) {
        return;
    }
    records.retain(|_, failures| counts(failures));
    if records.len() >= most
        && let Some(&any) = records.keys().next()
    {
        records.remove(&any);
    }
}

impl Failures {
    /// How many still count.
    fn count_at(&self, now: u32) -> u32 {
        if now.saturating_sub(self.last) < MEMORY { self.count } else { 0 }
    }

    /// One more.
    fn add(&mut self, now: u32) {
        self.count = self.count_at(now).saturating_add(1);
        self.last = now;
    }
}

impl Source {
    /// Where a peer comes from.
    pub(crate) fn of(peer: Peer) -> Self {
        match peer {
            Peer::Tcp(address) => Self::Address(match address.ip().to_canonical() {
                IpAddr::V6(ip) => {
                    let network = u128::from(ip) & !u128::from(u64::MAX);
                    IpAddr::V6(Ipv6Addr::from(network))
                }
                ip @ IpAddr::V4(_) => ip,
            }),
            Peer::Local | Peer::Gone => Self::Here,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(address: &str) -> Peer {
        Peer::Tcp(address.parse().unwrap())
    }

    #[test]
    fn a_source_that_fails_often_has_to_wait() {
        let lockout = Lockout::new(3);
        for _ in 0..2 {
            lockout.note(tcp("192.0.2.1:1"), b"a", false, 100);
        }
        assert!(!lockout.refuses(tcp("192.0.2.1:2"), b"a", 100));
        lockout.note(tcp("192.0.2.1:3"), b"b", false, 110);
        assert!(lockout.refuses(tcp("192.0.2.1:4"), b"c", 169));
        assert!(!lockout.refuses(tcp("192.0.2.2:4"), b"a", 110));
        assert!(!lockout.refuses(tcp("192.0.2.1:4"), b"a", 170));
        lockout.note(tcp("192.0.2.1:3"), b"a", false, 170);
        assert!(!lockout.refuses(tcp("192.0.2.1:4"), b"a", 170));
    }

    #[test]
    fn users_who_have_logged_in_answer_for_themselves() {
        let lockout = Lockout::new(2);
        lockout.note(Peer::Local, b"known", true, 100);
        for _ in 0..2 {
            lockout.note(Peer::Local, b"other", false, 100);
        }
        assert!(!lockout.refuses(Peer::Local, b"known", 100));
        assert!(lockout.refuses(Peer::Local, b"unknown", 100));
        // A success of their own ends their count.
        for granted in [false, true, false] {
            lockout.note(Peer::Local, b"known", granted, 100);
        }
        assert!(!lockout.refuses(Peer::Local, b"known", 100));
        lockout.note(Peer::Local, b"known", false, 100);
        assert!(lockout.refuses(Peer::Local, b"known", 100));
        // Elsewhere they are nobody.
        for _ in 0..2 {
            lockout.note(tcp("192.0.2.1:1"), b"other", false, 100);
        }
        assert!(lockout.refuses(tcp("192.0.2.1:1"), b"known", 100));
    }

    #[test]
    fn a_password_does_not_help_to_guess_others() {
        let lockout = Lockout::new(3);
        for _ in 0..3 {
            lockout.note(Peer::Local, b"victim", false, 100);
            lockout.note(Peer::Local, b"own", true, 100);
        }
        assert!(lockout.refuses(Peer::Local, b"victim", 100));
    }

    #[test]
    fn what_speaks_for_a_login() {
        let lockout = Lockout::new(0);
        let standing = |user: &str| lockout.standing(Peer::Local, user.as_bytes(), 100);
        assert_eq!(standing("a"), Standing::Unknown);
        lockout.note(Peer::Local, b"a", true, 100);
        assert_eq!((standing("a"), standing("b")), (Standing::Proven, Standing::Proven));
        lockout.note(Peer::Local, b"b", false, 100);
        assert_eq!((standing("a"), standing("b")), (Standing::Proven, Standing::Failed(1)));
        lockout.note(Peer::Local, b"a", false, 100);
        assert_eq!((standing("a"), standing("b")), (Standing::Failed(2), Standing::Failed(2)));
        assert_eq!(lockout.standing(Peer::Local, b"b", 160), Standing::Proven);
        assert_eq!(lockout.standing(tcp("192.0.2.1:1"), b"a", 100), Standing::Unknown);
        assert!(Standing::Proven < Standing::Unknown && Standing::Unknown < Standing::Failed(1));
    }

    #[test]
    fn addresses_of_one_network_are_one_source() {
        let lockout = Lockout::new(1);
        lockout.note(tcp("[2001:db8::1]:1"), b"a", false, 100);
        assert!(lockout.refuses(tcp("[2001:db8::ffff:2]:1"), b"a", 100));
        assert!(!lockout.refuses(tcp("[2001:db8:0:1::1]:1"), b"a", 100));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let lockout = Lockout::new(1);
        for number in 0..SOURCES_MAX + 100 {
            let ip = IpAddr::V4((number as u32).into());
            lockout.note(Peer::Tcp((ip, 1).into()), b"a", false, 100);
            lockout.note(Peer::Tcp((ip, 1).into()), b"b", true, 100);
        }
        let records = lockout.records.lock();
        assert_eq!((records.failed.len(), records.proven.len()), (SOURCES_MAX, PROVEN_MAX));
        assert!(!Lockout::new(0).refuses(Peer::Local, b"a", 100));
    }
}
