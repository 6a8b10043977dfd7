//! Clients of the real program that ask for all keys or all connections: slow, absent, many.

mod program;

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use memcore::Attrs;
use program::{Client, Program, WAIT};

const ITEMS: usize = 100_000;

/// A server with many items.
fn filled(flags: &[&str]) -> (Program, Client) {
    let program = Program::start(&[&["-t", "1", "-m", "64"], flags].concat());
    let mut client = program.connect();
    for chunk in (0..ITEMS).collect::<Vec<_>>().chunks(1_000) {
        let sets = chunk.iter().map(|i| format!("set key{i} 0 0 1 noreply\r\nx\r\n"));
        client.send(sets.collect::<String>());
    }
    client.ask("mn\r\n", "MN\r\n");
    (program, client)
}

/// Seconds of CPU time that the server has used.
fn cpu_time(client: &mut Client) -> f64 {
    let mut seconds = |name| client.stat("stats", name).parse::<f64>().unwrap();
    seconds("rusage_user") + seconds("rusage_system")
}

#[test]
fn a_half_closed_client_gets_the_whole_dump() {
    let (program, _client) = filled(&[]);
    let mut dumper = program.connect();
    dumper.send("lru_crawler metadump all\r\nlru_crawler mgdump all\r\n");
    dumper.half_close();
    let dump = String::from_utf8(dumper.rest()).unwrap();
    let (meta, keys) = dump.split_once("END\r\n").unwrap();
    let names: BTreeSet<&str> =
        meta.lines().filter_map(|line| line.strip_prefix("key=")?.split(' ').next()).collect();
    assert_eq!(names.len(), ITEMS);
    assert_eq!(keys.lines().count(), ITEMS + 2);
    assert!(keys.starts_with("OK\r\n") && keys.ends_with("EN\r\n"));
}

#[test]
fn clients_that_read_nothing_of_a_dump_hurt_nobody() {
    let (program, mut client) = filled(&[]);
    let before = program.resident();
    let slow: Vec<Client> = (0..50)
        .map(|_| {
            let mut slow = program.connect();
            slow.send("lru_crawler metadump all\r\n".repeat(20));
            slow
        })
        .collect();
    // In CPU time of the server, because others may use the machine as well.
    let start = cpu_time(&mut client);
    for _ in 0..100 {
        client.ask("get key7\r\n", "VALUE key7 0 1\r\nx\r\nEND\r\n");
    }
    let spent = cpu_time(&mut client) - start;
    assert!(spent < 10.0, "others have to wait while it works for {spent} s");
    let grown = program.resident().saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB for replies that nobody reads");
    drop(slow);
    let start = Instant::now();
    while client.stat("stats\r\n", "curr_connections") != "1" {
        assert!(start.elapsed() < WAIT, "connections that are gone are not given back");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn connections_of_all_workers_are_listed() {
    let program = Program::start(&["-t", "3"]);
    let mut clients: Vec<Client> = (0..7).map(|_| program.connect()).collect();
    clients.iter_mut().for_each(|client| client.ask("mn\r\n", "MN\r\n"));
    let ports: BTreeSet<String> =
        clients.iter().map(|client| client.0.local_addr().unwrap().port().to_string()).collect();
    let asker = &mut clients[0];
    let reply = asker.list("stats conns");
    let address = program.address();
    let found: BTreeSet<String> = reply
        .lines()
        .filter_map(|line| line.split_once(":addr tcp:127.0.0.1:"))
        .map(|(_, port)| port.to_owned())
        .filter(|port| *port != address.port().to_string())
        .collect();
    assert_eq!(found, ports);
    assert_eq!(reply.matches(&format!(":listen_addr tcp:{address}\r\n")).count(), 7);
    assert_eq!(reply.matches(":state conn_listening\r\n").count(), 1);
    assert_eq!(reply.matches(":state conn_parse_cmd\r\n").count(), 1);
    assert_eq!(reply.matches(":state conn_read\r\n").count(), 6);
    assert_eq!(reply.matches(":secs_since_last_cmd ").count(), 8);
    // All at once, half-closed, and nobody waits for ever.
    for client in &mut clients {
        client.send("stats conns\r\n".repeat(20));
        client.half_close();
    }
    for client in &mut clients {
        let text = String::from_utf8(client.rest()).unwrap();
        assert_eq!(text.matches("END\r\n").count(), 20);
    }
}

#[test]
fn a_client_that_reads_nothing_of_a_dump_has_to_go_after_a_minute() {
    let server = memserver::TestServer::start().unwrap();
    for i in 0..ITEMS {
        server.cache().set(format!("key{i}"), b"x", Attrs::new()).unwrap();
    }
    let connect = || Client::new(TcpStream::connect(server.address()).unwrap());
    let (mut slow, mut other) = (connect(), connect());
    slow.send("lru_crawler metadump all\r\n".repeat(20));
    slow.0.peek(&mut [0]).expect("the dump begins");
    let mut connections = || other.stat("stats", "curr_connections");
    assert_eq!(connections(), "2");
    let start = Instant::now();
    while connections() != "1" {
        assert!(start.elapsed() < WAIT, "it may stay for ever");
        server.advance(std::time::Duration::from_secs(61));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(slow.is_ended());
}
