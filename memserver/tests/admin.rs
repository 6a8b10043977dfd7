//! Administration: every command's answers, and what it changes.

mod common;

use common::{Server, check, check_with};

const ERROR: &str = "ERROR\r\n";
const OK: &str = "OK\r\n";
const BAD_FORMAT: &str = "CLIENT_ERROR bad command line format\r\n";
const BAD_CLASS: &str = "BADCLASS invalid class id\r\n";

#[test]
fn slabs_reassign() {
    check(&[
        ("slabs\r\n", ERROR),
        ("slabs foo\r\n", ERROR),
        ("slabs reassign\r\n", ERROR),
        ("slabs reassign 1\r\n", ERROR),
        ("slabs reassign 1 2 3\r\n", ERROR),
        ("slabs reassign x 2\r\n", BAD_FORMAT),
        ("slabs reassign 1 1\r\n", "SAME src and dst class are identical\r\n"),
        ("slabs reassign -1 -1\r\n", "SAME src and dst class are identical\r\n"),
        ("slabs reassign 1 2\r\n", "NOSPARE source class has no spare pages\r\n"),
        ("slabs reassign -1 2\r\n", "BADCLASS invalid src or dst class id\r\n"),
        ("slabs reassign -2 2\r\n", "BADCLASS invalid src or dst class id\r\n"),
        ("slabs reassign 2 -1\r\n", "BADCLASS invalid src or dst class id\r\n"),
        ("slabs reassign 2 64\r\n", "BADCLASS invalid src or dst class id\r\n"),
        ("slabs reassign 1000000000 2\r\n", "BADCLASS invalid src or dst class id\r\n"),
        ("slabs reassign 99999999999 2\r\n", BAD_FORMAT),
    ]);
    check_with(
        &["-o", "no_slab_reassign"],
        &[("slabs reassign 1 2\r\n", "CLIENT_ERROR slab reassignment disabled\r\n")],
    );
}

#[test]
fn a_class_with_memory_to_spare_gives_some() {
    let mut server = Server::start();
    for i in 0..60_000 {
        server.reply(&format!("set key{i} 0 0 60 noreply\r\n{i:060}\r\n"));
    }
    let classes = server.reply("stats slabs\r\n");
    let spare = classes.lines().find_map(|line| {
        let (class, pages) = line.strip_prefix("STAT ")?.split_once(":total_pages ")?;
        (pages.parse::<u32>().ok()? > 1).then_some(class)
    });
    let class: u32 = spare.expect("so many items fill several pages").parse().unwrap();
    server.ask(&format!("slabs reassign {class} {}\r\n", class + 1), OK);
    server.ask(&format!("slabs reassign -1 {}\r\n", class + 1), OK);
    server.ask("get key59999\r\n", &format!("VALUE key59999 0 60\r\n{:060}\r\nEND\r\n", 59_999));
}

#[test]
fn slabs_automove() {
    check(&[
        ("slabs automove\r\n", ERROR),
        ("slabs automove 0\r\n", OK),
        ("slabs automove 2\r\n", OK),
        ("slabs automove 3\r\n", ERROR),
        ("slabs automove x\r\n", BAD_FORMAT),
        ("slabs automove ratio\r\n", ERROR),
        ("slabs automove ratio x\r\n", ERROR),
        ("slabs automove ratio nan\r\n", ERROR),
        ("slabs automove ratio 0.5\r\n", OK),
        ("slabs automove freeratio 0.25\r\n", OK),
        ("slabs automove freeratio\r\n", ERROR),
        ("slabs automove window\r\n", BAD_FORMAT),
        ("slabs automove window x\r\n", ERROR),
        ("slabs automove window 0\r\n", "CLIENT_ERROR automove window too low or too high\r\n"),
        ("slabs automove window 1801\r\n", "CLIENT_ERROR automove window too low or too high\r\n"),
        ("slabs automove window 4294967296\r\n", ERROR),
        ("slabs automove window 30\r\n", OK),
    ]);
    let mut server = Server::start();
    server.reply("slabs automove 0\r\nslabs automove ratio 0.5\r\nslabs automove window 30\r\n");
    shows(&mut server, &["slab_automove 0", "slab_automove_ratio 0.50", "slab_automove_window 30"]);
}

#[test]
fn lru() {
    let shares = "ERROR hot and warm pcts must not exceed 80\r\n";
    let factors = "ERROR hot/warm age factors must be greater than 0\r\n";
    check(&[
        ("lru\r\n", ERROR),
        ("lru foo\r\n", ERROR),
        ("lru tune\r\n", ERROR),
        ("lru tune 10\r\n", ERROR),
        ("lru tune 10 20 0.1\r\n", ERROR),
        ("lru tune x 20 0.1 2\r\n", ERROR),
        ("lru tune 10 20 0.1 2.0\r\n", OK),
        ("lru tune 10 71 0.1 2.0\r\n", shares),
        ("lru tune 4294967295 4294967295 0.1 2.0\r\n", shares),
        ("lru tune 10 20 0 2.0\r\n", factors),
        ("lru tune 10 20 1 -1\r\n", factors),
        ("lru mode\r\n", ERROR),
        ("lru mode x\r\n", ERROR),
        ("lru mode flat\r\n", OK),
        ("lru mode segmented\r\n", OK),
        ("lru temp_ttl\r\n", ERROR),
        ("lru temp_ttl x\r\n", ERROR),
        ("lru temp_ttl 61\r\n", OK),
        ("lru temp_ttl -1\r\n", OK),
        ("lru temp_ttl 5 noreply\r\n", ""),
    ]);
    let mut server = Server::start();
    server.reply("lru tune 11 22 0.3 4.5\r\nlru mode flat\r\nlru temp_ttl 7\r\n");
    shows(
        &mut server,
        &["hot_lru_pct 11", "warm_lru_pct 22", "hot_max_factor 0.30", "warm_max_factor 4.50"],
    );
    shows(&mut server, &["lru_segmented no", "temp_lru yes", "temporary_ttl 7"]);
    server.ask("lru temp_ttl -1\r\n", OK);
    shows(&mut server, &["temp_lru no", "temporary_ttl 7"]);
}

#[test]
fn lru_crawler() {
    check(&[
        ("lru_crawler\r\n", ERROR),
        ("lru_crawler foo\r\n", ERROR),
        ("lru_crawler foo bar\r\n", ERROR),
        ("lru_crawler enable\r\n", "ERROR failed to start lru crawler thread\r\n"),
        ("lru_crawler disable\r\n", OK),
        ("lru_crawler disable\r\n", OK),
        ("lru_crawler crawl all\r\n", "CLIENT_ERROR lru crawler disabled\r\n"),
        ("lru_crawler metadump all\r\n", "CLIENT_ERROR lru crawler disabled\r\n"),
        ("lru_crawler mgdump all\r\n", "CLIENT_ERROR lru crawler disabled\r\n"),
        ("lru_crawler enable\r\n", OK),
        ("lru_crawler sleep\r\n", ERROR),
        ("lru_crawler sleep x\r\n", BAD_FORMAT),
        ("lru_crawler sleep 1000001\r\n", "CLIENT_ERROR sleep must be one second or less\r\n"),
        ("lru_crawler sleep 1000000\r\n", OK),
        ("lru_crawler tocrawl\r\n", ERROR),
        ("lru_crawler tocrawl x\r\n", BAD_FORMAT),
        ("lru_crawler tocrawl 5\r\n", OK),
        ("lru_crawler crawl\r\n", ERROR),
        ("lru_crawler crawl 1 2\r\n", ERROR),
        ("lru_crawler crawl ,\r\n", "NOTSTARTED no items to crawl\r\n"),
        ("lru_crawler crawl hash\r\n", "ERROR an unknown error happened\r\n"),
        ("lru_crawler metadump hash x\r\n", ERROR),
        ("lru_crawler crawl all\r\n", OK),
        ("lru_crawler crawl 1,2,63\r\n", OK),
        ("lru_crawler crawl 1,x\r\n", BAD_CLASS),
        ("lru_crawler crawl 64\r\n", BAD_CLASS),
        ("lru_crawler crawl 0\r\n", BAD_CLASS),
    ]);
    let mut server = Server::start();
    server.reply("lru_crawler sleep 7\r\nlru_crawler tocrawl 9\r\nlru_crawler crawl all\r\n");
    shows(&mut server, &["lru_crawler yes", "lru_crawler_sleep 7", "lru_crawler_tocrawl 9"]);
    assert_eq!(server.stat("stats", "lru_crawler_starts"), 1);
    server.reply("lru_crawler disable\r\n");
    shows(&mut server, &["lru_crawler no"]);
}

#[test]
fn a_crawl_reclaims_what_has_expired() {
    let mut server = Server::start();
    server.reply("set a 0 5 1\r\n1\r\nset b 0 0 1\r\n1\r\n");
    server.advance(6);
    server.ask("lru_crawler crawl all\r\n", OK);
    assert_eq!(server.stat("stats", "curr_items"), 1);
}

#[test]
fn the_memory_limit_moves_both_ways() {
    check(&[
        ("cache_memlimit\r\n", ERROR),
        ("cache_memlimit x\r\n", ERROR),
        ("cache_memlimit 7\r\n", "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n"),
        (
            "cache_memlimit 18446744073709551615\r\n",
            "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n",
        ),
        ("cache_memlimit 100 noreply\r\n", ""),
    ]);
    let mut server = Server::start();
    let fill = |server: &mut Server| {
        for i in 0..20_000 {
            server.reply(&format!("set key{i} 0 0 2000 noreply\r\n{i:02000}\r\n"));
        }
        server.stat("stats", "bytes")
    };
    let before = fill(&mut server);
    assert!(before > 30 << 20);
    server.ask("cache_memlimit 16\r\n", OK);
    assert_eq!(server.stat("stats", "limit_maxbytes"), 16 << 20);
    assert_eq!(server.stat("stats", "slab_reassign_running"), 1);
    server.ask("cache_memlimit 128\r\n", OK);
    assert_eq!(server.stat("stats", "slab_reassign_running"), 0);
    assert_eq!(server.stat("stats", "bytes"), before, "nothing is evicted before the reply");
    assert_eq!(server.stat("stats settings", "maxbytes"), 128 << 20);
    assert_eq!(fill(&mut server), before);
}

#[test]
fn verbosity() {
    check(&[
        ("verbosity\r\n", BAD_FORMAT),
        ("verbosity x\r\n", BAD_FORMAT),
        ("verbosity 1\r\n", OK),
        ("verbosity 99\r\n", OK),
        ("verbosity 0 noreply\r\n", ""),
    ]);
    let mut server = Server::start();
    server.reply("verbosity 1\r\n");
    shows(&mut server, &["verbosity 1"]);
}

#[test]
fn a_flush_may_wait() {
    let mut server = Server::start();
    server.ask(
        "set a 0 0 1\r\n1\r\nflush_all 10\r\nget a\r\n",
        "STORED\r\nOK\r\nVALUE a 0 1\r\n1\r\nEND\r\n",
    );
    // A second early, as in memcached.
    server.advance(8);
    server.ask("get a\r\n", "VALUE a 0 1\r\n1\r\nEND\r\n");
    server.advance(1);
    server.ask("get a\r\n", "END\r\n");
    server.ask("set a 0 0 1\r\n1\r\nget a\r\n", "STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n");
    server.ask("flush_all 1\r\nget a\r\n", "OK\r\nEND\r\n");
    server.ask("set a 0 0 1\r\n1\r\nget a\r\n", "STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n");
    server.ask("flush_all -1\r\nget a\r\n", "OK\r\nEND\r\n");
    server.ask("flush_all 99999999999\r\n", "CLIENT_ERROR invalid exptime argument\r\n");
}

#[test]
fn what_is_switched_off_says_so() {
    check_with(
        &["-F", "-X"],
        &[
            ("flush_all\r\n", "CLIENT_ERROR flush_all not allowed\r\n"),
            ("flush_all 10\r\n", "CLIENT_ERROR flush_all not allowed\r\n"),
            ("stats cachedump 1 0\r\n", "CLIENT_ERROR stats cachedump not allowed\r\n"),
            ("stats detail on\r\n", "CLIENT_ERROR stats detail not allowed\r\n"),
            ("lru_crawler metadump all\r\n", "ERROR metadump not allowed\r\n"),
            ("lru_crawler mgdump all\r\n", "ERROR key dump not allowed\r\n"),
            ("shutdown\r\n", "SERVER_ERROR: shutdown not enabled\r\n"),
            ("shutdown graceful\r\n", "SERVER_ERROR: shutdown not enabled\r\n"),
            ("shutdown x\r\n", "SERVER_ERROR: shutdown not enabled\r\n"),
            ("extstore\r\n", ERROR),
        ],
    );
}

fn shows(server: &mut Server, settings: &[&str]) {
    let reply = server.reply("stats settings\r\n");
    for line in settings {
        assert!(reply.contains(&format!("STAT {line}\r\n")), "{line} in {reply}");
    }
}

#[cfg(not(all(feature = "test-clock", debug_assertions)))]
#[test]
fn the_clock_is_nobodys_toy() {
    check(&[("debugtime p\r\n", ERROR), ("debugtime 5\r\n", ERROR)]);
}

#[cfg(all(feature = "test-clock", debug_assertions))]
#[test]
fn a_test_moves_the_clock() {
    check(&[
        ("debugtime\r\n", ERROR),
        ("debugtime x\r\n", ERROR),
        ("debugtime p\r\nset a 0 100 1\r\nx\r\n", "OK\r\nSTORED\r\n"),
        ("debugtime 99\r\nget a\r\n", "OK\r\nVALUE a 0 1\r\nx\r\nEND\r\n"),
        ("debugtime 1\r\nget a\r\n", "OK\r\nEND\r\n"),
        ("debugtime r\r\n", OK),
    ]);
}
