//! A server and its one client, without sockets in between.

#![allow(dead_code, reason = "every test program uses its own part of this")]

use memserver::fuzzing::{Dialogue, Stage};

/// A fresh server.
pub(crate) struct Server {
    stage: Stage,
    client: Dialogue,
}

impl Server {
    /// Starts it.
    pub(crate) fn start() -> Self {
        Self::with_flags(&[])
    }

    /// Starts it with `flags`.
    pub(crate) fn with_flags(flags: &[&str]) -> Self {
        let stage = Stage::new(flags);
        let client = stage.connect();
        Self { stage, client }
    }

    /// One more client.
    pub(crate) fn another(&self) -> Dialogue {
        self.stage.connect()
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, seconds: u32) {
        self.stage.advance(seconds);
    }

    /// Sends `request` and expects exactly `reply`.
    pub(crate) fn ask(&mut self, request: &str, reply: &str) {
        let found = self.client.feed(request.as_bytes());
        assert_eq!(show(&found), show(reply.as_bytes()), "asked: {}", show(request.as_bytes()));
    }

    /// Bytes that wait for more.
    pub(crate) fn pending(&self) -> usize {
        self.client.pending()
    }

    /// Sends `request` and returns the reply's bytes.
    pub(crate) fn bytes(&mut self, request: &[u8]) -> Vec<u8> {
        self.client.feed(request)
    }

    /// Sends `request` and returns the reply.
    pub(crate) fn reply(&mut self, request: &str) -> String {
        String::from_utf8(self.client.feed(request.as_bytes())).unwrap()
    }

    /// The number that `command` reports for `name`.
    pub(crate) fn stat(&mut self, command: &str, name: &str) -> u64 {
        let reply = self.reply(&format!("{command}\r\n"));
        let prefix = format!("STAT {name} ");
        let value = reply.lines().find_map(|line| line.strip_prefix(&prefix));
        value.unwrap_or_else(|| panic!("no {name} in {reply}")).parse().unwrap()
    }

    /// The version that `gets` shows.
    pub(crate) fn version_of(&mut self, key: &str) -> u64 {
        let reply = self.client.feed(format!("gets {key}\r\n").as_bytes());
        let reply = String::from_utf8(reply).unwrap();
        reply.lines().next().unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    }
}

/// Sends each request to one server and expects its reply; then once more, byte by byte.
pub(crate) fn check(script: &[(&str, &str)]) {
    check_with(&[], script);
}

/// The same, with servers that were started with `flags`.
pub(crate) fn check_with(flags: &[&str], script: &[(&str, &str)]) {
    let mut server = Server::with_flags(flags);
    for (request, reply) in script {
        server.ask(request, reply);
    }
    let mut server = Stage::new(flags).connect();
    for (request, reply) in script {
        let found: Vec<u8> = request.bytes().flat_map(|byte| server.feed(&[byte])).collect();
        assert_eq!(show(&found), show(reply.as_bytes()), "by bytes: {request:?}");
    }
}

/// Sends `script` cut in two at every place, and byte by byte.
pub(crate) fn check_segmentation(script: &[u8]) {
    let whole = Dialogue::for_test().feed(script);
    for cut in (0..script.len()).filter(|cut| *cut < 400 || cut % 97 == 0) {
        let mut dialogue = Dialogue::for_test();
        let mut parts = dialogue.feed(&script[..cut]);
        parts.extend(dialogue.feed(&script[cut..]));
        assert_eq!(show(&parts), show(&whole), "cut at {cut}");
        assert!(dialogue.is_closed());
    }
    let mut dialogue = Dialogue::for_test();
    let parts: Vec<u8> = script.iter().flat_map(|byte| dialogue.feed(&[*byte])).collect();
    assert_eq!(show(&parts), show(&whole), "byte by byte");
}

/// Text of `len` characters that no short period describes.
pub(crate) fn noise(len: usize) -> String {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + (state >> 24) as u8 % 90)
    };
    (0..len).map(|_| next()).collect()
}

fn show(bytes: &[u8]) -> String {
    let text: String = bytes.escape_ascii().to_string();
    if text.len() <= 4_000 { text } else { format!("{}... {} bytes", &text[..600], bytes.len()) }
}
