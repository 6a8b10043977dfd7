"""python-binary-memcached: binary protocol with its quiet commands."""

from importlib.metadata import version

import bmemcached
from check import LARGE, Check, address

with Check("python-binary-memcached", version("python-binary-memcached")) as check:
    client = bmemcached.Client(["%s:%d" % address()])
    check.true(client.set("a", "1"), "set")
    check.equal(client.get("a"), "1", "get")
    check.equal(client.get("none"), None, "get of nothing")
    check.equal(client.get("none", "?"), "?", "default")
    client.set("object", {"a": [1, 2]})
    check.equal(client.get("object"), {"a": [1, 2]}, "get of an object")
    check.equal(client.add("a", "2"), False, "add of what exists")
    check.true(client.add("b", "2"), "add")
    check.equal(client.replace("c", "3"), False, "replace of nothing")
    check.true(client.replace("b", "3"), "replace")
    values = {f"m{i}": f"value {i}" for i in range(1000)}
    check.equal(client.set_multi(values), [], "set_multi")
    check.equal(client.get_multi(list(values)), values, "get_multi")
    check.equal(client.get_multi(["m1", "none"]), {"m1": "value 1"}, "get_multi with holes")
    check.true(client.delete_multi(list(values)[:500]), "delete_multi")
    check.equal(len(client.get_multi(list(values))), 500, "what is left")
    check.equal(client.incr("n", 5, default=10), 10, "incr that creates")
    check.equal(client.incr("n", 5), 15, "incr")
    check.equal(client.decr("n", 100), 0, "decr stops at zero")
    value, token = client.gets("a")
    check.equal(value, "1", "gets")
    check.true(client.cas("a", "new", token), "cas")
    check.equal(client.cas("a", "late", token), False, "cas that is late")
    client.set("short", "1", time=1)
    check.true(client.set("large", LARGE, compress_level=0), "large value")
    check.equal(client.get("large"), LARGE, "large value")
    check.expires(lambda: client.get("short"), None, "expired")
    [stats] = client.stats().values()
    check.equal(stats["version"], b"1.6.45", "stats")
    [settings] = client.stats("settings").values()
    check.equal(settings["maxbytes"], b"67108864", "stats settings")
    check.true(client.delete("a"), "delete")
    check.true(client.flush_all(), "flush_all")
    check.equal(client.get("b"), None, "flushed")
    client.disconnect_all()
