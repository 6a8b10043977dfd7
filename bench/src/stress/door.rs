//! How an actor reaches the cache: as a client, or in the same process.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use memcore::{Attrs, Cache, Expiry, Fetch, Fetched};

use super::StressError;
use crate::client::Client;
use crate::wire::{self, Reply, push_set_line};

/// A way to the cache.
#[derive(Debug)]
pub(super) enum Door {
    /// Through a socket.
    Wire(Client),
    /// By calls.
    Inside(Cache, Vec<u8>),
}

impl Door {
    pub(super) fn connect(addr: SocketAddr) -> io::Result<Self> {
        Client::connect(addr).map(Self::Wire)
    }

    pub(super) fn inside(cache: Cache) -> Self {
        Self::Inside(cache, Vec::new())
    }

    /// Looks up `keys` and hands each value with its place among the keys to `found`.
    pub(super) fn get(
        &mut self,
        keys: &[Vec<u8>],
        mut found: impl FnMut(usize, &[u8]) -> Result<(), StressError>,
    ) -> Result<(), StressError> {
        match self {
            Self::Wire(client) => get_by_wire(client, keys, found),
            Self::Inside(cache, out) if keys.len() == 1 => {
                out.clear();
                match cache.fetch(&keys[0][..], &Fetch::new(), out, |_, _| {}) {
                    Fetched::Copied(_) => found(0, out),
                    Fetched::Pinned(_, handle) => found(0, &handle.to_vec()),
                    _ => Ok(()),
                }
            }
            Self::Inside(cache, _) => {
                let mut result = Ok(());
                cache.get_many(keys, |place, _, value| {
                    if result.is_ok() {
                        result = found(place, value);
                    }
                });
                result
            }
        }
    }

    /// Holds the value of a key for a moment while the others go on, then hands it to `found`.
    /// True if this door can do that.
    pub(super) fn hold(
        &mut self,
        key: &[u8],
        meanwhile: impl FnOnce(),
        found: impl FnOnce(&[u8]) -> Result<(), StressError>,
    ) -> Result<bool, StressError> {
        let Self::Inside(cache, _) = self else { return Ok(false) };
        if let Some(handle) = cache.get_handle(key) {
            meanwhile();
            found(&handle.to_vec())?;
        }
        Ok(true)
    }

    /// Stores a value for `ttl` seconds, 0 for ever. False if it was refused for lack of memory.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8], ttl: u32) -> Result<bool, StressError> {
        match self {
            Self::Wire(client) => {
                let out = client.output();
                push_set_line(out, key, ttl, value.len());
                out.extend_from_slice(value);
                out.extend_from_slice(b"\r\n");
                client.send()?;
                client.receive(|reply| match reply {
                    Reply::Stored => Ok(true),
                    Reply::Line(line) if line.starts_with(b"SERVER_ERROR out of memory") => {
                        Ok(false)
                    }
                    other => Err(StressError::Unexpected(format!("{other:?} to a set"))),
                })?
            }
            Self::Inside(cache, _) => {
                let expiry = expiry(ttl);
                match cache.set(key, value, Attrs::new().expiry(expiry)) {
                    Ok(_) => Ok(true),
                    Err(memcore::StoreError::OutOfMemory) => Ok(false),
                    Err(error) => Err(StressError::Unexpected(error.to_string())),
                }
            }
        }
    }

    /// Deletes a key, whether or not it is there.
    pub(super) fn delete(&mut self, key: &[u8]) -> Result<(), StressError> {
        match self {
            Self::Wire(client) => {
                let line = client.ask(&[b"delete ", key].concat())?;
                expect(&line, &["DELETED", "NOT_FOUND"])
            }
            Self::Inside(cache, _) => {
                cache.delete(key);
                Ok(())
            }
        }
    }

    /// Gives a key, if it is there, `ttl` more seconds; 0 for ever.
    pub(super) fn touch(&mut self, key: &[u8], ttl: u32) -> Result<(), StressError> {
        match self {
            Self::Wire(client) => {
                let line = [b"touch ", key, b" ", ttl.to_string().as_bytes()].concat();
                let line = client.ask(&line)?;
                expect(&line, &["TOUCHED", "NOT_FOUND"])
            }
            Self::Inside(cache, _) => {
                let expiry = expiry(ttl);
                // A cache that evicts always finds the memory.
                let _ = cache.touch(key, expiry);
                Ok(())
            }
        }
    }
}

fn get_by_wire(
    client: &mut Client,
    keys: &[Vec<u8>],
    mut found: impl FnMut(usize, &[u8]) -> Result<(), StressError>,
) -> Result<(), StressError> {
    let out = client.output();
    out.extend_from_slice(b"get");
    for key in keys {
        out.push(b' ');
        out.extend_from_slice(key);
    }
    out.extend_from_slice(b"\r\n");
    client.send()?;
    let mut next = 0;
    loop {
        let more = client.receive(|reply| match reply {
            Reply::End => Ok(false),
            Reply::Value { key, data, .. } => {
                // Values come in the order of the keys.
                let place = keys[next..].iter().position(|asked| asked == key);
                let place = place.ok_or_else(|| {
                    StressError::Unexpected(format!("a value of {}", wire::lossy(key)))
                })?;
                next += place + 1;
                found(next - 1, data).map(|()| true)
            }
            other => Err(StressError::Unexpected(format!("{other:?} to a get"))),
        })??;
        if !more {
            return Ok(());
        }
    }
}

fn expect(line: &str, legal: &[&str]) -> Result<(), StressError> {
    if legal.contains(&line) {
        return Ok(());
    }
    Err(StressError::Unexpected(line.to_owned()))
}

fn expiry(ttl: u32) -> Expiry {
    if ttl == 0 { Expiry::Never } else { Expiry::after(Duration::from_secs(ttl.into())) }
}
