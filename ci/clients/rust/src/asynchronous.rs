//! The `async-memcached` crate: text and meta protocol.

use async_memcached::{AsciiProtocol, Client, MetaProtocol};

use crate::Check;

pub(crate) fn run(check: &mut Check, port: u16) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let dsn = format!("tcp://127.0.0.1:{port}");
        let mut client = Client::new(dsn).await.expect("a connection");
        classic(check, &mut client).await;
        several(check, &mut client).await;
        meta(check, &mut client).await;
        lease(check, &mut client).await;
        administration(check, &mut client).await;
    });
}

async fn text(client: &mut Client, key: &str) -> Option<Vec<u8>> {
    client.get(key).await.expect("get").map(|value| value.data.expect("data"))
}

async fn classic(check: &mut Check, client: &mut Client) {
    client.set("a", "1", None, Some(77)).await.expect("set");
    let value = client.get("a").await.expect("get").expect("a value");
    check.equal(value.data.as_deref(), Some(&b"1"[..]), "get");
    check.equal(value.flags, Some(77), "flags");
    check.equal(text(client, "none").await, None::<Vec<u8>>, "get of nothing");
    check.fails(client.add("a", "2", None, None).await, "add of what exists");
    client.add("b", "2", None, None).await.expect("add");
    client.set("n", 10_u64, None, None).await.expect("set");
    check.equal(client.increment("n", 5).await.expect("increment"), 15, "increment");
    check.equal(client.decrement("n", 100).await.expect("decrement"), 0, "decrement");
    client.increment_no_reply("n", 7).await.expect("increment");
    let padded = text(client, "n").await;
    // A number keeps its place when it gets shorter, as in memcached.
    check.equal(padded.as_deref(), Some(&b"7 "[..]), "increment without reply");
    check.fails(client.increment("none", 1).await, "increment of nothing");
    client.delete("a").await.expect("delete");
    check.fails(client.delete("a").await, "delete of nothing");
    client.set("past", "1", Some(-1), None).await.expect("set");
    check.equal(text(client, "past").await, None::<Vec<u8>>, "expired at once");
    let large = vec![b'x'; 1_000_000];
    client.set("large", large.as_slice(), None, None).await.expect("large value");
    check.equal(text(client, "large").await, Some(large), "large value");
}

async fn several(check: &mut Check, client: &mut Client) {
    let keys: Vec<String> = (0..500).map(|index| format!("m{index}")).collect();
    let pairs: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), key.as_str())).collect();
    let stored = client.set_multi(&pairs, None, None).await.expect("set_multi");
    check.equal(stored.values().all(Result::is_ok), true, "set_multi");
    let found = client.get_multi(&keys).await.expect("get_multi");
    check.equal(found.len(), 500, "get_multi");
    let right = found.iter().all(|value| value.data.as_ref() == Some(&value.key));
    check.equal(right, true, "values of get_multi");
    client.delete_multi_no_reply(&keys[..250]).await.expect("delete_multi");
    check.equal(client.get_multi(&keys).await.expect("get_multi").len(), 250, "what is left");
}

async fn meta(check: &mut Check, client: &mut Client) {
    let flags: &[&str] = &["F5", "T90", "c"];
    let stored = client.meta_set("meta", "value", false, None, Some(flags)).await.expect("ms");
    let version = stored.expect("flags back").cas.expect("a version");
    let flags: &[&str] = &["v", "f", "t", "s", "c", "h", "k"];
    let got = client.meta_get("meta", false, Some(b"opaque"), Some(flags)).await.expect("mg");
    let got = got.expect("a value");
    check.equal(got.data.as_deref(), Some(&b"value"[..]), "mg v");
    check.equal(got.flags, Some(5), "mg f");
    check.equal(got.ttl_remaining, Some(90), "mg t");
    check.equal(got.size, Some(5), "mg s");
    check.equal(got.cas, Some(version), "mg c");
    check.equal(got.hit_before, Some(false), "mg h");
    check.equal(got.key.as_deref(), Some(&b"meta"[..]), "mg k");
    check.equal(got.opaque_token.as_deref(), Some(&b"opaque"[..]), "mg O");
    let absent = client.meta_get("absent", true, None, Some(&["v"])).await.expect("mg q");
    check.equal(absent.is_none(), true, "mg of nothing, quiet");
    let late = client.meta_set("meta", "late", false, None, Some(&["C1"])).await;
    check.fails(late, "ms with an old version");
    let explicit = client.meta_set("meta", "new", false, None, Some(&["E424242", "c"])).await;
    check.equal(explicit.expect("ms E").expect("flags back").cas, Some(424_242), "ms E");
    let added = client.meta_set("meta", "x", false, None, Some(&["ME"])).await;
    check.fails(added, "ms in add mode of what exists");
    client.meta_set("fresh", "x", false, None, Some(&["MA", "N60"])).await.expect("ms MA N");
    check.equal(text(client, "fresh").await.as_deref(), Some(&b"x"[..]), "append that creates");
    let number = client.meta_increment("count", false, None, None, Some(&["N0", "J13", "v"])).await;
    let number = number.expect("ma").expect("a number");
    check.equal(number.data.as_deref(), Some(&b"13"[..]), "ma that creates");
    let number = client.meta_decrement("count", false, None, Some(4), Some(&["v"])).await;
    let number = number.expect("ma").expect("a number");
    check.equal(number.data.as_deref(), Some(&b"9"[..]), "ma that subtracts");
    client.meta_delete("meta", false, None, None).await.expect("md");
    check.fails(client.meta_delete("meta", false, None, None).await, "md of nothing");
}

/// Stale values, and one client that is told to renew them.
async fn lease(check: &mut Check, client: &mut Client) {
    client.set("lease", "old", None, None).await.expect("set");
    client.meta_delete("lease", false, None, Some(&["I", "T30"])).await.expect("md I");
    let first = client.meta_get("lease", false, None, Some(&["v"])).await.expect("mg").unwrap();
    check.equal(first.data.as_deref(), Some(&b"old"[..]), "stale value");
    check.equal((first.is_stale, first.is_recache_winner), (Some(true), Some(true)), "winner");
    let second = client.meta_get("lease", false, None, Some(&["v"])).await.expect("mg").unwrap();
    check.equal((second.is_stale, second.is_recache_winner), (Some(true), Some(false)), "loser");
    client.set("lease", "new", None, None).await.expect("set");
    let third = client.meta_get("lease", false, None, Some(&["v"])).await.expect("mg").unwrap();
    check.equal(third.data.as_deref(), Some(&b"new"[..]), "renewed value");
    check.equal(third.is_stale, None, "renewed value is not stale");
}

async fn administration(check: &mut Check, client: &mut Client) {
    check.equal(client.version().await.expect("version").trim(), "1.6.45", "version");
    let stats = client.stats().await.expect("stats");
    check.equal(stats["version"].as_str(), "1.6.45", "stats");
    client.flush_all().await.expect("flush_all");
    check.equal(text(client, "b").await, None::<Vec<u8>>, "flushed");
}
