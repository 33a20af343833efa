"""sbom.py TRIPLE [hub]: what is linked into qcloud-agent, or into qcloud-hub, as CycloneDX 1.5, from cargo's own metadata."""

import json
import sys
from datetime import datetime, timezone

import linked
from archive import EPOCH


def component(package):
    name, version = package["name"], package["version"]
    made = {"type": "library", "bom-ref": f"{name}@{version}", "name": name, "version": version}
    if package["source"]:
        made["purl"] = f"pkg:cargo/{name}@{version}"
    if package["license"]:
        made["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    return made


def plain(name, version, licence):
    return {"type": "library", "bom-ref": name, "name": name, "version": version, "licenses": [{"expression": licence}]}


def main():
    triple, is_hub = sys.argv[1], sys.argv[2:] == ["hub"]
    found, needs = linked.packages(triple, linked.HUB if is_hub else linked.AGENT)
    refs = {package["id"]: f"{package['name']}@{package['version']}" for package in found}
    components = [component(package) for package in found]
    own = next(made for made in components if made["name"] == "qcloud-agent")
    components.remove(own)
    # What is linked in and cargo does not name.
    components.append(plain("rust-std", "1.95.0", "MIT OR Apache-2.0"))
    if "musl" in triple:
        components.append(plain("musl", "1.2.5", "MIT"))
        components.append(plain("libunwind", "20.1.2", "Apache-2.0 WITH LLVM-exception"))
    made = datetime.fromtimestamp(EPOCH, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    program = own | {"type": "application"} | ({"name": "qcloud-hub"} if is_hub else {})
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": made,
            "component": program,
            "properties": [{"name": "target", "value": triple}],
        },
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": [refs[need] for need in needs[key]]} for key, ref in refs.items()],
    }
    json.dump(document, sys.stdout, indent=1)
    print()


main()
