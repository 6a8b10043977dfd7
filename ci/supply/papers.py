"""Writes bills of materials and provenance for the binary in a folder, and checks them."""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
import uuid
import zlib
from datetime import datetime, timezone
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

papers = Path(sys.argv[1])
binary = papers / "memserver"


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def contents():
    """What the binary says that it contains (cargo-auditable's section)."""
    section = papers / "contents"
    subprocess.run(
        ["objcopy", "--dump-section", f".dep-v0={section}", binary, "/dev/null"], check=True
    )
    packages = json.loads(zlib.decompress(section.read_bytes()))["packages"]
    section.unlink()
    return packages


def known():
    """Licences from the manifests, checksums from the lock file, by name and version."""
    listed = json.loads(output("cargo", "metadata", "--format-version=1", "--locked"))["packages"]
    found = {(p["name"], p["version"]): {"license": p["license"]} for p in listed}
    for package in tomllib.loads(Path("Cargo.lock").read_text())["package"]:
        key = package["name"], package["version"]
        found.setdefault(key, {})["sha256"] = package.get("checksum")
    return found


commit = output("git", "rev-parse", "HEAD")
created = datetime.fromtimestamp(int(output("git", "log", "-1", "--format=%ct")), timezone.utc)
created = created.strftime("%Y-%m-%dT%H:%M:%SZ")
sha256 = hashlib.sha256(binary.read_bytes()).hexdigest()
rustc = dict(
    line.split(": ", 1) for line in output("rustc", "-vV").splitlines() if ": " in line
)
libc = output("ldd", "--version").splitlines()[0].split()[-1]
packages, facts = contents(), known()
root = next(p for p in packages if p.get("root"))
# The same binary has the same papers.
name = uuid.uuid5(uuid.NAMESPACE_URL, f"memserver:{sha256}")


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def runtime(package):
    return package.get("kind", "runtime") == "runtime"


def cyclonedx():
    def component(package):
        fact = facts[package["name"], package["version"]]
        sums = [{"alg": "SHA-256", "content": fact["sha256"]}] if fact["sha256"] else []
        return {
            "type": "application" if package.get("root") else "library",
            "bom-ref": purl(package),
            "name": package["name"],
            "version": package["version"],
            "scope": "required" if runtime(package) else "excluded",
            "licenses": [{"expression": fact["license"]}],
            "purl": purl(package),
            **({"hashes": sums} if sums else {}),
        }

    subject = component(root)
    del subject["scope"]
    subject["hashes"] = [{"alg": "SHA-256", "content": sha256}]
    others = [component(package) for package in packages if package is not root]
    others.append(system_library()[0])
    edges = [
        {"ref": purl(p), "dependsOn": [purl(packages[i]) for i in p.get("dependencies", [])]}
        for p in packages
    ]
    edges[packages.index(root)]["dependsOn"].append(others[-1]["bom-ref"])
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{name}",
        "version": 1,
        "metadata": {"timestamp": created, "component": subject},
        "components": others,
        "dependencies": edges,
    }


def system_library():
    """The C library that is linked in, in both forms."""
    place = f"pkg:deb/debian/glibc@{libc}"
    return {
        "type": "library",
        "bom-ref": place,
        "name": "glibc",
        "version": libc,
        "licenses": [{"expression": "LGPL-2.1-or-later"}],
        "purl": place,
    }, {
        "SPDXID": "SPDXRef-glibc",
        "name": "glibc",
        "versionInfo": libc,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseDeclared": "LGPL-2.1-or-later",
        "licenseConcluded": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [reference(place)],
    }


def reference(place):
    return {
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": place,
    }


def spdx():
    def identifier(package):
        # Letters, digits, dots and hyphens are allowed; versions may have a plus sign.
        return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.]", "-", f"{package['name']}-{package['version']}")

    def entry(package):
        fact = facts[package["name"], package["version"]]
        sums = sha256 if package is root else fact["sha256"]
        return {
            "SPDXID": identifier(package),
            "name": package["name"],
            "versionInfo": package["version"],
            "downloadLocation": "NOASSERTION" if package["source"] == "local" else
            f"https://crates.io/crates/{package['name']}/{package['version']}",
            "filesAnalyzed": False,
            "licenseDeclared": fact["license"].replace("/", " OR "),
            "licenseConcluded": "NOASSERTION",
            "copyrightText": "NOASSERTION",
            "externalRefs": [reference(purl(package))],
            **({"checksums": [{"algorithm": "SHA256", "checksumValue": sums}]} if sums else {}),
        }

    def relation(one, kind, other):
        return {
            "spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other,
        }

    relations = [relation("SPDXRef-DOCUMENT", "DESCRIBES", identifier(root))]
    relations.append(relation(identifier(root), "STATIC_LINK", "SPDXRef-glibc"))
    for package in packages:
        for index in package.get("dependencies", []):
            needed = packages[index]
            one, other = identifier(package), identifier(needed)
            if runtime(needed):
                relations.append(relation(one, "DEPENDS_ON", other))
            else:
                relations.append(relation(other, "BUILD_DEPENDENCY_OF", one))
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"memserver-{root['version']}",
        "documentNamespace": f"https://spdx.org/spdxdocs/memserver-{name}",
        "creationInfo": {"created": created, "creators": ["Tool: memserver-ci/supply.sh"]},
        "packages": [*map(entry, packages), system_library()[1]],
        "relationships": relations,
    }


def provenance():
    """Statement and predicate as SLSA 1.0 has them, without the signature and its envelope."""
    materials = [
        {"uri": purl(p), "digest": {"sha256": facts[p["name"], p["version"]]["sha256"]}}
        for p in packages
        if p["source"] != "local"
    ]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "memserver", "digest": {"sha256": sha256}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://memserver.invalid/ci/build.sh/v1",
                "externalParameters": {"revision": commit, "target": rustc["host"]},
                "internalParameters": {
                    "rustc": f"{rustc['release']} ({rustc['commit-hash']})",
                    "glibc": libc,
                },
                "resolvedDependencies": [
                    {"uri": "git+https://memserver.invalid/", "digest": {"gitCommit": commit}},
                    *materials,
                ],
            },
            "runDetails": {
                "builder": {"id": "https://memserver.invalid/ci/supply.sh"},
                "metadata": {"invocationId": str(name)},
            },
        },
    }


def write(suffix, document):
    path = papers / f"memserver.{suffix}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def main():
    bill = write("cdx", cyclonedx())
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(bill.read_text())
    if error:
        sys.exit(f"FAIL CycloneDX: {error}")
    bill = write("spdx", spdx())
    errors = validate_full_spdx_document(parse_file(str(bill)))
    if errors:
        sys.exit("FAIL SPDX: " + "; ".join(e.validation_message for e in errors))
    write("intoto", provenance())
    required = sum(map(runtime, packages))
    # An own crate that the list lacks would mean that it is not of this binary.
    if not {"memcore", "memproto", "mio"} <= {package["name"] for package in packages}:
        sys.exit("FAIL the list of contents is not complete")
    print(f"papers: {required} packages in the binary, {len(packages) - required} to build it")


main()
