//! The server as a part of another program.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use memcore::{Attrs, Cache, Clock, Moment};
use memserver::{Builder, Evictions, Protocol, Server, StartError, TestServer};

fn ask(stream: &mut (impl Read + Write), request: &str, reply: &str) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut found = vec![0; reply.len()];
    stream.read_exact(&mut found).unwrap();
    assert_eq!(String::from_utf8(found).unwrap(), reply);
}

fn cache() -> Cache {
    Cache::new(64 << 20).unwrap()
}

#[test]
fn both_sides_see_the_same_items() {
    let cache = cache();
    let server = Server::builder(cache.clone()).listen("127.0.0.1:0").start().unwrap();
    let mut client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
    cache.set("ours", b"1", Attrs::new()).unwrap();
    ask(&mut client, "get ours\r\n", "VALUE ours 0 1\r\n1\r\nEND\r\n");
    ask(&mut client, "set theirs 0 0 1\r\n2\r\n", "STORED\r\n");
    assert_eq!(cache.get("theirs").as_deref(), Some(b"2".as_slice()));
    assert_eq!(server.connections(), 1);
    server.stop().unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "the connection is closed");
    assert_eq!(cache.get("theirs").as_deref(), Some(b"2".as_slice()), "the cache goes on");
}

/// Each server counts from its own reset on, and the program from the beginning.
#[test]
fn a_reset_of_one_server_is_its_own() {
    let cache = cache();
    let start = || Server::builder(cache.clone()).listen("127.0.0.1:0").start().unwrap();
    let servers = [start(), start()];
    let mut clients =
        servers.each_ref().map(|server| TcpStream::connect(server.local_addr().unwrap()).unwrap());
    cache.set("a", b"1", Attrs::new()).unwrap();
    cache.delete("a");
    ask(&mut clients[0], "stats reset\r\n", "RESET\r\n");
    cache.set("b", b"1", Attrs::new()).unwrap();
    assert_eq!(cache.stats().total.stored, 2);
    for (client, stored) in clients.iter_mut().zip([1, 2]) {
        client.write_all(b"stats\r\n").unwrap();
        let lines = BufReader::new(client).lines().map(Result::unwrap);
        let lines: Vec<_> = lines.take_while(|line| line != "END").collect();
        let expected = format!("STAT total_items {stored}");
        assert!(lines.contains(&expected), "no {expected} in {lines:?}");
    }
}

#[test]
fn evictions_can_be_watched_at_every_server_of_a_cache() {
    let evictions = Evictions::new();
    let told = evictions.clone();
    let cache = Cache::builder(16 << 20).watch_removals(move |removal| told.note(removal));
    let cache = cache.build().unwrap();
    let start = || {
        let builder = Server::builder(cache.clone()).listen("127.0.0.1:0");
        builder.watch_evictions(evictions.clone()).start().unwrap()
    };
    let (first, second) = (start(), start());
    let fill = || {
        (0..4_000).for_each(|i| {
            cache.set(format!("key{i}"), &[0; 10_000], Attrs::new()).unwrap();
        });
    };
    for server in [first, second] {
        fill();
        let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut client = BufReader::new(client);
        ask(client.get_mut(), "watch evictions\r\n", "OK\r\n");
        fill();
        let mut line = String::new();
        client.read_line(&mut line).unwrap();
        assert!(line.contains(" type=eviction key=key"), "{line}");
        // A server that has ended is told no more.
        server.stop().unwrap();
        fill();
    }
}

#[test]
fn another_thread_can_stop_it() {
    let server = Server::builder(cache()).listen("127.0.0.1:0").threads(2).start().unwrap();
    let address = server.local_addr().unwrap();
    let handle = server.stop_handle();
    let waiting = thread::spawn(move || server.join());
    ask(&mut TcpStream::connect(address).unwrap(), "mn\r\n", "MN\r\n");
    handle.stop();
    waiting.join().unwrap().unwrap();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn dropping_it_frees_its_address() {
    let server = Server::builder(cache()).listen("127.0.0.1:0").start().unwrap();
    let address = server.local_addr().unwrap();
    let taken = Server::builder(cache()).listen(address).start().unwrap_err();
    assert!(matches!(taken, StartError::Listen(_)));
    assert!(taken.to_string().contains("Address already in use"), "{taken}");
    drop(server);
    let again = Server::builder(cache()).listen(address).start().unwrap();
    assert_eq!(again.local_addrs(), [address]);
}

#[test]
fn several_addresses_and_a_limit() {
    let builder = Server::builder(cache()).listen("127.0.0.1:0").listen("127.0.0.1:0");
    let server = builder.max_connections(1).idle_timeout(Duration::from_secs(60)).start().unwrap();
    let [one, two] = server.local_addrs() else { panic!("two addresses") };
    let mut client = TcpStream::connect(one).unwrap();
    ask(&mut client, "mn\r\n", "MN\r\n");
    let mut reply = String::new();
    TcpStream::connect(two).unwrap().read_to_string(&mut reply).unwrap();
    assert_eq!(reply, "ERROR Too many open connections\r\n");
}

#[test]
fn clients_can_do_by_default_only_what_is_not_up_to_the_program() {
    const FAILED: &str = "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n";
    let cache = Cache::builder(32 << 20).max_limit(64 << 20).build().unwrap();
    cache.set("ours", b"1", Attrs::new()).unwrap();
    let start = |set: fn(Builder) -> Builder| {
        let server = set(Server::builder(cache.clone()).listen("127.0.0.1:0")).start().unwrap();
        let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        (server, client)
    };
    let (_server, mut client) = start(|builder| builder);
    for (request, reply) in [
        ("flush_all\r\n", "CLIENT_ERROR flush_all not allowed\r\n"),
        ("flush_all noreply\r\nmn\r\n", "MN\r\n"),
        ("cache_memlimit 64\r\n", FAILED),
        ("cache_memlimit 8\r\n", FAILED),
        ("verbosity 2\r\n", "CLIENT_ERROR not allowed\r\n"),
        ("verbosity 2 noreply\r\nmn\r\n", "MN\r\n"),
        ("watch\r\n", "CLIENT_ERROR watch commands not allowed\r\n"),
        ("stats cachedump 1 1\r\n", "CLIENT_ERROR stats cachedump not allowed\r\n"),
        ("stats detail on\r\n", "CLIENT_ERROR stats detail not allowed\r\n"),
        ("lru_crawler metadump all\r\n", "ERROR metadump not allowed\r\n"),
        ("lru_crawler mgdump all\r\n", "ERROR key dump not allowed\r\n"),
        ("shutdown\r\n", "SERVER_ERROR: shutdown not enabled\r\n"),
        ("get ours\r\n", "VALUE ours 0 1\r\n1\r\nEND\r\n"),
    ] {
        ask(&mut client, request, reply);
    }
    assert_eq!(cache.stats().limit, 32 << 20);
    // Not more than the program says, though its cache would take it.
    let (_server, mut client) = start(|builder| builder.client_limit(48 << 20).allow_flush(true));
    ask(&mut client, "cache_memlimit 49\r\ncache_memlimit 48\r\n", &[FAILED, "OK\r\n"].concat());
    assert_eq!(cache.stats().limit, 48 << 20);
    ask(&mut client, "flush_all\r\nget ours\r\n", "OK\r\nEND\r\n");
    let (_server, mut client) = start(|builder| builder.protocol(Protocol::Binary));
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    client.write_all(&b"get ours\r\n".repeat(3)).unwrap();
    let end = client.read(&mut [0; 1]);
    let reset = |error: io::Error| error.kind() == io::ErrorKind::ConnectionReset;
    assert!(end.map_or_else(reset, |bytes| bytes == 0), "the connection is closed");
}

#[test]
fn settings_tell_about_the_cache_it_serves() {
    let cache = Cache::builder(32 << 20).max_item_size(2 << 20).build().unwrap();
    let server = Server::builder(cache).listen("127.0.0.1:0").start().unwrap();
    let address = server.local_addr().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"stats settings\r\nquit\r\n").unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).unwrap();
    for line in [
        "STAT maxbytes 33554432".to_owned(),
        "STAT item_size_max 2097152".to_owned(),
        format!("STAT tcpport {}", address.port()),
    ] {
        assert!(reply.contains(&format!("{line}\r\n")), "{line} in {reply}");
    }
}

#[test]
fn a_unix_socket_goes_with_its_server() {
    let path = std::env::temp_dir().join(format!("memserver-library-{}", std::process::id()));
    let server = Server::builder(cache()).unix_socket(&path).start().unwrap();
    assert_eq!(server.local_addr(), None);
    ask(&mut UnixStream::connect(&path).unwrap(), "mn\r\n", "MN\r\n");
    server.stop().unwrap();
    assert!(!path.exists());
}

#[test]
fn wrong_addresses_are_named() {
    for address in ["", ":80", "127.0.0.1:x", "127.0.0.1:65536", "a:b:c"] {
        let error = Server::builder(cache()).listen(address).start().unwrap_err();
        assert!(matches!(error, StartError::BadAddress(ref text) if text == address), "{error}");
    }
    let error = Server::builder(cache()).listen("203.0.113.7:1").start().unwrap_err();
    assert!(error.to_string().contains("203.0.113.7:1"), "{error}");
}

#[test]
fn test_servers_are_independent_and_move_in_time() {
    let (one, two) = (TestServer::start().unwrap(), TestServer::start().unwrap());
    assert_ne!(one.address(), two.address());
    let mut client = TcpStream::connect(one.address()).unwrap();
    ask(&mut client, "set a 0 100 1\r\nx\r\n", "STORED\r\n");
    assert!(one.cache().contains("a") && !two.cache().contains("a"));
    one.advance(Duration::from_secs(99));
    ask(&mut client, "get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n");
    one.advance(Duration::from_secs(1));
    ask(&mut client, "get a\r\n", "END\r\n");
}

/// A clock that breaks in the hands of a worker.
#[derive(Clone, Debug, Default)]
struct Fragile(Arc<AtomicBool>);

impl Clock for Fragile {
    fn now(&self) -> Moment {
        let of_worker = thread::current().name().is_some_and(|name| name.starts_with("worker"));
        assert!(!(of_worker && self.0.load(Ordering::Acquire)), "broken, as the test wants it");
        Moment::from_secs(1_000)
    }
}

#[test]
fn a_server_that_lost_a_worker_ends_and_says_so() {
    let clock = Fragile::default();
    let cache = Cache::builder(64 << 20).clock(clock.clone()).build().unwrap();
    let server = Server::builder(cache).listen("127.0.0.1:0").threads(2).start().unwrap();
    let address = server.local_addr().unwrap();
    let mut one = TcpStream::connect(address).unwrap();
    let mut two = TcpStream::connect(address).unwrap();
    ask(&mut one, "mn\r\n", "MN\r\n");
    ask(&mut two, "mn\r\n", "MN\r\n");
    clock.0.store(true, Ordering::Release);
    one.write_all(b"mn\r\n").unwrap();
    assert!(server.join().is_err());
    // The other worker was fine, but nobody is left half served.
    assert_eq!(two.read(&mut [0; 1]).unwrap(), 0);
    assert!(TcpStream::connect(address).is_err());
}
