//! Values that one of all clients loads, in whatever process, while the others wait.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use memproto::client::meta::Line;
use memproto::client::reply::{MetaReply, MetaStatus, Reply};

use super::{Client, ClientError, attributes, fetch_line};

/// Seconds for which the server leaves a load to one client.
const LEASE_SECS: u64 = 30;
/// Pauses between two questions of those who wait.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// What there is to do about a key.
enum Turn {
    Use(Vec<u8>),
    /// Load it. Until then this version stands for the value; an old one is served meanwhile.
    Load {
        version: u64,
        old: Option<Vec<u8>>,
    },
    /// Load it, and keep it to oneself: the server has no room for it.
    LoadOnly,
    /// Somebody else loads it.
    Wait,
}

/// The duty to load a value. If it is dropped before there is one, it is left to others.
struct Claim<'c, S: Read + Write> {
    client: &'c mut Client<S>,
    key: &'c [u8],
    version: u64,
    /// Whether an old value is still there, which stays.
    renews: bool,
    is_over: bool,
}

impl<S: Read + Write> Client<S> {
    /// The value of a key, loaded if it is missing. Of all clients that ask for it, in whatever
    /// process and host, one loads: the server gives it a lease. The others ask again after pauses
    /// of up to 50 ms. If it fails, panics, or takes longer than 30 seconds, one of them takes
    /// over; what comes later than that is returned, but not stored. So it is if the key is written
    /// or removed meanwhile, and if the server can't store the value, or is gone: a request after
    /// that tells.
    ///
    /// A value that was invalidated (`md KEY I`) is loaded anew by one client; others get it as it
    /// is, and so does that one if it fails. Programs that serve a cache of their own and use a
    /// [`TypedCache`](memcore::typed::TypedCache) take part.
    ///
    /// # Errors
    /// The loader's, or [`ClientError`].
    ///
    /// # Examples
    /// ```
    /// use std::error::Error;
    /// use std::time::Duration;
    ///
    /// use memserver::Client;
    ///
    /// fn main() -> Result<(), Box<dyn Error>> {
    ///     let cache = memcore::Cache::new(64 << 20)?;
    ///     let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
    ///     let mut client = Client::connect(server.local_addr().unwrap())?;
    ///     let minute = Some(Duration::from_secs(60));
    ///     let load = || Ok::<_, Box<dyn Error>>(b"<html>".to_vec());
    ///     assert_eq!(client.get_or_load("/", minute, load)?, b"<html>");
    ///     assert_eq!(client.get("/")?.as_deref(), Some(&b"<html>"[..]));
    ///     Ok(())
    /// }
    /// ```
    pub fn get_or_load<E: From<ClientError>>(
        &mut self,
        key: impl AsRef<[u8]>,
        ttl: Option<Duration>,
        load: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        let key = key.as_ref();
        let mut pause = PAUSE_MIN;
        loop {
            match self.turn(key)? {
                Turn::Use(value) => return Ok(value),
                Turn::Load { version, old } => {
                    let renews = old.is_some();
                    let claim = Claim { client: self, key, version, renews, is_over: false };
                    return match (load(), old) {
                        (Ok(value), _) => {
                            claim.store(&value, ttl);
                            Ok(value)
                        }
                        (Err(_), Some(old)) => Ok(old),
                        (Err(error), None) => Err(error),
                    };
                }
                Turn::LoadOnly => return load(),
                Turn::Wait => thread::sleep(pause),
            }
            pause = (2 * pause).min(PAUSE_MAX);
        }
    }

    fn turn(&mut self, key: &[u8]) -> Result<Turn, ClientError> {
        self.begin()?;
        fetch_line(&mut self.out, key)?.number(b'N', LEASE_SECS).end();
        self.send()?;
        let head = self.expect(|reply| match reply {
            Reply::Meta(meta) => match meta.status {
                MetaStatus::Value(len) => {
                    Some(Some((len, Lease::of(&meta), attributes(&meta).version)))
                }
                MetaStatus::Miss => Some(None),
                _ => None,
            },
            _ => None,
        });
        let Some((len, lease, version)) = head? else { return Ok(Turn::LoadOnly) };
        let value = self.value(len)?;
        Ok(match lease {
            Lease { is_won: true, is_stale, .. } => {
                Turn::Load { version, old: is_stale.then_some(value) }
            }
            Lease { is_taken: true, is_stale: false, .. } if len == 0 => Turn::Wait,
            _ => Turn::Use(value),
        })
    }
}

/// What a reply says of the lease.
struct Lease {
    is_won: bool,
    is_taken: bool,
    is_stale: bool,
}

impl Lease {
    fn of(meta: &MetaReply<'_>) -> Self {
        Self { is_won: meta.has(b'W'), is_taken: meta.has(b'Z'), is_stale: meta.has(b'X') }
    }
}

impl<S: Read + Write> Claim<'_, S> {
    /// Stores the value, unless the key was written or removed meanwhile. If that fails, others
    /// need not wait for it.
    fn store(mut self, value: &[u8], ttl: Option<Duration>) {
        let stored = self.client.compare_and_set(self.key, value, ttl, self.version);
        self.is_over = stored.is_ok();
    }

    /// Lets another client load.
    fn leave(&mut self) -> Result<bool, ClientError> {
        self.client.begin()?;
        let line = Line::delete(&mut self.client.out, self.key)?.number(b'C', self.version);
        if self.renews {
            line.flag(b'I').end()
        } else {
            line.end()
        }
        self.client.send()?;
        self.client.status().map(|status| status == MetaStatus::Done)
    }
}

impl<S: Read + Write> Drop for Claim<'_, S> {
    fn drop(&mut self) {
        if !self.is_over {
            // Where that fails, the lease ends by itself.
            let _ = self.leave();
        }
    }
}
