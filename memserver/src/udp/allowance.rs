//! How much a peer may be sent. The source of a datagram can be forged, and the replies go to the
//! forged address; so a server that strangers can reach sends each peer no more than a trickle. The
//! accounts take bounded memory, however many peers there are.

use std::collections::HashMap;
use std::net::IpAddr;

/// Bytes per second and peer.
const RATE: u32 = 64 << 10;
/// Bytes that a peer who was silent may be sent at once.
const BURST: u32 = 256 << 10;
/// Peers that are remembered; when there are more, new ones get nothing before next second.
const PEERS_MAX: usize = 4096;

/// The accounts of all peers.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    peers: HashMap<IpAddr, Account>,
    swept: u32,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    left: u32,
    at: u32,
}

impl Account {
    fn left(self, now: u32) -> u32 {
        let gained = RATE.saturating_mul(now.saturating_sub(self.at));
        self.left.saturating_add(gained).min(BURST)
    }
}

impl Allowance {
    /// Takes `bytes` from the account of `peer` at second `now`, if they are there. This machine
    /// itself can't be harmed through us more than directly.
    pub(super) fn take(&mut self, peer: IpAddr, bytes: usize, now: u32) -> bool {
        // An IPv4 address may come mapped into IPv6.
        if peer.to_canonical().is_loopback() {
            return true;
        }
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&peer) && !self.sweep(now) {
            return false;
        }
        let account = self.peers.entry(peer).or_insert(Account { left: BURST, at: now });
        let left = account.left(now);
        let taken = u32::try_from(bytes).ok().and_then(|bytes| left.checked_sub(bytes));
        *account = Account { left: taken.unwrap_or(left), at: now };
        taken.is_some()
    }

    /// Forgets the peers whose accounts are full again, at most once per second; true if there is
    /// room for another.
    fn sweep(&mut self, now: u32) -> bool {
        // Once per second, or a flood of forged addresses would have the table walked for each
        // datagram.
        if now != self.swept {
            self.swept = now;
            self.peers.retain(|_, account| account.left(now) < BURST);
        }
        self.peers.len() < PEERS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_gets_a_burst_and_then_a_trickle() {
        let mut allowance = Allowance::default();
        let peer = IpAddr::from([192, 0, 2, 1]);
        assert!(allowance.take(peer, BURST as usize, 100));
        assert!(!allowance.take(peer, 1, 100));
        assert!(allowance.take(IpAddr::from([192, 0, 2, 2]), 1, 100), "others have their own");
        assert!(allowance.take(peer, RATE as usize, 101));
        assert!(!allowance.take(peer, 1, 101));
        assert!(!allowance.take(peer, BURST as usize + 1, 1_000));
        assert!(allowance.take(peer, BURST as usize, 1_000));
        for _ in 0..10 {
            assert!(allowance.take(IpAddr::from([127, 0, 0, 1]), usize::MAX, 100));
        }
    }

    #[test]
    fn the_number_of_accounts_is_bounded() {
        let mut allowance = Allowance::default();
        let peer = |i: usize| IpAddr::from((i as u32).to_be_bytes().map(|byte| byte | 1));
        let mut served = 0;
        for i in 0..1 << 20 {
            served += usize::from(allowance.take(peer(i), 10, 100));
            assert!(allowance.peers.len() <= PEERS_MAX);
        }
        assert!(served >= PEERS_MAX);
        // A second later all of them are as good as new.
        assert!(allowance.take(IpAddr::from([198, 51, 100, 2]), 10, 101));
        assert_eq!(allowance.peers.len(), 1);
    }
}
