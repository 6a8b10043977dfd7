//! Lines that ask for no item: administration, statistics, and unknown commands. Left out,
//! and left to the transcripts of `conformance/`: what walks through all items, what turns the
//! connection into a stream, and what would change the server for the streams that follow.

use crate::classic::{end, finish};
use crate::random::Random;
use crate::stream::Unit;

/// A line that is one, by its form.
pub(crate) fn command(random: &mut Random, unit: &mut Unit) {
    const LINES: [&str; 80] = [
        "version",
        "version",
        "version x",
        "mn",
        "mn x",
        "verbosity 0",
        "verbosity 1",
        "verbosity x",
        "verbosity",
        "verbosity 0 0",
        "verbosity -1",
        "verbosity 5000000000",
        "stats",
        "stats reset",
        "stats settings",
        "stats items",
        "stats slabs",
        "stats sizes",
        "stats conns",
        "stats detail",
        "stats detail x",
        "stats detail dump",
        "stats detail off",
        "stats cachedump",
        "stats cachedump 1",
        "stats cachedump x 0",
        "stats cachedump 99 0",
        "stats nonsense",
        "stats maps",
        "stats malloc",
        "shutdown",
        "shutdown x",
        "shutdown graceful",
        "cache_memlimit",
        "cache_memlimit 1",
        "cache_memlimit x",
        "cache_memlimit -1",
        "lru",
        "lru x",
        "lru mode",
        "lru mode x",
        "lru tune",
        "lru tune 10",
        "lru tune x y z w",
        "lru tune 20 40 0.2 2.0",
        "lru tune 50 50 0.2 2.0",
        "lru tune 20 40 0 2.0",
        "lru tune 20 40 0.2 -1",
        "lru temp_ttl",
        "lru_crawler",
        "lru_crawler x",
        "lru_crawler enable",
        "lru_crawler sleep",
        "lru_crawler sleep x",
        "lru_crawler sleep 100",
        "lru_crawler sleep 99999999",
        "lru_crawler tocrawl",
        "lru_crawler tocrawl x",
        "lru_crawler tocrawl 0",
        "lru_crawler crawl",
        "lru_crawler crawl x",
        "lru_crawler crawl 99",
        "lru_crawler metadump",
        "lru_crawler mgdump",
        "slabs",
        "slabs x",
        "slabs reassign",
        "slabs reassign 1",
        "slabs reassign x y",
        "slabs reassign 1 1",
        "slabs reassign -2 1",
        "slabs reassign 64 1",
        "slabs reassign 1000000000 1",
        "slabs automove",
        "slabs automove x",
        "slabs automove 1",
        "slabs automove 7",
        "slabs automove window 1",
        "slabs automove window 10",
        "slabs automove ratio 0.8",
    ];
    unit.put(random.pick(&LINES));
    end(random, unit);
}

/// A line that is none.
pub(crate) fn bad_line(random: &mut Random, unit: &mut Unit) {
    const LINES: [&str; 59] = [
        "",
        " ",
        "   ",
        "a",
        "ab",
        "abc",
        "get",
        "get ",
        "gets",
        "gat",
        "gat 0",
        "gats 0",
        "gat x",
        "set",
        "set a",
        "set a 0",
        "set a 0 0",
        "add a 0 0",
        "cas a 0 0",
        "cas a 0 0 1",
        "incr",
        "incr a",
        "decr",
        "decr a",
        "touch",
        "touch a",
        "delete",
        "append",
        "prepend a 0 0",
        "replace a",
        "flush_al",
        "flush_allx",
        "GET a",
        "Set a 0 0 1",
        "MG a",
        " get a",
        "  gets a",
        "get  a   b ",
        "mg",
        "mg ",
        "ms",
        "ms a",
        "ms a b",
        "ms a x",
        "md",
        "ma",
        "me",
        "mx a",
        "mq",
        "nonsense",
        "nonsense with words",
        "nonsense noreply",
        "get\ta",
        "get a\rb",
        "verbosity ",
        "refresh_certs x",
        "misbehave",
        "GET / HTTP/1.1",
        "POST /x y HTTP/1.0",
    ];
    match random.below(12) {
        0 => unit.put("get a\0b\r\n"),
        1 => unit.put("set a 0 0 1 2 3\r\nx\r\n"),
        2 => {
            let line = "x".repeat(random.pick(&[100, 500, 2000]));
            unit.put(line).put("\r\n")
        }
        3 => {
            let (lead, key) = random.pick(&[("mg a", " v"), ("get", " a"), ("delete a", " a")]);
            let count = random.pick(&[19, 20, 21, 22, 23, 24, 25, 26, 100]);
            unit.put(lead).put(key.repeat(count)).put("\r\n")
        }
        4 if random.percent(20) => unit.put(random.pick(&["quit\r\n", "quit x\r\n", "quit\n"])),
        _ => {
            unit.put(random.pick(&LINES));
            finish(random, unit);
            unit
        }
    };
}
