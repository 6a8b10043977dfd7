//! Clients of the real program: well-behaved, many, slow, silent, broken and hostile ones.

mod program;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use program::{Client, Program, WAIT};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

/// Sends `request` from a thread of its own, half-closes, and returns all replies.
fn converse(program: &Program, request: Vec<u8>) -> Vec<u8> {
    let mut client = program.connect();
    let mut writer = Client(client.0.try_clone().unwrap());
    let sending = thread::spawn(move || {
        writer.send(request);
        writer.half_close();
    });
    let rest = client.rest();
    sending.join().unwrap();
    rest
}

/// Bytes that no short period describes.
fn noise(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Waits until `condition` holds.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < WAIT, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_half_closed_client_gets_thousands_of_replies_and_then_the_end() {
    let program = Program::start(&[]);
    let (mut sets, mut gets, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..5_000 {
        write!(sets, "set key{i} 0 0 6\r\n{i:06}\r\n").unwrap();
        writeln!(gets, "get key{i}").unwrap();
        write!(values, "VALUE key{i} 0 6\r\n{i:06}\r\nEND\r\n").unwrap();
    }
    let start = Instant::now();
    assert!(converse(&program, sets) == b"STORED\r\n".repeat(5_000));
    assert!(converse(&program, gets) == values, "the replies differ");
    assert!(start.elapsed() < Duration::from_secs(5), "the end comes late");
    assert_eq!(converse(&program, b"version\n".to_vec()), b"VERSION 1.6.45\r\n");
    assert_eq!(converse(&program, Vec::new()), b"");
}

#[test]
fn silent_clients_are_closed_and_counted() {
    let program = Program::start(&["-o", "idle_timeout=1"]);
    let mut silent = program.connect();
    assert_eq!(silent.rest(), b"");
    let mut client = program.connect();
    assert_eq!(client.stat("stats", "idle_kicks"), "1");
    assert_eq!(client.stat("stats settings", "idle_timeout"), "1");
}

/// Bytes that complete no request keep no client.
#[test]
fn clients_that_trickle_are_idle() {
    let program = Program::start(&["-o", "idle_timeout=1,request_timeout=0"]);
    let mut trickling = program.connect();
    eventually("it is closed", || {
        thread::sleep(Duration::from_millis(100));
        trickling.0.write_all(b"x").is_err()
    });
}

#[test]
fn the_limit_of_connections_is_exact() {
    let program = Program::start(&["-c", "5"]);
    let mut clients: Vec<Client> = (0..5).map(|_| program.connect()).collect();
    clients.iter_mut().for_each(|client| client.ask("mn\r\n", "MN\r\n"));
    for _ in 0..3 {
        assert_eq!(program.connect().rest(), b"ERROR Too many open connections\r\n");
    }
    assert_eq!(clients[0].stat("stats", "rejected_connections"), "3");
    assert_eq!(clients[0].stat("stats", "curr_connections"), "5");
    assert_eq!(clients[0].stat("stats", "max_connections"), "5");
    clients.pop();
    eventually("a place becomes free", || clients[0].stat("stats", "curr_connections") == "4");
    program.connect().ask("mn\r\n", "MN\r\n");
}

#[test]
fn clients_over_the_limit_may_wait_instead() {
    let program = Program::start(&["-c", "2", "-o", "no_maxconns_fast"]);
    let mut clients: Vec<Client> = (0..2).map(|_| program.connect()).collect();
    clients.iter_mut().for_each(|client| client.ask("mn\r\n", "MN\r\n"));
    let mut third = program.connect();
    third.send("version\r\n");
    eventually("it stops to accept", || clients[0].stat("stats", "accepting_conns") == "0");
    assert_eq!(clients[0].stat("stats", "listen_disabled_num"), "1");
    third.0.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(third.0.read(&mut [0; 1]).is_err(), "it must wait");
    third.0.set_read_timeout(Some(WAIT)).unwrap();
    clients.pop();
    third.expect("VERSION 1.6.45\r\n");
    assert_eq!(clients[0].stat("stats", "accepting_conns"), "0");
    assert_eq!(clients[0].stat("stats", "rejected_connections"), "0");
}

/// It is said once and counted once, however often it is tried again.
#[test]
fn where_descriptors_run_out_one_line_says_so() {
    let program = Program::start(&["-t", "1"]);
    let mut client = program.connect();
    client.ask("mn\r\n", "MN\r\n");
    let pid = Pid::from_raw(program.id() as i32);
    let own = getrlimit(Resource::Nofile);
    let few = Rlimit { current: Some(3), ..own };
    let before = prlimit(pid, Resource::Nofile, few).unwrap();
    let mut waiting = program.connect();
    assert_eq!(program.line(), "WARNING: can't accept connections for now: Too many open files");
    eventually("it has tried again", || {
        let micros = client.stat("stats", "time_in_listen_disabled_us");
        micros.parse::<u64>().unwrap() > 250_000
    });
    assert_eq!(client.stat("stats", "listen_disabled_num"), "1");
    prlimit(pid, Resource::Nofile, before).unwrap();
    waiting.ask("mn\r\n", "MN\r\n");
    program.signal(15);
    let (status, lines) = program.end();
    assert!(status.success() && lines.is_empty(), "{status} {lines:?}");
}

#[test]
fn clients_that_wait_get_the_places_of_those_that_leave() {
    let program = Program::start(&["-c", "5", "-o", "no_maxconns_fast"]);
    let mut clients: Vec<Client> = (0..4).map(|_| program.connect()).collect();
    clients.iter_mut().for_each(|client| client.ask("mn\r\n", "MN\r\n"));
    assert_eq!(clients[0].stat("stats", "accepting_conns"), "1");
    assert_eq!(clients[0].stat("stats", "listen_disabled_num"), "0");
    assert_eq!(clients[0].stat("stats", "time_in_listen_disabled_us"), "0");
    clients.push(program.connect());
    clients[4].ask("mn\r\n", "MN\r\n");
    let mut waiting: Vec<Client> = (0..5).map(|_| program.connect()).collect();
    waiting.iter_mut().for_each(|client| client.send("version\r\n"));
    eventually("it stops to accept", || clients[0].stat("stats", "accepting_conns") == "0");
    assert_eq!(clients[0].stat("stats", "curr_connections"), "5");
    clients.truncate(1);
    for client in &mut waiting[..4] {
        client.expect("VERSION 1.6.45\r\n");
    }
    assert_eq!(clients[0].stat("stats", "curr_connections"), "5");
    waiting.drain(..3);
    waiting[1].expect("VERSION 1.6.45\r\n");
    eventually("it accepts again", || clients[0].stat("stats", "accepting_conns") == "1");
    let paused: u64 = clients[0].stat("stats", "listen_disabled_num").parse().unwrap();
    assert!((1..=6).contains(&paused), "{paused}");
    let micros: u64 = clients[0].stat("stats", "time_in_listen_disabled_us").parse().unwrap();
    assert!(micros > 0);
    assert_eq!(clients[0].stat("stats", "rejected_connections"), "0");
    // As in memcached, the socket that listens is one of them.
    assert_eq!(clients[0].stat("stats", "total_connections"), "11");
}

#[test]
fn large_values_pass_unharmed() {
    let program = Program::start(&["-m", "512", "-I", "65m"]);
    for megabytes in [1, 10, 64] {
        let value = noise(megabytes << 20);
        let head = format!("set big 7 0 {}\r\n", value.len());
        let request = [head.as_bytes(), &value, b"\r\nget big\r\nmn\r\n"].concat();
        let reply = converse(&program, request);
        let head = format!("STORED\r\nVALUE big 7 {}\r\n", value.len());
        let tail = b"\r\nEND\r\nMN\r\n";
        assert_eq!(reply.len(), head.len() + value.len() + tail.len(), "{megabytes} MiB");
        assert!(reply.starts_with(head.as_bytes()) && reply.ends_with(tail));
        assert!(reply[head.len()..].starts_with(&value), "the value changed");
    }
}

#[test]
fn too_large_a_value_is_swallowed_and_removes_the_old_one() {
    let program = Program::start(&["-m", "64", "-I", "2m"]);
    let mut client = program.connect();
    client.ask("set a 0 0 1\r\nx\r\n", "STORED\r\n");
    let value = vec![b'x'; 3 << 20];
    client.send([format!("set a 0 0 {}\r\n", value.len()).as_bytes(), &value, b"\r\n"].concat());
    client.expect("SERVER_ERROR object too large for cache\r\n");
    client.ask("get a\r\n", "END\r\n");
    assert_eq!(client.stat("stats", "store_too_large"), "1");
    // A gibibyte that is only announced costs nothing.
    let before = program.resident();
    let mut liars: Vec<_> = (0..20).map(|_| program.connect()).collect();
    liars.iter_mut().for_each(|liar| liar.send("set b 0 0 1000000000\r\nabc"));
    liars.iter_mut().for_each(|liar| liar.send("ms c 2000000000\r\n"));
    client.ask("mn\r\n", "MN\r\n");
    assert!(program.resident() < before + (4 << 10));
}

#[test]
fn a_client_that_does_not_read_neither_grows_nor_delays() {
    let program = Program::start(&["-t", "1"]);
    let mut other = program.connect();
    let value = noise(500_000);
    other.send([b"set a 0 0 500000\r\n".as_slice(), &value, b"\r\n"].concat());
    other.expect("STORED\r\n");
    let before = program.resident();
    let mut slow = program.connect();
    slow.0.set_nonblocking(true).unwrap();
    let requests = b"get a a a a a a a a\r\n".repeat(100);
    let (mut sent, mut calm) = (0, 0);
    // The server stops reading once it can't send; then this fills the socket as well.
    while calm < 20 {
        match slow.0.write(&requests[sent % requests.len()..]) {
            Ok(count) => (sent, calm) = (sent + count, 0),
            Err(_) => {
                calm += 1;
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
    let start = Instant::now();
    for _ in 0..100 {
        other.ask("mn\r\n", "MN\r\n");
    }
    assert!(start.elapsed() < Duration::from_secs(10), "others have to wait");
    assert!(program.resident() < before + (8 << 10), "{} -> {}", before, program.resident());
    // It may come to its senses: every request that was sent is answered.
    slow.0.set_nonblocking(false).unwrap();
    let whole = sent / 21;
    let mut left = whole * (8 * (value.len() + "VALUE a 0 500000\r\n\r\n".len()) + 5);
    // The work is bounded: the rest of the replies is the same.
    left = left.min(256 << 20);
    let mut buffer = vec![0; 1 << 20];
    while left > 0 {
        let wanted = left.min(buffer.len());
        let count = slow.0.read(&mut buffer[..wanted]).unwrap();
        assert!(count > 0);
        left -= count;
    }
}

#[test]
fn hostile_input_hurts_nobody_else() {
    let program = Program::start(&["-t", "1"]);
    let mut other = program.connect();
    other.ask("set a 0 0 1\r\nx\r\n", "STORED\r\n");
    let before = program.resident();
    let garbage: Vec<u8> = noise(100_000).into_iter().filter(|byte| *byte != b'\n').collect();
    let huge_body = [0x80, 1, 0, 3, 8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    let attacks: &[(&str, &[u8])] = &[
        ("a line without end", &[b'a'; 3_000_000]),
        ("blanks without end", &[b' '; 3_000_000]),
        ("noise", &garbage),
        ("zeros", &[0; 100_000]),
        ("newlines", &[b'\n'; 100_000]),
        ("a negative length", b"set k 0 0 -1\r\nset k 0 0 4294967295\r\n"),
        ("a frame of four gigabytes", &huge_body),
        ("a cut frame", &[0x80; 20]),
        ("a web browser", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("half a value", b"set k 0 0 100000\r\nxyz"),
        ("a body that never ends", &[b"set k 0 0 900000\r\n".as_slice(), &[1; 800_000]].concat()),
    ];
    for (name, bytes) in attacks {
        for reset in [false, true] {
            let stream = TcpStream::connect(program.address()).unwrap();
            let mut attacker = stream.try_clone().unwrap();
            let bytes = bytes.to_vec();
            // It may be cut off while it still writes, and its replies are left unread.
            let attack = thread::spawn(move || {
                let _ = attacker.write_all(&bytes);
            });
            other.ask("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n");
            if reset {
                // Closing with unread replies, or with a timeout of nothing, resets.
                let zero = Some(Duration::ZERO);
                socket2::SockRef::from(&stream).set_linger(zero).unwrap();
            }
            let _ = stream.shutdown(std::net::Shutdown::Both);
            attack.join().unwrap();
            drop(stream);
            other.ask("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n");
        }
        eventually(name, || other.stat("stats", "curr_connections") == "1");
    }
    assert!(program.resident() < before + (16 << 10), "{} -> {}", before, program.resident());
}

#[test]
fn hundreds_of_connections_at_once() {
    let program = Program::start(&["-t", "2", "-c", "600"]);
    let mut clients: Vec<Client> = (0..500).map(|_| program.connect()).collect();
    for (i, client) in clients.iter_mut().enumerate() {
        client.send(format!("set k{i} 0 0 4\r\n{i:04}\r\nget k{i}\r\n"));
    }
    for (i, client) in clients.iter_mut().enumerate() {
        client.expect(format!("STORED\r\nVALUE k{i} 0 4\r\n{i:04}\r\nEND\r\n"));
    }
    assert_eq!(clients[0].stat("stats", "curr_connections"), "500");
}

#[test]
fn a_binding_holds_its_clients_to_one_protocol() {
    let version: Vec<u8> = [&[0x80, 0x0b][..], &[0; 22]].concat();
    let program = Program::start(&["-B", "ascii"]);
    program.connect().ask("mn\r\n", "MN\r\n");
    let mut client = program.connect();
    client.send(&version);
    client.send("\n");
    client.expect("ERROR\r\n");
    let program = Program::start(&["-B", "binary"]);
    let mut client = program.connect();
    let head = [&[0x81, 0x0b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6][..], &[0; 12]].concat();
    client.ask(&version, [head.as_slice(), b"1.6.45"].concat());
    let mut client = program.connect();
    client.send("version\r\nversion\r\nversion\r\n");
    assert!(client.is_ended());
}

#[test]
fn flags_that_change_replies() {
    let program = Program::start(&["-C", "-F"]);
    let mut client = program.connect();
    client.ask("set a 0 0 1\r\nx\r\n", "STORED\r\n");
    client.ask("gets a\r\n", "VALUE a 0 1 0\r\nx\r\nEND\r\n");
    client.ask("flush_all\r\n", "CLIENT_ERROR flush_all not allowed\r\n");
    let program = Program::start(&["-M", "-m", "8", "-I", "512k"]);
    let mut client = program.connect();
    let set = [b"400000\r\n".as_slice(), &[b'x'; 400_000], b"\r\n"].concat();
    let mut refused = 0;
    for i in 0..40 {
        client.send([format!("set k{i} 0 0 ").as_bytes(), &set].concat());
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            client.0.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        refused += usize::from(line == b"SERVER_ERROR out of memory storing object\r\n");
        assert!(line.starts_with(b"STORED") || line.starts_with(b"SERVER_ERROR out of memory"));
    }
    assert!(refused >= 20, "{refused} of 40 were refused");
    assert_eq!(client.stat("stats", "evictions"), "0");
}

#[test]
fn what_finds_no_memory_is_told_what_for() {
    let program = Program::start(&["-M", "-m", "8", "-t", "1"]);
    let mut client = program.connect();
    client.fill(10_000, 900);
    // What is left at the ends of segments is taken as well.
    client
        .send((0..20_000).map(|i| format!("set s{i} 0 0 1 noreply\r\nx\r\n")).collect::<String>());
    client.ask("mn\r\n", "MN\r\n");
    client.ask("set a 0 0 1\r\nx\r\n", "SERVER_ERROR out of memory storing object\r\n");
    client.ask("ma a N0\r\n", "SERVER_ERROR Out of memory allocating new item\r\n");
    let frame = |op: u8, extras: usize| {
        let mut frame = vec![0x80, op, 0, 1, extras as u8, 0, 0, 0, 0, 0, 0, extras as u8 + 1];
        frame.extend(vec![0; 12 + extras]);
        frame.push(b'a');
        frame
    };
    let mut client = program.connect();
    for (frame, text) in [
        (frame(0x01, 8), "Out of memory allocating item"),
        (frame(0x05, 20), "Out of memory allocating new item"),
    ] {
        client.send(&frame);
        let mut reply = vec![0; 24 + text.len()];
        client.0.read_exact(&mut reply).unwrap();
        assert_eq!((reply[7], reply[11]), (0x82, text.len() as u8));
        assert_eq!(&reply[24..], text.as_bytes());
    }
}

/// Over loopback no packet has a queue.
#[test]
fn connections_of_an_unknown_queue_are_placed_in_turn_and_counted() {
    for (flags, is_unknown) in [
        (&["-t", "2", "-N", "2"][..], true),
        (&["-t", "2", "-o", "incoming_cpu,busy_poll=20"], false),
        (&["-t", "2"], false),
    ] {
        let program = Program::start(flags);
        let others = [program.connect(), program.connect()];
        let counted = program.connect().stat("stats", "round_robin_fallback");
        assert_eq!(counted != "0", is_unknown, "{flags:?}: {counted}");
        drop(others);
    }
}
