"""auditable.py TRIPLE FILE: what is linked into qcloud-agent, as `cargo auditable` puts it into a program: the zlib-packed JSON
of its section `.dep-v0`, which scanners read."""

import json
import sys
import zlib
from pathlib import Path

import linked

found, needs = linked.packages(sys.argv[1], linked.AGENT)
at = {package["id"]: index for index, package in enumerate(found)}
entries = []
for package in found:
    entry = {"name": package["name"], "version": package["version"]}
    entry["source"] = "crates.io" if package["source"] else "local"
    if needs[package["id"]]:
        entry["dependencies"] = sorted(at[need] for need in needs[package["id"]])
    if package["name"] == "qcloud-agent":
        entry["root"] = True
    entries.append(entry)
text = json.dumps({"packages": entries}, separators=(",", ":"))
Path(sys.argv[2]).write_bytes(zlib.compress(text.encode(), 9))
