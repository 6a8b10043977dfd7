"""pylibmc, libmemcached underneath: text and binary protocol, behaviours."""

import pylibmc
from check import LARGE, Check, address

SERVER = ["%s:%d" % address()]


def round_of(check, client, binary):
    check.true(client.set("a", "1"), "set")
    check.equal(client.get("a"), "1", "get")
    check.equal(client.get("none"), None, "get of nothing")
    check.equal(client.add("a", "2"), False, "add of what exists")
    check.true(client.add("b", "2"), "add")
    if binary:
        check.raises(pylibmc.NotFound, "replace of nothing", client.replace, "c", "3")
    else:
        check.equal(client.replace("c", "3"), False, "replace of nothing")
    check.true(client.replace("b", b"3"), "replace")
    check.true(client.append("b", b"4"), "append")
    check.true(client.prepend("b", b"2"), "prepend")
    check.equal(client.get("b"), b"234", "what was put together")
    values = {f"m{i}": i for i in range(1000)}
    check.equal(client.set_multi(values), [], "set_multi")
    check.equal(client.get_multi(list(values)), values, "get_multi")
    check.equal(client.get_multi(["m3", "none"]), {"m3": 3}, "get_multi with holes")
    check.equal(client.delete_multi(list(values)[:500]), True, "delete_multi")
    check.equal(len(client.get_multi(list(values))), 500, "what is left")
    client.set("n", 10)
    check.equal(client.incr("n", 5), 15, "incr")
    check.equal(client.decr("n", 3), 12, "decr")
    check.raises(pylibmc.NotFound, "incr of nothing", client.incr, "none")
    check.equal(client.incr_multi(["n", "m600"]), None, "incr_multi")
    check.equal(client.get("n"), 13, "after incr_multi")
    if not binary:
        value, token = client.gets("a")
        check.equal(value, "1", "gets")
        check.true(client.cas("a", "new", token), "cas")
        check.equal(client.cas("a", "late", token), False, "cas that is late")
    client.set("short", "1", time=1)
    check.true(client.touch("b", 100), "touch")
    check.true(client.set("large", LARGE, min_compress_len=0), "large value")
    check.equal(client.get("large"), LARGE, "large value")
    check.raises(pylibmc.Error, "too large", client.set, "huge", b"x" * (2 << 20))
    check.equal(client.get("a") is not None, True, "goes on after a refusal")
    check.expires(lambda: client.get("short"), None, "expired")
    [(_, stats)] = client.get_stats()
    check.equal(stats["version"], b"1.6.45", "stats")
    check.true(client.get_stats("items")[0][1], "stats items")
    check.true(client.delete("b"), "delete")
    check.equal(client.delete("b"), False, "delete of nothing")
    check.true(client.flush_all(), "flush_all")
    check.equal(client.get("a"), None, "flushed")


with Check("pylibmc", pylibmc.__version__) as check:
    for binary in (False, True):
        variants = [{}, {"tcp_nodelay": True, "ketama": True}]
        if not binary:
            # In binary libmemcached waits for ever after a refused value, whatever the server.
            variants.append({"no_block": True})
        for behaviors in variants:
            behaviors = behaviors if binary else behaviors | {"cas": True}
            round_of(check, pylibmc.Client(SERVER, binary=binary, behaviors=behaviors), binary)
