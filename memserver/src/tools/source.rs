//! Reading the items of a running server, with little effect on its other clients.

use std::io;
use std::time::{Duration, SystemTime};

use memcore::Moment;
use memcore::snapshot::Entry;

use super::client::{Client, unexpected};
use super::copy::{Sink, Source, Tally};
use super::keys::{Keys, Listed};
use super::requests;

/// Keys that are asked for at once, and about how many bytes of items: a server serves others in
/// between.
const KEYS: usize = 64;
const BYTES: usize = 1 << 20;
/// Longest value that is accepted.
const VALUE_MAX: usize = 1 << 30;

/// A server whose items are read.
#[derive(Debug)]
pub(super) struct Server {
    client: Client,
    keys: Keys,
    requests: Vec<u8>,
}

/// The first line of an answer: an item, or that there is none.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    value_len: usize,
    flags: u32,
    /// Seconds to live; below zero for ever.
    ttl: i64,
    version: u64,
    fetched: bool,
    stale: bool,
    /// This client, or another one, has been asked to make the value.
    won: bool,
    taken: bool,
}

impl Server {
    /// The items of these keys.
    pub(super) fn new(client: Client, keys: Keys) -> Self {
        Self { client, keys, requests: Vec::new() }
    }

    /// Reads the answer for a key and hands it on.
    fn answer(&mut self, listed: Listed, to: &mut impl Sink, tally: &mut Tally) -> io::Result<()> {
        let line = self.client.line()?;
        if line == b"EN" {
            tally.gone += 1;
            return Ok(());
        }
        if line.starts_with(b"SERVER_ERROR") {
            tally.refused += 1;
            return Ok(());
        }
        let answer = Answer::parse(line).ok_or_else(|| unexpected(line))?;
        if answer.won {
            self.give_back(&listed.key, &answer);
        }
        let is_placeholder = answer.value_len == 0 && answer.taken;
        let wanted = if is_placeholder {
            tally.outdated += 1;
            false
        } else if answer.ttl == 0 {
            tally.gone += 1;
            false
        } else {
            to.item(&entry(listed.key, &answer), tally)?
        };
        let mut left = answer.value_len;
        while left > 0 {
            let bytes = self.client.some(left)?;
            left -= bytes.len();
            if wanted {
                to.value(bytes)?;
            }
        }
        if wanted {
            to.end()?;
        }
        let end = self.client.line()?;
        if end.is_empty() { Ok(()) } else { Err(unexpected(end)) }
    }

    /// Gives a lease back. The first reader of an item that is out of date gets the lease to renew
    /// it; this client won't, so the next reader has to get it.
    fn give_back(&mut self, key: &[u8], answer: &Answer) {
        // A key that was asked for can be named.
        let _ = requests::give_back(&mut self.requests, key, answer.version);
    }

    /// Sends what is given back, and waits for the answers.
    fn send_back(&mut self) -> io::Result<()> {
        let requests = std::mem::take(&mut self.requests);
        self.client.send(&requests)?;
        for _ in requests.split(|byte| *byte == b'\n').skip(1) {
            // Whatever it is: the item may have changed or gone.
            self.client.line()?;
        }
        Ok(())
    }
}

impl Source for Server {
    fn batch(&mut self, to: &mut impl Sink, tally: &mut Tally) -> io::Result<bool> {
        let mut keys = self.keys.next(KEYS, BYTES)?;
        let is_last = keys.is_empty();
        let out = &mut self.requests;
        out.clear();
        keys.retain(|listed| {
            let asked = requests::get(out, &listed.key);
            tally.refused += u64::from(asked.is_err());
            asked.is_ok()
        });
        self.client.send(out)?;
        out.clear();
        for listed in keys {
            self.answer(listed, to, tally)?;
        }
        self.send_back()?;
        Ok(!is_last)
    }

    fn arrived(&mut self) -> io::Result<()> {
        self.keys.note()
    }

    fn position(&self) -> Option<(u64, u64)> {
        Some(self.keys.position())
    }
}

impl Answer {
    /// Reads `VA LEN FLAGS...`.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = str::from_utf8(line).ok()?.split(' ');
        if words.next() != Some("VA") {
            return None;
        }
        let value_len = words.next()?.parse().ok().filter(|len| *len <= VALUE_MAX)?;
        let mut answer = Self { value_len, ttl: -1, ..Self::default() };
        for word in words {
            let (name, text) = word.split_at_checked(1)?;
            match name {
                "f" => answer.flags = text.parse().ok()?,
                "t" => answer.ttl = text.parse().ok()?,
                "c" => answer.version = text.parse().ok()?,
                "h" => answer.fetched = text == "1",
                "X" => answer.stale = true,
                "W" => answer.won = true,
                "Z" => answer.taken = true,
                _ => {}
            }
        }
        Some(answer)
    }
}

/// The item of an answer that came just now.
fn entry(key: Vec<u8>, answer: &Answer) -> Entry {
    let mut entry = Entry::new(&key, answer.value_len);
    entry.flags = answer.flags;
    let ttl = u64::try_from(answer.ttl).ok().map(Duration::from_secs);
    entry.expiry = ttl.map(|ttl| Moment::from(SystemTime::now()) + ttl);
    entry.version = Some(answer.version).filter(|version| *version != 0);
    entry.stale = answer.stale;
    (entry.fetched, entry.hit) = (answer.fetched, answer.fetched);
    entry.uses = answer.fetched.into();
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_servers_write_them() {
        let plain = Answer { value_len: 3, flags: 5, ttl: 100, version: 1, ..Answer::default() };
        assert_eq!(Answer::parse(b"VA 3 f5 t100 c1 s3 h0"), Some(plain));
        let stale = Answer::parse(b"VA 0 t-1 c18446744073709551615 h1 X W").unwrap();
        assert!(stale.stale && stale.won && stale.fetched && !stale.taken && stale.ttl == -1);
        assert_eq!(stale.version, u64::MAX);
        for line in ["HD f5", "VA", "VA x", "VA 99999999999", "VA 1 tx", "END"] {
            assert_eq!(Answer::parse(line.as_bytes()), None, "{line}");
        }
    }
}
