"""Renders the Helm chart with Helm's own library, for every file in its folder ci/, and checks what
comes out: the schemas of Kubernetes, the rules of Pod Security "restricted", that names and
selectors meet, and that the server starts with the flags and has the settings of the values."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import helm_python as helm
import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "packaging/helm/memserver"
# The oldest that Chart.yaml names, and the newest that there are schemas of.
VERSIONS = ["1.25", kubernetes_validate.latest_version()]
complaints = []


def check(condition, what):
    if not condition:
        complaints.append(what)


def render(values):
    """All objects that the chart makes, with the text that Helm prints after an installation."""
    with helm.Chart.load(str(CHART)) as chart:
        files = chart.render(values, name="shop", namespace="caches")
    texts = {name: text for name, text in files.items() if not name.endswith(".txt")}
    objects = [o for text in texts.values() for o in yaml.safe_load_all(text) if o]
    return objects, "".join(text for name, text in files.items() if name.endswith(".txt"))


def find(objects, kind):
    return next((o for o in objects if o["kind"] == kind), None)


def schemas(name, objects):
    for o in objects:
        # The operator of Prometheus defines it.
        if o["kind"] == "ServiceMonitor":
            continue
        for version in VERSIONS:
            # It has a hook that is newer.
            if (name, o["kind"], version) == ("everything", "Deployment", "1.25"):
                continue
            try:
                kubernetes_validate.validate(o, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                where = "/".join(map(str, error.path))
                check(False, f"{name}: {o['kind']}, Kubernetes {version}: {where}: {error.message}")


def restricted(name, pod):
    """The rules of https://kubernetes.io/docs/concepts/security/pod-security-standards/."""
    spec = pod["spec"]
    of_pod = spec.get("securityContext", {})
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "projected", "secret"}
    allowed.add("persistentVolumeClaim")
    for volume in spec.get("volumes", []):
        check(set(volume) - {"name"} <= allowed, f"{name}: volume {volume['name']} is not allowed")
    for host in ["hostNetwork", "hostPID", "hostIPC"]:
        check(not spec.get(host), f"{name}: {host}")
    for container in spec["containers"] + spec.get("initContainers", []):
        where = f"{name}: container {container['name']}"
        own = {**of_pod, **container.get("securityContext", {})}
        check(own.get("runAsNonRoot") is True, f"{where}: runAsNonRoot")
        check(own.get("runAsUser") != 0, f"{where}: runAsUser 0")
        check(own.get("allowPrivilegeEscalation") is False, f"{where}: allowPrivilegeEscalation")
        check(not own.get("privileged"), f"{where}: privileged")
        check("ALL" in own.get("capabilities", {}).get("drop", []), f"{where}: capabilities")
        check(not own.get("capabilities", {}).get("add"), f"{where}: capabilities are added")
        for port in container.get("ports", []):
            check("hostPort" not in port, f"{where}: hostPort")
        if container["name"] == "memserver":
            seccomp = own.get("seccompProfile", {}).get("type")
            check(seccomp in ["RuntimeDefault", "Localhost"], f"{where}: seccompProfile {seccomp}")
            check(own.get("readOnlyRootFilesystem") is True, f"{where}: writable root")


def references(name, objects, workload):
    """What refers to something else refers to what is there."""
    pod = workload["spec"]["template"]
    labels = pod["metadata"]["labels"].items()
    spec, container = pod["spec"], pod["spec"]["containers"][0]
    ports = {port["name"] for port in container["ports"]}
    selectors = [(workload, workload["spec"]["selector"]["matchLabels"])]
    for o in objects:
        selector = o.get("spec", {}).get("selector", o.get("spec", {}).get("podSelector", {}))
        if o["kind"] in ["Service", "PodDisruptionBudget", "NetworkPolicy"]:
            selectors.append((o, selector.get("matchLabels", selector)))
        check(len(o["metadata"]["name"]) <= 63, f"{name}: the name of a {o['kind']} is too long")
        namespace = o["metadata"].get("namespace", "caches")
        check(namespace == "caches", f"{name}: {o['kind']} in {namespace}")
    for o, selector in selectors:
        check(selector and selector.items() <= labels, f"{name}: {o['kind']} selects no pod")
    for constraint in spec.get("topologySpreadConstraints", []):
        selector = constraint["labelSelector"]["matchLabels"]
        check(selector.items() <= labels, f"{name}: a topology constraint selects no pod")
    services = [o for o in objects if o["kind"] == "Service"]
    for service in services:
        for port in service["spec"]["ports"]:
            check(port["targetPort"] in ports, f"{name}: the Service's port {port['name']}")
    if monitor := find(objects, "ServiceMonitor"):
        labels = services[0]["metadata"]["labels"].items()
        selected = monitor["spec"]["selector"]["matchLabels"]
        check(selected.items() <= labels, f"{name}: the ServiceMonitor selects no Service")
        asked = {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]}
        offered = {port["name"] for port in services[0]["spec"]["ports"]}
        check(asked <= offered, f"{name}: the ServiceMonitor asks {asked - offered}")
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"]:
        for action in ["tcpSocket", "httpGet"]:
            port = container.get(probe, {}).get(action, {}).get("port", "memcached")
            check(port in ports, f"{name}: {probe} asks port {port}")
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        check(mount["name"] in volumes, f"{name}: there is no volume {mount['name']}")
    account = find(objects, "ServiceAccount")
    account = account["metadata"]["name"] if account else "default"
    check(account == spec["serviceAccountName"], f"{name}: service account {account}")


USERS = "shop:secret\n"


def certificates(folder, names):
    """An authority and one that it has signed, under the names of chain, key and authority."""
    chain, key, authority = (Path(folder) / name for name in names)

    def make(name, out, out_key, *more):
        command = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-subj", f"/CN={name}", "-keyout", out_key, "-out", out, *more,
        ]
        subprocess.run(command, check=True, capture_output=True)

    own = Path(folder) / "authority.key"
    make("authority", authority, own)
    leaf = ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", authority, "-CAkey", own]
    make("cache", chain, key, *leaf)
    (Path(folder) / "client.pem").write_bytes(key.read_bytes() + chain.read_bytes())


def tls(folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(Path(folder) / "client.pem")
    return context


def settings(memserver, args, users):
    """Starts the server as the container would, and asks for its settings."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o1777)
        ports = Path(folder) / "ports"
        (Path(folder) / "users").write_text(users)
        args = [re.sub("/etc/memserver/(auth|tls)", folder, arg) for arg in args]
        if "-Z" in args:
            certificates(folder, re.findall(rf"ssl_\w+={folder}/([^,]+)", " ".join(args)))
        command = [memserver, *args, "-p", "-1", "-l", "127.0.0.1"]
        process = subprocess.Popen(
            command, env={"MEMCACHED_PORT_FILENAME": str(ports)}, stderr=subprocess.PIPE
        )
        try:
            for _ in range(100):
                if process.poll() is not None:
                    break
                if ports.exists() and ports.read_text().strip():
                    port = int(re.search(r"TCP INET: (\d+)", ports.read_text())[1])
                    if "-S" in args:
                        return {"auth_enabled_sasl": "yes"}, ""
                    with socket.create_connection(("127.0.0.1", port), 5) as client:
                        if "-Z" in args:
                            client = tls(folder).wrap_socket(client)
                        if "-Y" in args:
                            client.sendall(b"set login 0 0 11\r\nshop secret\r\n")
                        client.sendall(b"stats settings\r\nquit\r\n")
                        reply = client.makefile().read()
                    return dict(re.findall(r"STAT (\S+) (\S*)", reply)), ""
                time.sleep(0.05)
        finally:
            process.send_signal(signal.SIGTERM)
            log = process.communicate(timeout=10)[1].decode()
    return {}, log


def flags(name, values, objects, container, memserver):
    secret = find(objects, "Secret")
    users = secret["stringData"]["users"] if secret else USERS
    found, log = settings(memserver, container["args"], users)
    check(found, f"{name}: the server does not start with {container['args']}: {log}")
    expected = {
        "maxbytes": values["allocatedMemory"] << 20,
        "item_size_max": values["maxItemMemory"] << 20,
        "verbosity": values["verbosity"],
    }
    if values["threads"] != "auto":
        expected["num_threads"] = values["threads"]
    # Those who have to speak the binary protocol are asked nothing here.
    if "auth_enabled_sasl" in found and len(found) == 1:
        expected = {}
    for setting, value in expected.items() if found else ():
        check(found[setting] == str(value), f"{name}: {setting} is {found[setting]}, not {value}")
    for port in container["ports"]:
        given = values["containerPorts"][port["name"]]
        check(port["containerPort"] == given, f"{name}: port {port['name']}")
        flag = {"memcached": ["-p", str(given)], "metrics": ["--admin-addr", f"0.0.0.0:{given}"]}
        named = given == 11211 or flag[port["name"]] in pairs(container["args"])
        check(named, f"{name}: the server does not listen at {port['name']}")
    drain = ["--drain-timeout", f"{values['drainTimeoutSeconds']}s"]
    given = drain in pairs(container["args"])
    check(given or values["args"], f"{name}: drainTimeoutSeconds is not in {container['args']}")


def pairs(words):
    return [list(pair) for pair in zip(words, words[1:])]


def merged(defaults, changes):
    both = isinstance(defaults, dict) and isinstance(changes, dict)
    if not both:
        return changes
    return {**defaults, **{k: merged(defaults.get(k), v) for k, v in changes.items()}}


def scenario(file, defaults, memserver):
    name = file.name.removesuffix("-values.yaml")
    changes = yaml.safe_load(file.read_text())
    values = merged(defaults, changes)
    report = helm.lint(str(CHART), changes, strict=True)
    for message in report["messages"]:
        # An icon is for catalogues.
        check("icon is recommended" in message["error"], f"{name}: lint: {message['error']}")
    objects, notes = render(changes)
    workload = find(objects, "StatefulSet") or find(objects, "Deployment")
    schemas(name, objects)
    if name != "unrestricted":
        restricted(name, workload["spec"]["template"])
    references(name, objects, workload)
    server = workload["spec"]["template"]["spec"]["containers"][0]
    flags(name, values, objects, server, memserver)
    check(":11" in notes, f"{name}: the notes show no address: {notes}")
    kinds = " ".join(sorted(o["kind"] for o in objects))
    print(f"{name}: {kinds}")
    return objects


def limit(memory):
    return {"resources": {"limits": {"memory": memory}}}


REFUSED = [
    ({"allocatedMemry": 1}, "additional properties 'allocatedMemry' not allowed"),
    ({"replicaCount": 2}, "set architecture to high-availability"),
    ({"persistence": {"enabled": True}}, "can give a memory file"),
    ({"auth": {"enabled": True, "username": "a"}}, "give existingPasswordSecret, or username"),
    ({"tls": {"enabled": True}}, "give existingSecret"),
    ({"maxItemMemory": 33}, "at most half of allocatedMemory"),
    ({"drainTimeoutSeconds": 40}, "less than terminationGracePeriodSeconds (40)"),
    ({"metrics": {"serviceMonitor": {"enabled": True}}}, "without metrics.enabled"),
    ({"pdb": {"minAvailable": 1, "maxUnavailable": 1}}, "exclude each other"),
    (limit("91Mi"), "64 + 24 for the program + at least 4 for clients = 92"),
    (limit("96000k"), "96000k is 91 MiB"),
    (limit("1Xi"), "no unit"),
    ({"threads": "many"}, "threads"),
    ({"image": {"digest": "sha256:1"}}, "digest"),
]
# Values that no file gives: one that is always refused, and two that allow one value only, or whose
# effect is seen elsewhere.
ELSEWHERE = {
    ("persistence", "enabled"),
    ("startupProbe", "successThreshold"),
    ("livenessProbe", "successThreshold"),
    ("containerSecurityContext", "enabled"),
}
GRANTED = [limit(memory) for memory in ["92Mi", "0.1Gi", "97000k", "99000000", 99000000]]


def refusals():
    for values, message in REFUSED:
        try:
            render(values)
            check(False, f"{values} is not refused")
        except helm.HelmError as error:
            check(message in str(error), f"{values}: {error}")
    for values in GRANTED:
        try:
            render(values)
        except helm.HelmError as error:
            check(False, f"{values}: {error}")


def leaves(values, above=()):
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key)


def without(values, path):
    key, rest = path[0], path[1:]
    if rest:
        return {**values, key: without(values[key], rest)}
    return {name: value for name, value in values.items() if name != key}


def every_value_counts(files, defaults):
    """Each value is given in one of the files, and what is rendered differs without it."""
    given = set()
    for file in files:
        values = yaml.safe_load(file.read_text())
        whole = render(values)
        for path in leaves(values):
            given.update(path[:length] for length in range(1, len(path) + 1))
            try:
                check(render(without(values, path)) != whole, f"{'.'.join(path)} has no effect")
            except helm.HelmError:
                pass
    readme = (CHART / "README.md").read_text()
    for path in leaves(defaults):
        check(path in given or path in ELSEWHERE, f"no file gives {'.'.join(path)}")
        check(f"`{path[0]}" in readme, f"the chart's README.md does not name {path[0]}")


def server(values):
    objects = render(values)[0]
    return find(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]


def equal(what, found, expected):
    check(found == expected, f"{what}: {found}, not {expected}")


def what_the_values_do():
    """Effects that the checks above do not see."""
    memory = {"memory": "352Mi"}
    equal("memory", server({"allocatedMemory": 256})["resources"], {
        "limits": memory, "requests": memory,
    })
    limits = {"memory": "1Gi", "cpu": 2}
    equal("requests", server({"resources": {"limits": limits}})["resources"], {
        "limits": limits, "requests": {"memory": "1Gi"},
    })
    equal("image", server({})["image"], "memserver:0.1.0")
    named = server({"image": {"registry": "r", "tag": "t"}})["image"]
    equal("image", named, "r/memserver:t")
    equal("args", server({"args": ["-V"]})["args"], ["-V"])
    for key, leaf, kind in [
        ("pdb", "create", "PodDisruptionBudget"),
        ("networkPolicy", "enabled", "NetworkPolicy"),
        ("serviceAccount", "create", "ServiceAccount"),
    ]:
        equal(f"{kind} when off", find(render({key: {leaf: False}})[0], kind), None)
    watched = server({"metrics": {"enabled": True}})
    for probe, path in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]:
        equal(probe, watched[probe]["httpGet"], {"port": "metrics", "path": path})
    bare = server({"containerSecurityContext": {"enabled": False}})
    check("securityContext" not in bare, f"securityContext: {bare}")
    closed = find(render({"networkPolicy": {"allowExternal": False}})[0], "NetworkPolicy")["spec"]
    equal("who may connect", len(closed["ingress"][0]["from"]), 2)
    equal("where to", closed["egress"], [])
    objects, notes = render({"architecture": "high-availability", "replicaCount": 3})
    equal("a fleet's Service", find(objects, "Service")["spec"]["clusterIP"], "None")
    for i in range(3):
        address = f"shop-memserver-{i}.shop-memserver.caches.svc.cluster.local:11211"
        check(address in notes, f"{address} is not in the notes")


def main():
    memserver = sys.argv[1]
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    files = sorted((CHART / "ci").glob("*-values.yaml"))
    for file in files:
        scenario(file, defaults, memserver)
    refusals()
    every_value_counts(files, defaults)
    what_the_values_do()
    for complaint in complaints:
        print(f"FAIL {complaint}")
    refused = len(REFUSED)
    print(f"chart: {len(files)} sets of values, {refused} refused, {len(complaints)} complaints")
    sys.exit(bool(complaints) or len(files) < 3)


main()
