"""Counts the checks of a client."""

import os
import sys


class Check:
    """The checks of one client; `with Check(name)` prints their number at the end."""

    def __init__(self, client, version):
        self.name = f"{client} {version}"
        self.count = 0

    def equal(self, got, expected, what):
        if got != expected:
            sys.exit(f"{self.name}: {what}: got {got!r}, expected {expected!r}")
        self.count += 1

    def true(self, value, what):
        self.equal(bool(value), True, what)

    def raises(self, kind, what, call, *args, **kwargs):
        try:
            got = call(*args, **kwargs)
        except kind:
            self.count += 1
        else:
            sys.exit(f"{self.name}: {what}: got {got!r}, expected {kind.__name__}")

    def expires(self, call, expected, what):
        """Waits until `call()` gives `expected`, as a client's clock can't be moved."""
        import time

        deadline = time.monotonic() + 5
        while call() != expected and time.monotonic() < deadline:
            time.sleep(0.05)
        self.equal(call(), expected, what)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            print(f"{self.name}: {self.count} checks passed")


def address():
    """Where the server listens."""
    return "127.0.0.1", int(os.environ["MEMSERVER_PORT"])


LARGE = bytes(range(256)) * 3900  # just below 1 MiB
TOO_LARGE = b"x" * (2 << 20)
