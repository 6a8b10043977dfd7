#!/usr/bin/env python3
"""Fills a memcached-compatible server far beyond its memory while thousands of clients hold
connections, some of them with a large reply that they do not read.

Every reply is checked. Exits with 1 and a reason if one is wrong."""

import argparse
import socket
import sys
import time

# (name, bytes of a value, values in a round): 150 to 300 MB of each size.
KINDS = [("s", 100, 1_000_000), ("m", 5_000, 50_000), ("l", 800_000, 250), ("x", 4_500_000, 60)]
BATCH_BYTES = 1 << 20


def connect(address, receive_buffer=None):
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(60)
    client.connect(address)
    return client


def value(key, size):
    """Bytes that belong to this key and to no other."""
    unit = b"<%s>" % key
    return (unit * (size // len(unit) + 1))[:size]


class Wrong(Exception):
    """The server answered something that it should not."""


def store_round(client, number):
    """Stores one round of every kind; returns how many values were stored."""
    total = 0
    for name, size, count in KINDS:
        per_batch = max(1, BATCH_BYTES // size)
        for first in range(0, count, per_batch):
            keys = range(first, min(first + per_batch, count))
            batch = bytearray()
            for index in keys:
                key = b"%s-%d-%d" % (name.encode(), number, index)
                batch += b"set %s 0 0 %d\r\n%s\r\n" % (key, size, value(key, size))
            client.sendall(batch)
            expected = b"STORED\r\n" * len(keys)
            reply = read_exactly(client, len(expected))
            if reply != expected:
                raise Wrong(f"set of {size} bytes answered {reply[:80]!r}")
            total += len(keys)
    return total


def read_exactly(client, count):
    data = bytearray()
    while len(data) < count:
        piece = client.recv(min(count - len(data), 1 << 20))
        if not piece:
            raise Wrong(f"closed after {len(data)} of {count} bytes")
        data += piece
    return bytes(data)


def read_until(client, end):
    data = bytearray()
    while not data.endswith(end):
        piece = client.recv(1 << 20)
        if not piece:
            raise Wrong(f"closed before {end!r}")
        data += piece
    return bytes(data)


def check_samples(client, number):
    """Looks at keys of the last round: each is absent or whole. Returns how many were there."""
    found = 0
    for name, size, count in KINDS:
        for index in range(0, count, max(1, count // 500)):
            key = b"%s-%d-%d" % (name.encode(), number, index)
            client.sendall(b"get %s\r\n" % key)
            reply = read_until(client, b"END\r\n")
            whole = b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, size, value(key, size))
            if reply == whole:
                found += 1
            elif reply != b"END\r\n":
                raise Wrong(f"get of {key!r} answered {reply[:80]!r}")
    return found


def stats(client):
    client.sendall(b"stats\r\n")
    lines = read_until(client, b"END\r\n").decode().splitlines()
    return dict(line.split(" ", 2)[1:] for line in lines if line.startswith("STAT "))


def run(args):
    address = (args.host, args.port)
    started = time.monotonic()
    # A small window, so that the bytes wait in the server and not in the system.
    clients = [connect(address, 4096) for _ in range(args.connections)]
    control = connect(address)
    stored = store_round(control, 0)
    control.sendall(b"set half 0 0 4500000\r\n" + value(b"half", 4_500_000) + b"\r\n")
    if read_exactly(control, 8) != b"STORED\r\n":
        raise Wrong("the large value was not stored")
    head = b"VALUE half 0 4500000\r\n"
    for client in clients[: args.half_read]:
        client.sendall(b"get half\r\n")
    for client in clients[: args.half_read]:
        if read_exactly(client, len(head)) != head:
            raise Wrong("the large value is not there")
    for number in range(1, args.rounds):
        stored += store_round(control, number)
    found = check_samples(control, args.rounds - 1)
    for client in clients[: args.half_read : 10]:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        rest = read_exactly(client, 4_500_000 + len(b"\r\nEND\r\n"))
        if rest != value(b"half", 4_500_000) + b"\r\nEND\r\n":
            raise Wrong("a reply that waited is damaged")
    if found == 0:
        raise Wrong("nothing of the last round is there")
    last = stats(control)
    if int(last["curr_connections"]) < args.connections:
        raise Wrong(f"only {last['curr_connections']} connections")
    if int(last["evictions"]) == 0:
        raise Wrong("nothing was evicted: the load is too small")
    print(
        f"{stored} values stored, {last['curr_items']} held, {last['evictions']} evicted, "
        f"{found} samples right, {last['curr_connections']} connections, "
        f"{args.half_read} of them half-read, {time.monotonic() - started:.0f} s"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=11211)
    parser.add_argument("--connections", type=int, default=8000)
    # Each takes up to 3 MB of the system's own memory for sockets, which is limited as well.
    parser.add_argument("--half-read", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    try:
        run(parser.parse_args())
    except (Wrong, OSError) as error:
        sys.exit(f"load: {error}")


if __name__ == "__main__":
    main()
