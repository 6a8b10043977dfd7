"""Clients that log in: pymemcache in text, python-binary-memcached and pylibmc by SASL."""

import os
import sys

import bmemcached
import pylibmc
from check import Check, address
from pymemcache import exceptions
from pymemcache.client.base import Client

HOST, PORT = address()


def in_text(check):
    client = Client((HOST, PORT), timeout=5)
    check.raises(exceptions.MemcacheClientError, "get before a login", client.get, "a")
    client = Client((HOST, PORT), timeout=5)
    check.raises(exceptions.MemcacheClientError, "a wrong password",
                 client.set, "login", b"app wrong", noreply=False)
    client = Client((HOST, PORT), timeout=5)
    check.true(client.set("login", b"app secret", noreply=False), "login")
    check.true(client.set("app:a", b"1", noreply=False), "set")
    check.equal(client.get("app:a"), b"1", "get")
    check.raises(exceptions.MemcacheClientError, "another key", client.get, "a")


def by_bmemcached(check):
    client = bmemcached.Client([f"{HOST}:{PORT}"], "app", "secret")
    check.true(client.set("app:b", "2"), "bmemcached: set")
    check.equal(client.get("app:b"), "2", "bmemcached: get")
    check.equal(client.get_multi(["app:b", "app:none"]), {"app:b": "2"}, "bmemcached: get_multi")
    check.true(client.delete("app:b"), "bmemcached: delete")
    client.disconnect_all()
    wrong = bmemcached.Client([f"{HOST}:{PORT}"], "app", "wrong")
    check.raises(bmemcached.exceptions.MemcachedException, "bmemcached: a wrong password",
                 wrong.get, "app:b")


def by_pylibmc(check):
    if not (pylibmc.support_sasl and os.environ["SASL_PATH"]):
        print("SKIPPED: pylibmc without SASL, or no PLAIN (libsasl2-modules)")
        return
    client = pylibmc.Client([f"{HOST}:{PORT}"], binary=True, username="app", password="secret")
    check.true(client.set("app:c", "3"), "pylibmc: set")
    check.equal(client.get("app:c"), "3", "pylibmc: get")
    check.true(client.delete("app:c"), "pylibmc: delete")
    wrong = pylibmc.Client([f"{HOST}:{PORT}"], binary=True, username="app", password="wrong")
    check.raises(pylibmc.Error, "pylibmc: a wrong password", wrong.get, "app:c")


with Check("clients that log in:", " and ".join(sys.argv[1:])) as check:
    if "text" in sys.argv[1:]:
        in_text(check)
    if "sasl" in sys.argv[1:]:
        by_bmemcached(check)
        by_pylibmc(check)
