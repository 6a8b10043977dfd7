//! A server for the tests of other programs. It needs nothing but a free port of the loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use memcore::{Cache, ManualClock};

use crate::server::{Server, StartError};
use crate::state::clock::DrivenClock;

/// Memory of the cache, enough for any test and taken only as it fills.
const LIMIT: usize = 64 << 20;

/// A server in this process, with an empty cache and a port of its own, that ends with the value.
/// Every test can have one. Its clients can do all that memcached's can by default.
///
/// # Examples
/// ```
/// use std::io::{Read, Write};
///
/// let server = memserver::TestServer::start()?;
/// let mut client = std::net::TcpStream::connect(server.address())?;
/// client.write_all(b"set session 0 60 5\r\nhello\r\n")?;
/// let mut reply = [0; 8];
/// client.read_exact(&mut reply)?;
/// assert_eq!(&reply, b"STORED\r\n");
///
/// // The test looks into the same cache, and need not wait for a minute.
/// assert_eq!(server.cache().get("session").as_deref(), Some(b"hello".as_slice()));
/// server.advance(std::time::Duration::from_secs(60));
/// assert_eq!(server.cache().get("session"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the server ends with this value"]
pub struct TestServer {
    server: Server,
    address: SocketAddr,
    clock: Arc<DrivenClock>,
}

impl TestServer {
    /// Starts one on a free port of the loopback.
    ///
    /// # Errors
    /// [`StartError`].
    ///
    /// # Examples
    /// ```
    /// let server = memserver::TestServer::start()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start() -> Result<Self, StartError> {
        let shown = ManualClock::new(SystemTime::now().into());
        let clock = Arc::new(DrivenClock::new(shown.clone()));
        let system = |reason: String| StartError::System {
            what: "memory",
            source: std::io::Error::other(reason),
        };
        let cache = Cache::builder(LIMIT).clock(shown).build();
        let cache = cache.map_err(|error| system(error.to_string()))?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::builder(cache).listen(listen).threads(1).allow_all();
        let server = server.clock(Arc::clone(&clock)).start()?;
        let none = || system("the socket has no address".to_owned());
        let address = server.local_addr().ok_or_else(none)?;
        Ok(Self { server, address, clock })
    }

    /// The address that clients connect to.
    ///
    /// # Examples
    /// ```
    /// let server = memserver::TestServer::start()?;
    /// std::net::TcpStream::connect(server.address())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The cache behind it.
    ///
    /// # Examples
    /// ```
    /// let server = memserver::TestServer::start()?;
    /// server.cache().set(b"key", b"value", memcore::Attrs::default())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn cache(&self) -> &Cache {
        self.server.cache()
    }

    /// Stops the server's clock; from here on only [`TestServer::advance`] moves it.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use memcore::Attrs;
    ///
    /// let server = memserver::TestServer::start()?;
    /// server.pause();
    /// server.cache().set("key", b"value", Attrs::new().ttl(Duration::from_secs(1)))?;
    /// // However slow the test is.
    /// assert!(server.cache().contains("key"));
    /// server.advance(Duration::from_secs(1));
    /// assert!(!server.cache().contains("key"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pause(&self) {
        self.clock.pause();
    }

    /// Moves the server's clock ahead, so that items expire.
    ///
    /// # Examples
    /// ```
    /// let server = memserver::TestServer::start()?;
    /// server.advance(std::time::Duration::from_secs(60));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}
