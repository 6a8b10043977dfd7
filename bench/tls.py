#!/usr/bin/env python3
"""Server CPU time per request and per handshake over TLS: tls.py SERVER...

Each server is started with the same certificate (ECDSA P-256, made by openssl) and one thread, and
is asked in turn, three rounds; the median is printed, and the ratio to the last server.
"""

import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

HANDSHAKES = 400
GETS = 6000
PIPELINED = 60000
DEPTH = 32


def cpu(pid):
    """CPU nanoseconds of all threads."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as stat:
            total += int(stat.read().split()[0])
    return total


def connect(port, context, session=None):
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, session=session)


def read_to(stream, end, count):
    seen, rest = 0, b""
    while seen < count:
        data = stream.recv(1 << 16)
        assert data, "closed"
        rest += data
        seen += rest.count(end)
        rest = rest[len(rest) - len(end) + 1 :]


def measure(server, folder):
    port = 20000 + os.getpid() % 10000
    command = [server, "-p", str(port), "-l", "127.0.0.1", "-t", "1", "-u", "nobody", "-Z"]
    command += ["-o", f"ssl_chain_cert={folder}/cert.pem,ssl_key={folder}/key.pem"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    context = ssl.create_default_context(cafile=f"{folder}/cert.pem")
    context.check_hostname = False
    try:
        for _ in range(100):
            try:
                stream = connect(port, context)
                break
            except OSError:
                time.sleep(0.05)
        stream.sendall(b"set key 0 0 100\r\n" + b"x" * 100 + b"\r\n")
        assert stream.recv(100) == b"STORED\r\n"
        results = {}
        before = cpu(process.pid)
        for _ in range(GETS):
            stream.sendall(b"get key\r\n")
            read_to(stream, b"END\r\n", 1)
        results["get"] = (cpu(process.pid) - before) / GETS
        before = cpu(process.pid)
        for _ in range(PIPELINED // DEPTH):
            stream.sendall(b"get key\r\n" * DEPTH)
            read_to(stream, b"END\r\n", DEPTH)
        results["get, 32 pipelined"] = (cpu(process.pid) - before) / PIPELINED
        before = cpu(process.pid)
        for _ in range(HANDSHAKES):
            one = connect(port, context)
            one.sendall(b"mn\r\n")
            read_to(one, b"MN\r\n", 1)
            one.close()
        results["handshake, one request"] = (cpu(process.pid) - before) / HANDSHAKES
        return stream.version(), results
    finally:
        process.terminate()
        process.wait()


def main():
    servers = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            + ["-nodes", "-subj", "/CN=localhost", "-days", "30"]
            + ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
            check=True,
            capture_output=True,
        )
        os.chmod(f"{folder}/key.pem", 0o644)
        found = {server: [] for server in servers}
        for _ in range(3):
            for server in servers:
                version, results = measure(server, folder)
                found[server].append(results)
    print(f"{version}, microseconds of server CPU time")
    for load in found[servers[0]][0]:
        medians = [statistics.median(r[load] for r in found[server]) / 1000 for server in servers]
        ratio = medians[0] / medians[-1]
        print(f"{load:24}", *(f"{median:9.2f}" for median in medians), f"  {ratio:.2f}")


main()
