//! Requests to a server over loopback, from its socket to its reply. The client sends a pipeline
//! and waits for all of its replies, so that the server's reads and writes repeat as well.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use memcore::Cache;
use memserver::Server;

use crate::Run;

/// A load on a server.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Appends the request number `i`.
    push: fn(&mut Vec<u8>, usize),
    /// What the replies begin with.
    begin: &'static [u8],
    /// Requests of a pipeline.
    depth: usize,
    /// Keys of a request, each of which counts as an operation.
    width: usize,
    /// Appended to each pipeline, and how its reply ends.
    end: Marker,
    limit: usize,
}

/// The last request of a pipeline and the last bytes that the server answers.
#[derive(Clone, Copy)]
struct Marker {
    request: &'static [u8],
    reply: &'static [u8],
}

const META: Marker = Marker { request: b"mn\r\n", reply: b"MN\r\n" };
const BINARY: Marker = Marker { request: &frame(0x80), reply: &frame(0x81) };
const NONE: Marker = Marker { request: b"", reply: b"\r\n" };

/// A noop of the binary protocol.
const fn frame(magic: u8) -> [u8; 24] {
    let mut frame = [0; 24];
    frame[0] = magic;
    frame[1] = 0x0a;
    frame
}

const fn text(name: &'static str, begin: &'static [u8], push: fn(&mut Vec<u8>, usize)) -> Case {
    Case { name, push, begin, depth: PIPELINE, width: 1, end: META, limit: ROOMY }
}

const fn binary(name: &'static str, opcode: &'static [u8], push: fn(&mut Vec<u8>, usize)) -> Case {
    Case { end: BINARY, ..text(name, opcode, push) }
}

const fn evicting(case: Case) -> Case {
    Case { limit: FULL, ..case }
}

const fn alone(case: Case) -> Case {
    Case { depth: 1, end: NONE, ..case }
}

const fn wide(case: Case) -> Case {
    Case { depth: PIPELINE / 5, width: WIDTH, ..case }
}

pub(crate) const CASES: [Case; 31] = [
    text("text/get_hit", b"VALUE", |out, _| line(out, "get", KEY, "")),
    text("text/get_miss", b"END", |out, _| line(out, "get", NO_KEY, "")),
    wide(text("text/get_50_keys", b"VALUE", |out, _| line(out, "get", &[KEY; 50].join(" "), ""))),
    alone(text("text/get_alone", b"VALUE", |out, _| line(out, "get", KEY, ""))),
    text("text/gets_hit", b"VALUE", |out, _| line(out, "gets", KEY, "")),
    text("text/set", b"STORED", |out, _| data(out, "set", KEY, " 0 0 100")),
    alone(text("text/set_alone", b"STORED", |out, _| data(out, "set", KEY, " 0 0 100"))),
    evicting(text("text/set_evicting", b"STORED", |out, i| {
        data(out, "set", &new_key(i), " 0 0 100");
    })),
    text("text/incr", b"1", |out, _| line(out, "incr", NUMBER, " 1")),
    text("text/touch", b"TOUCHED", |out, _| line(out, "touch", KEY, " 0")),
    text("text/delete_miss", b"NOT_FOUND", |out, _| line(out, "delete", NO_KEY, "")),
    text("text/set_delete", b"STORED", |out, i| match i % 2 {
        0 => data(out, "set", NO_KEY, " 0 0 100"),
        _ => line(out, "delete", NO_KEY, ""),
    }),
    text("meta/mg_v", b"VA 100", |out, _| line(out, "mg", KEY, " v")),
    text("meta/mg_no_value", b"HD", |out, _| line(out, "mg", KEY, "")),
    text("meta/mg_no_value_t_s", b"HD", |out, _| line(out, "mg", KEY, " t s")),
    text("meta/mg_6_flags", b"VA 100", |out, _| line(out, "mg", KEY, " v f t c k O1234")),
    text("meta/mg_quiet", b"VA 100", |out, _| line(out, "mg", KEY, " v q k")),
    text("meta/mg_miss", b"EN", |out, _| line(out, "mg", NO_KEY, " v")),
    alone(text("meta/mg_alone", b"VA 100", |out, _| line(out, "mg", KEY, " v"))),
    text("meta/ms", b"HD", |out, _| data(out, "ms", KEY, " 100")),
    evicting(text("meta/ms_evicting", b"HD", |out, i| data(out, "ms", &new_key(i), " 100"))),
    text("meta/ma", b"HD", |out, _| line(out, "ma", NUMBER, "")),
    text("meta/md_miss", b"NF", |out, _| line(out, "md", NO_KEY, "")),
    binary("binary/get_hit", b"\x81\x00", |out, _| request(out, 0x00, b"", KEY, b"")),
    binary("binary/get_miss", b"\x81\x00", |out, _| request(out, 0x00, b"", NO_KEY, b"")),
    binary("binary/getkq_hit", b"\x81\x0d", |out, _| request(out, 0x0d, b"", KEY, b"")),
    binary("binary/set", b"\x81\x01", |out, _| request(out, 0x01, &[0; 8], KEY, &VALUE)),
    evicting(binary("binary/set_evicting", b"\x81\x01", |out, i| {
        request(out, 0x01, &[0; 8], &new_key(i), &VALUE);
    })),
    binary("binary/incr", b"\x81\x05", |out, _| request(out, 0x05, &ONE_UP, NUMBER, b"")),
    binary("binary/touch", b"\x81\x1c", |out, _| request(out, 0x1c, &[0; 4], KEY, b"")),
    binary("binary/delete_miss", b"\x81\x04", |out, _| request(out, 0x04, b"", NO_KEY, b"")),
];

impl Case {
    pub(crate) fn open(&'static self) -> Run {
        let mut client = Client::new(self.limit);
        let pipelines: Vec<Vec<u8>> = if self.limit == FULL {
            (0..FRESH).map(|n| self.pipeline(n)).collect()
        } else {
            vec![self.pipeline(0)]
        };
        let first = client.exchange(&pipelines[0], self.end.reply);
        assert!(first.starts_with(self.begin), "{}: {:?}", self.name, first.escape_ascii());
        let mut next = 1;
        let mut run = move |count: usize| {
            for _ in 0..count.div_ceil(self.depth * self.width) {
                client.exchange(&pipelines[next % pipelines.len()], self.end.reply);
                next += 1;
            }
        };
        // Fills the cache that evicts, and saturates the use counters of the other one.
        run(if self.limit == FULL { FRESH * PIPELINE } else { 1000 });
        Box::new(run)
    }

    fn pipeline(&self, number: usize) -> Vec<u8> {
        let mut pipeline = Vec::new();
        for i in 0..self.depth {
            (self.push)(&mut pipeline, number * self.depth + i);
        }
        pipeline.extend_from_slice(self.end.request);
        pipeline
    }
}

/// A server and its one client.
struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    /// Stops when it is dropped.
    #[expect(dead_code, reason = "only its drop matters")]
    server: Server,
}

impl Client {
    fn new(limit: usize) -> Self {
        let cache = Cache::builder(limit).seed(1).build().expect("a limit that is large enough");
        let server = Server::builder(cache).listen("127.0.0.1:0").threads(1).start();
        let server = server.expect("a free port");
        let addr = server.local_addr().expect("a TCP server");
        let mut sets = Vec::new();
        data(&mut sets, "set", KEY, " 5 0 100");
        sets.extend_from_slice(format!("set {NUMBER} 0 0 9\r\n100000000\r\nmn\r\n").as_bytes());
        // A connection of its own: the first byte decides which protocol a connection speaks.
        let mut text = Self { stream: connect(addr), input: vec![0; INPUT], server };
        assert_eq!(text.exchange(&sets, META.reply), b"STORED\r\nSTORED\r\nMN\r\n");
        Self { stream: connect(addr), ..text }
    }

    /// Sends a pipeline and returns its replies, the last of which ends with `end`.
    fn exchange(&mut self, pipeline: &[u8], end: &[u8]) -> &[u8] {
        self.stream.write_all(pipeline).expect("a server that reads");
        let mut filled = 0;
        loop {
            let count = self.stream.read(&mut self.input[filled..]).expect("a reply");
            assert!(count > 0, "the server closed the connection");
            filled += count;
            if self.input[..filled].ends_with(end) {
                return &self.input[..filled];
            }
        }
    }
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("a server that listens");
    stream.set_nodelay(true).expect("a socket option of every system");
    stream
}

fn line(out: &mut Vec<u8>, verb: &str, key: &str, rest: &str) {
    out.extend_from_slice(format!("{verb} {key}{rest}\r\n").as_bytes());
}

fn data(out: &mut Vec<u8>, verb: &str, key: &str, rest: &str) {
    line(out, verb, key, rest);
    out.extend_from_slice(&VALUE);
    out.extend_from_slice(b"\r\n");
}

fn request(out: &mut Vec<u8>, opcode: u8, extras: &[u8], key: &str, value: &[u8]) {
    let body = (extras.len() + key.len() + value.len()) as u32;
    out.extend_from_slice(&[0x80, opcode]);
    out.extend_from_slice(&(key.len() as u16).to_be_bytes());
    out.extend_from_slice(&[extras.len() as u8, 0, 0, 0]);
    out.extend_from_slice(&body.to_be_bytes());
    out.extend_from_slice(&[0; 12]);
    for part in [extras, key.as_bytes(), value] {
        out.extend_from_slice(part);
    }
}

fn new_key(i: usize) -> String {
    format!("new:{i:016x}")
}

const KEY: &str = "key:0123456789abcdef";
const NO_KEY: &str = "nil:0123456789abcdef";
const NUMBER: &str = "num:0123456789abcdef";
const VALUE: [u8; 100] = [b'v'; 100];
/// Delta 1, initial value 0, no expiry.
const ONE_UP: [u8; 20] = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const PIPELINE: usize = 100;
const WIDTH: usize = 50;
/// Pipelines of new keys: more keys than the full cache can hold, so that each one is new when its
/// turn comes again.
const FRESH: usize = 200;
/// More than the replies to one pipeline.
const INPUT: usize = 1 << 20;
const ROOMY: usize = 64 << 20;
const FULL: usize = 1 << 20;
