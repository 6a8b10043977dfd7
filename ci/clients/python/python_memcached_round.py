"""python-memcached: text protocol, pickled values, compression."""

from importlib.metadata import version

import memcache
from check import Check, address

with Check("python-memcached", version("python-memcached")) as check:
    client = memcache.Client(["%s:%d" % address()], cache_cas=True)
    check.true(client.set("text", "words"), "set")
    check.equal(client.get("text"), "words", "get of text")
    client.set("bytes", b"\x00\r\n\xff")
    check.equal(client.get("bytes"), b"\x00\r\n\xff", "get of bytes")
    for number in (0, 42, -7, 1 << 70):
        client.set("number", number)
        check.equal(client.get("number"), number, "get of a number")
    value = {"list": [1, 2.5, None], "nested": {"a": (1, 2)}}
    client.set("object", value)
    check.equal(client.get("object"), value, "get of an object")
    check.true(client.set("zip", "z" * 500_000, min_compress_len=100), "set compressed")
    check.equal(client.get("zip"), "z" * 500_000, "get of a compressed value")
    check.equal(client.get("none"), None, "get of nothing")

    many = {f"m{i}": f"value {i}" for i in range(1000)}
    check.equal(client.set_multi(many, key_prefix="p:"), [], "set_multi")
    check.equal(client.get_multi(list(many), key_prefix="p:"), many, "get_multi")
    check.equal(client.delete_multi(list(many)[:500], key_prefix="p:"), 1, "delete_multi")
    check.equal(len(client.get_multi(list(many), key_prefix="p:")), 500, "what is left")

    check.true(client.add("added", "1"), "add")
    check.equal(client.add("added", "2"), False, "add of what exists")
    check.true(client.replace("added", "b"), "replace")
    check.true(client.append("added", "c"), "append")
    check.true(client.prepend("added", "a"), "prepend")
    check.equal(client.get("added"), "abc", "what was put together")
    check.equal(client.replace("none", "x"), False, "replace of nothing")

    client.set("count", "10")
    check.equal(client.incr("count"), 11, "incr")
    check.equal(client.incr("count", 9), 20, "incr by more")
    check.equal(client.decr("count", 5), 15, "decr")
    check.equal(client.decr("count", 50), 0, "decr stops at zero")
    check.equal(client.incr("none"), None, "incr of nothing")

    client.set("version", "old")
    check.equal(client.gets("version"), "old", "gets")
    check.true(client.cas("version", "new"), "cas")
    client.gets("version")
    memcache.Client(["%s:%d" % address()]).set("version", "other")
    check.equal(client.cas("version", "late"), False, "cas that is late")
    check.equal(client.get("version"), "other", "after a late cas")

    client.set("short", "1", time=1)
    check.true(client.touch("count", 100), "touch")
    check.expires(lambda: client.get("short"), None, "expired")
    check.true(client.delete("count"), "delete")
    check.equal(client.get("count"), None, "deleted")
    [(_, stats)] = client.get_stats()
    check.equal(stats["version"], "1.6.45", "stats")
    [(_, items)] = client.get_stats("items")
    check.true(any(name.endswith(":number") for name in items), "stats items")
    [(_, slabs)] = client.get_stats("slabs")
    check.true("total_malloced" in slabs, "stats slabs")
    client.flush_all()
    check.equal(client.get("text"), None, "flushed")
