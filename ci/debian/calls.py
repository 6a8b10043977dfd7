"""Does the unit allow the system calls that the server makes? They are counted while it serves a
client, with a Unix socket and locked memory, and compared with what systemd makes of the filter."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

memserver, unit = sys.argv[1:]


def expand(name, seen=()):
    """All calls of a set."""
    if not name.startswith("@"):
        return {name}
    text = subprocess.run(
        ["systemd-analyze", "syscall-filter", name], check=True, capture_output=True, text=True
    ).stdout
    lines = [line.strip() for line in text.splitlines()[1:]]
    members = [line for line in lines if line and not line.startswith("#")]
    return set().union(*(expand(member) for member in members))


def allowed():
    calls = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", Path(unit).read_text(), re.MULTILINE):
        named = set().union(*(expand(name) for name in line.lstrip("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    # systemd leaves these whatever the filter says.
    return calls | expand("@default")


def traffic(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        for size in (10, 100_000, 900_000):
            client.sendall(b"set k 0 0 %d\r\n%s\r\nget k\r\n" % (size, b"v" * size))
            reply = b""
            while not reply.endswith(b"END\r\n"):
                reply += client.recv(1 << 20)
        client.sendall(b"stats\r\nlru_crawler metadump all\r\nflush_all\r\nquit\r\n")
        while client.recv(1 << 20):
            pass


def used():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o1777)
        path, summary = f"{folder}/socket", f"{folder}/calls"
        flags = ["-s", path, "-p", "-1", "-l", "127.0.0.1", "-k", "-m", "64", "-P", f"{folder}/pid"]
        # As the service: not as root, who alone may enter the folder of the sources.
        program = shutil.copy(memserver, f"{folder}/memserver")
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
        trace = ["strace", "-f", "-c", "-o", summary, "-E", f"MEMCACHED_PORT_FILENAME={folder}/port"]
        process = subprocess.Popen([*trace, *command, program, *flags], stderr=subprocess.PIPE)
        for _ in range(200):
            if Path(path).exists() and Path(f"{folder}/pid").exists():
                break
            time.sleep(0.05)
        traffic(path)
        os.kill(int(Path(f"{folder}/pid").read_text()), 15)
        process.communicate(timeout=30)
        rows = Path(summary).read_text().splitlines()[2:-2]
        return {row.split()[-1] for row in rows}


# setpriv's own, before it starts the server.
OTHERS = {"setresuid", "setresgid", "setgroups", "capget", "capset"}
calls = used()
refused = calls - allowed() - OTHERS
print(f"{len(calls)} system calls used, {len(allowed())} allowed, not allowed: {refused or 'none'}")
sys.exit(bool(refused) or len(calls) < 20)
