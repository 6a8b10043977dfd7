//! A server whose cache lies in a file (`-e`) and outlives it.

mod program;

use std::fs;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use program::{Folder, Program, command, run};

const SIGKILL: i32 = 9;
const SIGUSR1: i32 = 10;
const SIGTERM: i32 = 15;

/// A server that keeps its cache in `file`.
fn start(file: &str, more: &[&str]) -> Program {
    let mut args = vec!["-m", "64", "-I", "2m", "-e", file];
    args.extend(more);
    Program::start(&args)
}

fn value(number: usize, len: usize) -> String {
    (0..len).map(|at| char::from(b'a' + ((number + at / 7) % 26) as u8)).collect()
}

#[test]
fn items_outlive_a_server_that_is_asked_to_stop() {
    let folder = Folder::new();
    let path = folder.file("memory");
    let file = path.to_str().unwrap();
    let sizes = [2, 100, 5_000, 200_000, 1_000_000];
    let server = start(file, &[]);
    let mut client = server.connect();
    assert_eq!(client.stat("stats settings", "memory_file"), file);
    for (number, len) in sizes.into_iter().enumerate() {
        let request = format!("set k{number} {number} 1000 {len}\r\n{}\r\n", value(number, len));
        client.ask(request, "STORED\r\n");
    }
    client.ask("set short 0 1 1\r\nx\r\n", "STORED\r\n");
    client.ask("ms lease 1 T1000\r\nx\r\n", "HD\r\n");
    client.ask("md lease I T30\r\n", "HD\r\n");
    client.ask("mg lease s\r\n", "HD s1 X W\r\n");
    let version = client.stat("stats", "version");
    let cas = client.list("gets k1");
    // A watcher does not keep it from stopping.
    let mut watcher = server.connect();
    watcher.ask("watch fetchers\r\n", "OK\r\n");
    let waited = SystemTime::now();
    server.signal(SIGUSR1);
    let (status, _) = server.end();
    assert!(status.success(), "{status}");
    assert!(waited.elapsed().unwrap() < Duration::from_secs(10));
    std::thread::sleep(Duration::from_millis(1_100));

    let server = start(file, &["-A"]);
    let mut client = server.connect();
    assert_eq!(client.stat("stats", "version"), version);
    // The one that has expired meanwhile may be gone already.
    assert!(["6", "7"].contains(&client.stat("stats", "curr_items").as_str()));
    for (number, len) in sizes.into_iter().enumerate() {
        let reply = format!("VALUE k{number} {number} {len}\r\n{}\r\nEND\r\n", value(number, len));
        client.ask(format!("get k{number}\r\n"), reply);
    }
    assert_eq!(client.list("gets k1"), cas);
    client.ask("mg short v\r\n", "EN\r\n");
    // Somebody else has the lease still.
    client.ask("mg lease s\r\n", "HD s1 Z X\r\n");
    client.ask("set more 0 0 4\r\nmore\r\n", "STORED\r\n");
    client.send("shutdown graceful\r\n");
    assert!(server.end().0.success());

    let server = start(file, &[]);
    server.connect().ask("get more\r\n", "VALUE more 0 4\r\nmore\r\nEND\r\n");
    server.signal(SIGTERM);
    assert!(server.end().0.success());
}

#[test]
fn a_start_that_fails_costs_nothing() {
    let folder = Folder::new();
    let path = folder.file("memory");
    let file = path.to_str().unwrap();
    let server = start(file, &[]);
    server.connect().ask("set k 0 0 1\r\nx\r\n", "STORED\r\n");
    server.signal(SIGTERM);
    assert!(server.end().0.success());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (status, _, err) =
        run(&["-m", "64", "-I", "2m", "-e", file, "-l", "127.0.0.1", "-p", &port, "-u", "root"]);
    assert!(status == 71 && err.contains(&port), "{status}: {err}");
    let server = start(file, &[]);
    server.connect().ask("get k\r\n", "VALUE k 0 1\r\nx\r\nEND\r\n");
    drop(server);
}

#[test]
fn a_killed_server_leaves_nothing_that_is_served() {
    let folder = Folder::new();
    let path = folder.file("memory");
    let file = path.to_str().unwrap();
    for round in 0..5_u64 {
        let server = start(file, &[]);
        let mut client = server.connect();
        client.ask("get k\r\n", "END\r\n");
        client.ask("set k 0 0 1\r\nx\r\n", "STORED\r\n");
        let mut busy = server.connect();
        for number in 0..2_000 * round {
            let len = number % 3_000;
            busy.send(format!("set b{number} 0 0 {len} noreply\r\n{}\r\n", value(1, len as usize)));
        }
        server.signal(SIGKILL);
        drop(server);
    }
    let (status, _, err) = run(&["-e", file, "-o", "memory_file_strict", "-l", "127.0.0.1"]);
    assert_eq!(status, 71, "{err}");
    assert!(err.contains("it was not closed"), "{err}");
}

#[test]
fn a_damaged_file_is_said_to_be_one_and_the_server_starts_empty() {
    let folder = Folder::new();
    let path = folder.file("memory");
    let file = path.to_str().unwrap();
    let server = start(file, &[]);
    server.connect().ask("set k 0 0 1\r\nx\r\n", "STORED\r\n");
    server.signal(SIGTERM);
    server.end();
    let whole = fs::read(&path).unwrap();
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as usize;
    let mut damaged = whole.clone();
    damaged[seconds % 96] ^= 1;
    for bytes in [&damaged[..], &whole[..whole.len() - 1], b"x"] {
        fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        let server = start(file, &[]);
        server.connect().ask("get k\r\n", "END\r\n");
        server.signal(SIGKILL);
        let (_, lines) = server.end();
        assert!(lines.iter().any(|line| line.contains("starting empty")), "{lines:?}");
    }
    // A value that is not what was written is lost when it is looked at, and the rest is not.
    fs::write(&path, &whole).unwrap();
    let server = start(file, &[]);
    let mut client = server.connect();
    client.ask("set k 0 0 16\r\nsixteen bytes, k\r\n", "STORED\r\n");
    client.ask("set large 0 0 200000\r\n", "");
    client.ask(&("l".repeat(200_000) + "\r\n"), "STORED\r\n");
    server.signal(SIGTERM);
    server.end();
    let mut damaged = fs::read(&path).unwrap();
    let at = damaged.windows(16).position(|bytes| bytes == b"sixteen bytes, k").unwrap();
    damaged[at + 3] ^= 4;
    fs::write(&path, &damaged).unwrap();
    let server = start(file, &[]);
    server.connect().ask("get k\r\n", "END\r\n");
    let value = "l".repeat(200_000);
    let reply = format!("VALUE large 0 200000\r\n{value}\r\nEND\r\n");
    server.connect().ask("get large\r\n", &reply);
    server.signal(SIGTERM);
    let (_, lines) = server.end();
    assert!(lines.iter().any(|line| line.contains("1 items are lost")), "{lines:?}");
    fs::write(&path, &damaged).unwrap();
    let (status, _, err) = run(&["-e", file, "-o", "memory_file_strict", "-l", "127.0.0.1"]);
    assert!(status == 71 && err.contains("its memory is damaged"), "{status}: {err}");
    let output = command(&["-e", "/no/such/folder/memory"]).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(71) && err.contains("-e: "), "{err}");
}
