//! Storing items on a running server, which keeps its own items and by default evicts nothing.

use std::io;
use std::time::{Duration, SystemTime};

use memcore::Moment;
use memcore::snapshot::Entry;

use super::client::{Client, unexpected};
use super::copy::{Sink, Tally};
use super::{requests, stats};
use crate::client::RELATIVE_MAX;

/// Bytes that are collected before they are sent.
const BUFFER: usize = 64 << 10;
/// Requests without an answer, at most: their answers have to fit between two sockets.
const WAITING_MAX: usize = 256;
/// Items after which the server is asked whether it evicts.
const ASKED_EVERY: u64 = 4096;
/// Longer times to live are sent as moments in Unix time.
const TTL_MAX: Duration = Duration::from_secs(RELATIVE_MAX);

/// A server that items are stored on.
#[derive(Debug)]
pub(super) struct Target {
    client: Client,
    out: Vec<u8>,
    /// Lengths of the values without an answer.
    waiting: Vec<usize>,
    /// Evictions until now, unless they do not matter.
    evictions: Option<u64>,
    asked: u64,
    is_full: bool,
}

impl Target {
    /// The server at the other end; if it begins to evict, that is the end unless `evicts`.
    pub(super) fn new(mut client: Client, evicts: bool) -> io::Result<Self> {
        let evictions = if evicts { None } else { Some(evictions(&mut client)?) };
        let waiting = Vec::new();
        Ok(Self { client, out: Vec::new(), waiting, evictions, asked: 0, is_full: false })
    }

    fn send(&mut self) -> io::Result<()> {
        self.client.send(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Whether the server has evicted something since it was asked first.
    fn has_evicted(&mut self) -> io::Result<bool> {
        let Some(before) = self.evictions else { return Ok(false) };
        Ok(evictions(&mut self.client)? > before)
    }
}

impl Sink for Target {
    fn item(&mut self, entry: &Entry, tally: &mut Tally) -> io::Result<bool> {
        // No single request stores a stale item, and it must never be seen as a fresh one.
        if entry.stale {
            tally.outdated += 1;
            return Ok(false);
        }
        let now = Moment::from(SystemTime::now());
        let Some(ttl) = ttl(entry.expiry, now) else {
            tally.gone += 1;
            return Ok(false);
        };
        if self.waiting.len() == WAITING_MAX {
            self.settle(tally)?;
        }
        let Entry { key, value_len, flags, .. } = entry;
        let has_tags = !entry.tags.is_empty();
        if has_tags || requests::add(&mut self.out, key, *value_len, *flags, ttl).is_err() {
            tally.refused += 1;
            return Ok(false);
        }
        self.waiting.push(entry.value_len);
        Ok(true)
    }

    fn value(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.extend_from_slice(bytes);
        if self.out.len() >= BUFFER { self.send() } else { Ok(()) }
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn settle(&mut self, tally: &mut Tally) -> io::Result<bool> {
        self.send()?;
        for len in std::mem::take(&mut self.waiting) {
            let line = self.client.line()?;
            match line {
                b"HD" => {
                    tally.copied += 1;
                    tally.bytes += len as u64;
                }
                b"NS" => tally.present += 1,
                _ if line.starts_with(b"SERVER_ERROR") => tally.refused += 1,
                _ => return Err(unexpected(line)),
            }
        }
        if tally.copied >= self.asked + ASKED_EVERY {
            self.asked = tally.copied;
            self.is_full = self.has_evicted()?;
        }
        Ok(!self.is_full)
    }
}

/// Items that the server has evicted.
fn evictions(client: &mut Client) -> io::Result<u64> {
    let mut list = stats::ask(client, "")?.into_iter();
    let number = list.find_map(|(name, value)| (name == "evictions").then(|| value.parse().ok()));
    number.flatten().ok_or_else(|| io::Error::other("the server does not report evictions"))
}

/// A time to live as servers take it; `None` if it is over.
fn ttl(expiry: Option<Moment>, now: Moment) -> Option<u64> {
    // None at all is written as 0.
    let Some(end) = expiry else { return Some(0) };
    match end.saturating_since(now) {
        Duration::ZERO => None,
        left if left > TTL_MAX => Some(end.as_secs().into()),
        left => Some(left.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_live_are_what_servers_take_them_for() {
        const DAY: u32 = 86_400;
        let now = 1_700_000_000;
        let of = |end: u32| ttl(Some(Moment::from_secs(end)), Moment::from_secs(now));
        assert_eq!(ttl(None, Moment::from_secs(now)), Some(0));
        assert_eq!([of(now - 1), of(now), of(now + 1)], [None, None, Some(1)]);
        assert_eq!(of(now + 30 * DAY), Some(30 * 86_400));
        assert_eq!(of(now + 31 * DAY), Some(u64::from(now + 31 * DAY)));
    }
}
