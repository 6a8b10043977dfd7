//! Watchers of the real program: the lines they get, and what they cost others.

mod program;

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use program::{Client, Program, WAIT};

const ALL: &str = "fetchers mutations evictions deletions connevents sysevents rawcmds";

/// A client that watches.
struct Watcher(BufReader<std::net::TcpStream>);

impl Watcher {
    fn new(program: &Program, kinds: &str) -> Self {
        let mut client = program.connect();
        client.ask(format!("watch {kinds}\r\n"), "OK\r\n");
        Self(BufReader::new(client.0))
    }

    /// The next line, with its time and number checked and taken off.
    fn line(&mut self) -> String {
        let line = self.raw();
        let rest = line.strip_prefix("ts=").unwrap_or_else(|| panic!("{line}"));
        let (time, rest) = rest.split_once(" gid=").unwrap();
        let (secs, micros) = time.split_once('.').unwrap();
        assert!(secs.parse::<u64>().unwrap() > 1_600_000_000 && micros.len() == 6, "{line}");
        let (number, rest) = rest.split_once(' ').unwrap();
        number.parse::<u64>().unwrap();
        rest.to_owned()
    }

    fn raw(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert_eq!(line.pop(), Some('\n'), "the stream has ended");
        line
    }

    /// Expects lines with these words in them, in this order.
    fn expect(&mut self, lines: &[&str]) {
        for expected in lines {
            let line = self.line();
            for word in expected.split(' ') {
                assert!(line.split(' ').any(|found| found == word), "no {word} in {line}");
            }
        }
    }
}

/// Waits until so many watch.
fn settle(client: &mut Client, watchers: &str) {
    let start = Instant::now();
    while client.stat("stats", "log_watchers") != watchers {
        assert!(start.elapsed() < WAIT, "{watchers} watchers are expected");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn lookups_are_told_with_their_outcome() {
    let program = Program::start(&["-t", "1"]);
    let mut client = program.connect();
    client.ask("set a 0 0 3\r\nabc\r\nset b% 0 0 1\r\nx\r\n", "STORED\r\nSTORED\r\n");
    let mut watcher = Watcher::new(&program, "");
    client.list("get a nosuch b%");
    client.ask("mg a s\r\n", "HD s3\r\n");
    watcher.expect(&[
        "type=item_get key=a status=found clsid=1 size=3",
        "type=item_get key=nosuch status=not_found clsid=0 size=0",
        "type=item_get key=b%25 status=found clsid=1 size=1",
        "type=item_get key=a status=found size=3",
    ]);
    client.ask("flush_all\r\nget a\r\n", "OK\r\nEND\r\n");
    let line = watcher.line();
    let number = line.split("cfd=").nth(1).unwrap().split(' ').next().unwrap();
    assert!(number.parse::<u32>().unwrap() > 2);
    let shape = "type=item_get key=a status=flushed clsid=0 cfd=N size=0";
    assert_eq!(line.replace(&format!("cfd={number}"), "cfd=N"), shape);
}

#[test]
fn what_is_looked_for_on_the_way_to_something_else_is_told() {
    let program = Program::start(&["-t", "1"]);
    let mut client = program.connect();
    let mut watcher = Watcher::new(&program, "fetchers mutations");
    client.ask("set a 0 0 1\r\n5\r\nadd a 0 0 1\r\nx\r\n", "STORED\r\nNOT_STORED\r\n");
    client.ask("incr a 1\r\ndecr b 1\r\n", "6\r\nNOT_FOUND\r\n");
    client.ask("touch a 0\r\nma c N60\r\nma c\r\n", "TOUCHED\r\nHD\r\nHD\r\n");
    client.ask("flush_all\r\ndelete a\r\nmd b\r\n", "OK\r\nNOT_FOUND\r\nNF\r\n");
    let large = "x".repeat(100_000);
    client.ask(format!("set d 0 0 100000\r\n{large}\r\n"), "STORED\r\n");
    client.ask("cas d 0 0 1 99999\r\nx\r\n", "EXISTS\r\n");
    watcher.expect(&[
        "type=item_get key=a status=not_found clsid=0 size=0",
        "type=item_store key=a status=stored cmd=set",
        "type=item_get key=a status=found clsid=1 size=1",
        "type=item_store key=a status=not_stored cmd=add",
        "type=item_get key=a status=found size=1",
        "type=item_get key=b status=not_found",
        "type=item_get key=a status=found",
        "type=item_get key=c status=not_found",
        "type=item_store key=c status=stored cmd=add ttl=60 clsid=1 size=1",
        "type=item_get key=c status=found",
        "type=item_get key=a status=flushed",
        "type=item_get key=b status=not_found",
        "type=item_get key=d status=not_found",
        "type=item_store key=d status=stored",
        "type=item_get key=d status=found size=100000",
    ]);
    // Who looks on changes nothing.
    client.ask("mg d h\r\n", "HD h0\r\n");
}

#[test]
fn who_breaks_the_rules_is_closed_for_it() {
    let program = Program::start(&["-t", "1"]);
    let mut watcher = Watcher::new(&program, "connevents");
    for (sent, reason) in [
        ("quit\r\n".to_owned(), "normal"),
        ("GET / HTTP/1.1\r\n".to_owned(), "error"),
        ("x".repeat(3_000), "error"),
    ] {
        let mut client = program.connect();
        client.send(sent);
        client.half_close();
        client.rest();
        watcher.expect(&["type=conn_new", &format!("type=conn_close reason={reason}")]);
    }
    let mut client = program.connect();
    client.send([&b"\x80\x0b\0\x03\0\0\0\0\0\0\0\x03"[..], &[0; 12], b"abc"].concat());
    client.rest();
    watcher.expect(&["type=conn_new", "type=conn_close reason=error"]);
}

#[test]
fn a_connection_that_was_reset_is_told_with_its_address() {
    let program = Program::start(&["-t", "1"]);
    let mut watcher = Watcher::new(&program, "connevents");
    let mut client = program.connect();
    let port = client.0.local_addr().unwrap().port();
    client.send("set a 0 0 100000\r\n");
    // To close with replies unread resets the connection.
    client.send("x".repeat(100_000) + "\r\n" + &"get a\r\n".repeat(1_000));
    drop(client);
    let peer = format!("rip=127.0.0.1 rport={port}");
    watcher.expect(&[&format!("type=conn_new {peer}"), &format!("type=conn_close {peer}")]);
}

#[test]
fn stores_and_deletions_are_told() {
    let program = Program::start(&["-t", "1"]);
    let mut client = program.connect();
    let mut watcher = Watcher::new(&program, "mutations deletions");
    client.ask("get quiet\r\nset a 0 100 3\r\nabc\r\n", "END\r\nSTORED\r\n");
    client.ask("add a 0 0 1\r\nx\r\nappend a 0 0 2\r\nde\r\n", "NOT_STORED\r\nSTORED\r\n");
    client.ask("cas a 0 0 1 99\r\nx\r\ncas b 0 0 1 9\r\nx\r\n", "EXISTS\r\nNOT_FOUND\r\n");
    client.ask("ms a 4 ME\r\nabcd\r\nms c 1\r\nx\r\n", "NS\r\nHD\r\n");
    client.ask("delete a\r\ndelete a\r\nmd c\r\n", "DELETED\r\nNOT_FOUND\r\nHD\r\n");
    let big = "x".repeat(2 << 20);
    let refused = "SERVER_ERROR object too large for cache\r\n";
    client.ask(format!("set d 0 0 {}\r\n{big}\r\n", 2 << 20), refused);
    watcher.expect(&[
        "type=item_store key=a status=stored cmd=set ttl=100 clsid=1 size=3",
        "type=item_store key=a status=not_stored cmd=add ttl=0 clsid=1 size=1",
        "type=item_store key=a status=stored cmd=append clsid=1 size=5",
        "type=item_store key=a status=exists cmd=cas clsid=1 size=1",
        "type=item_store key=b status=not_found cmd=cas clsid=1 size=1",
        "type=item_store key=a status=not_stored cmd=add size=4",
        "type=item_store key=c status=stored cmd=set size=1",
        "type=deleted key=a cmd=delete clsid=1 size=5",
        "type=deleted key=c cmd=md clsid=1 size=1",
        "type=item_store key=d status=too_large cmd=set clsid=0 size=2097152",
    ]);
}

/// As told by a memcached 1.6.18: the item that is removed is looked up after the refusal.
#[test]
fn a_value_that_is_too_large_tells_what_it_takes_away() {
    let program = Program::start(&["-t", "1", "-I", "64k"]);
    let mut client = program.connect();
    let mut watcher = Watcher::new(&program, "mutations fetchers");
    let refused = "SERVER_ERROR object too large for cache\r\n";
    // One that comes at once, and one that comes in pieces.
    for len in [65_600, 300_000] {
        let value = "x".repeat(len);
        client.ask("set a 0 0 3\r\nabc\r\n", "STORED\r\n");
        client.ask(format!("add a 0 0 {len}\r\n{value}\r\n"), refused);
        client.ask(format!("set a 0 0 {len}\r\n{value}\r\n"), refused);
        watcher.expect(&[
            "type=item_get key=a status=not_found",
            "type=item_store key=a status=stored cmd=set clsid=1 size=3",
            "type=item_store key=a status=too_large cmd=add clsid=0",
            "type=item_store key=a status=too_large cmd=set clsid=0",
            "type=item_get key=a status=found clsid=1 size=3",
        ]);
    }
}

#[test]
fn connections_requests_and_the_system_are_told() {
    let program = Program::start(&["-t", "1", "-o", "idle_timeout=0"]);
    let mut watcher = Watcher::new(&program, "connevents rawcmds sysevents");
    let mut client = program.connect();
    let port = client.0.local_addr().unwrap().port();
    client.ask("get a\x1b\r\ncache_memlimit 32\r\n", "END\r\nOK\r\n");
    client.half_close();
    client.rest();
    let opened = watcher.line();
    let number = opened.rsplit("cfd=").next().unwrap();
    let peer = format!("rip=127.0.0.1 rport={port} transport=tcp");
    assert_eq!(opened, format!("type=conn_new {peer} cfd={number}"));
    assert_eq!(watcher.line(), format!("<{number} get a\\x1b"));
    assert_eq!(watcher.line(), format!("<{number} cache_memlimit 32"));
    watcher.expect(&["type=cache_memlimit bytes=33554432"]);
    let closed = watcher.line();
    assert_eq!(closed, format!("type=conn_close {peer} reason=normal cfd={number}"));
    let mut client = program.connect();
    client.ask("set a 0 1 1\r\nx\r\n", "STORED\r\n");
    watcher.expect(&["type=conn_new", "set a 0 1 1"]);
    let swept = watcher.line();
    assert!(swept.starts_with("type=lru_crawler crawler=0 lru=all"), "{swept}");
    assert!(swept.ends_with(" examined=1 reclaimed=1"), "{swept}");
}

#[test]
fn evictions_are_told_by_whoever_evicts() {
    let program = Program::start(&["-m", "16", "-t", "2"]);
    let mut client = program.connect();
    let mut watcher = Watcher::new(&program, "evictions");
    let value = "x".repeat(10_000);
    for i in 0..4_000 {
        client.send(format!("set key{i} 0 100 10000 noreply\r\n{value}\r\n"));
    }
    client.ask("mn\r\n", "MN\r\n");
    let line = watcher.line();
    assert!(line.starts_with("type=eviction key=key"), "{line}");
    assert!(line.contains(" fetch=no ttl="), "{line}");
    assert!(line.ends_with(" size=10000"), "{line}");
}

#[test]
fn a_watcher_that_reads_nothing_delays_nobody_and_learns_what_it_missed() {
    let sizes = "watcher_logbuf_size=16,worker_logbuf_size=16";
    let program = Program::start(&["-t", "1", "-o", sizes]);
    let mut watcher = Watcher::new(&program, "fetchers");
    let mut client = program.connect();
    let start = Instant::now();
    let (requests, mut lookups) = ("get nobody\r\n".repeat(1_000), 0);
    // A busy machine may hand over so few lines that it takes many to fill the socket.
    while lookups < 100_000 || client.stat("stats", "log_watcher_skipped") == "0" {
        client.ask(&requests, "END\r\n".repeat(1_000));
        lookups += 1_000;
        assert!(start.elapsed() < WAIT);
    }
    let mut stat = |name: &str| client.stat("stats", name).parse::<u64>().unwrap();
    let (written, dropped) = (stat("log_worker_written"), stat("log_worker_dropped"));
    assert_eq!(written + dropped, lookups);
    // All lines have been handed to the watcher or skipped once these numbers agree.
    let start = Instant::now();
    while stat("log_watcher_sent") + stat("log_watcher_skipped") < written {
        assert!(start.elapsed() < WAIT, "lines get lost");
    }
    let (sent, skipped) = (stat("log_watcher_sent"), stat("log_watcher_skipped"));
    // Whoever wakes up again is told how many lines are missing.
    let (mut read, mut missed) = (0, 0);
    while read <= sent {
        if read == sent {
            client.ask("get somebody\r\n", "END\r\n");
        }
        loop {
            let line = watcher.raw();
            let Some(count) = line.strip_prefix("skipped=") else {
                assert_eq!(line.contains("key=somebody"), read == sent);
                break;
            };
            missed += count.parse::<u64>().unwrap();
        }
        read += 1;
    }
    assert_eq!(missed, skipped);
}

#[test]
fn words_seats_and_switches() {
    let program = Program::start(&["-t", "2"]);
    let mut client = program.connect();
    client.ask("watch nosuch\r\nwatch fetchers nosuch\r\n", "ERROR\r\nERROR\r\n");
    let mut watchers: Vec<_> = (0..20).map(|_| Watcher::new(&program, ALL)).collect();
    settle(&mut client, "20");
    client.ask("watch\r\nmn\r\n", "WATCHER_TOO_MANY log watcher limit reached\r\nMN\r\n");
    watchers.pop();
    settle(&mut client, "19");
    watchers.push(Watcher::new(&program, "proxyreqs"));
    drop(watchers);
    settle(&mut client, "0");
    assert_eq!(client.stat("stats", "curr_connections"), "1");
    // Nobody looks on any more.
    let written = client.stat("stats", "log_worker_written");
    client.ask("get a\r\n", "END\r\n");
    assert_eq!(client.stat("stats", "log_worker_written"), written);
    let program = Program::start(&["-W"]);
    program.connect().ask("watch\r\nmn\r\n", "CLIENT_ERROR watch commands not allowed\r\nMN\r\n");
}

#[test]
fn watchers_are_connections_and_listed_like_others() {
    let program = Program::start(&[]);
    let mut client = program.connect();
    let watcher = Watcher::new(&program, "evictions");
    let address = watcher.0.get_ref().local_addr().unwrap();
    let list = client.list("stats conns");
    let at = list.lines().position(|line| line.ends_with(&format!(":addr tcp:{address}")));
    let lines: Vec<_> = list.lines().skip(at.expect("the watcher")).take(4).collect();
    let rest: Vec<_> = lines[1..].iter().map(|line| line.split_once(':').unwrap().1).collect();
    let listen = format!("listen_addr tcp:{}", program.address());
    assert_eq!(rest[..2], [&listen, "state conn_watch"]);
    assert!(rest[2].starts_with("secs_since_last_cmd "), "{list}");
    assert_eq!(client.stat("stats", "curr_connections"), "2");
    drop(watcher);
    settle(&mut client, "0");
    let list = client.list("stats conns");
    assert!(!list.contains("conn_watch"), "{list}");
}

#[test]
fn a_watcher_is_no_longer_listened_to_and_gets_what_it_asked_for_before() {
    let program = Program::start(&[]);
    let mut client = program.connect();
    client.send("set a 0 0 1\r\nx\r\nget a\r\nwatch mutations\r\nset b 0 0 1\r\nx\r\n");
    client.expect("STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\nOK\r\n");
    program.connect().ask("get b\r\n", "END\r\n");
    client.half_close();
    assert_eq!(client.rest(), b"");
    program.signal(15);
    let (status, _) = program.end();
    assert!(status.success());
}

#[test]
fn a_server_with_watchers_ends() {
    let program = Program::start(&["-t", "1"]);
    let mut watcher = Watcher::new(&program, "connevents");
    program.signal(15);
    let (status, _) = program.end();
    assert!(status.success());
    let mut rest = String::new();
    watcher.0.read_line(&mut rest).unwrap();
}

#[test]
fn a_watcher_can_not_do_without_an_answer() {
    let program = Program::start(&[]);
    let mut client = program.connect();
    client.ask("watch noreply\r\nwatch fetchers noreply\r\nmn\r\n", "ERROR\r\nERROR\r\nMN\r\n");
}
