"""check.py MEMSERVER: starts a server, asks it for its metrics, and checks that there are series for
every query of the dashboard and of the alert rules, with the labels that queries, legends and
annotations name. Also that each alert leads to a heading of the runbooks, and that files name files
that exist."""

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "packaging/monitoring"
# Prometheus adds these, and this series.
ADDED = {"job", "instance"}
KEYWORDS = {"and", "bool", "or", "unless"}
complaints = []


def check(condition, what):
    if not condition:
        complaints.append(what)


def series(text):
    """Names with their labels."""
    found = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels = re.match(r"([\w:]+)(?:\{(.*)\})? \S+$", line).groups()
            found.append((name, dict(re.findall(r'(\w+)="([^"]*)"', labels or ""))))
    return found


def selectors(query):
    """The selectors of a query, as names and matchers."""
    # What groups and durations name is no series.
    query = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", query)
    query = re.sub(r"\[[^]]*\]|\boffset\s+\w+", " ", query)
    for name, after in re.findall(r"(?<![\w.])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\}|\()?", query):
        if name not in KEYWORDS and after != "(":
            matchers = re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', after)
            yield name, matchers


def fits(labels, matchers):
    for label, operator, value in matchers:
        if label in ADDED:
            continue
        if label not in labels:
            return False
        same = re.fullmatch(value, labels[label]) if "~" in operator else labels[label] == value
        if bool(same) == operator.startswith("!"):
            return False
    return True


def query(where, text, named, metrics):
    """Checks a query, and that its series have the labels that it and others name."""
    text = re.sub(r"\$\w+", ".*", text.replace("$__rate_interval", "5m"))
    labels = set(ADDED)
    count = 0
    for name, matchers in selectors(text):
        count += 1
        if name == "up":
            continue
        matching = [of for known, of in metrics if known == name and fits(of, matchers)]
        check(matching, f"{where}: no series for {name}{matchers}")
        labels.update(label for of in matching for label in of)
    check(count > 0, f"{where}: asks for nothing")
    grouped = re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", text)
    named = named | {label.strip() for group in grouped for label in group.split(",")}
    check(named <= labels, f"{where}: no series has the labels {sorted(named - labels)}")


def dashboard(metrics):
    board = json.loads((FOLDER / "grafana/memserver.json").read_text())
    for variable in board["templating"]["list"]:
        for name in re.findall(r"label_values\((\w+)", variable["query"]):
            check(any(known == name for known, _ in metrics), f"variable {variable['name']}: {name}")
    titles = [panel["title"] for panel in board["panels"]]
    check(len(set(titles)) == len(titles), "two panels have one title")
    for panel in board["panels"]:
        for target in panel["targets"]:
            legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            query(f"panel {panel['title']}", target["expr"], legend, metrics)
    return len(titles)


def alerts(metrics):
    runbooks = (ROOT / "docs/runbooks.md").read_text()
    headings = re.findall(r"^#+ (.*)$", runbooks, re.M)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    for rule in rules:
        where = f"alert {rule['alert']}"
        texts = " ".join(rule["annotations"].values())
        query(where, rule["expr"], set(re.findall(r"\$labels\.(\w+)", texts)), metrics)
        path, _, anchor = rule["annotations"]["runbook"].partition("#")
        check(path == "docs/runbooks.md" and anchor in anchors, f"{where}: no runbook {anchor}")
        check(rule["labels"]["severity"] in ["critical", "warning", "info"], f"{where}: severity")
        check(rule["alert"] in runbooks, f"the runbooks do not name {rule['alert']}")
    return len(rules)


def files():
    compose = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            known = source in compose["volumes"] or (FOLDER / source).is_file()
            check(known, f"compose.yaml: {name}: there is no {source}")
    flags = compose["services"]["memserver"]["command"]
    command = [sys.argv[1], "--check-config", *flags]
    checked = subprocess.run(command, capture_output=True, text=True)
    check(checked.returncode == 0, f"compose.yaml: {checked.stderr}")
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    for rules in config["rule_files"]:
        check((FOLDER / rules).is_file(), f"prometheus.yml: there is no {rules}")
    target = config["scrape_configs"][0]["static_configs"][0]["targets"][0]
    check(target == "memserver:9150" and "0.0.0.0:9150" in flags, f"prometheus.yml: {target}")


def ask(memserver):
    """The metrics of a server that has served."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o1777)
        admin, clients = f"{folder}/admin", f"{folder}/clients"
        command = [memserver, "-s", clients, "--admin-addr", f"unix:{admin}", "-m", "8"]
        process = subprocess.Popen(command)
        try:
            for _ in range(200):
                if Path(clients).exists() and Path(admin).exists():
                    break
                time.sleep(0.05)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(clients)
                client.sendall(b"set a:1 0 0 1\r\nx\r\n" + 300 * b"get a:1\r\n" + b"quit\r\n")
                while client.recv(65536):
                    pass
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(admin)
                client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                answer = b""
                while piece := client.recv(65536):
                    answer += piece
            return series(answer.decode().split("\r\n\r\n", 1)[1])
        finally:
            process.terminate()
            process.wait(timeout=10)


def main():
    metrics = ask(sys.argv[1])
    print(f"{dashboard(metrics)} panels and {alerts(metrics)} alerts ask for series that there are")
    files()
    # The check sees what is wrong.
    before = len(complaints)
    query("a wrong query", 'rate(memcached_nosuch_total{command="get"}[5m])', {"nosuch"}, metrics)
    query("another", 'sum by (nosuch) (memcached_commands_total{command="nosuch"})', set(), metrics)
    if len(complaints) != before + 4:
        sys.exit(f"the check does not see what is wrong: {complaints[before:]}")
    if complaints[:before]:
        sys.exit("\n".join(complaints[:before]))


main()
