//! Replay over one connection, in windows: the gets of a window are sent together, then the sets
//! of its misses with the next window's gets. No key occurs twice in a window, so a miss's set
//! always comes before the next get of the same key, as it would one by one.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Counts;
use crate::client::Client;
use crate::trace::{Op, Request, Trace, value_index};
use crate::value::{is_value, push_value};
use crate::wire::{self, Reply, push_set_line};

/// What to replay.
#[derive(Clone, Copy, Debug)]
pub struct Replay<'a> {
    /// The trace.
    pub trace: &'a Trace,
    /// Interleaved copies of it.
    pub copies: u8,
    /// Requests in a window at most.
    pub window: usize,
}

/// A replay was given up.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The connection failed.
    #[error("connection: {0}")]
    Io(#[from] io::Error),
    /// A reply does not answer its request.
    #[error("unexpected reply: {0}")]
    Unexpected(String),
    /// The server sent bytes that nobody stored under this key.
    #[error("WRONG BYTES under key {0}")]
    WrongBytes(u32),
}

/// Replays against the server at `addr`. Times to live run by the wall clock, not the trace's.
///
/// # Errors
/// The first failure; wrong bytes are one.
pub fn replay_wire(addr: SocketAddr, replay: &Replay<'_>) -> Result<Counts, ReplayError> {
    let mut session = Session {
        client: Client::connect(addr)?,
        trace: replay.trace,
        key: Vec::new(),
        window: Vec::new(),
        sets: Vec::new(),
        counts: Counts::default(),
    };
    let mut in_window = HashSet::new();
    for (request, copy) in replay.trace.interleaved(replay.copies) {
        if session.window.len() >= replay.window || !in_window.insert((request.key, copy)) {
            session.exchange()?;
            in_window.clear();
            in_window.insert((request.key, copy));
        }
        session.window.push((request, copy));
    }
    session.exchange()?;
    session.exchange()?; // The sets of the last misses.
    Ok(session.counts)
}

struct Session<'a> {
    client: Client,
    trace: &'a Trace,
    key: Vec<u8>,
    window: Vec<(Request, u8)>,
    /// Owed since the window before.
    sets: Vec<(u32, u8)>,
    counts: Counts,
}

impl Session<'_> {
    /// Sends the owed sets and the window, reads all replies; the window's misses are owed then.
    fn exchange(&mut self) -> Result<(), ReplayError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let sets = std::mem::take(&mut self.sets);
        let window = std::mem::take(&mut self.window);
        for &(key, copy) in &sets {
            self.ask_set(key, copy, now);
        }
        for &(request, copy) in &window {
            match request.op {
                Op::Get => self.ask(b"get ", request.key, copy),
                Op::Set => self.ask_set(request.key, copy, now),
                Op::Delete => self.ask(b"delete ", request.key, copy),
            }
        }
        self.client.send()?;
        for _ in &sets {
            self.set_reply()?;
        }
        for &(request, copy) in &window {
            match request.op {
                Op::Get => self.get_reply(request.key, copy)?,
                Op::Set => self.set_reply()?,
                Op::Delete => self.client.receive(|_| ())?,
            }
        }
        Ok(())
    }

    fn ask(&mut self, verb: &[u8], key: u32, copy: u8) {
        self.trace.write_key(key, copy, &mut self.key);
        let out = self.client.output();
        out.extend_from_slice(verb);
        out.extend_from_slice(&self.key);
        out.extend_from_slice(b"\r\n");
    }

    fn ask_set(&mut self, key: u32, copy: u8, now: u64) {
        let info = self.trace.keys[key as usize];
        self.trace.write_key(key, copy, &mut self.key);
        let exptime = match info.ttl {
            // Larger numbers are moments, not distances.
            ttl if ttl > MONTH => u32::try_from(now + u64::from(ttl)).unwrap_or(0),
            ttl => ttl,
        };
        let out = self.client.output();
        push_set_line(out, &self.key, exptime, info.value_size as usize);
        push_value(out, value_index(key, copy), info.value_size as usize);
        out.extend_from_slice(b"\r\n");
    }

    fn set_reply(&mut self) -> Result<(), ReplayError> {
        let stored = self.client.receive(|reply| match reply {
            Reply::Stored => Ok(true),
            Reply::Line(line) if line.starts_with(b"SERVER_ERROR") => Ok(false),
            other => Err(ReplayError::Unexpected(format!("{other:?} to a set"))),
        })??;
        self.counts.refused += u64::from(!stored);
        Ok(())
    }

    fn get_reply(&mut self, key: u32, copy: u8) -> Result<(), ReplayError> {
        let size = self.trace.keys[key as usize].value_size;
        self.trace.write_key(key, copy, &mut self.key);
        let expected = &self.key;
        let hit = self.client.receive(|reply| match reply {
            Reply::End => Ok(false),
            Reply::Value { key: name, data, .. } if name == expected => {
                let right = data.len() == size as usize && is_value(data, value_index(key, copy));
                if right { Ok(true) } else { Err(ReplayError::WrongBytes(key)) }
            }
            other => Err(ReplayError::Unexpected(describe(other))),
        })??;
        if hit && !self.client.receive(|reply| reply == Reply::End)? {
            return Err(ReplayError::Unexpected("a second value".to_owned()));
        }
        self.counts.count_get(size, hit);
        if !hit {
            self.sets.push((key, copy));
        }
        Ok(())
    }
}

fn describe(reply: Reply<'_>) -> String {
    match reply {
        Reply::Value { key, .. } => format!("a value of {}, not asked for", wire::lossy(key)),
        other => format!("{other:?} to a get"),
    }
}

const MONTH: u32 = 30 * 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lru::Price;
    use crate::replay::{Simulated, replay};
    use crate::trace::{Synthetic, synthetic};

    #[test]
    fn windows_change_nothing_when_all_fits() {
        let wanted = Synthetic { keys: 300, requests: 3000, exponent: 1.0, seed: 1 };
        let trace = synthetic(&wanted);
        let expected = replay(&trace, 2, &mut Simulated::new(u64::MAX, Price::Bytes));
        for window in [1, 7, 100] {
            let server = memserver::TestServer::start().unwrap();
            let wanted = Replay { trace: &trace, copies: 2, window };
            let counts = replay_wire(server.address(), &wanted).unwrap();
            assert_eq!(counts, expected, "window {window}");
        }
    }

    #[test]
    fn sets_and_deletes_of_a_trace_are_kept_in_order() {
        let mut trace = synthetic(&Synthetic { keys: 20, requests: 3000, exponent: 0.5, seed: 1 });
        for (i, request) in trace.requests.iter_mut().enumerate() {
            request.op = [Op::Get, Op::Get, Op::Set, Op::Delete][i % 4];
        }
        let expected = replay(&trace, 1, &mut Simulated::new(u64::MAX, Price::Bytes));
        let server = memserver::TestServer::start().unwrap();
        let wanted = Replay { trace: &trace, copies: 1, window: 16 };
        assert_eq!(replay_wire(server.address(), &wanted).unwrap(), expected);
        assert!(expected.hits > 0 && expected.hits < expected.gets);
    }
}
