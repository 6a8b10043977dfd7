//! The `memcache` crate: blocking, pooled, text and binary protocol.

use std::collections::HashMap;

use memcache::Client;

use crate::{Check, wait_for};

pub(crate) fn round(check: &mut Check, port: u16, protocol: &str) {
    let address = format!("memcache://127.0.0.1:{port}?timeout=10&protocol={protocol}");
    let client = Client::connect(address).expect("a connection");
    client.flush().expect("flush");
    storage(check, &client);
    several(check, &client);
    numbers(check, &client);
    time_and_size(check, &client);
    let versions = client.version().expect("version");
    check.equal(versions[0].1.trim(), "1.6.45", "version");
    // Over text the crate reads one line of them and leaves the others on the way.
    if protocol == "binary" {
        let stats = client.stats().expect("stats");
        check.equal(stats[0].1["version"].as_str(), "1.6.45", "stats");
    }
    check.equal(client.delete("a").expect("delete"), true, "delete");
    check.equal(client.delete("a").expect("delete"), false, "delete of nothing");
    client.flush().expect("flush");
    check.equal(client.get::<String>("b").expect("get"), None, "flushed");
}

fn text(client: &Client, key: &str) -> Option<String> {
    client.get(key).expect("get")
}

fn storage(check: &mut Check, client: &Client) {
    client.set("a", "1", 0).expect("set");
    check.equal(text(client, "a"), Some("1".to_owned()), "get");
    check.equal(text(client, "none"), None::<String>, "get of nothing");
    // Over text the crate takes a refusal for success, so what counts is what is there.
    let _ = client.add("a", "2", 0);
    check.equal(text(client, "a"), Some("1".to_owned()), "add of what exists");
    client.add("b", "2", 0).expect("add");
    let _ = client.replace("none", "3", 0);
    check.equal(text(client, "none"), None::<String>, "replace of nothing");
    client.replace("b", "3", 0).expect("replace");
    client.append("b", "4").expect("append");
    client.prepend("b", "2").expect("prepend");
    check.equal(text(client, "b"), Some("234".to_owned()), "what was put together");
    let _ = client.append("none", "4");
    check.equal(text(client, "none"), None::<String>, "append to nothing");
    let (value, _, version): (String, u32, Option<u64>) = client.get("a").unwrap().unwrap();
    check.equal(value, "1", "get with version");
    let version = version.expect("a version");
    check.equal(client.cas("a", "new", 0, version).expect("cas"), true, "cas");
    check.equal(client.cas("a", "late", 0, version).expect("cas"), false, "cas that is late");
    check.equal(text(client, "a"), Some("new".to_owned()), "after cas");
}

fn several(check: &mut Check, client: &Client) {
    let keys: Vec<String> = (0..500).map(|index| format!("m{index}")).collect();
    for key in &keys {
        client.set(key, key.as_bytes(), 0).expect("set");
    }
    let names: Vec<&str> = keys.iter().map(String::as_str).chain(["none"]).collect();
    let found: HashMap<String, String> = client.gets(&names).expect("gets");
    check.equal(found.len(), 500, "many keys");
    check.equal(found.iter().all(|(key, value)| key == value), true, "values of many keys");
}

fn numbers(check: &mut Check, client: &Client) {
    client.set("n", 10, 0).expect("set");
    check.equal(client.increment("n", 5).expect("increment"), 15, "increment");
    check.equal(client.decrement("n", 100).expect("decrement"), 0, "decrement stops at zero");
    client.set("n", u64::MAX, 0).expect("set");
    check.equal(client.increment("n", 2).expect("increment"), 1, "increment wraps");
    client.set("word", "word", 0).expect("set");
    check.fails(client.increment("word", 1), "increment of a word");
}

fn time_and_size(check: &mut Check, client: &Client) {
    client.set("short", "1", 1).expect("set");
    check.equal(client.touch("b", 1000).expect("touch"), true, "touch");
    check.equal(client.touch("none", 1000).expect("touch"), false, "touch of nothing");
    let large = vec![7; 1_000_000];
    client.set("large", large.as_slice(), 0).expect("large value");
    check.equal(client.get::<Vec<u8>>("large").expect("get"), Some(large), "large value");
    check.fails(client.set("large", &vec![7; 2 << 20][..], 0), "too large");
    check.equal(client.get::<Vec<u8>>("large").expect("get"), None, "what was too large is gone");
    wait_for(|| text(client, "short").is_none());
    check.equal(text(client, "short"), None::<String>, "expired");
}
