"""binaries.py BINARIES DIST: each binary is what a NAS can start: static, at random places, read-only after its start, aligned,
small, silent about the machine that built it, and with the list of what is in it. The README says how large they are.

BLESS=1 writes the sizes that were reached into cross/size.budget and the README."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIR, DIST = Path(sys.argv[1]), Path(sys.argv[2])
BUDGETS, README = ROOT / "cross/size.budget", ROOT / "README.md"
BEGIN, END = "<!-- generated: sizes -->\n", "<!-- end -->"
# How far a size in the README may be off, in percent: it is not written anew with every change of the code.
OFF = 2
ALIGNED = {"x86_64": 4096, "aarch64": 65536, "armv7": 65536}
MACHINES = {"x86_64": "X86-64", "aarch64": "AArch64", "armv7": "ARM"}
# Where builds happen: this machine's own places, and what cargo and rustc call theirs.
HERE = [str(ROOT) + "/", str(DIR.resolve()), *(str(Path.home() / name) for name in (".cargo", ".cache", ".rustup"))]
PATHS = [re.escape(path.encode()) for path in HERE] + [rb"/\.cargo/", rb"/registry/src/", rb"/rustc/[0-9a-f]{40}"]


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], capture_output=True, text=True, check=True).stdout


def faults(binary, triple, budget):
    arch = triple.split("-")[0]
    header, segments, dynamic = readelf("-h", binary), readelf("-l", binary), readelf("-d", binary)
    if MACHINES[arch] not in header:
        yield f"it is not for {arch}"
    if not re.search(r"Type:\s+DYN", header):
        yield "it is loaded at one fixed place (no static-pie)"
    if "INTERP" in segments or "(NEEDED)" in dynamic:
        yield "it is not static"
    if "RPATH" in dynamic or "RUNPATH" in dynamic:
        yield "it has a path for libraries"
    if "GNU_RELRO" not in segments or not re.search(r"BIND_NOW|\bNOW\b", dynamic):
        yield "it is writable where it need not be (no full RELRO)"
    stack = re.search(r"GNU_STACK.*?\s(R\S*)\s", segments)
    if not stack or "E" in stack.group(1):
        yield "its stack is executable"
    loads = re.findall(r"^\s*LOAD\s.*\s(R?\s?W?\s?E?)\s+(0x[0-9a-f]+)$", segments, re.M)
    if not loads:
        yield "it has no segment to load"
    for flags, align in loads:
        if int(align, 16) < ALIGNED[arch]:
            yield f"a segment is aligned to {align}, and there are kernels with pages of {ALIGNED[arch]}"
        if "W" in flags and "E" in flags:
            yield "a segment is writable and executable"
    data = Path(binary).read_bytes()
    for path in PATHS:
        if found := re.search(path + rb"[^\0]{0,40}", data):
            yield f"it names a path of its build: {found.group().decode(errors='replace')}"
    if b"jemalloc" in data:
        yield "it has jemalloc, which bakes the size of pages in"
    if len(data) > budget:
        yield f"it is {len(data)} bytes, and its budget is {budget}"


def listed(binary, sections):
    """What the section of `cargo auditable` lists, by name."""
    found = re.search(r"\.dep-v0\s+PROGBITS\s+\S+\s+(\S+)\s+(\S+)", sections)
    if not found:
        return set()
    at, size = (int(number, 16) for number in found.groups())
    entries = json.loads(zlib.decompress(binary.read_bytes()[at : at + size]))["packages"]
    assert [entry["name"] for entry in entries if entry.get("root")] == ["qcloud-agent"], "the list has no root"
    return {(entry["name"], entry["version"]) for entry in entries}


def unlisted(binary):
    """Faults of the list, by the lock file and by what can be seen of crates in the program."""
    lock = {(p["name"], p["version"]) for p in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]}
    inside = listed(binary, readelf("-S", str(binary)))
    yield from (f"{name} {version} is in it and not in Cargo.lock" for name, version in sorted(inside - lock))
    names = {name for name, _ in inside}
    yield from (f"it does not list {name}" for name in ("ring", "rustls", "tokio", "quinn") if name not in names)
    yield from (f"{name} is the hub's" for name in ("axum", "rusqlite") if name in names)


def row(binary):
    """The README's line for a binary: its bytes, its Debian package's, and what `file` says."""
    size, arch = binary.stat().st_size, binary.parent.name.split("-")[0]
    deb = next(DIST.glob(f"qcloud-agent_*_{ {'x86_64': 'amd64', 'aarch64': 'arm64', 'armv7': 'armhf'}[arch] }.deb"))
    kind = subprocess.run(["file", "-b", str(binary)], capture_output=True, text=True, check=True).stdout.strip()
    return f"| `{binary.parent.name}` | {size:,} | {deb.stat().st_size:,} | {kind} |\n"


def is_near(told, row):
    """Whether a line of the README tells these numbers, or some that are nearly these."""
    numbers = [[int(n.replace(",", "")) for n in re.findall(r"\| ([0-9,]+) ", line)] for line in (told, row)]
    strip = lambda line: re.sub(r"[0-9,]+ \|", "", line)
    near = len(numbers[0]) == len(numbers[1]) and all(abs(a - b) * 100 <= b * OFF for a, b in zip(*numbers))
    return near and strip(told) == strip(row)


def main():
    binaries = sorted(DIR.glob("*-linux-musl*/qcloud-agent"))
    table = "| target | program, bytes | as .deb | `file` says |\n|---|---|---|---|\n" + "".join(map(row, binaries))
    if os.environ.get("BLESS") == "1":
        lines = BUDGETS.read_text().splitlines(keepends=True)
        reached = {b.parent.name: -(-b.stat().st_size // 4096) * 4096 for b in binaries}
        kept = [line for line in lines if line.split()[0] not in reached]
        BUDGETS.write_text("".join(kept) + "".join(f"{name} {size}\n" for name, size in reached.items()))
        head, rest = README.read_text().split(BEGIN)
        README.write_text(head + BEGIN + table + rest[rest.index(END) :])
    budgets = dict(line.split() for line in BUDGETS.read_text().splitlines() if line and not line.startswith("#"))
    faulty = not binaries
    for binary in binaries:
        triple = binary.parent.name
        for fault in [*faults(str(binary), triple, int(budgets[triple])), *unlisted(binary)]:
            print(f"NOT SO: {triple}: {fault}")
            faulty = True
    told = README.read_text().split(BEGIN)[1].split(END)[0].splitlines()
    for line in table.splitlines():
        if not any(is_near(other, line) for other in told):
            print(f"NOT SO: the README's table has no line near this one (BLESS=1 tests/packages/run writes it): {line}")
            faulty = True
    print("; ".join(f"{b.parent.name} {b.stat().st_size}" for b in binaries) or f"no binary in {DIR}")
    return faulty


sys.exit(main())
