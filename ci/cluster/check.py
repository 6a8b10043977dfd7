"""Spreads keys over three servers in the three ways that docs/cluster.md describes. In each of them
one server is killed, requests go on, and it is used again once it is back."""

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pylibmc
from pymemcache.client.base import Client
from pymemcache.client.hash import HashClient

memserver, folder = sys.argv[1], Path(sys.argv[2])
KEYS = [f"user:{number}" for number in range(1500)]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(condition, what, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.02)
    sys.exit(f"FAIL {what}: not within {seconds} s")


def expect(what, found, expected=True):
    if found != expected:
        sys.exit(f"FAIL {what}: {found!r}, not {expected!r}")


class Process:
    def __init__(self, command, port):
        self.command, self.port = command, port
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.DEVNULL)
        until(lambda: not socket.create_connection(("127.0.0.1", self.port), 1).close(),
              f"{self.command[0]} at port {self.port}")

    def end(self, number):
        self.process.send_signal(number)
        self.process.wait(10)


class Server(Process):
    def __init__(self):
        port = free_port()
        flags = ["-u", "nobody", "-l", "127.0.0.1", "-p", str(port), "-m", "64", "-t", "1"]
        super().__init__([memserver, *flags], port)

    def items(self):
        return int(Client(("127.0.0.1", self.port), timeout=5).stats()[b"curr_items"])

    def flush(self):
        Client(("127.0.0.1", self.port), timeout=5).flush_all(noreply=False)


def kill_and_return(name, servers, store):
    """`store` stores all keys and says how many requests failed."""
    for server in servers:
        server.flush()
    expect(f"{name}: failures with three servers", store(), 0)
    shares = [server.items() for server in servers]
    if min(shares) < len(KEYS) // 20:
        sys.exit(f"FAIL {name}: the keys are spread {shares}")
    victim = servers[1]
    victim.end(signal.SIGKILL)
    # The first request that meets a dead server may fail; that is how it is found.
    lost = store()
    if lost > 50:
        sys.exit(f"FAIL {name}: {lost} of {len(KEYS)} requests failed when a server was killed")
    # Every time the server is tried again, a request may find it still dead.
    retries = store()
    if retries > 5:
        sys.exit(f"FAIL {name}: {retries} of {len(KEYS)} requests failed without the third server")
    victim.start()

    def used_again():
        failed = store()
        return failed == 0 and victim.items() > 0

    until(used_again, f"{name}: the server that is back is used", 20)
    print(f"{name}: keys {shares}; {lost} requests failed after the kill, then {retries}; used again")


def proxy(servers):
    listen, statistics = free_port(), free_port()
    lines = "".join(f"   - 127.0.0.1:{server.port}:1\n" for server in servers)
    config = folder / "nutcracker.yml"
    # As docs/cluster.md has it.
    example = re.search(r"```yaml\n(caches:.*?)```", Path("docs/cluster.md").read_text(), re.DOTALL)[1]
    example = re.sub(r"listen: .*", f"listen: 127.0.0.1:{listen}", example)
    config.write_text(re.sub(r"servers:.*", f"servers:\n{lines}", example, flags=re.DOTALL))
    command = ["nutcracker", "-c", config, "-s", str(statistics), "-a", "127.0.0.1"]
    running = Process([*map(str, command), "-o", str(folder / "nutcracker.log")], listen)
    try:
        client = Client(("127.0.0.1", listen), timeout=5, default_noreply=False)
        every_command(client)

        def store():
            failed = 0
            for key in KEYS:
                try:
                    client.set(key, b"v")
                except Exception:
                    failed += 1
            return failed

        kill_and_return("twemproxy", servers, store)
    finally:
        running.end(signal.SIGTERM)


def every_command(client):
    for key in KEYS:
        client.set(key, key.encode())
    expect("get of 1,500 keys", client.get_many(KEYS), {key: key.encode() for key in KEYS})
    large = bytes(700_000)
    client.set("large", large)
    expect("a value of 700 kB", client.get("large") == large)
    client.set("n", "1")
    expect("incr", client.incr("n", 5), 6)
    expect("decr", client.decr("n", 2), 4)
    expect("append", client.append("n", "5"))
    value, version = client.gets("n")
    expect("gets", value, b"45")
    expect("cas", client.cas("n", "46", version))
    expect("cas of an older version", client.cas("n", "47", version), False)
    expect("add of what is there", client.add("n", "1"), False)
    expect("touch", client.touch("n", 100))
    expect("delete", client.delete("n"))
    expect("get of what was deleted", client.get("n"), None)


def hash_client(servers):
    client = HashClient(
        [("127.0.0.1", server.port) for server in servers],
        connect_timeout=1, timeout=5, retry_attempts=0, dead_timeout=1, default_noreply=False,
    )
    every_command(client)

    def store():
        failed = 0
        for key in KEYS:
            try:
                failed += not client.set(key, b"v")
            except Exception:
                failed += 1
        return failed

    kill_and_return("HashClient", servers, store)


def libmemcached(servers):
    addresses = [f"127.0.0.1:{server.port}" for server in servers]
    behaviors = {"ketama": True, "remove_failed": 1, "retry_timeout": 1, "dead_timeout": 1}
    text = pylibmc.Client(addresses, behaviors=behaviors)
    binary = pylibmc.Client(addresses, binary=True, behaviors={"ketama": True})
    for key in KEYS:
        text.set(key, key)
    expect("ketama, found by binary clients", binary.get_multi(KEYS), {key: key for key in KEYS})

    def store():
        failed = 0
        for key in KEYS:
            try:
                failed += not text.set(key, "v")
            except pylibmc.Error:
                failed += 1
        return failed

    kill_and_return("libmemcached", servers, store)


def main():
    servers = [Server() for _ in range(3)]
    try:
        for way in (proxy, hash_client, libmemcached):
            way(servers)
    finally:
        for server in servers:
            server.end(signal.SIGTERM)
    print("cluster: 3 passed, 0 failed")


main()
