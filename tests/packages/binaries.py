"""Each binary is what a NAS can start: static, at random places, read-only after its start, aligned, small, and silent about
the machine that built it."""

import re
import subprocess
import sys
from pathlib import Path

DIR, BUDGETS = Path(sys.argv[1]), Path(sys.argv[2])
ALIGNED = {"x86_64": 4096, "aarch64": 65536, "armv7": 65536}
MACHINES = {"x86_64": "X86-64", "aarch64": "AArch64", "armv7": "ARM"}
# Where builds happen: this machine's own places, and what cargo and rustc call theirs.
HERE = [str(Path(__file__).resolve().parents[2]) + "/", str(Path.home()) + "/.", str(DIR.resolve())]
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


budgets = dict(line.split() for line in BUDGETS.read_text().splitlines() if line and not line.startswith("#"))
failed, seen = False, []
for binary in sorted(DIR.glob("*-linux-musl*/qcloud-agent")):
    triple = binary.parent.name
    for fault in faults(str(binary), triple, int(budgets[triple])):
        print(f"NOT SO: {triple}: {fault}")
        failed = True
    seen.append(f"{triple} {binary.stat().st_size}")
if not seen:
    failed = True
print("; ".join(seen) or f"no binary in {DIR}")
sys.exit(failed)
