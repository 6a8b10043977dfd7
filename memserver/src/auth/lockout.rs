//! Sources of failed logins. Whoever guesses has to wait.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use parking_lot::Mutex;

use crate::net::socket::Peer;

/// Seconds after which failures are forgotten, counted from the last one that was looked up.
const MEMORY: u32 = 60;
/// Sources that are remembered.
const SOURCES_MAX: usize = 10_000;

/// Sources that failed to log in.
#[derive(Debug)]
pub(crate) struct Lockout {
    /// Failures after which a source is locked out; 0 for never.
    failures_max: u32,
    sources: Mutex<HashMap<Source, Failures>>,
}

/// Where logins come from. An IPv6 host has a whole network of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    Address(IpAddr),
    Here,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: u32,
}

impl Lockout {
    /// Failures after which a source is locked out.
    pub(crate) fn new(failures_max: u32) -> Self {
        Self { failures_max, sources: Mutex::default() }
    }

    /// Whether logins from `peer` are refused at second `now`.
    pub(crate) fn refuses(&self, peer: Peer, now: u32) -> bool {
        if self.failures_max == 0 {
            return false;
        }
        let sources = self.sources.lock();
        let failures = sources.get(&Source::of(peer)).filter(|failures| failures.count_at(now));
        failures.is_some_and(|failures| failures.count >= self.failures_max)
    }

    /// Takes note of a login that was looked up at second `now`.
    pub(crate) fn note(&self, peer: Peer, granted: bool, now: u32) {
        if self.failures_max == 0 {
            return;
        }
        let source = Source::of(peer);
        let mut sources = self.sources.lock();
        if granted {
            sources.remove(&source);
            return;
        }
        if sources.len() >= SOURCES_MAX && !sources.contains_key(&source) {
            make_room(&mut sources, now);
        }
        let failures = sources.entry(source).or_insert(Failures { count: 0, last: now });
        if !failures.count_at(now) {
            failures.count = 0;
        }
        failures.count += 1;
        failures.last = now;
    }
}

/// Forgets sources that no longer count, or else any one.
fn make_room(sources: &mut HashMap<Source, Failures>, now: u32) {
    sources.retain(|_, failures| failures.count_at(now));
    if sources.len() >= SOURCES_MAX
        && let Some(&any) = sources.keys().next()
    {
        sources.remove(&any);
    }
}

impl Failures {
    /// Whether they still count.
    fn count_at(&self, now: u32) -> bool {
        now.saturating_sub(self.last) < MEMORY
    }
}

impl Source {
    fn of(peer: Peer) -> Self {
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
            lockout.note(tcp("192.0.2.1:1"), false, 100);
        }
        assert!(!lockout.refuses(tcp("192.0.2.1:2"), 100));
        lockout.note(tcp("192.0.2.1:3"), false, 110);
        assert!(lockout.refuses(tcp("192.0.2.1:4"), 169));
        assert!(!lockout.refuses(tcp("192.0.2.2:4"), 110));
        assert!(!lockout.refuses(tcp("192.0.2.1:4"), 170));
        lockout.note(tcp("192.0.2.1:3"), false, 170);
        assert!(!lockout.refuses(tcp("192.0.2.1:4"), 170));
    }

    #[test]
    fn a_login_that_succeeds_ends_the_count() {
        let lockout = Lockout::new(2);
        for granted in [false, true, false] {
            lockout.note(Peer::Local, granted, 100);
        }
        assert!(!lockout.refuses(Peer::Local, 100));
    }

    #[test]
    fn addresses_of_one_network_are_one_source() {
        let lockout = Lockout::new(1);
        lockout.note(tcp("[2001:db8::1]:1"), false, 100);
        assert!(lockout.refuses(tcp("[2001:db8::ffff:2]:1"), 100));
        assert!(!lockout.refuses(tcp("[2001:db8:0:1::1]:1"), 100));
    }

    #[test]
    fn the_number_of_sources_is_bounded() {
        let lockout = Lockout::new(1);
        for number in 0..SOURCES_MAX + 100 {
            let ip = IpAddr::V4((number as u32).into());
            lockout.note(Peer::Tcp((ip, 1).into()), false, 100);
        }
        assert_eq!(lockout.sources.lock().len(), SOURCES_MAX);
        assert!(!Lockout::new(0).refuses(Peer::Local, 100));
    }
}
