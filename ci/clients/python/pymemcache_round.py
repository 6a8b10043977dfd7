"""pymemcache: text protocol, several clients over one server, and plain meta commands."""

from importlib.metadata import version

from check import LARGE, TOO_LARGE, Check, address
from pymemcache import exceptions
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient


def storage(check, client):
    check.true(client.set("a", b"1", noreply=False), "set")
    check.equal(client.get("a"), b"1", "get")
    check.equal(client.get("none"), None, "get of nothing")
    check.equal(client.get("none", b"?"), b"?", "default")
    check.equal(client.add("a", b"2", noreply=False), False, "add of what exists")
    check.equal(client.add("b", b"2", noreply=False), True, "add")
    check.equal(client.replace("c", b"3", noreply=False), False, "replace of nothing")
    check.equal(client.replace("b", b"3", noreply=False), True, "replace")
    check.true(client.append("b", b"4", noreply=False), "append")
    check.true(client.prepend("b", b"2", noreply=False), "prepend")
    check.equal(client.get("b"), b"234", "what was put together")
    check.true(client.set("flags", b"f", flags=77, noreply=False), "set with flags")
    check.equal(client.raw_command(b"get flags", b"END\r\n").split(b"\r\n")[0],
                b"VALUE flags 77 1", "flags")


def several(check, client):
    values = {f"m{i}": b"%d" % i * 50 for i in range(500)}
    check.equal(client.set_many(values, noreply=False), [], "set_many")
    check.equal(client.get_many(list(values)), values, "get_many")
    check.equal(client.get_many(["m1", "none", "m2"]), {k: values[k] for k in ("m1", "m2")},
                "get_many with holes")
    check.equal(len(client.gets_many(["m1", "m2"])), 2, "gets_many")
    check.true(client.delete_many(list(values)[:100], noreply=False), "delete_many")
    check.equal(len(client.get_many(list(values))), 400, "what is left")
    for i in range(100):
        client.set(f"quiet{i}", b"q", noreply=True)
    check.equal(len(client.get_many([f"quiet{i}" for i in range(100)])), 100, "noreply")


def versions(check, client):
    client.set("v", b"old", noreply=False)
    value, token = client.gets("v")
    check.equal(value, b"old", "gets")
    check.equal(client.cas("v", b"new", token), True, "cas")
    check.equal(client.cas("v", b"late", token), False, "cas that is late")
    check.equal(client.cas("none", b"x", token), None, "cas of nothing")
    check.equal(client.get("v"), b"new", "after cas")


def numbers(check, client):
    client.set("n", b"10", noreply=False)
    check.equal(client.incr("n", 5), 15, "incr")
    check.equal(client.decr("n", 20), 0, "decr stops at zero")
    check.equal(client.incr("none", 1), None, "incr of nothing")
    client.set("n", b"18446744073709551615", noreply=False)
    check.equal(client.incr("n", 2), 1, "incr wraps")
    client.set("word", b"word", noreply=False)
    check.raises(exceptions.MemcacheClientError, "incr of a word", client.incr, "word", 1)


def times(check, client):
    client.set("t", b"1", expire=1, noreply=False)
    client.set("u", b"1", noreply=False)
    check.true(client.touch("u", 1000, noreply=False), "touch")
    check.equal(client.touch("none", 1, noreply=False), False, "touch of nothing")
    check.equal(client.raw_command(b"gat 1000 u none", b"END\r\n"), b"VALUE u 0 1\r\n1\r\n", "gat")
    client.set("past", b"1", expire=-1, noreply=False)
    check.equal(client.get("past"), None, "expired at once")
    check.expires(lambda: client.get("t"), None, "expired after a second")
    check.equal(client.get("u"), b"1", "touched")


def sizes(check, client):
    check.true(client.set("large", LARGE, noreply=False), "large value")
    check.equal(client.get("large"), LARGE, "large value")
    check.raises(exceptions.MemcacheServerError, "too large", client.set, "large", TOO_LARGE,
                 noreply=False)
    check.equal(client.get("large"), None, "what was too large is gone")
    check.true(client.set("k" * 250, b"", noreply=False), "empty value under a long key")
    check.equal(client.get("k" * 250), b"", "empty value under a long key")


def meta(check, client):
    end = b"\r\n"
    check.equal(client.raw_command(b"ms meta 2 T90 F5\r\nhi", end), b"HD", "ms")
    check.equal(client.raw_command(b"mg meta v t f k", b"hi\r\n"), b"VA 2 t90 f5 kmeta\r\n", "mg")
    check.equal(client.raw_command(b"ma count N0 J9 v", b"9\r\n"), b"VA 1\r\n", "ma")
    check.equal(client.raw_command(b"md meta", end), b"HD", "md")
    check.equal(client.raw_command(b"mg meta", end), b"EN", "mg of nothing")
    check.equal(client.raw_command(b"mn", end), b"MN", "mn")


def administration(check, client):
    check.equal(client.version(), b"1.6.45", "version")
    check.true(int(client.stats()[b"curr_items"]) > 0, "stats")
    check.equal(client.stats("settings")[b"maxbytes"], 64 << 20, "stats settings")
    check.true(client.stats("items"), "stats items")
    check.true(client.stats("slabs"), "stats slabs")
    check.true(client.delete("a", noreply=False), "delete")
    check.equal(client.delete("a", noreply=False), False, "delete of nothing")
    check.true(client.flush_all(noreply=False), "flush_all")
    check.equal(client.get("b"), None, "flushed")


with Check("pymemcache", version("pymemcache")) as check:
    client = Client(address(), timeout=10, connect_timeout=10)
    for part in (storage, several, versions, numbers, times, sizes, meta, administration):
        part(check, client)
    client.quit()
    for other in (PooledClient(address(), max_pool_size=4), HashClient([address()])):
        for part in (several, numbers):
            part(check, other)
        other.flush_all(noreply=False)
        other.close()
