//! Clients of the real program that want more memory than there is, and others beside them.

mod program;

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use program::{Client, Program, WAIT};

/// Sends a storage request for a value of `len` bytes `byte`.
fn store(client: &mut Client, key: &str, byte: u8, len: usize) {
    client.send(format!("set {key} 0 0 {len}\r\n"));
    client.send(vec![byte; len]);
    client.ask("\r\n", "STORED\r\n");
}

/// Reads the reply to `get KEY`, whose value is `len` times `byte`.
fn expect_value(client: &mut Client, key: &str, byte: u8, len: usize) {
    let head = format!("VALUE {key} 0 {len}\r\n");
    let mut reply = vec![0; head.len() + len + b"\r\nEND\r\n".len()];
    // A refusal is shorter.
    let start = head.len().min(64);
    client.0.read_exact(&mut reply[..start]).unwrap();
    assert_eq!(String::from_utf8_lossy(&reply[..start]), head);
    client.0.read_exact(&mut reply[start..]).unwrap();
    assert!(reply[start..start + len].iter().all(|&found| found == byte), "a wrong byte");
    assert!(reply.ends_with(b"\r\nEND\r\n"));
}

#[test]
fn readers_of_large_values_wait_for_each_other() {
    const LEN: usize = 20 << 20;
    let program = Program::start(&["-m", "64", "-I", "30m"]);
    let mut client = program.connect();
    store(&mut client, "a", b'a', LEN);
    store(&mut client, "b", b'b', LEN);
    thread::scope(|scope| {
        for reader in 0..6 {
            let mut client = program.connect();
            scope.spawn(move || {
                for turn in 0..6 {
                    let key = ["a", "b"][(reader + turn) % 2];
                    client.send(format!("get {key}\r\n"));
                    expect_value(&mut client, key, key.as_bytes()[0], LEN);
                }
            });
        }
    });
    assert_eq!(client.stat("stats", "response_obj_oom"), "0");
}

/// While one reader holds all that may be held, requests wait in all protocols, and nothing of them
/// has happened yet.
#[test]
fn a_request_that_waits_is_executed_once() {
    // More than the buffers of a connection take.
    const LEN: usize = 24 << 20;
    let program = Program::start(&["-m", "64", "-I", "30m"]);
    let mut client = program.connect();
    store(&mut client, "held", b'h', LEN);
    store(&mut client, "wanted", b'w', LEN);
    client.ask("md wanted I\r\n", "HD\r\n");
    let mut holder = program.connect();
    holder.send("get held\r\n");
    holder.0.read_exact(&mut [0; 1]).unwrap();
    let mut meta = program.connect();
    meta.send("mg wanted t v T0\r\nmn\r\n");
    let mut text = program.connect();
    text.send("get none wanted\r\n");
    let mut binary = program.connect();
    binary.send([&[0x80, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 6][..], &[0; 12], b"wanted"].concat());
    // Others are served, and neither was the expiry renewed nor the lease taken.
    client.ask("set small 0 0 1\r\nx\r\n", "STORED\r\n");
    client.ask("get small\r\n", "VALUE small 0 1\r\nx\r\nEND\r\n");
    assert_eq!(client.stat("stats", "touch_hits"), "0");
    let mut rest = vec![0; "VALUE held 0 25165824\r\n".len() + LEN + "\r\nEND\r\n".len() - 1];
    holder.0.read_exact(&mut rest).unwrap();
    // The value is stale, and this client is told to renew it.
    let mut reply = vec![0; "VA 25165824 t-1 X W\r\n".len() + LEN + "\r\nMN\r\n".len()];
    meta.0.read_exact(&mut reply).unwrap();
    assert_eq!(String::from_utf8_lossy(&reply[..24]), "VA 25165824 t-1 X W\r\nwww");
    assert!(reply.ends_with(b"w\r\nMN\r\n"));
    expect_value(&mut text, "wanted", b'w', LEN);
    let mut reply = vec![0; 24 + 4 + LEN];
    binary.0.read_exact(&mut reply).unwrap();
    assert_eq!(reply[..8], [0x81, 0, 0, 0, 4, 0, 0, 0], "an error");
    assert!(reply[28..].iter().all(|&byte| byte == b'w'));
    // held, small, and wanted three times, once of them as a touch; and none.
    assert_eq!(client.stat("stats", "cmd_get"), "5");
    assert_eq!(client.stat("stats", "get_misses"), "1");
    assert_eq!(client.stat("stats", "cmd_touch"), "1");
    // md, mg and mn.
    assert_eq!(client.stat("stats", "cmd_meta"), "2");
}

#[test]
fn clients_that_read_nothing_do_not_keep_others_from_reading() {
    let program = Program::start(&["-m", "64", "-c", "2048", "-t", "2"]);
    let mut client = program.connect();
    for key in 0..4_000 {
        client.send(format!("set key{key} 0 0 9000 noreply\r\n{}\r\n", "x".repeat(9_000)));
    }
    store(&mut client, "other", b'o', 20_000);
    let mut silent: Vec<Client> = (0..400).map(|_| program.connect()).collect();
    for (number, silent) in silent.iter_mut().enumerate() {
        let gets = (0..60).map(|i| format!("get key{}\r\n", (number * 60 + i) % 4_000));
        silent.send(gets.collect::<String>());
    }
    let mut others: Vec<Client> = (0..4).map(|_| program.connect()).collect();
    for _ in 0..100 {
        for other in &mut others {
            other.send("get other\r\n");
            expect_value(other, "other", b'o', 20_000);
        }
    }
    assert_eq!(client.stat("stats", "response_obj_oom"), "0");
}

/// Requests that are not complete share one budget, and the largest have to go.
#[test]
fn those_who_hold_most_are_closed_when_clients_hold_too_much() {
    let program = Program::start(&["-m", "64", "-c", "1024", "-t", "1", "-o", "client_memory=4"]);
    let mut modest = program.connect();
    modest.send(format!("set modest 0 0 8000\r\n{}", "x".repeat(4_000)));
    modest.0.set_nodelay(true).unwrap();
    let line = format!("get{}", " key".repeat(30_000 / 4));
    let mut greedy: Vec<Client> = (0..300).map(|_| program.connect()).collect();
    for client in &mut greedy {
        // One that is closed meanwhile can't take it all.
        let _ = client.0.write_all(line.as_bytes());
    }
    let mut client = program.connect();
    let start = Instant::now();
    let connections = loop {
        let connections: usize = client.stat("stats", "curr_connections").parse().unwrap();
        let closed: usize = client.stat("stats", "read_buf_oom").parse().unwrap();
        if closed + connections == greedy.len() + 2 && closed > 100 {
            break connections;
        }
        assert!(start.elapsed() < WAIT, "{closed} are closed, {connections} stay");
        thread::sleep(Duration::from_millis(5));
    };
    assert!(connections * 30_000 < (4 << 20) + 100_000, "{connections} stay");
    assert!(connections > 50, "{connections} stay");
    modest.ask(format!("{}\r\n", "x".repeat(4_000)), "STORED\r\n");
}
