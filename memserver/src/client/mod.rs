//! A blocking client, for programs that use a server elsewhere, and for tests.

mod error;
mod load;

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use memproto::client::meta::{self, Line};
use memproto::client::reply::{self, Data, MetaReply, MetaStatus, Reply, Step};
use memproto::client::text;
use memproto::limits::{MAX_RELATIVE_EXPIRY, MAX_TEXT_VALUE};
use memproto::{Scan, number};

pub use error::ClientError;

/// Requests that are sent before their replies are read. With the longest keys they are less than a
/// socket takes, so that both sides never wait for each other.
const BATCH: usize = 50;
/// Bytes that a read asks for.
const READ: usize = 16 << 10;
/// Longer times to live, in seconds, are sent as moments in Unix time.
pub(crate) const RELATIVE_MAX: u64 = MAX_RELATIVE_EXPIRY as u64;

/// A connection to a server, or to memcached from version 1.6 on, over which requests are made one
/// after the other. It speaks the meta protocol, so that keys may be any bytes.
///
/// # Examples
/// ```
/// use std::time::{Duration, SystemTime, UNIX_EPOCH};
/// use memserver::Client;
///
/// let cache = memcore::Cache::new(64 << 20)?;
/// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
///
/// let mut client = Client::connect(server.local_addr().unwrap())?;
/// client.set("greeting", b"hello", Some(Duration::from_secs(900)))?;
/// assert_eq!(client.get("greeting")?.as_deref(), Some(&b"hello"[..]));
/// assert_eq!(client.add_to("visits", 1)?, 1);
/// assert!(client.delete("greeting")?);
/// assert_eq!(client.get_many(&["greeting", "visits"])?, [None, Some(b"1".to_vec())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Client<S = TcpStream> {
    stream: S,
    out: Vec<u8>,
    /// What was read; the bytes before `read` are used up.
    buffer: Vec<u8>,
    read: usize,
    scan: Scan,
    is_broken: bool,
}

/// A value with what belongs to it, from [`Client::fetch`].
///
/// # Examples
/// ```
/// use memserver::Client;
///
/// let cache = memcore::Cache::new(64 << 20)?;
/// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
/// let mut client = Client::connect(server.local_addr().unwrap())?;
/// client.set("k", b"value", None)?;
/// let item = client.fetch("k")?.ok_or("just stored")?;
/// assert_eq!((&item.value[..], item.flags, item.ttl), (&b"value"[..], 0, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Item {
    /// The value.
    pub value: Vec<u8>,
    /// Client flags.
    pub flags: u32,
    /// Changes with every change of the item.
    pub version: u64,
    /// How long it is kept; none until it is evicted.
    pub ttl: Option<Duration>,
}

/// What became of a value that was to replace a certain version.
///
/// # Examples
/// ```
/// use memserver::{Client, Swapped};
///
/// let cache = memcore::Cache::new(64 << 20)?;
/// let server = memserver::Server::builder(cache).listen("127.0.0.1:0").start()?;
/// let mut client = Client::connect(server.local_addr().unwrap())?;
/// client.set("k", b"old", None)?;
/// let version = client.fetch("k")?.ok_or("just stored")?.version;
/// assert_eq!(client.compare_and_set("k", b"new", None, version)?, Swapped::Stored);
/// assert_eq!(client.compare_and_set("k", b"late", None, version)?, Swapped::Changed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Swapped {
    /// It is stored.
    Stored,
    /// The item was changed meanwhile.
    Changed,
    /// The item is gone.
    Gone,
}

impl Client {
    /// Connects to a server.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub fn connect(address: impl ToSocketAddrs) -> Result<Self, ClientError> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }

    /// Waits for the server at most so long at a time. Default is forever.
    ///
    /// # Errors
    /// [`ClientError::Io`], if it is zero.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) -> Result<(), ClientError> {
        self.stream.set_read_timeout(timeout)?;
        self.stream.set_write_timeout(timeout)?;
        Ok(())
    }
}

impl Client<UnixStream> {
    /// Connects to a server at a Unix socket.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub fn connect_unix(path: impl AsRef<Path>) -> Result<Self, ClientError> {
        Ok(Self::over(UnixStream::connect(path)?))
    }
}

impl<S: Read + Write> Client<S> {
    /// Speaks over a connection that is there, perhaps an encrypted one.
    pub fn over(stream: S) -> Self {
        let (out, buffer, scan) = (Vec::new(), Vec::new(), Scan::new());
        Self { stream, out, buffer, read: 0, scan, is_broken: false }
    }

    /// The connection.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, ClientError> {
        Ok(self.fetch(key)?.map(|item| item.value))
    }

    /// The value of a key with its flags, version and time to live.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn fetch(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Item>, ClientError> {
        self.begin()?;
        fetch_line(&mut self.out, key.as_ref())?.end();
        self.send()?;
        self.item()
    }

    /// The values of many keys, in their order. Requests are sent together.
    ///
    /// # Errors
    /// [`ClientError`]; if one of the keys can't be sent, the values of those before it are lost as
    /// well.
    pub fn get_many<K: AsRef<[u8]>>(
        &mut self,
        keys: &[K],
    ) -> Result<Vec<Option<Vec<u8>>>, ClientError> {
        let mut values = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH) {
            self.begin()?;
            for key in batch {
                fetch_line(&mut self.out, key.as_ref())?.end();
            }
            self.send()?;
            for _ in batch {
                // Replies that nobody has read would be taken for those to the next request.
                let item = self.item().inspect_err(|_| self.is_broken = true)?;
                values.push(item.map(|item| item.value));
            }
        }
        Ok(values)
    }

    /// Stores a value, for ever if it has no time to live.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn set(
        &mut self,
        key: impl AsRef<[u8]>,
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<(), ClientError> {
        match self.store(key.as_ref(), value, ttl, |line| line)? {
            MetaStatus::Done => Ok(()),
            status => Err(self.unexpected(status)),
        }
    }

    /// Stores a value if there is none; whether it did.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn add(
        &mut self,
        key: impl AsRef<[u8]>,
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<bool, ClientError> {
        match self.store(key.as_ref(), value, ttl, |line| line.mode(b'E'))? {
            MetaStatus::Done => Ok(true),
            MetaStatus::NotStored => Ok(false),
            status => Err(self.unexpected(status)),
        }
    }

    /// Stores a value if the item has still this [version](Item::version).
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn compare_and_set(
        &mut self,
        key: impl AsRef<[u8]>,
        value: &[u8],
        ttl: Option<Duration>,
        version: u64,
    ) -> Result<Swapped, ClientError> {
        match self.store(key.as_ref(), value, ttl, |line| line.number(b'C', version))? {
            MetaStatus::Done => Ok(Swapped::Stored),
            MetaStatus::Exists => Ok(Swapped::Changed),
            MetaStatus::NotFound => Ok(Swapped::Gone),
            status => Err(self.unexpected(status)),
        }
    }

    /// Removes a key; whether it was there.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<bool, ClientError> {
        self.begin()?;
        Line::delete(&mut self.out, key.as_ref())?.end();
        self.send()?;
        self.is_done()
    }

    /// Gives an item another time to live; whether it was there.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn touch(
        &mut self,
        key: impl AsRef<[u8]>,
        ttl: Option<Duration>,
    ) -> Result<bool, ClientError> {
        self.begin()?;
        Line::get(&mut self.out, key.as_ref())?.signed(b'T', seconds(ttl)).end();
        self.send()?;
        self.is_done()
    }

    /// Adds to a number, which begins at 0; the new number, modulo 2^64.
    ///
    /// # Errors
    /// [`ClientError`]; it is [refused](ClientError::Refused) if the value is not a number.
    pub fn add_to(&mut self, key: impl AsRef<[u8]>, delta: u64) -> Result<u64, ClientError> {
        self.begin()?;
        let line = Line::count(&mut self.out, key.as_ref())?;
        line.number(b'N', 0).number(b'J', delta).number(b'D', delta).flag(b'v').end();
        self.send()?;
        let item = self.item()?;
        let sum = item.and_then(|item| number::parse_u64(&item.value));
        sum.ok_or_else(|| self.unexpected("no number"))
    }

    /// Statistics, those of a group if one is named, in the order of the server.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn stats(&mut self, group: Option<&str>) -> Result<Vec<(String, String)>, ClientError> {
        self.begin()?;
        text::stats(&mut self.out, group);
        self.send()?;
        let mut stats = Vec::new();
        let stat = |reply: Reply<'_>| match reply {
            Reply::Stat { name, value } => Some(Some((to_text(name), to_text(value)))),
            Reply::End | Reply::Reset => Some(None),
            _ => None,
        };
        while let Some(stat) = self.expect(stat)? {
            stats.push(stat);
        }
        Ok(stats)
    }

    /// The server's version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn version(&mut self) -> Result<String, ClientError> {
        self.begin()?;
        self.out.extend_from_slice(text::VERSION);
        self.send()?;
        self.expect(|reply| match reply {
            Reply::Version(version) => Some(to_text(version)),
            _ => None,
        })
    }

    /// Removes all items.
    ///
    /// # Errors
    /// [`ClientError`]; a server may [refuse](ClientError::Refused) it.
    pub fn flush_all(&mut self) -> Result<(), ClientError> {
        self.begin()?;
        text::flush_all(&mut self.out, None);
        self.send()?;
        self.expect(|reply| (reply == Reply::Ok).then_some(()))
    }

    /// An exchange of `mn`: whether the server answers.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ping(&mut self) -> Result<(), ClientError> {
        self.begin()?;
        self.out.extend_from_slice(meta::NOOP);
        self.send()?;
        match self.status()? {
            MetaStatus::Noop => Ok(()),
            status => Err(self.unexpected(status)),
        }
    }

    /// Begins a request.
    fn begin(&mut self) -> Result<(), ClientError> {
        self.out.clear();
        if self.is_broken { Err(ClientError::Broken) } else { Ok(()) }
    }

    /// Sends what was written. Whatever goes wrong until the reply was read breaks the connection.
    fn send(&mut self) -> Result<(), ClientError> {
        self.is_broken = true;
        self.stream.write_all(&self.out)?;
        self.stream.flush()?;
        self.is_broken = false;
        Ok(())
    }

    fn store(
        &mut self,
        key: &[u8],
        value: &[u8],
        ttl: Option<Duration>,
        how: impl FnOnce(Line<'_>) -> Line<'_>,
    ) -> Result<MetaStatus, ClientError> {
        self.begin()?;
        let len = u32::try_from(value.len()).ok().filter(|&len| len <= MAX_TEXT_VALUE);
        let len = len.ok_or(ClientError::TooLarge(value.len()))?;
        how(Line::set(&mut self.out, key, len)?.signed(b'T', seconds(ttl))).end();
        self.out.extend_from_slice(value);
        self.out.extend_from_slice(b"\r\n");
        self.send()?;
        self.status()
    }

    /// The status of a reply without a value.
    fn status(&mut self) -> Result<MetaStatus, ClientError> {
        self.expect(|reply| match reply {
            Reply::Meta(meta) => Some(meta.status),
            _ => None,
        })
    }

    /// Whether an item was there for what was asked.
    fn is_done(&mut self) -> Result<bool, ClientError> {
        match self.status()? {
            MetaStatus::Done => Ok(true),
            MetaStatus::Miss | MetaStatus::NotFound => Ok(false),
            status => Err(self.unexpected(status)),
        }
    }

    /// The item in a reply, if there is one.
    fn item(&mut self) -> Result<Option<Item>, ClientError> {
        let head = self.expect(|reply| match reply {
            Reply::Meta(meta) => match meta.status {
                MetaStatus::Value(len) => Some(Some((len, attributes(&meta)))),
                MetaStatus::Miss | MetaStatus::NotFound => Some(None),
                _ => None,
            },
            _ => None,
        });
        let Some((len, item)) = head? else { return Ok(None) };
        Ok(Some(Item { value: self.value(len)?, ..item }))
    }

    /// What the next line says, if `read` understands it.
    fn expect<T>(&mut self, read: impl FnOnce(Reply<'_>) -> Option<T>) -> Result<T, ClientError> {
        loop {
            let step = reply::parse(&self.buffer[self.read..], &mut self.scan);
            let Step::Reply { consumed, reply } = step else {
                if step != Step::Partial {
                    return Err(self.unexpected("a line without an end"));
                }
                self.receive()?;
                continue;
            };
            self.read += consumed;
            if let Reply::Error { text, .. } = reply {
                return Err(ClientError::Refused(to_text(text)));
            }
            let found = format!("{reply:?}");
            return read(reply).ok_or_else(|| self.unexpected(found));
        }
    }

    /// A value of `len` bytes.
    fn value(&mut self, len: usize) -> Result<Vec<u8>, ClientError> {
        loop {
            match reply::data(&self.buffer[self.read..], len) {
                Data::Partial => self.receive()?,
                Data::Whole(value) => {
                    let value = value.to_vec();
                    self.read += len + 2;
                    return Ok(value);
                }
                Data::Unterminated => return Err(self.unexpected("a value without an end")),
            }
        }
    }

    /// Reads more.
    fn receive(&mut self) -> Result<(), ClientError> {
        self.is_broken = true;
        self.buffer.drain(..self.read);
        self.read = 0;
        let len = self.buffer.len();
        self.buffer.resize(len + READ, 0);
        let received = self.stream.read(&mut self.buffer[len..]);
        self.buffer.truncate(len + *received.as_ref().unwrap_or(&0));
        if received? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        self.is_broken = false;
        Ok(())
    }

    fn unexpected(&mut self, found: impl std::fmt::Debug) -> ClientError {
        self.is_broken = true;
        ClientError::Unexpected(format!("{found:?}"))
    }
}

/// A request of the value of a key with what belongs to it, but for its end.
fn fetch_line<'o>(out: &'o mut Vec<u8>, key: &[u8]) -> Result<Line<'o>, ClientError> {
    Ok(Line::get(out, key)?.flag(b'f').flag(b'c').flag(b't').flag(b'v'))
}

/// What the flags of a reply say of the item.
fn attributes(meta: &MetaReply<'_>) -> Item {
    let number = |letter| meta.flag(letter).and_then(number::parse_u64);
    Item {
        value: Vec::new(),
        flags: number(b'f').and_then(|flags| flags.try_into().ok()).unwrap_or(0),
        version: number(b'c').unwrap_or(0),
        // -1 is for ever.
        ttl: number(b't').map(Duration::from_secs),
    }
}

/// A time to live in the server's words: whole seconds, at least one.
fn seconds(ttl: Option<Duration>) -> i64 {
    let Some(ttl) = ttl else { return 0 };
    let seconds = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0)).max(1);
    if seconds <= RELATIVE_MAX {
        return seconds as i64;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // A moment beyond 31 bits is sent as 0: it never expires.
    i32::try_from(now.saturating_add(seconds)).map_or(0, i64::from)
}

fn to_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
