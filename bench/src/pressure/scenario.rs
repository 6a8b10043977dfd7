//! The attacks. Their defaults are cases that servers have been seen to handle badly.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use argh::FromArgs;

use super::conn::{Answer, Conn};
use super::{Scenario, Tally};

/// Clients that read large values as fast as they can: none of their requests needs to fail.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "large-reads")]
pub struct LargeReads {
    /// memory limit in MiB (default 512)
    #[argh(option, default = "512")]
    pub mib: u64,
    /// largest item, as the flag -I takes it (default 10m)
    #[argh(option, default = "\"10m\".to_owned()")]
    pub item: String,
    /// number of values (default 20)
    #[argh(option, default = "20")]
    pub values: usize,
    /// bytes of a value (default 10000000)
    #[argh(option, default = "10_000_000")]
    pub size: usize,
    /// clients (default 16)
    #[argh(option, default = "16")]
    pub clients: usize,
    /// seconds (default 10)
    #[argh(option, default = "10.0")]
    pub seconds: f64,
}

impl Scenario for LargeReads {
    fn flags(&self) -> Vec<String> {
        flags(&["-m", &self.mib.to_string(), "-I", &self.item])
    }

    fn prepare(&self, addr: SocketAddr) -> io::Result<()> {
        let mut conn = Conn::open(addr)?;
        (0..self.values).try_for_each(|i| stored(conn.set(&large(i), self.size)?))
    }

    fn attack(&self, addr: SocketAddr) -> io::Result<Tally> {
        Ok(together(self.clients, deadline(self.seconds), addr, |conn, client, turn| {
            conn.get(&large((client + turn) % self.values))
        }))
    }
}

/// Clients that pipeline gets and read no reply, beside others that get values of another size.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "unread-replies")]
pub struct UnreadReplies {
    /// memory limit in MiB (default 64)
    #[argh(option, default = "64")]
    pub mib: u64,
    /// clients that read nothing (default 400)
    #[argh(option, default = "400")]
    pub connections: usize,
    /// gets that each of them sends (default 60)
    #[argh(option, default = "60")]
    pub pipeline: usize,
    /// number of values that nobody reads (default 4000)
    #[argh(option, default = "4000")]
    pub values: usize,
    /// bytes of each of them (default 9000)
    #[argh(option, default = "9000")]
    pub size: usize,
    /// bytes of the values that the others get (default 20000)
    #[argh(option, default = "20_000")]
    pub other_size: usize,
    /// seconds (default 20)
    #[argh(option, default = "20.0")]
    pub seconds: f64,
}

impl Scenario for UnreadReplies {
    fn flags(&self) -> Vec<String> {
        flags(&["-m", &self.mib.to_string(), "-c", "2048"])
    }

    fn prepare(&self, addr: SocketAddr) -> io::Result<()> {
        let mut conn = Conn::open(addr)?;
        (0..self.values).try_for_each(|i| stored(conn.set(&format!("unread:{i}"), self.size)?))?;
        stored(conn.set("other", self.other_size)?)
    }

    fn attack(&self, addr: SocketAddr) -> io::Result<Tally> {
        let begin = |client: usize| {
            let first = client * self.pipeline;
            let numbers = (first..first + self.pipeline).map(|i| i % self.values);
            numbers.map(|i| format!("get unread:{i}\r\n")).collect::<String>().into_bytes()
        };
        let bad = Bad { clients: self.connections, begin: &begin, again: b"get unread:0\r\n" };
        let every = Duration::from_secs(1);
        beside(addr, &bad, every, deadline(self.seconds), |conn| conn.get("other"))
    }
}

/// Clients that announce a large value and send it a byte at a time, beside others that store
/// values of moderate size.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "slow-uploads")]
pub struct SlowUploads {
    /// memory limit in MiB (default 64)
    #[argh(option, default = "64")]
    pub mib: u64,
    /// clients that upload slowly (default 520)
    #[argh(option, default = "520")]
    pub clients: usize,
    /// bytes that they announce (default 900000)
    #[argh(option, default = "900_000")]
    pub announced: usize,
    /// bytes that they send at once (default 4200)
    #[argh(option, default = "4200")]
    pub sent: usize,
    /// milliseconds between two further bytes (default 8000)
    #[argh(option, default = "8000")]
    pub every_ms: u64,
    /// bytes of the values that the others store (default 20000)
    #[argh(option, default = "20_000")]
    pub other_size: usize,
    /// seconds (default 30)
    #[argh(option, default = "30.0")]
    pub seconds: f64,
}

impl Scenario for SlowUploads {
    fn flags(&self) -> Vec<String> {
        flags(&["-m", &self.mib.to_string(), "-c", "2048"])
    }

    fn attack(&self, addr: SocketAddr) -> io::Result<Tally> {
        let begin = |client: usize| {
            let mut begin = format!("set slow:{client} 0 0 {}\r\n", self.announced).into_bytes();
            begin.resize(begin.len() + self.sent, b'v');
            begin
        };
        let bad = Bad { clients: self.clients, begin: &begin, again: b"v" };
        let every = Duration::from_millis(self.every_ms);
        beside(addr, &bad, every, deadline(self.seconds), |conn| conn.set("other", self.other_size))
    }
}

/// Clients that send a long request line and never finish it.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "partial-lines")]
pub struct PartialLines {
    /// memory limit in MiB (default 64)
    #[argh(option, default = "64")]
    pub mib: u64,
    /// clients (default 7900)
    #[argh(option, default = "7900")]
    pub clients: usize,
    /// bytes of each line (default 37000)
    #[argh(option, default = "37_000")]
    pub size: usize,
    /// seconds for which the clients stay (default 5)
    #[argh(option, default = "5.0")]
    pub seconds: f64,
}

impl Scenario for PartialLines {
    fn flags(&self) -> Vec<String> {
        flags(&["-m", &self.mib.to_string(), "-c", "8192"])
    }

    fn attack(&self, addr: SocketAddr) -> io::Result<Tally> {
        let mut line = b"get".to_vec();
        line.extend(b" partial:0123456789".iter().cycle().take(self.size));
        let mut tally = Tally::default();
        let mut open = Vec::new();
        for _ in 0..self.clients {
            let conn = Conn::open(addr).and_then(|mut conn| conn.send(&line).map(|()| conn));
            match conn {
                Ok(conn) => open.push(conn),
                Err(_) => tally.closed += 1,
            }
        }
        thread::sleep(Duration::from_secs_f64(self.seconds));
        for conn in &mut open {
            match conn.nudge(b"").unwrap_or(false) {
                true => tally.answered += 1,
                false => tally.closed += 1,
            }
        }
        Ok(tally)
    }
}

/// A client that lowers the memory limit of a full server; the server is told to stop while it
/// does that a second time.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "shrink")]
pub struct Shrink {
    /// memory limit in MiB (default 1024)
    #[argh(option, default = "1024")]
    pub mib: u64,
    /// number of items (default 6000000)
    #[argh(option, default = "6_000_000")]
    pub items: u32,
    /// bytes of a value (default 100)
    #[argh(option, default = "100")]
    pub size: usize,
    /// the lower limit in MiB (default 64)
    #[argh(option, default = "64")]
    pub to: u64,
}

impl Scenario for Shrink {
    fn flags(&self) -> Vec<String> {
        limit(self.mib)
    }

    fn prepare(&self, addr: SocketAddr) -> io::Result<()> {
        fill(addr, self.items, self.size, 0)
    }

    fn attack(&self, addr: SocketAddr) -> io::Result<Tally> {
        let mut tally = Tally::default();
        timed(&mut tally, "cache_memlimit", || {
            let reply = Conn::open(addr)?.ask(&format!("cache_memlimit {}", self.to))?;
            Ok(if reply == "OK" { Answer::Done } else { Answer::Error })
        });
        Ok(tally)
    }

    fn before_stop(&self, addr: SocketAddr) -> io::Result<()> {
        let mut conn = Conn::open(addr)?;
        conn.ask(&format!("cache_memlimit {}", self.mib))?;
        self.prepare(addr)?;
        conn.send(format!("cache_memlimit {}\r\n", self.to).as_bytes())?;
        thread::sleep(Duration::from_millis(50));
        Ok(())
    }
}

/// Many items that expire in the same second.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "expiry")]
pub struct Expiry {
    /// memory limit in MiB (default 1024)
    #[argh(option, default = "1024")]
    pub mib: u64,
    /// number of items (default 1000000)
    #[argh(option, default = "1_000_000")]
    pub items: u32,
    /// bytes of a value (default 100)
    #[argh(option, default = "100")]
    pub size: usize,
    /// seconds that they live, which have to be enough to store them (default 15)
    #[argh(option, default = "15")]
    pub ttl: u64,
    /// seconds after that (default 5)
    #[argh(option, default = "5")]
    pub after: u64,
}

impl Scenario for Expiry {
    fn flags(&self) -> Vec<String> {
        limit(self.mib)
    }

    fn attack(&self, addr: SocketAddr) -> io::Result<Tally> {
        let (began, ttl) = (Instant::now(), Duration::from_secs(self.ttl));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        fill(addr, self.items, self.size, (now + ttl).as_secs())?;
        let left = ttl.checked_sub(began.elapsed());
        let left = left.ok_or_else(|| io::Error::other("--ttl is too short"))?;
        thread::sleep(left + Duration::from_secs(self.after));
        let mut tally = Tally::default();
        let mut conn = Conn::open(addr)?;
        for item in 0..1000 {
            match conn.ask(&format!("get item:{item}"))?.as_str() {
                "END" => tally.answered += 1,
                _ => return Err(io::Error::other("an item outlived its time")),
            }
        }
        Ok(tally)
    }
}

/// A cache that grows from nothing.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "growth")]
pub struct Growth {
    /// memory limit in MiB (default 1024)
    #[argh(option, default = "1024")]
    pub mib: u64,
    /// number of items (default 6000000)
    #[argh(option, default = "6_000_000")]
    pub items: u32,
    /// bytes of a value (default 100)
    #[argh(option, default = "100")]
    pub size: usize,
}

impl Scenario for Growth {
    fn flags(&self) -> Vec<String> {
        limit(self.mib)
    }

    fn attack(&self, addr: SocketAddr) -> io::Result<Tally> {
        fill(addr, self.items, self.size, 0)?;
        Ok(Tally { answered: u64::from(self.items), ..Tally::default() })
    }
}

/// Commands whose work grows with the content of the cache: a dump of key prefixes, and an append
/// to and a get of a very large value.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "long-commands")]
pub struct LongCommands {
    /// memory limit in MiB (default 1024)
    #[argh(option, default = "1024")]
    pub mib: u64,
    /// largest item, as the flag -I takes it (default 512m)
    #[argh(option, default = "\"512m\".to_owned()")]
    pub item: String,
    /// number of prefixes (default 65000)
    #[argh(option, default = "65_000")]
    pub prefixes: u32,
    /// bytes of the large value (default 250000000)
    #[argh(option, default = "250_000_000")]
    pub size: usize,
    /// appends of one byte to it (default 5)
    #[argh(option, default = "5")]
    pub appends: u32,
}

impl Scenario for LongCommands {
    fn flags(&self) -> Vec<String> {
        flags(&["-m", &self.mib.to_string(), "-I", &self.item])
    }

    fn prepare(&self, addr: SocketAddr) -> io::Result<()> {
        let mut conn = Conn::open(addr)?;
        conn.ask("stats detail on")?;
        let gets: String = (0..self.prefixes).map(|i| format!("get prefix{i}:key\r\n")).collect();
        for batch in gets.as_bytes().chunks(1 << 16) {
            conn.send(batch)?;
        }
        (0..self.prefixes).try_for_each(|_| conn.line().map(drop))?;
        stored(conn.set("large", self.size)?)
    }

    fn attack(&self, addr: SocketAddr) -> io::Result<Tally> {
        let mut tally = Tally::default();
        timed(&mut tally, "stats detail dump", || {
            Conn::open(addr)?.list("stats detail dump").map(|_| Answer::Done)
        });
        timed(&mut tally, "get", || Conn::open(addr)?.get("large"));
        timed(&mut tally, "appends", || {
            let mut conn = Conn::open(addr)?;
            for _ in 0..self.appends {
                let answer = conn.store("append", "large", 1)?;
                if answer != Answer::Done {
                    return Ok(answer);
                }
            }
            Ok(Answer::Done)
        });
        Ok(tally)
    }
}

/// A client that raises the verbosity while nobody reads the server's log.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "log-pipe")]
pub struct LogPipe {
    /// seconds (default 10)
    #[argh(option, default = "10.0")]
    pub seconds: f64,
}

impl Scenario for LogPipe {
    fn flags(&self) -> Vec<String> {
        Vec::new()
    }

    fn attack(&self, addr: SocketAddr) -> io::Result<Tally> {
        Conn::open(addr)?.ask("verbosity 2")?;
        Ok(together(OTHERS, deadline(self.seconds), addr, |conn, _, _| conn.set("logged", 100)))
    }

    fn blocks_log(&self) -> bool {
        true
    }
}

/// Clients that misbehave.
struct Bad<'a> {
    clients: usize,
    /// What the client of this number sends first.
    begin: &'a dyn Fn(usize) -> Vec<u8>,
    /// What each of them sends again and again.
    again: &'a [u8],
}

/// Stores many items of `size` bytes one after the other.
fn fill(addr: SocketAddr, items: u32, size: usize, expiry: u64) -> io::Result<()> {
    let mut conn = Conn::open(addr)?;
    let value = "v".repeat(size);
    let mut batch = String::new();
    for i in 0..items {
        batch += &format!("set item:{i} 0 {expiry} {size} noreply\r\n{value}\r\n");
        if batch.len() > 1 << 20 || i + 1 == items {
            conn.send(batch.as_bytes())?;
            batch.clear();
            conn.ask("version")?;
        }
    }
    Ok(())
}

/// Lets clients misbehave, who come back when they are closed, beside some who do `request`s.
/// Counts the others' requests, and the misbehaving clients that were closed.
fn beside(
    addr: SocketAddr,
    bad: &Bad<'_>,
    every: Duration,
    until: Instant,
    request: impl Fn(&mut Conn) -> io::Result<Answer> + Sync,
) -> io::Result<Tally> {
    let open = |client: usize| {
        let mut conn = Conn::open_narrow(addr)?;
        conn.send(&(bad.begin)(client))?;
        Ok(conn)
    };
    let mut conns = (0..bad.clients).map(open).collect::<io::Result<Vec<_>>>()?;
    let mut tally = thread::scope(|scope| {
        let others = scope.spawn(|| together(OTHERS, until, addr, |conn, _, _| request(conn)));
        let mut closed = 0;
        while Instant::now() + every < until {
            thread::sleep(every);
            for (client, conn) in conns.iter_mut().enumerate() {
                if !conn.nudge(bad.again).unwrap_or(false) {
                    closed += 1;
                    if let Ok(opened) = open(client) {
                        *conn = opened;
                    }
                }
            }
        }
        others.join().map(|tally| Tally { closed: tally.closed + closed, ..tally })
    })
    .map_err(|_| io::Error::other("a client panicked"))?;
    tally.commands.clear();
    Ok(tally)
}

/// Has clients send one request after another; each gets its number and that of the request.
fn together(
    clients: usize,
    until: Instant,
    addr: SocketAddr,
    request: impl Fn(&mut Conn, usize, usize) -> io::Result<Answer> + Sync,
) -> Tally {
    let client = |number: usize| {
        let mut tally = Tally::default();
        let mut conn = Conn::open(addr);
        let mut turn = 0;
        while Instant::now() < until {
            let answer = conn.as_mut().ok().map(|conn| request(conn, number, turn));
            match answer {
                Some(Ok(Answer::Done)) => tally.answered += 1,
                Some(Ok(_)) => tally.errors += 1,
                _ => {
                    tally.closed += 1;
                    conn = Conn::open(addr);
                }
            }
            turn += 1;
        }
        tally
    };
    thread::scope(|scope| {
        let client = &client;
        let running: Vec<_> =
            (0..clients).map(|number| scope.spawn(move || client(number))).collect();
        let mut sum = Tally::default();
        for thread in running {
            sum.add(&thread.join().expect("a client"));
        }
        sum
    })
}

/// Counts a command and notes how long it took.
fn timed(tally: &mut Tally, name: &'static str, command: impl FnOnce() -> io::Result<Answer>) {
    let began = Instant::now();
    match command() {
        Ok(Answer::Done) => tally.answered += 1,
        Ok(_) => tally.errors += 1,
        Err(_) => tally.closed += 1,
    }
    tally.commands.push((name, began.elapsed()));
}

fn stored(answer: Answer) -> io::Result<()> {
    match answer {
        Answer::Done => Ok(()),
        _ => Err(io::Error::other("the server did not store a value that the attack needs")),
    }
}

/// The flags of a server that only needs its limit.
fn limit(mib: u64) -> Vec<String> {
    flags(&["-m", &mib.to_string()])
}

fn flags(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn large(number: usize) -> String {
    format!("large:{number}")
}

fn deadline(seconds: f64) -> Instant {
    Instant::now() + Duration::from_secs_f64(seconds)
}

/// Well-behaved clients beside the misbehaving ones.
const OTHERS: usize = 4;
