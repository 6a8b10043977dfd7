//! Walks over the whole cache, and statistics by size and prefix.

mod common;

use std::collections::BTreeSet;

use common::{Server, check, check_with};

/// A server with many items, some of them expired.
fn filled(flags: &[&str], items: usize) -> Server {
    let mut server = Server::with_flags(flags);
    for i in 0..items {
        server.reply(&format!("set key{i} {} 0 5 noreply\r\nvalue\r\n", i % 7));
    }
    server.reply("set gone 0 5 1 noreply\r\nx\r\n");
    server.advance(6);
    server
}

#[test]
fn metadump_shows_every_item_in_memcacheds_form() {
    let mut server = Server::start();
    server.reply("set a%b 5 0 3\r\nabc\r\nset later 0 100 1\r\nx\r\nget later\r\n");
    let dump = server.reply("lru_crawler metadump all\r\n");
    let rest = dump.strip_prefix("OK\r\n").and_then(|rest| rest.strip_suffix("END\r\n")).unwrap();
    let mut lines: Vec<&str> = rest.split_terminator('\n').collect();
    lines.sort_unstable();
    let (first, second) = (server.version_of("a%b"), server.version_of("later"));
    let size =
        |line: &str| line.split("size=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let (one, other) = (size(lines[0]), size(lines[1]));
    let (until, fixed) = (1_700_000_100, "la=1700000000");
    assert_eq!(
        lines,
        [
            format!("key=a%25b exp=-1 {fixed} cas={first} fetch=no cls=1 size={one} flags=5 "),
            format!(
                "key=later exp={until} {fixed} cas={second} fetch=yes cls=1 size={other} flags=0 "
            ),
        ]
    );
}

#[test]
fn every_form_of_a_dump() {
    check(&[
        ("lru_crawler metadump\r\n", "ERROR\r\n"),
        ("lru_crawler metadump 0\r\n", "BADCLASS invalid class id\r\n"),
        ("lru_crawler metadump 1,64\r\n", "BADCLASS invalid class id\r\n"),
        ("lru_crawler mgdump x\r\n", "BADCLASS invalid class id\r\n"),
        ("lru_crawler metadump all\r\nmn\r\n", "OK\r\nEND\r\nMN\r\n"),
        ("lru_crawler mgdump hash\r\nmn\r\n", "OK\r\nEN\r\nMN\r\n"),
        ("set a 0 0 1\r\nx\r\n", "STORED\r\n"),
        ("lru_crawler mgdump all\r\n", "OK\r\nmg a\r\nEN\r\n"),
        ("lru_crawler mgdump hash\r\n", "OK\r\nmg a\r\nEN\r\n"),
        ("lru_crawler mgdump 1,2\r\n", "OK\r\nmg a\r\nEN\r\n"),
        ("lru_crawler mgdump 2\r\n", "OK\r\nEN\r\n"),
        ("lru_crawler mgdump all noreply\r\n", ""),
        ("delete a\r\nms AAH/ 1 b\r\nx\r\n", "DELETED\r\nHD\r\n"),
        ("lru_crawler mgdump all\r\n", "OK\r\nmg AAH/ b\r\nEN\r\n"),
    ]);
}

#[test]
fn a_dump_of_many_items_is_complete_and_can_be_replayed() {
    const ITEMS: usize = 20_000;
    let mut server = filled(&[], ITEMS);
    let dump = server.reply("lru_crawler mgdump all\r\nmn\r\n");
    let requests = dump.strip_prefix("OK\r\n").unwrap().strip_suffix("EN\r\nMN\r\n").unwrap();
    let keys: BTreeSet<&str> = requests.lines().collect();
    assert_eq!(keys.len(), ITEMS);
    assert!(!keys.contains("mg gone"));
    let replies = server.reply(&requests.replace("\r\n", " v\r\n"));
    assert_eq!(replies, "VA 5\r\nvalue\r\n".repeat(ITEMS));
}

#[test]
fn cachedump_is_bounded_and_checks_its_words() {
    let bad = "CLIENT_ERROR bad command line\r\n";
    let format = "CLIENT_ERROR bad command line format\r\n";
    let illegal = "CLIENT_ERROR Illegal slab id\r\n";
    check(&[
        ("stats cachedump\r\n", bad),
        ("stats cachedump 1\r\n", bad),
        ("stats cachedump x 0\r\n", format),
        ("stats cachedump 1 x\r\n", format),
        ("stats cachedump 64 0\r\n", illegal),
        ("stats cachedump 4294967295 0\r\n", illegal),
        ("stats cachedump 0 0\r\n", "END\r\n"),
        ("set a 0 0 3\r\nabc\r\n", "STORED\r\n"),
        ("stats cachedump 1 0\r\n", "ITEM a [3 b; 0 s]\r\nEND\r\n"),
        ("touch a 100\r\n", "TOUCHED\r\n"),
        ("stats cachedump 1 5 x\r\n", "ITEM a [3 b; 1700000100 s]\r\nEND\r\n"),
        ("stats cachedump 2 0\r\n", "END\r\n"),
    ]);
    let mut server = filled(&[], 3_000);
    for (count, found) in [(1, 1), (1_500, 1_500), (0, 3_000), (5_000, 3_000)] {
        let dump = server.reply(&format!("stats cachedump 1 {count}\r\n"));
        assert_eq!(dump.lines().count(), found + 1, "{count}");
    }
    let mut server = Server::start();
    for i in 0..12_000 {
        server.reply(&format!("set {i:0240} 0 0 1 noreply\r\nx\r\n"));
    }
    let len: usize =
        (1..5).map(|class| server.reply(&format!("stats cachedump {class} 0\r\n")).len()).sum();
    assert!((1_900_000..2_097_152 + 100).contains(&len), "{len} bytes");
}

#[test]
fn sizes_count_every_item() {
    let mut server = filled(&["-o", "track_sizes"], 1_000);
    server.reply("set big 0 0 10000 noreply\r\n");
    server.reply(&"x".repeat(10_000));
    server.reply("\r\n");
    let reply = server.reply("stats sizes\r\n");
    let lines: Vec<(u64, u64)> = reply
        .lines()
        .filter_map(|line| line.strip_prefix("STAT ")?.split_once(' '))
        .map(|(size, count)| (size.parse().unwrap(), count.parse().unwrap()))
        .collect();
    assert!(lines.iter().all(|(size, _)| size % 32 == 0));
    assert_eq!(lines.iter().map(|(_, count)| count).sum::<u64>(), 1_001);
    assert!(lines.last().unwrap().0 > 10_000 && lines.last().unwrap().1 == 1);
    assert!(reply.ends_with("END\r\n"));
    check(&[("stats sizes\r\n", "STAT sizes_status disabled\r\nEND\r\n")]);
}

#[test]
fn prefixes_are_counted_while_it_is_on() {
    check(&[
        ("stats detail\r\n", "CLIENT_ERROR usage: stats detail on|off|dump\r\n"),
        ("stats detail x\r\n", "CLIENT_ERROR usage: stats detail on|off|dump\r\n"),
        ("stats detail dump\r\n", "END\r\n"),
        ("get a:b\r\nstats detail dump\r\n", "END\r\nEND\r\n"),
        ("stats detail on\r\n", "OK\r\n"),
        ("get a:b\r\nset a:b 0 0 1\r\nx\r\n", "END\r\nSTORED\r\n"),
        ("get a:b foo\r\ndelete a:b\r\n", "VALUE a:b 0 1\r\nx\r\nEND\r\nDELETED\r\n"),
        ("mg a:b v\r\nms a:b 1\r\nx\r\nmd a:b\r\n", "EN\r\nHD\r\nHD\r\n"),
        ("stats detail dump\r\n", "PREFIX a get 3 hit 1 set 2 del 2\r\nEND\r\n"),
        ("stats detail off\r\nget a:b\r\n", "OK\r\nEND\r\n"),
        ("stats detail dump\r\n", "PREFIX a get 3 hit 1 set 2 del 2\r\nEND\r\n"),
        ("stats reset\r\nstats detail dump\r\n", "RESET\r\nEND\r\n"),
    ]);
    check_with(
        &["-D", "/"],
        &[
            ("set a/b:c 0 0 1\r\nx\r\n", "STORED\r\n"),
            ("stats detail dump\r\n", "PREFIX a get 0 hit 0 set 1 del 0\r\nEND\r\n"),
        ],
    );
}

#[test]
fn the_binary_protocol_has_the_same_sections() {
    let mut server = Server::with_flags(&["-o", "track_sizes"]);
    let stat = |key: &str| {
        let mut frame = vec![0x80, 0x10, 0, key.len() as u8, 0, 0, 0, 0, 0, 0, 0, key.len() as u8];
        frame.extend([0; 12]);
        frame.extend(key.as_bytes());
        frame
    };
    let text = |server: &mut Server, key: &str| {
        String::from_utf8_lossy(&server.bytes(&stat(key))).into_owned()
    };
    let end = [&[0x81, 0x10][..], &[0; 22]].concat();
    assert_eq!(server.bytes(&stat("detail on")), end);
    let set = b"\x80\x01\0\x03\x08\0\0\0\0\0\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a:bx";
    assert_eq!(server.bytes(set)[6..8], [0, 0]);
    assert!(
        text(&mut server, "detail dump")
            .contains("detailedPREFIX a get 0 hit 0 set 1 del 0\r\nEND\r\n")
    );
    assert!(text(&mut server, "settings").contains("detail_enabledyes"));
    assert!(text(&mut server, "items").contains("items:1:number1"));
    assert!(server.bytes(&stat("sizes")).ends_with(&end));
    assert_eq!(server.bytes(&stat("conns")), end, "there is no socket here");
    assert_eq!(server.bytes(&stat("detail"))[6..8], [0, 1]);
    assert_eq!(server.bytes(&stat("nosuch"))[6..8], [0, 1]);
    let mut server = Server::with_flags(&["-X"]);
    assert_eq!(server.bytes(&stat("detail on"))[6..8], [0, 1]);
    assert!(text(&mut server, "settings").contains("detail_enabledno"));
}
