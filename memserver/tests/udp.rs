//! Requests in datagrams, to the real program.

#![cfg(feature = "udp")]

mod program;

use std::net::UdpSocket;
use std::time::Duration;

use program::{Program, WAIT};

/// A server with both ports, and a socket that is connected to the one for datagrams.
struct Setup {
    program: Program,
    socket: UdpSocket,
}

impl Setup {
    fn new(flags: &[&str]) -> Self {
        let program = Program::start(&[&["-U", "-1", "-t", "1"], flags].concat());
        let text = std::fs::read_to_string(program.folder().file("ports")).unwrap();
        let port = text.lines().find_map(|line| line.strip_prefix("UDP INET: ")).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port.parse().unwrap())).unwrap();
        socket.set_read_timeout(Some(WAIT)).unwrap();
        Self { program, socket }
    }

    fn send(&self, header: [u16; 4], request: &str) {
        self.send_bytes(header, request.as_bytes());
    }

    fn send_bytes(&self, header: [u16; 4], request: &[u8]) {
        let mut datagram: Vec<u8> = header.iter().flat_map(|field| field.to_be_bytes()).collect();
        datagram.extend(request);
        self.socket.send(&datagram).unwrap();
    }

    /// The next reply, put together from its datagrams.
    fn reply(&self, id: u16) -> String {
        let (mut text, mut number) = (Vec::new(), 0);
        loop {
            let mut datagram = [0; 2_000];
            let len = self.socket.recv(&mut datagram).unwrap();
            assert!((9..=1_400).contains(&len));
            let field = |at: usize| u16::from_be_bytes([datagram[at], datagram[at + 1]]);
            assert_eq!((field(0), field(2), field(6)), (id, number, 0));
            text.extend(&datagram[8..len]);
            number += 1;
            if number == field(4) {
                return String::from_utf8(text).unwrap();
            }
        }
    }

    fn ask(&self, request: &str, replies: &[&str]) {
        self.send([7, 0, 1, 0], request);
        for reply in replies {
            assert_eq!(self.reply(7), *reply, "{request}");
        }
    }

    /// Expects that nothing waits to be read: a request that is answered comes in between.
    fn expect_silence(&self) {
        self.send([99, 0, 1, 0], "mn\r\n");
        assert_eq!(self.reply(99), "MN\r\n");
    }
}

#[test]
fn lookups_are_answered_each_in_its_own_datagrams() {
    let setup = Setup::new(&[]);
    let mut client = setup.program.connect();
    let value = "v".repeat(5_000);
    client.ask(
        format!("set big 1 0 5000\r\n{value}\r\nset a 0 0 1\r\nx\r\n"),
        "STORED\r\nSTORED\r\n",
    );
    setup.ask("get big\r\n", &[&format!("VALUE big 1 5000\r\n{value}\r\nEND\r\n")]);
    let a = "VALUE a 0 1\r\nx\r\nEND\r\n";
    setup.ask("get a\r\nget b\r\nversion\r\n", &[a, "END\r\n", "VERSION 1.6.45\r\n"]);
    setup.ask("mg a v\r\nmn\r\n", &["VA 1\r\nx\r\n", "MN\r\n"]);
    assert_eq!(client.stat("stats", "get_hits"), "3");
    assert_ne!(client.stat("stats settings", "udpport"), "0");
}

#[test]
fn what_is_no_whole_request_is_dropped() {
    let setup = Setup::new(&[]);
    setup.socket.send(b"short").unwrap();
    setup.send([1, 0, 1, 0], "");
    setup.send([1, 0, 2, 0], "get a\r\n");
    setup.send([1, 0, 0, 0], "get a\r\n");
    setup.send([1, 0, 257, 0], "get a\r\n");
    setup.send([1, 0, 1, 0], "get a");
    setup.expect_silence();
    setup.send([3, 9, 1, 9], "get a\r\n");
    assert_eq!(setup.reply(3), "END\r\n");
}

#[test]
fn what_may_be_a_reply_of_another_server_is_not_answered() {
    let setup = Setup::new(&["-o", "udp_writes"]);
    setup.program.connect().ask("set a 0 0 1\r\n1\r\n", "STORED\r\n");
    for request in ["get a\r\n", "mg a v\r\n", "me a\r\n", "version\r\n", "mn\r\n", "incr a 1\r\n"]
    {
        setup.send([1, 0, 1, 0], request);
        let reply = setup.reply(1);
        setup.send([1, 0, 1, 0], &reply);
        setup.expect_silence();
    }
    for datagram in [
        "nonsense\r\n",
        "\0\x01\x02\r\n",
        "ERROR\r\n",
        "CLIENT_ERROR bad command line format\r\n",
        "CLIENT_ERROR not allowed over UDP\r\n",
        "SERVER_ERROR out of memory\r\n",
        "SERVER_ERROR reply too large for UDP\r\n",
        "get\r\n",
        "incr a x\r\n",
        "set a 0 0 x\r\n",
        "set a 0 0 1\r\n1234\r\n",
        "mg a !\r\n",
        "me a b x\r\n",
    ] {
        setup.send([1, 0, 1, 0], datagram);
        setup.expect_silence();
    }
    // A binary reply, an unknown binary command, and one that is malformed.
    for (magic, opcode, key_len) in [(0x81, 0, 0), (0x80, 0xf0, 0), (0x80, 0x0b, 1)] {
        let mut frame = [0; 24];
        (frame[0], frame[1], frame[3], frame[11]) = (magic, opcode, key_len, key_len);
        let body = vec![b'a'; usize::from(key_len)];
        setup.send_bytes([1, 0, 1, 0], &[&frame[..], &body].concat());
        setup.expect_silence();
    }
    // What stands in front of it is answered.
    setup.ask("mn\r\nERROR\r\nmn\r\n", &["MN\r\n"]);
    setup.expect_silence();
}

#[test]
fn nothing_but_lookups_is_served() {
    const NO: &str = "CLIENT_ERROR not allowed over UDP\r\n";
    let setup = Setup::new(&["-A"]);
    setup.program.connect().ask("set a 0 0 1\r\n1\r\n", "STORED\r\n");
    for request in [
        "set a 0 0 1\r\n2\r\n",
        "gat 10 a\r\n",
        "touch a 10\r\n",
        "delete a\r\n",
        "incr a 1\r\n",
        "mg a T10 v\r\n",
        "mg b N10 v\r\n",
        "ms a 1\r\n2\r\n",
        "md a\r\n",
        "flush_all\r\n",
        "stats\r\n",
        "stats conns\r\n",
        "lru_crawler metadump all\r\n",
        "watch\r\n",
        "shutdown\r\n",
        "verbosity 2\r\n",
    ] {
        setup.ask(request, &[NO]);
    }
    setup.ask(&format!("set a 0 0 100000\r\n{}", "x".repeat(20_000)), &[NO]);
    // What follows a refused request is not looked at.
    setup.ask("delete a\r\nget a\r\n", &[NO]);
    setup.expect_silence();
    setup.program.connect().ask("get a\r\n", "VALUE a 0 1\r\n1\r\nEND\r\n");
}

#[test]
fn changes_are_served_if_they_are_asked_for() {
    let setup = Setup::new(&["-o", "udp_writes"]);
    setup.ask(
        "set a 0 0 1\r\n1\r\nincr a 4\r\ntouch a 9\r\n",
        &["STORED\r\n", "5\r\n", "TOUCHED\r\n"],
    );
    setup.ask("set b 0 0 1 noreply\r\n1\r\n", &[]);
    setup.ask("mg b N5 v\r\ndelete b\r\n", &["VA 1\r\n1\r\n", "DELETED\r\n"]);
    setup.ask("flush_all\r\n", &["CLIENT_ERROR not allowed over UDP\r\n"]);
}

#[test]
fn long_replies_are_refused_and_floods_survived() {
    let setup = Setup::new(&[]);
    let mut client = setup.program.connect();
    let value = "v".repeat(500_000);
    client.ask(format!("set big 0 0 500000\r\n{value}\r\n"), "STORED\r\n");
    setup.ask("get big\r\n", &["SERVER_ERROR reply too large for UDP\r\n"]);
    client.ask(format!("set part 0 0 8000\r\n{}\r\n", &value[..8_000]), "STORED\r\n");
    let line = format!("get {}\r\n", "part ".repeat(300));
    setup.ask(&line, &["SERVER_ERROR reply too large for UDP\r\n"]);
    for _ in 0..2_000 {
        setup.send([1, 0, 1, 0], "get part\r\n");
    }
    client.ask("get nobody\r\n", "END\r\n");
    setup.socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    while setup.socket.recv(&mut [0; 2_000]).is_ok() {}
    setup.expect_silence();
}

#[test]
fn it_is_off_by_default_and_at_this_machine_only() {
    let program = Program::start(&[]);
    assert_eq!(program.connect().stat("stats settings", "udpport"), "0");
    let (status, _, errors) =
        program::run(&["-p", "-1", "-U", "-1", "-u", "root", "-l", "0.0.0.0"]);
    assert_eq!(status, 71);
    assert!(errors.contains("udp_public"), "{errors}");
}

#[test]
fn statistics_of_connections_show_its_sockets_in_order() {
    let setup = Setup::new(&[]);
    let list = setup.program.connect().list("stats conns");
    assert!(list.contains(":addr udp:127.0.0.1:"), "{list}");
    let lines = list.lines().filter_map(|line| line.strip_prefix("STAT "));
    let number = |line: &str| line.split(':').next().and_then(|number| number.parse::<u32>().ok());
    assert!(lines.filter_map(number).is_sorted(), "{list}");
}
