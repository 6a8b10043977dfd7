"""Clients over TLS, with certificates: pymemcache, python-binary-memcached, openssl."""

import os
import ssl
import subprocess

import bmemcached
from check import LARGE, Check, address
from pymemcache.client.base import Client

HOST, PORT = address()
FOLDER = os.environ["TLS_FOLDER"]


def context(version=None, certificate="client"):
    context = ssl.create_default_context(cafile=f"{FOLDER}/ca.pem")
    context.check_hostname = False
    if certificate:
        context.load_cert_chain(f"{FOLDER}/{certificate}.pem", f"{FOLDER}/{certificate}.key")
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def by_pymemcache(check, version):
    client = Client((HOST, PORT), tls_context=context(version), timeout=10)
    check.true(client.set("a", b"1", noreply=False), "pymemcache: set")
    check.equal(client.get("a"), b"1", "pymemcache: get")
    check.true(client.set("large", LARGE, noreply=False), "pymemcache: large value")
    check.equal(client.get("large"), LARGE, "pymemcache: large value")
    values = {f"m{i}": b"%d" % i for i in range(1000)}
    check.equal(client.set_many(values, noreply=False), [], "pymemcache: set_many")
    check.equal(client.get_many(list(values)), values, "pymemcache: get_many")


def by_bmemcached(check):
    client = bmemcached.Client([f"{HOST}:{PORT}"], tls_context=context())
    check.true(client.set("b", "2"), "bmemcached: set")
    check.equal(client.get("b"), "2", "bmemcached: get")
    client.disconnect_all()


def by_openssl(check):
    names = ["-CAfile", "ca.pem", "-cert", "client.pem", "-key", "client.key"]
    command = ["openssl", "s_client", "-quiet", "-connect", f"{HOST}:{PORT}", *names]
    asked = b"set c 0 0 1\r\n3\r\nget c\r\nquit\r\n"
    got = subprocess.run(command, input=asked, cwd=FOLDER, capture_output=True, timeout=20).stdout
    check.equal(got, b"STORED\r\nVALUE c 0 1\r\n3\r\nEND\r\n", "openssl s_client")


def strangers(check):
    for certificate in [None, "stranger"]:
        client = Client((HOST, PORT), tls_context=context(certificate=certificate), timeout=10)
        check.raises(OSError, f"certificate {certificate}", client.get, "a")


with Check("TLS", ssl.OPENSSL_VERSION.split()[1]) as check:
    for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]:
        by_pymemcache(check, version)
    by_bmemcached(check)
    by_openssl(check)
    strangers(check)
