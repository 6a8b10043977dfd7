//! A server whose flash device is slow, or does not answer at all: who does not need it does not
//! wait, answers stay in order, and what has no room in the queue is a miss.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use memcore::flash::{Device, Flash, Located};
use memcore::{Attrs, Cache};
use memserver::Server;

const LEN: usize = 10_000;
const ITEMS: usize = 2_000;
/// Reads that wait for threads at most, and threads, of a server that is not told otherwise.
const QUEUE: usize = 256;
const THREADS: usize = 4;

/// A device in memory whose reads take a while, or wait for the end of the test.
#[derive(Clone, Default)]
struct Slow(Arc<Inner>);

#[derive(Default)]
struct Inner {
    bytes: Mutex<Vec<u8>>,
    delay: Mutex<Option<Duration>>,
    changed: Condvar,
    /// Reads that have begun.
    begun: AtomicUsize,
}

impl Slow {
    /// How long reads take from now on: with `None` for as long as this is not changed again.
    fn set_delay(&self, delay: Option<Duration>) {
        *self.0.delay.lock().unwrap() = delay;
        self.0.changed.notify_all();
    }
}

impl Device for Slow {
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        let delay = self.0.delay.lock().unwrap();
        let delay = *self.0.changed.wait_while(delay, |delay| delay.is_none()).unwrap();
        thread::sleep(delay.unwrap_or_default());
        let bytes = self.0.bytes.lock().unwrap();
        let there = bytes.get(at as usize..).unwrap_or_default();
        let len = there.len().min(into.len());
        into[..len].copy_from_slice(&there[..len]);
        Ok(len)
    }

    fn write_at(&self, at: u64, from: &[u8]) -> io::Result<usize> {
        let mut bytes = self.0.bytes.lock().unwrap();
        let end = at as usize + from.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[at as usize..end].copy_from_slice(from);
        Ok(from.len())
    }
}

struct Setup {
    device: Slow,
    server: Server,
    /// Keys of items on the device, oldest first.
    keys: Vec<String>,
}

/// A server with more items than there is memory.
fn start() -> Setup {
    let device = Slow::default();
    device.set_delay(Some(Duration::ZERO));
    let flash = Flash::new().device(device.clone(), 64 << 20).region_size(1 << 20);
    let flash = flash.buffer_size(64 << 10).buffers(4).waits(false);
    let cache = Cache::builder(8 << 20).flash(flash).build().unwrap();
    let builder = Server::builder(cache.clone()).listen("127.0.0.1:0");
    let server = builder.threads(1).start().unwrap();
    for number in 0..ITEMS {
        cache.set(format!("k{number}"), value(number).as_bytes(), Attrs::new()).unwrap();
        // The server has a thread that writes; this one waits until it has kept up.
        if let Some(job) = cache.flash_work() {
            job.run();
        }
    }
    cache.set("here", b"1", Attrs::new()).unwrap();
    let keys = (0..ITEMS).map(|number| format!("k{number}"));
    let keys: Vec<_> =
        keys.filter(|key| matches!(cache.locate(key), Located::OnFlash(_))).collect();
    assert!(keys.len() > QUEUE + THREADS + 100, "{} keys are on flash", keys.len());
    Setup { device, server, keys }
}

fn value(number: usize) -> String {
    (0..LEN).map(|at| char::from(b'a' + ((number + at / 7) % 26) as u8)).collect()
}

fn reply(key: &str) -> String {
    let value = value(key[1..].parse().unwrap());
    format!("VALUE {key} 0 {LEN}\r\n{value}\r\n")
}

struct Client(TcpStream);

impl Setup {
    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.server.local_addr().unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Client(stream)
    }
}

impl Client {
    fn send(&mut self, request: &str) {
        self.0.write_all(request.as_bytes()).unwrap();
    }

    fn expect(&mut self, reply: &str) {
        let mut found = vec![0; reply.len()];
        self.0.read_exact(&mut found).unwrap();
        assert!(found == reply.as_bytes(), "{} is another reply", String::from_utf8_lossy(&found));
    }

    fn ask(&mut self, request: &str, reply: &str) {
        self.send(request);
        self.expect(reply);
    }

    /// What comes up to the end of a list.
    fn list(&mut self) -> String {
        let mut text = Vec::new();
        let mut piece = [0; 16 << 10];
        while !text.ends_with(b"END\r\n") {
            let len = self.0.read(&mut piece).unwrap();
            assert!(len > 0, "the connection was closed");
            text.extend_from_slice(&piece[..len]);
        }
        String::from_utf8(text).unwrap()
    }

    fn stat(&mut self, name: &str) -> u64 {
        self.send("stats\r\n");
        let stats = self.list();
        let mut lines = stats.lines().map(|line| line.split(' '));
        let mut line = lines.find(|line| line.clone().nth(1) == Some(name)).unwrap();
        line.next_back().unwrap().parse().unwrap()
    }
}

#[test]
fn a_slow_read_holds_nobody_else_and_keeps_the_order() {
    let setup = start();
    let (mut waiting, mut other) = (setup.connect(), setup.connect());
    other.ask("get here\r\n", "VALUE here 0 1\r\n1\r\nEND\r\n");
    setup.device.set_delay(None);
    let [one, two] = [&setup.keys[0], &setup.keys[1]];
    waiting
        .send(&format!("get {one}\r\nget here\r\nset here 0 0 1\r\n2\r\nget {two} here\r\nmn\r\n"));
    for _ in 0..100 {
        other.ask("get here\r\n", "VALUE here 0 1\r\n1\r\nEND\r\n");
    }
    let began = Instant::now();
    setup.device.set_delay(Some(Duration::from_millis(500)));
    let here = |value: u32| format!("VALUE here 0 1\r\n{value}\r\n");
    waiting.expect(&format!("{}END\r\n{}END\r\n", reply(one), here(1)));
    assert!(began.elapsed() >= Duration::from_millis(500));
    waiting.expect(&format!("STORED\r\n{}{}END\r\nMN\r\n", reply(two), here(2)));
    assert!(began.elapsed() >= Duration::from_millis(1_000));
    assert_eq!(other.stat("get_extstore"), 2);
}

#[test]
fn what_has_no_room_in_the_queue_is_a_miss() {
    let setup = start();
    let mut other = setup.connect();
    setup.device.set_delay(None);
    // What is too much is left out at once; the others wait for as long as the device does.
    let asked = setup.keys[..QUEUE + THREADS + 20].chunks(20);
    let mut waiting: Vec<_> = asked.clone().map(|_| setup.connect()).collect();
    let before = setup.device.0.begun.load(Ordering::Relaxed);
    for (client, keys) in waiting.iter_mut().zip(asked.clone()) {
        client.send(&format!("get {}\r\n", keys.join(" ")));
        // Each thread takes one, or the queue would be full before and not afterwards.
        while setup.device.0.begun.load(Ordering::Relaxed) < before + THREADS {
            thread::sleep(Duration::from_millis(1));
        }
    }
    while other.stat("extstore_io_queue") < QUEUE as u64 {
        thread::sleep(Duration::from_millis(5));
    }
    let last = setup.keys.last().unwrap();
    other.ask(&format!("get {last}\r\nget here\r\n"), "END\r\nVALUE here 0 1\r\n1\r\nEND\r\n");
    let aborted = other.stat("get_aborted_extstore");
    assert!((1..40).contains(&aborted), "{aborted}");

    setup.device.set_delay(Some(Duration::ZERO));
    let whole = |keys: &[String]| keys.iter().map(|key| reply(key)).collect::<String>();
    let mut missing = 0;
    for (client, keys) in waiting.iter_mut().zip(asked.clone()) {
        let text = client.list();
        let there = text.matches("VALUE ").count();
        missing += keys.len() - there;
        assert!(there < keys.len() || text == whole(keys) + "END\r\n", "another order");
    }
    assert!((1..40).contains(&missing), "{missing}");
    for keys in asked {
        other.ask(&format!("get {}\r\n", keys.join(" ")), &(whole(keys) + "END\r\n"));
    }
    other.ask(&format!("get {last}\r\n"), &(reply(last) + "END\r\n"));
    assert_eq!(other.stat("get_oom_extstore"), 0);
}
