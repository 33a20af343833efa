"""sbom.py TRIPLE: what is linked into qcloud-agent for a target, as CycloneDX 1.5, from cargo's own metadata."""

import json
import subprocess
import sys
from datetime import datetime, timezone

from archive import EPOCH


def cargo(*arguments):
    command = ["cargo", *arguments, "--locked", "--no-default-features"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def linked(triple):
    """Name and version of each package that is linked, not only built with."""
    tree = cargo("tree", "-e", "normal", "--prefix", "none", "--target", triple, "--no-dedupe")
    return {tuple(line.replace(" (proc-macro)", "").split()[:2]) for line in tree.splitlines() if "(proc-macro)" not in line}


def main():
    triple = sys.argv[1]
    wanted = linked(triple)
    packages = json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", triple))["packages"]
    components = []
    for package in sorted(packages, key=lambda package: (package["name"], package["version"])):
        name, version = package["name"], package["version"]
        if (name, "v" + version) not in wanted:
            continue
        component = {
            "type": "library",
            "bom-ref": f"{name}@{version}",
            "name": name,
            "version": version,
            "purl": f"pkg:cargo/{name}@{version}",
        }
        if package["license"]:
            component["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        components.append(component)
    own = next(component for component in components if component["name"] == "qcloud-agent")
    components.remove(own)
    # The C library is linked in as well.
    components.append({"type": "library", "bom-ref": "musl", "name": "musl", "version": "1.2.5", "licenses": [{"expression": "MIT"}]})
    made = datetime.fromtimestamp(EPOCH, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": made,
            "component": own | {"type": "application"},
            "properties": [{"name": "target", "value": triple}],
        },
        "components": components,
    }
    json.dump(document, sys.stdout, indent=1)
    print()


main()
