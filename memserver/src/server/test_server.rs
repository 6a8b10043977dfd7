//! A server for other people's tests. It must never need anything from the machine but a free
//! port on the loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use memcore::{Cache, Clock, ManualClock, SystemClock};

use crate::server::{Server, StartError};
use crate::state::clock::DrivenClock;

/// Memory of the cache, enough for any test and taken only as it fills.
const LIMIT: usize = 64 << 20;

/// A server in this process, with an empty cache and a port of its own, that ends with the value.
/// Every test can have one.
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
/// server.advance(60);
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
    pub fn start() -> Result<Self, StartError> {
        let shown = ManualClock::new(SystemClock::new().now());
        let clock = Arc::new(DrivenClock::new(shown.clone()));
        let system = |reason: String| StartError::System {
            what: "memory",
            source: std::io::Error::other(reason),
        };
        let cache = Cache::builder(LIMIT).clock(shown).build();
        let cache = cache.map_err(|error| system(error.to_string()))?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::builder(cache).listen(listen).threads(1);
        let server = server.clock(Arc::clone(&clock)).start()?;
        let none = || system("the socket has no address".to_owned());
        let address = server.local_addr().ok_or_else(none)?;
        Ok(Self { server, address, clock })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The cache behind it.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        self.server.cache()
    }

    /// Lets the server believe that so many seconds have passed.
    pub fn advance(&self, seconds: u32) {
        self.clock.advance(seconds);
    }
}
