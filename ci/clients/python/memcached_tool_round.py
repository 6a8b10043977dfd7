"""memcached-tool, as Debian's memcached package has it, in all its modes."""

import socket
import subprocess

from check import Check, address

TOOL = "/usr/share/memcached/scripts/memcached-tool"


def tool(*words):
    host, port = address()
    run = subprocess.run([TOOL, f"{host}:{port}", *words], capture_output=True, timeout=20)
    return run.stdout


def send(text):
    with socket.create_connection(address(), 10) as client:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def fill(check):
    stored = send(b"".join(b"set k%d 7 0 5\r\nvalue\r\n" % i for i in range(100))
                  + b"set large 0 900 3000\r\n" + b"x" * 3000 + b"\r\n")
    check.equal(stored, b"STORED\r\n" * 101, "sets")


def display(check, *words):
    head, *rows = tool(*words).decode().splitlines()
    check.equal(head.split()[:5], ["#", "Item_Size", "Max_age", "Pages", "Count"], "display")
    classes = [row.split() for row in rows]
    check.equal(sum(int(row[4]) for row in classes), 101, "items of all classes")
    check.true(all(int(row[3]) >= 1 for row in classes), "every class has pages")
    check.equal(len(classes), 2, "classes of two sizes")


def pairs(*words):
    return dict(line.split() for line in tool(*words).decode().splitlines()[1:])


def main():
    with Check("memcached-tool", "of Debian") as check:
        fill(check)
        display(check)
        display(check, "display")
        # The tool knows the word, and shows the classes.
        display(check, "move", "6", "7")
        stats = pairs("stats")
        check.equal(stats["curr_items"], "101", "stats")
        check.equal(stats["version"], "1.6.45", "version")
        settings = pairs("settings")
        check.equal(settings["maxbytes"], str(64 << 20), "settings")
        sizes = pairs("sizes")
        check.equal(sum(map(int, sizes.values())), 101, "sizes")
        dump = tool("dump")
        check.equal(dump.count(b"\r\nvalue\r\n"), 100, "values dumped")
        # It takes the reply's first line for one of the five.
        check.equal(tool("dump", "5").count(b"add "), 4, "a limited dump")
        keys = tool("keys").decode().splitlines()
        check.equal({line.split()[0] for line in keys},
                    {f"key=k{i}" for i in range(100)} | {"key=large"}, "keys")
        # What was dumped fills another cache as it is.
        check.equal(send(b"flush_all\r\n" + dump), b"OK\r\n" + b"STORED\r\n" * 101, "refilled")


main()
