//! Workers over real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use memcore::{Cache, ManualClock, Moment};
use memproto::binary::{Header, Opcode, REQUEST_MAGIC};

use super::{STUCK_MAX, Worker, WorkerHandle, WorkerSetup};
use crate::config::tls::Security;
use crate::config::{Binding, Config};
use crate::net::listener::Arrival;
use crate::state::budgets::CLIENT_MEMORY;
use crate::state::clock::DrivenClock;
use crate::state::shared::Shared;

/// Longer than anything here takes, also on a machine with much else to do.
const WAIT: Duration = Duration::from_secs(60);

/// Workers behind a listener.
struct Harness {
    address: SocketAddr,
    shared: Arc<Shared>,
    workers: Vec<(WorkerHandle, Option<JoinHandle<()>>)>,
}

impl Harness {
    fn start(config: Config, max_item: usize) -> Self {
        Self::serve(config, Cache::builder(256 << 20).max_item_size(max_item).build().unwrap())
    }

    fn serve(config: Config, cache: Cache) -> Self {
        Self::share(Shared::without_threads(cache, config))
    }

    fn share(shared: Arc<Shared>) -> Self {
        let start = |index| {
            let setup = WorkerSetup::new().unwrap();
            let handle = setup.handle();
            let worker = Worker::new(index, setup, Arc::clone(&shared));
            (handle, Some(thread::spawn(move || worker.run())))
        };
        let workers: Vec<_> = (0..shared.core.config.threads).map(start).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let handles: Vec<_> = workers.iter().map(|(handle, _)| handle.clone()).collect();
        let counted = Arc::clone(&shared);
        thread::spawn(move || {
            for (index, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                stream.set_nonblocking(true).unwrap();
                stream.set_nodelay(true).unwrap();
                counted.gauges.connections.current.fetch_add(1, Ordering::AcqRel);
                let socket = mio::net::TcpStream::from_std(stream).into();
                handles[index % handles.len()].assign(Arrival {
                    socket,
                    binding: Binding::Auto,
                    security: Security::Plain,
                });
            }
        });
        Self { address, shared, workers }
    }

    fn small() -> Self {
        Self::start(Config { threads: 2, ..Config::default() }, 1 << 20)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends `request`, half-closes, and returns all that comes before the connection ends.
    fn ask(&self, request: &[u8]) -> Vec<u8> {
        let stream = self.connect();
        let (mut writer, request) = (stream.try_clone().unwrap(), request.to_vec());
        let sending = thread::spawn(move || {
            writer.write_all(&request).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let reply = drain(stream);
        sending.join().unwrap();
        reply
    }

    /// Waits until `connected` clients are left.
    fn settle(&self, connected: usize) {
        let start = Instant::now();
        while self.shared.gauges.connections.current.load(Ordering::Acquire) != connected {
            assert!(start.elapsed() < WAIT, "connections are not given back");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.workers.iter().for_each(|(handle, _)| handle.stop());
        for (_, thread) in &mut self.workers {
            thread.take().unwrap().join().unwrap();
        }
        assert_eq!(self.shared.gauges.connections.current.load(Ordering::Acquire), 0);
    }
}

fn drain(mut stream: TcpStream) -> Vec<u8> {
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    reply
}

fn expect(stream: &mut TcpStream, reply: &[u8]) {
    let mut found = vec![0; reply.len()];
    stream.read_exact(&mut found).unwrap();
    assert_eq!(found.escape_ascii().to_string(), reply.escape_ascii().to_string());
}

#[test]
fn a_half_closed_client_gets_every_reply_and_then_the_end() {
    let server = Harness::small();
    let reply = server.ask(b"set a 0 0 1\r\nx\r\nget a\r\nget a");
    assert_eq!(reply, b"STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n");
    assert_eq!(server.ask(b""), b"");
    assert_eq!(server.ask(b"get a\r\nquit\r\nget a\r\n"), b"VALUE a 0 1\r\nx\r\nEND\r\n");
    server.settle(0);
}

/// A server without a maintenance thread: only its workers move the clock.
#[test]
fn no_item_outlives_its_time_however_late_maintenance_is() {
    let clock = ManualClock::new(SystemTime::now().into());
    let cache = Cache::builder(16 << 20).clock(clock.clone()).build().unwrap();
    let config = Config { threads: 1, ..Config::default() };
    let driven = Some(Arc::new(DrivenClock::new(clock)));
    let server = Harness::share(Shared::with_clock(cache, config, driven));
    thread::scope(|scope| {
        for phase in 0..10 {
            let server = &server;
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(phase * 100));
                let mut client = server.connect();
                let before = Instant::now();
                let set = format!("set a{phase} 0 1 1\r\nx\r\nset b{phase} 0 2 1\r\nx\r\n");
                client.write_all(set.as_bytes()).unwrap();
                expect(&mut client, b"STORED\r\nSTORED\r\n");
                let stored = Instant::now();
                let hit = format!("VALUE b{phase} 0 1\r\nx\r\nEND\r\n");
                client.write_all(format!("get b{phase}\r\n").as_bytes()).unwrap();
                let mut reply = vec![0; hit.len()];
                let len = client.read(&mut reply).unwrap();
                if before.elapsed() < Duration::from_secs(1) {
                    assert_eq!(reply[..len], *hit.as_bytes(), "it ended too soon");
                }
                thread::sleep(Duration::from_secs(1).saturating_sub(stored.elapsed()));
                client.write_all(format!("get a{phase}\r\n").as_bytes()).unwrap();
                expect(&mut client, b"END\r\n");
            });
        }
    });
}

#[test]
fn ten_thousand_requests_in_one_go() {
    let server = Harness::small();
    let (mut sets, mut gets, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..10_000 {
        write!(sets, "set key{i} 0 0 6\r\n{i:06}\r\n").unwrap();
        write!(gets, "get key{i}\r\n").unwrap();
        write!(values, "VALUE key{i} 0 6\r\n{i:06}\r\nEND\r\n").unwrap();
    }
    assert_eq!(server.ask(&sets), b"STORED\r\n".repeat(10_000));
    assert!(server.ask(&gets) == values, "the replies differ");
    let line: Vec<String> = (0..10_000).map(|i| format!("key{i}")).collect();
    let reply = server.ask(format!("get {}\r\n", line.join(" ")).as_bytes());
    let found = String::from_utf8(reply).unwrap().matches("VALUE").count();
    assert_eq!(found, 10_000);
}

#[test]
fn values_of_many_megabytes_pass_unharmed() {
    let server = Harness::start(Config { threads: 1, ..Config::default() }, 32 << 20);
    for size in [1 << 20, 10 << 20] {
        let value: Vec<u8> =
            (0..size).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let set = [format!("set big 1 0 {size}\r\n").as_bytes(), &value, b"\r\n"].concat();
        assert_eq!(server.ask(&set), b"STORED\r\n");
        let reply = server.ask(b"get big\r\nmn\r\n");
        let head = format!("VALUE big 1 {size}\r\n");
        assert_eq!(&reply[..head.len()], head.as_bytes());
        assert!(reply[head.len()..head.len() + value.len()] == value, "the value changed");
        assert_eq!(&reply[head.len() + value.len()..], b"\r\nEND\r\nMN\r\n");
    }
}

#[test]
fn a_value_is_complete_when_its_last_byte_has_arrived() {
    let server = Harness::small();
    let mut client = server.connect();
    let value = vec![b'v'; 100_000];
    let header = Header {
        magic: REQUEST_MAGIC,
        opcode: Opcode::Set as u8,
        key_len: 1,
        extras_len: 8,
        body_len: 9 + value.len() as u32,
        ..Header::default()
    };
    let request = [&header.encode()[..], &[0; 8], b"k", &value].concat();
    // Nothing follows the value in this protocol, so no byte comes after those of its last piece.
    for piece in request.chunks(30_000) {
        client.write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    let mut reply = [0; 24];
    client.read_exact(&mut reply).unwrap();
    assert_eq!(reply[..8], [0x81, Opcode::Set as u8, 0, 0, 0, 0, 0, 0]);
    assert_eq!(server.shared.core.cache.get(b"k"), Some(value));
}

#[test]
fn requests_behind_a_large_value_are_served() {
    let server = Harness::small();
    let mut client = server.connect();
    let value = vec![b'v'; 200_000];
    let set = [&b"set k 0 0 200000\r\n"[..], &value, b"\r\nmn\r\n"].concat();
    for cut in [199_990, 200_018, 200_019, 200_020, 200_022] {
        client.write_all(&set[..30_000]).unwrap();
        thread::sleep(Duration::from_millis(20));
        client.write_all(&set[30_000..cut]).unwrap();
        thread::sleep(Duration::from_millis(20));
        client.write_all(&set[cut..]).unwrap();
        expect(&mut client, b"STORED\r\nMN\r\n");
    }
    let bad = [&set[..200_018], b"xymn\r\n"].concat();
    client.write_all(&bad[..100_000]).unwrap();
    thread::sleep(Duration::from_millis(20));
    client.write_all(&bad[100_000..]).unwrap();
    expect(&mut client, b"CLIENT_ERROR bad data chunk\r\n");
    assert_eq!(server.shared.core.cache.get(b"k"), Some(value));
}

#[test]
fn a_broken_upload_leaves_nothing() {
    let server = Harness::small();
    let mut stream = server.connect();
    stream.write_all(b"set a 0 0 100000\r\n").unwrap();
    stream.write_all(&[b'x'; 50_000]).unwrap();
    drop(stream);
    server.settle(0);
    assert_eq!(server.ask(b"get a\r\n"), b"END\r\n");
}

#[test]
fn a_client_that_reads_nothing_neither_grows_nor_delays() {
    let server = Harness::start(Config { threads: 1, ..Config::default() }, 1 << 20);
    server.ask(&[b"set a 0 0 4000\r\n".as_slice(), &[b'x'; 4_000], b"\r\n"].concat());
    let mut slow = server.connect();
    // Each request asks for 1,500 times its length, so few of them are to be under way.
    socket2::SockRef::from(&slow).set_send_buffer_size(8 << 10).unwrap();
    slow.set_nonblocking(true).unwrap();
    let requests = b"get a a a a a a a a\r\n".repeat(1_000);
    // The server stops reading once it can't send; then this fills the socket as well.
    let start = Instant::now();
    let (mut sent, mut full) = (0, false);
    loop {
        match slow.write(&requests[sent % requests.len()..]) {
            Ok(count) => sent += count,
            Err(_) => full = true,
        }
        let counts = server.shared.gauges.counts();
        let made = counts.get_hits * 4_000;
        assert!(made < counts.bytes_written + (256 << 10), "replies pile up");
        let asked = counts.bytes_read / 21 * 8 * 4_000;
        if full && asked > counts.bytes_written + (1 << 20) {
            break;
        }
        assert!(start.elapsed() < WAIT, "the client is served though it reads nothing");
        thread::yield_now();
    }
    assert!(server.ask(b"get a\r\n").ends_with(b"END\r\n"));
    // It may come to its senses.
    slow.set_nonblocking(false).unwrap();
    let mut left = sent / 21 * (8 * (4_000 + 18) + 5);
    let mut buffer = vec![0; 1 << 20];
    while left > 0 {
        let count = slow.read(&mut buffer).unwrap();
        assert!(count > 0 && count <= left);
        left -= count;
    }
}

/// One worker whose time is in the test's hands.
fn timeless() -> (Harness, ManualClock) {
    let clock = ManualClock::new(Moment::from_secs(1_000_000));
    let cache = Cache::builder(64 << 20).clock(clock.clone()).build().unwrap();
    (Harness::serve(Config { threads: 1, ..Config::default() }, cache), clock)
}

/// A client that asks for 60 MB and reads nothing; how many bytes wait for it in the server.
fn stuck_client(server: &Harness) -> (TcpStream, usize) {
    let before = server.shared.budgets.backlogs.used();
    let mut slow = server.connect();
    slow.write_all(&b"get a a a a a\r\n".repeat(1_000)).unwrap();
    let start = Instant::now();
    while server.shared.budgets.backlogs.used() == before {
        assert!(start.elapsed() < WAIT, "the client is served though it reads nothing");
        thread::yield_now();
    }
    wait_for_silence(server);
    (slow, server.shared.budgets.backlogs.used() - before)
}

/// Waits until the only worker sends nothing any more. Acknowledgements that come late, after 40 ms
/// or so, let it send a little more to a client that reads nothing.
fn wait_for_silence(server: &Harness) {
    const REPLY: &[u8] = b"MN\r\n";
    let start = Instant::now();
    let sent = || server.shared.gauges.counts().bytes_written;
    let (mut before, mut quiet) = (sent(), 0);
    while quiet < 20 {
        assert!(start.elapsed() < WAIT, "it goes on sending");
        thread::sleep(Duration::from_millis(20));
        // When this is answered, the worker has looked at its other clients as well.
        assert_eq!(server.ask(b"mn\r\n"), REPLY);
        let now = sent();
        quiet = if now == before + REPLY.len() as u64 { quiet + 1 } else { 0 };
        before = now;
    }
}

#[test]
fn clients_that_read_nothing_get_less_when_they_are_too_many_and_then_have_to_go() {
    let (server, clock) = timeless();
    server.ask(&[b"set a 0 0 8000\r\n".as_slice(), &[b'x'; 8_000], b"\r\n"].concat());
    let backlogs = &server.shared.budgets.backlogs;
    let (first, held) = stuck_client(&server);
    assert!(held <= 128 << 10, "{held} bytes wait for one client");
    // As if there were many more of them.
    const BACKLOGS: usize = CLIENT_MEMORY / 2;
    let others = backlogs.take_anyway(BACKLOGS);
    clock.advance(Duration::from_secs((STUCK_MAX / 2).into()));
    let (second, held) = stuck_client(&server);
    assert!(held <= 16 << 10, "{held} bytes wait for one client of many");
    // The first has been stuck for long enough then, and later the second.
    clock.advance(Duration::from_secs((STUCK_MAX / 2).into()));
    server.settle(1);
    clock.advance(Duration::from_secs((STUCK_MAX / 2).into()));
    server.settle(0);
    assert_eq!(backlogs.used(), BACKLOGS, "all memory is given back");
    drop((first, second, others));
}

#[test]
fn uploads_that_stall_have_to_go_once_others_find_no_room() {
    let (server, clock) = timeless();
    let upload = || {
        let mut client = server.connect();
        client.write_all(b"set a 0 0 1000000\r\n").unwrap();
        client.write_all(&[b'x'; 900_000]).unwrap();
        client
    };
    let mut stalled: Vec<TcpStream> = (0..40).map(|_| upload()).collect();
    let start = Instant::now();
    while server.shared.gauges.counts().bytes_read < 40 * 900_000 {
        assert!(start.elapsed() < WAIT, "values are not received");
        thread::yield_now();
    }
    clock.advance(Duration::from_secs(STUCK_MAX.into()));
    // It waits, and the server may not read all of it before it has room.
    let mut late = server.connect();
    let waiting = thread::spawn(move || {
        late.write_all(b"set a 0 0 1000000\r\n").unwrap();
        late.write_all(&[&[b'x'; 1_000_000], b"\r\n".as_slice()].concat()).unwrap();
        expect(&mut late, b"STORED\r\n");
        late
    });
    // The last bytes of some may have come only after the clock had moved.
    let start = Instant::now();
    while server.shared.gauges.connections.current.load(Ordering::Acquire) != 1 {
        assert!(start.elapsed() < WAIT, "stalled clients stay");
        clock.advance(Duration::from_secs(1));
        thread::sleep(Duration::from_millis(5));
        if waiting.is_finished() {
            // Nobody waits any more, so those may stay who are not in the way.
            break;
        }
    }
    drop(waiting.join().unwrap());
    stalled.iter().for_each(|client| client.set_nonblocking(true).unwrap());
    let blocks = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    stalled.retain_mut(|client| client.read(&mut [0; 1]).is_err_and(|error| blocks(&error)));
    assert!(stalled.len() < 40, "nobody had to go");
    let mut again = upload();
    again.write_all(&[&[b'x'; 100_000], b"\r\n".as_slice()].concat()).unwrap();
    expect(&mut again, b"STORED\r\n");
}

#[test]
fn announcements_cost_nothing() {
    let server = Harness::small();
    let mut liars: Vec<TcpStream> = (0..300).map(|_| server.connect()).collect();
    for (i, liar) in liars.iter_mut().enumerate() {
        write!(liar, "set a{i} 0 0 1000000\r\nset").unwrap();
    }
    server.settle(300);
    let used = server.shared.core.cache.stats().used;
    assert!(used < 4 << 20, "{used} bytes for values that were only announced");
    drop(liars);
}

#[test]
fn many_connections_are_served_and_given_back() {
    const CLIENTS: usize = 400;
    let server = Harness::small();
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| server.connect()).collect();
    server.settle(CLIENTS);
    for (i, client) in clients.iter_mut().enumerate() {
        write!(client, "set k{i} 0 0 4\r\n{i:04}\r\nget k{i}\r\n").unwrap();
    }
    for (i, client) in clients.iter_mut().enumerate() {
        expect(client, format!("STORED\r\nVALUE k{i} 0 4\r\n{i:04}\r\nEND\r\n").as_bytes());
    }
    drop(clients);
    server.settle(0);
}

#[test]
fn a_long_pipeline_lets_others_go_first() {
    let config = Config { threads: 1, max_reqs_per_event: 5, ..Config::default() };
    let server = Harness::start(config, 1 << 20);
    let mut clients: Vec<TcpStream> = (0..8).map(|_| server.connect()).collect();
    for round in 0..50 {
        for client in &mut clients {
            client.write_all(&b"mn\r\n".repeat(200)).unwrap();
        }
        for client in &mut clients {
            expect(client, &b"MN\r\n".repeat(200));
        }
        if server.shared.gauges.counts().conn_yields > 0 {
            return;
        }
        assert!(round < 49, "nobody ever had to yield");
    }
}

#[test]
fn uploads_that_trickle_are_closed_once_others_find_no_room() {
    let clock = ManualClock::new(Moment::from_secs(1_000_000));
    let cache = Cache::builder(64 << 20).clock(clock.clone()).build().unwrap();
    let config = Config { threads: 1, request_timeout: 0, ..Config::default() };
    let server = Harness::serve(config, cache);
    let upload = |count: usize| {
        let mut client = server.connect();
        client.write_all(b"set a 0 0 1000000\r\n").unwrap();
        client.write_all(&vec![b'x'; count]).unwrap();
        client
    };
    let mut slow: Vec<TcpStream> = (0..40).map(|_| upload(900_000)).collect();
    let start = Instant::now();
    while server.shared.gauges.connections.current.load(Ordering::Acquire) != 0 {
        assert!(start.elapsed() < WAIT, "slow clients stay");
        // None is silent.
        slow.iter_mut().for_each(|client| _ = client.write_all(b"x"));
        clock.advance(Duration::from_secs(1));
        // Others are refused.
        server.shared.note_shortage();
        thread::sleep(Duration::from_millis(20));
    }
    let mut again = upload(1_000_000);
    again.write_all(b"\r\n").unwrap();
    expect(&mut again, b"STORED\r\n");
}

#[test]
fn a_request_has_to_be_complete_in_time() {
    let (server, clock) = timeless();
    let begin = |request: &[u8]| {
        let mut client = server.connect();
        client.write_all(request).unwrap();
        client
    };
    let mut idle = begin(b"mn\r\n");
    expect(&mut idle, b"MN\r\n");
    let mut line = begin(b"mn\r\nget ");
    expect(&mut line, b"MN\r\n");
    let mut keys = begin(&[b"get ", &b"key ".repeat(1_000)[..]].concat());
    let mut value = begin(b"set a 0 0 100\r\nx");
    let mut large = begin(&[b"set a 0 0 1000000\r\n".as_slice(), &[b'x'; 20_000]].concat());
    // Each MiB gives a second more.
    let mut larger = begin(&[b"set b 0 0 3000000\r\n".as_slice(), &[b'x'; 20_000]].concat());
    server.settle(6);
    let start = Instant::now();
    while server.shared.gauges.counts().bytes_read < 40_000 + 4_000 {
        assert!(start.elapsed() < WAIT, "requests are not received");
        thread::yield_now();
    }
    for _ in 0..29 {
        clock.advance(Duration::from_secs(1));
        for client in [&mut line, &mut keys, &mut value, &mut large, &mut larger] {
            client.write_all(b"x").unwrap();
        }
        server.ask(b"mn\r\n");
    }
    assert_eq!(server.shared.gauges.counts().idle_kicks, 0);
    clock.advance(Duration::from_secs(1));
    server.settle(2);
    for client in [&mut line, &mut keys, &mut value, &mut large] {
        assert!(matches!(client.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
    clock.advance(Duration::from_secs(2));
    server.settle(1);
    idle.write_all(b"mn\r\n").unwrap();
    expect(&mut idle, b"MN\r\n");
}

#[test]
fn silent_connections_are_closed_after_a_while() {
    let config = Config { threads: 1, idle_timeout: 1, ..Config::default() };
    let server = Harness::start(config, 1 << 20);
    let silent = server.connect();
    assert_eq!(drain(silent), b"");
    assert_eq!(server.shared.gauges.counts().idle_kicks, 1);
    server.settle(0);
}

#[test]
fn a_line_without_end_is_cut_off() {
    let server = Harness::small();
    let mut stream = server.connect();
    stream.write_all(&[b'a'; 4_096]).unwrap();
    let mut rest = Vec::new();
    // The unread rest may turn the end into a reset.
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, b"");
    server.settle(0);
}

#[test]
fn unfinished_retrievals_share_one_budget() {
    let config = Config { threads: 1, read_buf_mem_limit: 1 << 20, ..Config::default() };
    let server = Harness::start(config, 1 << 20);
    let line = [b"get ".as_slice(), &b"key ".repeat(100_000)].concat();
    let mut clients: Vec<TcpStream> = (0..4).map(|_| server.connect()).collect();
    for client in &mut clients {
        // Whoever comes too late is cut off while it still writes.
        let _ = client.write_all(&line);
    }
    let start = Instant::now();
    while server.shared.gauges.long_lines_refused.load(Ordering::Relaxed) == 0 {
        assert!(start.elapsed() < WAIT, "nobody was refused");
        thread::sleep(Duration::from_millis(5));
    }
    let left = server.shared.gauges.connections.current.load(Ordering::Acquire);
    assert!(left >= 1, "somebody must fit");
    clients.clear();
    server.settle(0);
    assert_eq!(server.ask(b"mn\r\n"), b"MN\r\n");
}

#[test]
fn unix_sockets_are_served_alike() {
    let server = Harness::small();
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    server.shared.gauges.connections.current.fetch_add(1, Ordering::AcqRel);
    let socket = mio::net::UnixStream::from_std(theirs).into();
    server.workers[0].0.assign(Arrival {
        socket,
        binding: Binding::Ascii,
        security: Security::Plain,
    });
    ours.write_all(b"set a 0 0 1\r\nx\r\nget a\r\n").unwrap();
    ours.shutdown(Shutdown::Write).unwrap();
    let mut reply = Vec::new();
    ours.read_to_end(&mut reply).unwrap();
    assert_eq!(reply, b"STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn connections_that_come_too_late_are_given_back() {
    let config = Config { threads: 1, ..Config::default() };
    let cache = Cache::builder(64 << 20).build().unwrap();
    let shared = Shared::without_threads(cache, config);
    let setup = WorkerSetup::new().unwrap();
    let handle = setup.handle();
    let worker = Worker::new(0, setup, Arc::clone(&shared));
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    shared.gauges.connections.current.fetch_add(1, Ordering::AcqRel);
    handle.stop();
    let socket = mio::net::UnixStream::from_std(theirs).into();
    handle.assign(Arrival { socket, binding: Binding::Auto, security: Security::Plain });
    worker.run();
    assert_eq!(shared.gauges.connections.current.load(Ordering::Acquire), 0);
    assert_eq!(ours.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_dump_of_prefixes_is_sent_in_pieces() {
    const COUNT: usize = 60_000;
    let server = Harness::small();
    for number in 0..COUNT {
        let key = format!("{number:0>20}:x");
        server.shared.gauges.prefixes.count(key.as_bytes(), crate::state::prefixes::Use::Set);
    }
    let mut slow = server.connect();
    // More than the buffers of a connection take.
    slow.write_all(&b"stats detail dump\r\n".repeat(10)).unwrap();
    let start = Instant::now();
    while server.shared.budgets.backlogs.used() == 0 {
        assert!(start.elapsed() < WAIT, "nothing waits for its client");
        thread::yield_now();
    }
    let held = server.shared.budgets.backlogs.used();
    assert!(held < 128 << 10, "{held} bytes wait for a client");
    let dump = server.ask(b"stats detail dump\r\n");
    assert_eq!(dump.iter().filter(|&&byte| byte == b'\n').count(), COUNT + 1);
    assert!(dump.ends_with(b" del 0\r\nEND\r\n"));
    drop(slow);
    server.settle(0);
    assert_eq!(server.shared.budgets.backlogs.used(), 0);
}
