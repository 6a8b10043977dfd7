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

/// The kernel's own buffers grow with what a client sends, and are then his to fill.
#[cfg(target_os = "linux")]
#[test]
fn requests_that_are_not_read_stay_small_in_the_kernel() {
    const LEN: usize = 4 << 20;
    /// More than the server and both of its buffers take, and the client's own one.
    const TAKEN_MAX: usize = 1 << 20;
    let program = Program::start(&["-m", "64", "-I", "8m"]);
    let mut client = program.connect();
    socket2::SockRef::from(&client.0).set_send_buffer_size(64 << 10).unwrap();
    for _ in 0..24 {
        store(&mut client, "grows", b'g', LEN);
    }
    store(&mut client, "reply", b'r', 9000);
    client.0.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let requests = b"get reply\r\n".repeat(1000);
    let mut taken = 0;
    while taken < 4 * TAKEN_MAX {
        match client.0.write(&requests) {
            Ok(len) => taken += len,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                break;
            }
        }
    }
    assert!(taken < TAKEN_MAX, "{taken} bytes were taken");
}

/// A reader that has paused is no burden to others, and may go on unless its value is gone.
#[test]
fn readers_that_pause_give_up_what_they_hold() {
    // More than the buffers of a connection take.
    const LEN: usize = 24 << 20;
    let program = Program::start(&["-m", "64", "-I", "30m", "-t", "2"]);
    let mut client = program.connect();
    store(&mut client, "held", b'h', LEN);
    store(&mut client, "wanted", b'w', LEN);
    let mut holders: Vec<Client> = (0..20).map(|_| program.connect()).collect();
    for holder in &mut holders {
        holder.send("get held\r\n");
        holder.0.read_exact(&mut [0; 1]).unwrap();
    }
    let start = Instant::now();
    client.send("get wanted\r\n");
    expect_value(&mut client, "wanted", b'w', LEN);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    let mut last = holders.pop().unwrap();
    let mut rest = vec![0; "VALUE held 0 25165824\r\n".len() + LEN + "\r\nEND\r\n".len() - 1];
    last.0.read_exact(&mut rest).unwrap();
    assert!(rest.ends_with(b"h\r\nEND\r\n"));
    // It holds the value again, and reads no more of it.
    last.send("get held\r\n");
    last.0.read_exact(&mut [0; 1]).unwrap();
    client.send("get wanted\r\n");
    expect_value(&mut client, "wanted", b'w', LEN);
    store(&mut client, "held", b'x', LEN);
    for mut holder in holders {
        let mut rest = Vec::new();
        // The connection may be reset.
        let _ = holder.0.read_to_end(&mut rest);
        assert!(rest.len() < LEN && !rest.contains(&b'x'), "{} bytes", rest.len());
    }
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
    let start = Instant::now();
    meta.send("mg wanted t v T0\r\nmn\r\n");
    let mut text = program.connect();
    text.send("get none wanted\r\n");
    let mut binary = program.connect();
    binary.send([&[0x80, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 6][..], &[0; 12], b"wanted"].concat());
    // Others are served, and neither was the expiry renewed nor the lease taken.
    client.ask("set small 0 0 1\r\nx\r\n", "STORED\r\n");
    client.ask("get small\r\n", "VALUE small 0 1\r\nx\r\nEND\r\n");
    let touched = client.stat("stats", "touch_hits");
    // A holder that reads nothing gives up what it holds after a while.
    if start.elapsed() < Duration::from_millis(250) {
        assert_eq!(touched, "0");
    }
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

/// Sends what 600 clients announce of a large value, `len` bytes of it.
fn begin_slowly(program: &Program, len: usize) -> Vec<Client> {
    let mut slow: Vec<Client> = (0..600).map(|_| program.connect()).collect();
    for (number, client) in slow.iter_mut().enumerate() {
        client.send(format!("set slow{number} 0 0 900000\r\n{}", "x".repeat(len)));
    }
    // Whoever is answered now is served after what came before.
    (0..4).for_each(|_| program.connect().ask("mn\r\n", "MN\r\n"));
    slow
}

#[test]
fn values_that_hardly_begin_do_not_keep_others_from_storing() {
    let program = Program::start(&["-m", "64", "-c", "2048", "-t", "2"]);
    let slow = begin_slowly(&program, 4_200);
    let mut client = program.connect();
    for _ in 0..20 {
        for len in [20_000, 500_000] {
            store(&mut client, "other", b'o', len);
        }
    }
    assert_eq!(client.stat("stats", "malloc_fails"), "0");
    drop(slow);
}

#[test]
fn a_value_waits_for_room_while_many_are_arriving() {
    const LEN: usize = 20_000;
    let program = Program::start(&["-m", "64", "-c", "2048", "-t", "2", "-o", "request_timeout=0"]);
    let mut begun = program.connect();
    begun.send(format!("set begun 0 0 900000\r\n{}", "b".repeat(20_000)));
    let mut slow = begin_slowly(&program, 13_000);
    let mut waiting: Vec<Client> = (0..10).map(|_| program.connect()).collect();
    for (number, client) in waiting.iter_mut().enumerate() {
        client.send(format!("set w{number} 0 0 {LEN}\r\n{}\r\n", "w".repeat(LEN)));
    }
    // One that has begun goes on, and small values have nothing to wait for.
    begun.ask(format!("{}\r\n", "b".repeat(880_000)), "STORED\r\n");
    program.connect().ask("set small 0 0 1\r\nx\r\n", "STORED\r\n");
    waiting[0].0.set_nonblocking(true).unwrap();
    let early = waiting[0].0.read(&mut [0]).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
    waiting[0].0.set_nonblocking(false).unwrap();
    slow.truncate(100);
    for client in &mut waiting {
        client.expect("STORED\r\n");
    }
    let mut client = program.connect();
    client.send("get w9\r\n");
    expect_value(&mut client, "w9", b'w', LEN);
}

/// The largest holder may be a client of another worker than the one that notices.
#[test]
fn the_largest_of_all_workers_is_closed_first() {
    let program = Program::start(&["-m", "64", "-c", "1024", "-t", "4", "-o", "client_memory=4"]);
    let line = |len: usize| format!("get{}", " key".repeat(len / 4));
    let mut largest = program.connect();
    largest.send(line(900_000));
    let mut client = program.connect();
    let mut others = Vec::new();
    let start = Instant::now();
    while client.stat("stats", "read_buf_oom") == "0" {
        assert!(start.elapsed() < WAIT && others.len() < 400, "nobody is closed");
        let mut other = program.connect();
        other.send(line(30_000));
        others.push(other);
    }
    assert!(largest.is_ended());
    assert_eq!(client.stat("stats", "read_buf_oom"), "1");
    assert_eq!(client.stat("stats", "curr_connections"), (others.len() + 1).to_string());
}

/// Adding to a large value, the value is copied a piece at a time.
#[test]
fn something_is_added_to_a_large_value() {
    const LEN: usize = 5_000_000;
    let program = Program::start(&["-m", "64", "-I", "16m"]);
    let mut client = program.connect();
    client.send(format!("set k 7 999 {LEN}\r\n"));
    client.send(vec![b'v'; LEN]);
    client.ask("\r\n", "STORED\r\n");
    client.ask(
        "append k 9 0 3\r\nabc\r\nprepend k 0 0 2 noreply\r\nde\r\nms k 1 MA\r\nf\r\nmg k s f\r\n",
        format!("STORED\r\nHD\r\nHD s{} f7\r\n", LEN + 6),
    );
    let mut frame = vec![0x80, 0x0e, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3];
    frame.extend([0; 12]);
    frame.extend(b"kgh");
    let mut binary = program.connect();
    binary.send(&frame);
    let mut reply = [0; 24];
    binary.0.read_exact(&mut reply).unwrap();
    assert_eq!(reply[..8], [0x81, 0x0e, 0, 0, 0, 0, 0, 0]);
    client.send("get k\r\n");
    let mut found = vec![0; format!("VALUE k 7 {}\r\n", LEN + 8).len() + LEN + 8 + 7];
    client.0.read_exact(&mut found).unwrap();
    let value = [b"de", &vec![b'v'; LEN][..], b"abcfgh\r\nEND\r\n"].concat();
    assert!(found.ends_with(&value), "another value");
    // Two who add at once lose nothing of each other, and one who replaces it wins or loses whole.
    let mut clients: Vec<Client> = (0..4).map(|_| program.connect()).collect();
    for client in &mut clients {
        client.send("append k 0 0 1\r\ni\r\n".repeat(5));
    }
    for client in &mut clients {
        client.expect("STORED\r\n".repeat(5));
    }
    client.ask("mg k s\r\n", format!("HD s{}\r\n", LEN + 28));
    client.ask("mg k t\r\n", "HD t9");
}
