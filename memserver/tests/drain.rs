//! How a server ends: what is under way is finished, and nothing waits for ever.

mod program;

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use memcore::Cache;
use memserver::Server;
use program::{Client, Folder, Program, WAIT, command};

const SIGHUP: i32 = 1;
const SIGTERM: i32 = 15;

#[test]
fn what_is_under_way_is_finished() {
    let server = Program::start(&["--drain-timeout", "30s", "-v"]);
    let mut idle = server.connect();
    let mut busy = server.connect();
    idle.ask("mn\r\n", "MN\r\n");
    busy.send("set k 0 0 10\r\n01234");
    // A connection that was made, and has not been accepted perhaps.
    let mut fresh = server.connect();
    let address = server.address();
    server.signal(SIGTERM);
    assert_eq!(server.line(), "Exiting normally");
    // New ones are refused.
    let start = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(start.elapsed() < WAIT);
    }
    fresh.ask("set a 0 0 1\r\n1\r\n", "STORED\r\n");
    // An idle one is closed long before the time is over, but one with a request is not.
    assert!(idle.is_ended());
    busy.ask("56789\r\nget k\r\n", "STORED\r\nVALUE k 0 10\r\n0123456789\r\nEND\r\n");
    assert!(start.elapsed() < Duration::from_secs(20));
    drop(fresh);
    drop(busy);
    let (status, _) = server.end();
    assert!(status.success() && start.elapsed() < Duration::from_secs(20), "{status}");
}

#[test]
fn nobody_is_waited_for_longer_than_the_timeout() {
    let server = Program::start(&["--drain-timeout", "300ms"]);
    let mut busy = server.connect();
    busy.send("set k 0 0 10\r\n01234");
    // The server has seen it.
    server.connect().ask("mn\r\n", "MN\r\n");
    let start = Instant::now();
    server.signal(SIGTERM);
    assert!(server.end().0.success());
    assert!(start.elapsed() >= Duration::from_millis(290), "{:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_second_signal_and_no_timeout_end_it_at_once() {
    for (flags, signals) in [(["--drain-timeout", "1h"], 2), (["--drain-timeout", "0"], 1)] {
        let server = Program::start(&flags);
        let mut busy = server.connect();
        busy.send("set k 0 0 10\r\n01234");
        server.connect().ask("mn\r\n", "MN\r\n");
        let address = server.address();
        for _ in 0..signals {
            server.signal(SIGTERM);
            // Two that come together are one.
            while signals > 1 && TcpStream::connect(address).is_ok() {}
        }
        let start = Instant::now();
        assert!(server.end().0.success());
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn readiness_ends_when_draining_begins() {
    let cache = Cache::new(64 << 20).unwrap();
    let builder = Server::builder(cache).listen("127.0.0.1:0").admin("127.0.0.1:0");
    let server = builder.start().unwrap();
    let admin = server.admin_addr().unwrap();
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(admin).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let mut busy = Client::new(TcpStream::connect(server.local_addr().unwrap()).unwrap());
    busy.send("set k 0 0 10\r\n01234");
    assert!(ask("/readyz").starts_with("HTTP/1.1 200 "));
    server.stop_handle().drain(Duration::from_secs(3600));
    let start = Instant::now();
    while !ask("/readyz").ends_with("\r\n\r\ndraining\n") {
        assert!(start.elapsed() < WAIT);
    }
    assert!(ask("/readyz").starts_with("HTTP/1.1 503 "));
    assert!(ask("/livez").starts_with("HTTP/1.1 200 "));
    assert!(ask("/metrics").contains("\nmemcached_accepting_connections 0\n"));
    busy.ask("56789\r\n", "STORED\r\n");
    drop(busy);
    server.join().unwrap();
}

#[test]
fn ports_are_shared_on_request() {
    let first = Program::start(&["-o", "reuseport"]);
    let port = first.address().port().to_string();
    let second = program_at(&port, &["-o", "reuseport"]);
    first.signal(SIGTERM);
    assert!(first.end().0.success());
    Client::new(TcpStream::connect(second.address()).unwrap()).ask("mn\r\n", "MN\r\n");
    let mut refused = command(&["-l", "127.0.0.1", "-p", &port, "-u", "root"]);
    let output = refused.output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("Address already in use"));
}

fn program_at(port: &str, flags: &[&str]) -> Program {
    let folder = Folder::new();
    let mut command = command(&[&["-l", "127.0.0.1", "-p", port, "-u", "root"], flags].concat());
    command.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
    let program = Program::spawn(command, folder);
    program.wait_for_file("ports");
    program
}

/// Starts the program as a service manager does, with `listener` as its first descriptor beyond the
/// standard streams.
fn activated(listener: &TcpListener, flags: &[&str]) -> Program {
    let folder = Folder::new();
    let script = "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_memserver"), "-u", "root"]).args(flags);
    command.stdin(OwnedFd::from(listener.try_clone().unwrap())).stderr(Stdio::piped());
    command.env("MEMCACHED_PORT_FILENAME", folder.file("ports"));
    let program = Program::spawn(command, folder);
    program.wait_for_file("ports");
    program
}

/// A client that opens a connection for every request, and one that keeps its connection and opens
/// another when the server has ended it between two requests.
fn work(address: std::net::SocketAddr, is_over: &AtomicBool) -> u32 {
    let connect = || Client::new(TcpStream::connect(address).unwrap());
    let mut kept = connect();
    let mut requests = 0;
    while !is_over.load(Ordering::Relaxed) {
        connect().ask("mn\r\n", "MN\r\n");
        kept.0.set_nonblocking(true).unwrap();
        let is_ended = matches!(kept.0.read(&mut [0]), Ok(0));
        kept.0.set_nonblocking(false).unwrap();
        if is_ended {
            kept = connect();
        }
        kept.ask("set k 0 0 1\r\n1\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\n1\r\nEND\r\n");
        requests += 2;
        thread::sleep(Duration::from_millis(2));
    }
    requests
}

#[test]
fn servers_of_one_socket_replace_each_other_unnoticed() {
    const RESTARTS: usize = 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let flags = ["-t", "1", "--drain-timeout", "600ms"];
    let mut server = activated(&listener, &flags);
    assert_eq!(server.address(), address);
    let is_over = AtomicBool::new(false);
    let requests = thread::scope(|scope| {
        let client = scope.spawn(|| work(address, &is_over));
        for _ in 0..RESTARTS {
            let next = activated(&listener, &flags);
            server.signal(SIGTERM);
            let (status, lines) = server.end();
            assert!(status.success() && lines.is_empty(), "{status} {lines:?}");
            server = next;
        }
        is_over.store(true, Ordering::Relaxed);
        client.join().unwrap()
    });
    assert!(requests > 100, "{requests}");
}

#[test]
fn addresses_beside_sockets_that_were_handed_over_have_no_effect() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = activated(&listener, &["-l", "203.0.113.7", "-p", "5"]);
    assert!(server.line().contains("WARNING: -l and -p have no effect"));
    assert_eq!(server.address(), listener.local_addr().unwrap());
    // A socket of another kind is refused.
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut command = Command::new("sh");
    let script = "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\"";
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_memserver"), "-u", "root"]);
    let output = command.stdin(OwnedFd::from(udp)).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(71), "{err}");
    assert!(err.contains("socket 1 of the service manager"), "{err}");
}

#[test]
fn a_service_manager_is_told_when_it_is_ready_and_when_it_ends() {
    let folder = Folder::new();
    let path = folder.file("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(WAIT)).unwrap();
    let mut command = command(&["-l", "127.0.0.1", "-p", "-1", "-u", "root"]);
    command.env("NOTIFY_SOCKET", &path);
    let server = Program::spawn(command, Folder::new());
    let mut text = [0; 100];
    let read = |text: &mut [u8]| manager.recv(text).unwrap();
    let len = read(&mut text);
    assert_eq!(&text[..len], b"READY=1");
    server.signal(SIGTERM);
    let len = read(&mut text);
    assert_eq!(&text[..len], b"STOPPING=1");
    assert!(server.end().0.success());
}

/// Here it is the thread that accepts, which was told to read its file of users again, and nobody
/// writes to that.
#[test]
fn a_thread_that_hangs_does_not_keep_the_process() {
    let folder = Folder::new();
    let [users, pid, socket] = ["users", "pid", "socket"].map(|name| folder.file(name));
    std::fs::write(&users, "user:password\n").unwrap();
    let [named, pid_file, socket_file] = [&users, &pid, &socket].map(|file| file.to_str().unwrap());
    let server = Program::start(&["-Y", named, "-P", pid_file, "-s", socket_file, "-p", "-1"]);
    let start = Instant::now();
    // It serves once this file is there.
    while !pid.exists() {
        assert!(start.elapsed() < WAIT);
    }
    std::fs::remove_file(&users).unwrap();
    assert!(Command::new("mkfifo").arg(&users).status().unwrap().success());
    server.signal(SIGHUP);
    // This succeeds once somebody reads.
    let mut writer = OpenOptions::new();
    writer.write(true).custom_flags(libc::O_NONBLOCK);
    let writer = loop {
        match writer.open(&users) {
            Ok(writer) => break writer,
            Err(_) => assert!(start.elapsed() < WAIT, "the file is not read again"),
        }
    };
    let start = Instant::now();
    server.signal(SIGTERM);
    let (status, lines) = server.end();
    assert!(status.success(), "{status}");
    assert!(start.elapsed() >= Duration::from_millis(890), "{:?}", start.elapsed());
    assert_eq!(lines, ["WARNING: not all threads ended in time: what they did is given up"]);
    assert!(!pid.exists() && !socket.exists());
    drop(writer);
}
