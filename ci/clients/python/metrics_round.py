"""Metrics as Prometheus's own library reads them, by the strict rules of OpenMetrics as well."""

import os
import socket

from pymemcache.client.base import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus


def ask(path, accept):
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(os.environ["MEMSERVER_ADMIN"])
        stream.sendall(f"GET {path} HTTP/1.1\r\nAccept: {accept}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: stream.recv(65536), b"")).decode()
    head, body = answer.split("\r\n\r\n", 1)
    assert head.startswith("HTTP/1.1 200 "), head
    return body


client = Client(("127.0.0.1", int(os.environ["MEMSERVER_PORT"])))
for number in range(100):
    assert client.set(f"key{number}", "x" * 100 * number)
    assert client.get(f"key{number}") is not None
    assert client.get(f"nosuch{number}") is None

families = list(openmetrics(ask("/metrics", "application/openmetrics-text;version=1.0.0")))
samples = {
    (sample.name, tuple(sorted(sample.labels.items()))): sample.value
    for family in families
    for sample in family.samples
}


def value(name, **labels):
    return samples[name, tuple(sorted(labels.items()))]


assert value("memcached_up") == 1
assert value("memcached_version", version="1.6.45") == 1
assert value("memcached_commands_total", command="get", status="hit") == 100
assert value("memcached_commands_total", command="get", status="miss") == 100
assert value("memcached_commands_total", command="set", status="hit") == 100
assert value("memcached_current_items") == 100
assert value("memserver_request_duration_seconds_count", family="get") >= 199

def names(family_list):
    # The library shows a counter with this ending whether the text has it or not.
    return {sample.name.removesuffix("_total") for family in family_list for sample in family.samples}


plain = names(prometheus(ask("/metrics", "text/plain")))
assert plain == names(families), plain ^ names(families)
print(f"metrics: {len(samples)} samples of {len(families)} families are read in both formats")
