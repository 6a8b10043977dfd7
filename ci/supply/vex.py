"""Does the statement about memcached's vulnerabilities name tests that exist, for all of them?"""

import json
import re
import sys
from pathlib import Path

JUSTIFICATIONS = {
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
}
document = json.loads(Path(sys.argv[1]).read_text())
complaints = []


def exists(proof):
    """A proof is the title of a transcript, or a test function."""
    file, _, name = proof.partition(": ")
    if not Path(file).exists():
        return False
    text = Path(file).read_text()
    if file.endswith(".txt"):
        return re.search(rf"^== {re.escape(name)}( \||$)", text, re.MULTILINE)
    return re.search(rf"#\[test\]\s+(#\[.*\]\s+)*fn {name}\(", text)


proofs = 0
for statement in document["statements"]:
    name = statement["vulnerability"]["name"]
    # What the last releases mended has no numbers yet.
    if not re.fullmatch(r"CVE-\d{4}-\d{4,}|memcached 1\.6\.41 to 1\.6\.45: .+", name):
        complaints.append(f"{name} is no CVE")
    if statement["status"] != "not_affected" or statement["justification"] not in JUSTIFICATIONS:
        complaints.append(f"{name}: status or justification")
    _, _, named = statement["impact_statement"].partition(" Proved by ")
    for proof in filter(None, named.split("; ")):
        proofs += 1
        if not exists(proof):
            complaints.append(f"{name}: there is no {proof}")
    if not named:
        complaints.append(f"{name} has no proof")
names = {statement["vulnerability"]["name"] for statement in document["statements"]}
transcripts = Path("conformance/security.txt").read_text()
tested = set(re.findall(r"^== (CVE-[\d-]+)", transcripts, re.MULTILINE))
complaints += [f"{name} has a transcript and no statement" for name in tested - names]
for key in ["@context", "@id", "author", "timestamp", "version"]:
    if key not in document:
        complaints.append(f"no {key}")

for complaint in complaints:
    print(f"FAIL {complaint}")
print(f"OpenVEX: {len(names)} vulnerabilities, {proofs} proofs, {len(complaints)} complaints")
sys.exit(bool(complaints) or len(names) < 20)
