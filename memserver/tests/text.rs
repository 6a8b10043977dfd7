//! The classic text protocol, byte by byte: what is sent, what is answered.

mod common;

use common::{Server, check};

#[test]
fn storage_and_retrieval() {
    check(&[
        ("get a\r\n", "END\r\n"),
        ("set a 5 0 3\r\nabc\r\n", "STORED\r\n"),
        ("get a\r\n", "VALUE a 5 3\r\nabc\r\nEND\r\n"),
        ("set empty 0 0 0\r\n\r\n", "STORED\r\n"),
        (
            "get empty a nothing a\r\n",
            "VALUE empty 0 0\r\n\r\nVALUE a 5 3\r\nabc\r\nVALUE a 5 3\r\nabc\r\nEND\r\n",
        ),
        ("add a 0 0 1\r\nx\r\nadd b 1 0 1\r\nx\r\n", "NOT_STORED\r\nSTORED\r\n"),
        ("replace c 0 0 1\r\ny\r\nreplace b 2 0 1\r\ny\r\n", "NOT_STORED\r\nSTORED\r\n"),
        ("append b 9 9 2\r\n34\r\nprepend b 9 9 2\r\n12\r\n", "STORED\r\nSTORED\r\n"),
        ("append c 0 0 1\r\nx\r\nprepend c 0 0 1\r\nx\r\n", "NOT_STORED\r\nNOT_STORED\r\n"),
        ("get b\r\n", "VALUE b 2 5\r\n12y34\r\nEND\r\n"),
        ("set a 0 0 3 noreply\r\nxyz\r\nget a\r\n", "VALUE a 0 3\r\nxyz\r\nEND\r\n"),
        ("get a\n", "VALUE a 0 3\r\nxyz\r\nEND\r\n"),
        (
            "delete a\r\ndelete a\r\ndelete b noreply\r\nget b\r\n",
            "DELETED\r\nNOT_FOUND\r\nEND\r\n",
        ),
        ("set bin 0 0 6\r\n\0\r\n\n\r\x01\r\n", "STORED\r\n"),
        ("get bin\r\n", "VALUE bin 0 6\r\n\0\r\n\n\r\x01\r\nEND\r\n"),
    ]);
}

#[test]
fn compare_and_swap() {
    let mut server = common::Server::start();
    server.ask("set a 0 0 1\r\n1\r\n", "STORED\r\n");
    let version = server.version_of("a");
    server.ask("cas missing 0 0 1 1\r\nx\r\n", "NOT_FOUND\r\n");
    server.ask(&format!("cas a 0 0 1 {}\r\nx\r\n", version + 1), "EXISTS\r\n");
    server.ask(&format!("cas a 7 0 1 {version}\r\n2\r\n"), "STORED\r\n");
    server.ask(&format!("cas a 7 0 1 {version}\r\n3\r\n"), "EXISTS\r\n");
    assert_ne!(server.version_of("a"), version);
    server.ask("get a\r\n", "VALUE a 7 1\r\n2\r\nEND\r\n");
}

#[test]
fn arithmetic() {
    check(&[
        ("incr n 1\r\ndecr n 1\r\n", "NOT_FOUND\r\nNOT_FOUND\r\n"),
        (
            "set n 3 0 2\r\n99\r\nincr n 1\r\nget n\r\n",
            "STORED\r\n100\r\nVALUE n 3 3\r\n100\r\nEND\r\n",
        ),
        ("decr n 1\r\nget n\r\n", "99\r\nVALUE n 3 3\r\n99 \r\nEND\r\n"),
        ("decr n 1000\r\n", "0\r\n"),
        ("incr n 18446744073709551615\r\nincr n 1\r\n", "18446744073709551615\r\n0\r\n"),
        ("incr n 5 noreply\r\nincr n 1\r\n", "6\r\n"),
        (
            "set s 0 0 1\r\nx\r\nincr s 1\r\n",
            "STORED\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
        ),
        ("incr n x\r\n", "CLIENT_ERROR invalid numeric delta argument\r\n"),
        ("incr n -1\r\n", "CLIENT_ERROR invalid numeric delta argument\r\n"),
    ]);
}

#[test]
fn expiry_and_touch() {
    check(&[
        ("set a 0 -1 1\r\nx\r\nget a\r\n", "STORED\r\nEND\r\n"),
        ("set a 0 1000 1\r\nx\r\nget a\r\n", "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n"),
        ("set a 0 2592001 1\r\nx\r\nget a\r\n", "STORED\r\nEND\r\n"),
        (
            "set a 0 0 1\r\nx\r\ntouch a 100\r\ntouch b 100\r\n",
            "STORED\r\nTOUCHED\r\nNOT_FOUND\r\n",
        ),
        ("gat 100 a b\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n"),
        ("touch a -1\r\nget a\r\n", "TOUCHED\r\nEND\r\n"),
        ("gat x a\r\n", "CLIENT_ERROR invalid exptime argument\r\n"),
        ("touch a x\r\n", "CLIENT_ERROR invalid exptime argument\r\n"),
    ]);
}

#[test]
fn flush() {
    check(&[
        ("set a 0 0 1\r\nx\r\nflush_all\r\nget a\r\n", "STORED\r\nOK\r\nEND\r\n"),
        (
            "set a 0 0 1\r\nx\r\nflush_all 100\r\nget a\r\n",
            "STORED\r\nOK\r\nVALUE a 0 1\r\nx\r\nEND\r\n",
        ),
        ("flush_all noreply\r\nget a\r\n", "END\r\n"),
        ("flush_all x\r\n", "CLIENT_ERROR invalid exptime argument\r\n"),
    ]);
}

#[test]
fn small_talk() {
    check(&[
        ("version\r\n", "VERSION 1.6.45\r\n"),
        ("verbosity 0\r\nverbosity 0 noreply\r\nmn\r\n", "OK\r\nMN\r\n"),
        ("verbosity x\r\n", "CLIENT_ERROR bad command line format\r\n"),
        ("shutdown\r\n", "SERVER_ERROR: shutdown not enabled\r\n"),
        ("refresh_certs\r\n", "Error TLS not enabled\r\n"),
        ("cache_memlimit\r\ncache_memlimit x\r\n", "ERROR\r\nERROR\r\n"),
        ("cache_memlimit 1\r\n", "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n"),
        (
            "cache_memlimit 99999999999999999\r\n",
            "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n",
        ),
        ("bogus\r\nget\r\n", "ERROR\r\nCLIENT_ERROR bad command line format\r\n"),
        ("stats nothing\r\nstats r\r\nstats reset\r\n", "ERROR\r\nERROR\r\nRESET\r\n"),
    ]);
}

#[test]
fn malformed_storage_keeps_the_stream_in_step() {
    let long = "k".repeat(251);
    check(&[
        ("set a 0 0 1\r\nxyzversion\r\n", "CLIENT_ERROR bad data chunk\r\nVERSION 1.6.45\r\n"),
        ("set a 0 0 1 noreply\r\nxyzversion\r\n", "VERSION 1.6.45\r\n"),
        (
            "set a 0 0 4\r\ninsane\r\n",
            "CLIENT_ERROR bad data chunk\r\nCLIENT_ERROR bad command line format\r\n",
        ),
        (
            &format!("set {long} 0 0 9\r\nget a b c\r\nmn\r\n"),
            "CLIENT_ERROR bad command line format\r\nMN\r\n",
        ),
        (&format!("get a {long} b\r\nmn\r\n"), "CLIENT_ERROR bad command line format\r\nMN\r\n"),
        ("set a abc 0 3\r\nabc\r\nmn\r\n", "CLIENT_ERROR bad command line format\r\nMN\r\n"),
        ("set a 0 0 -1\r\nmn\r\n", "CLIENT_ERROR bad command line format\r\nMN\r\n"),
        ("get a\r\n", "END\r\n"),
    ]);
}

#[test]
fn values_beyond_the_limit_are_swallowed_and_leave_nothing_behind() {
    for size in [(1 << 20) + 1, 3 << 20] {
        let body = "x".repeat(size);
        let mut server = common::Server::start();
        server.ask("set a 0 0 3\r\nold\r\nset b 0 0 3\r\nold\r\n", "STORED\r\nSTORED\r\n");
        server.ask(
            &format!("set a 0 0 {size}\r\n{body}\r\nmn\r\n"),
            "SERVER_ERROR object too large for cache\r\nMN\r\n",
        );
        server.ask(
            &format!("add b 0 0 {size}\r\n{body}\r\nadd b 0 0 {size} noreply\r\n{body}\r\nmn\r\n"),
            "SERVER_ERROR object too large for cache\r\nMN\r\n",
        );
        server.ask("get a b\r\n", "VALUE b 0 3\r\nold\r\nEND\r\n");
    }
}

#[test]
fn large_values_come_back_whole() {
    let mut server = common::Server::start();
    for size in [4_000, 8_192, 8_193, 16_384, 16_385, 60_000, 300_000, 1_000_000] {
        let body = common::noise(size);
        server.ask(&format!("set big 1 0 {size}\r\n{body}\r\n"), "STORED\r\n");
        server.ask("get big\r\n", &format!("VALUE big 1 {size}\r\n{body}\r\nEND\r\n"));
        let both =
            format!("VALUE big 1 {size}\r\n{body}\r\nVALUE big 1 {size}\r\n{body}\r\nEND\r\n");
        server.ask("get big none big\r\n", &both);
        server.ask(
            &format!("set big 1 0 {size}\r\n{body}xymn\r\n"),
            "CLIENT_ERROR bad data chunk\r\nMN\r\n",
        );
        server.ask("append big 0 0 2\r\nzz\r\n", "STORED\r\n");
        let len = size + 2;
        server.ask("get big\r\n", &format!("VALUE big 1 {len}\r\n{body}zz\r\nEND\r\n"));
    }
}

#[test]
fn a_retrieval_of_many_keys_is_one_reply() {
    let mut server = common::Server::start();
    let (mut line, mut reply) = ("get".to_owned(), String::new());
    for i in 0..3_000 {
        line += &format!(" key{i}");
        if i % 3 == 0 {
            let value = format!("{}-{i}", "v".repeat(i % 200));
            let len = value.len();
            server.ask(&format!("set key{i} {i} 0 {len}\r\n{value}\r\n"), "STORED\r\n");
            reply += &format!("VALUE key{i} {i} {len}\r\n{value}\r\n");
        }
    }
    server.ask(&(line.clone() + "\r\n"), &(reply + "END\r\n"));
    let long = "x".repeat(251);
    server
        .ask(&format!("{line} {long}\r\nmn\r\n"), "CLIENT_ERROR bad command line format\r\nMN\r\n");
}

#[test]
fn any_segmentation_gives_the_same_replies() {
    let big = common::noise(20_000);
    let script = format!(
        "set a 1 0 3\r\nabc\r\nget a b\r\nset big 0 0 20000\r\n{big}\r\nset a 0 0 1\r\nxyzmn\r\n\
         get big a\nincr a 1\r\nbogus words here\r\nset bad x 0 5\r\nabcde\r\ndelete a noreply\r\n\
         mg big s v q k Oabc\r\nms m 2 T0 c k\r\n\
          hi\r\nmd m q\r\nma m N0 J7 v\r\nversion\r\nquit\r\n"
    );
    common::check_segmentation(script.as_bytes());
}

#[test]
fn a_nul_ends_no_line_of_any_length() {
    for keys in [1, 100, 200, 300] {
        let mut dialogue = memserver::fuzzing::Dialogue::for_test();
        dialogue.feed(b"set a 0 0 1\r\nx\r\n");
        let line = ["get ", &"a ".repeat(keys), "\0 a a\0 a\r\n"].concat();
        let expected = "VALUE a 0 1\r\nx\r\n".repeat(keys + 2) + "END\r\n";
        assert_eq!(String::from_utf8(dialogue.feed(line.as_bytes())), Ok(expected), "{keys} keys");
    }
}

/// A key that another one begins with is another key, whatever byte comes next.
#[test]
fn no_byte_but_those_between_words_changes_which_key_is_meant() {
    let between = |byte: &u8| b" \r\n".contains(byte);
    for byte in (0..=u8::MAX).filter(|byte| !between(byte)) {
        let mut dialogue = memserver::fuzzing::Dialogue::for_test();
        let mut ask = |parts: &[&[u8]], reply: &[&[u8]]| {
            let found = dialogue.feed(&parts.concat());
            let (found, reply) = (found.escape_ascii(), reply.concat());
            assert_eq!(found.to_string(), reply.escape_ascii().to_string(), "byte {byte}");
        };
        let key: &[u8] = &[b"admin", &[byte][..], b"x"].concat();
        ask(&[b"set admin 0 0 1\r\na\r\n"], &[b"STORED\r\n"]);
        for [before, after, reply] in [
            ["get ", "\r\n", "END\r\n"],
            ["gat 0 ", "\r\n", "END\r\n"],
            ["delete ", "\r\n", "NOT_FOUND\r\n"],
            ["incr ", " 1\r\n", "NOT_FOUND\r\n"],
            ["touch ", " 0\r\n", "NOT_FOUND\r\n"],
            ["mg ", " v\r\n", "EN\r\n"],
            ["md ", "\r\n", "NF\r\n"],
            ["ma ", "\r\n", "NF\r\n"],
            ["append ", " 0 0 1\r\nb\r\n", "NOT_STORED\r\n"],
        ] {
            ask(&[before.as_bytes(), key, after.as_bytes()], &[reply.as_bytes()]);
        }
        // The value could be a request.
        ask(&[b"set ", key, b" 0 0 9\r\nflush_all\r\n"], &[b"STORED\r\n"]);
        let found = [b"VALUE ", key, b" 0 9\r\nflush_all\r\n", b"VALUE admin 0 1\r\na\r\nEND\r\n"];
        ask(&[b"get ", key, b" admin\r\n"], &found);
    }
}

#[test]
fn a_key_that_is_too_long_is_refused_before_its_line_has_ended() {
    const REFUSED: &str = "CLIENT_ERROR bad command line format\r\n";
    let mut server = Server::start();
    server.ask("set a 0 0 1\r\nx\r\n", "STORED\r\n");
    let value = "VALUE a 0 1\r\nx\r\nEND\r\n";
    for begin in ["get ", "gets a bc ", "gat 10 ", "gats 5 a "] {
        for first in [1, 100, 250] {
            server.ask(&format!("{begin}{}", "k".repeat(first)), "");
            server.ask(&"k".repeat(251 - first), REFUSED);
            assert_eq!(server.pending(), 0, "what was refused is kept");
            // The rest of the line is not a request.
            server.ask("k more get a", "");
            server.ask(" flush_all\r\nget a\r\n", value);
        }
        server.ask(&format!("{begin}b {} c", "k".repeat(251)), REFUSED);
        server.ask("\n", "");
    }
    // One of the largest size is not, though the line's end has half come.
    server.ask(&format!("get {}\r", "k".repeat(250)), "");
    server.ask("\n", "END\r\n");
    server.ask(&format!("get a {}", "k".repeat(250)), "");
    server.ask(" a", "");
    server.ask("\r\n", "VALUE a 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\n");
    // A time that is not a number is answered as that.
    server.ask(&format!("gat x {}", "k".repeat(251)), "");
    server.ask("\r\n", "CLIENT_ERROR invalid exptime argument\r\n");
}
