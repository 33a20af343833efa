"""What cargo links into a program, for those who must know: the bill of materials, and the list inside the program."""

import json
import subprocess

AGENT = ["--no-default-features"]
HUB = ["--features", "hub"]


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments, "--locked"], capture_output=True, text=True, check=True).stdout


def packages(triple, features):
    """The packages of cargo's metadata that are linked, not only built with, sorted, and what each of them needs of
    them: by id."""
    tree = cargo("tree", "-e", "normal", "--prefix", "none", "--target", triple, "--no-dedupe", *features)
    linked = {tuple(line.split()[:2]) for line in tree.splitlines() if "(proc-macro)" not in line}
    metadata = json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", triple, *features))
    found = [package for package in metadata["packages"] if (package["name"], "v" + package["version"]) in linked]
    found.sort(key=lambda package: (package["name"], package["version"]))
    ids = {package["id"] for package in found}
    needs = {}
    for node in metadata["resolve"]["nodes"]:
        runs = (dep["pkg"] for dep in node["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"]))
        needs[node["id"]] = sorted(ids.intersection(runs))
    return found, needs
