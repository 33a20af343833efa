#!/usr/bin/env bash
# A report of this machine beside Debian's sosreport, in the same run: time, memory, size, sections, and how many facts
# are what lsblk, ip, findmnt and smartctl say. Prints a table and whether it holds; exits 1 when it does not.
#
# Memory is the peak of anonymous pages of all processes of a run, looked at every 50 ms. Takes the release build of the
# agent (or AGENT), and the report tests for the facts (or REPORT_TESTS). Needs root, python3 and, once, a network for apt.
set -u
cd "$(dirname "$0")/../.." || exit 1
target=${CARGO_TARGET_DIR:-target}
agent=${AGENT:-$target/release/qcloud-agent}
[ -x "$agent" ] || { echo "$agent is missing: cargo build --release" >&2; exit 1; }
need() { command -v "$1" >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -qy "$2" >&2 || exit 1; }
need sos sosreport
need smartctl smartmontools
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Runs a command in its own session; prints seconds of wall time, of processors, and the peak in KiB.
measure() {
    python3 - "$@" <<'PY'
import os, resource, subprocess, sys, time
begun = time.monotonic()
child = subprocess.Popen(sys.argv[1:], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
def anonymous():
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            if int(fields[3]) != child.pid:  # session
                continue
            for line in open(f"/proc/{pid}/status"):
                if line.startswith("RssAnon:"):
                    total += int(line.split()[1])
        except (OSError, IndexError, ValueError):
            pass
    return total
peak = 0
while child.poll() is None:
    peak = max(peak, anonymous())
    time.sleep(0.05)
wall = time.monotonic() - begun
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{wall:.2f} {used.ru_utime + used.ru_stime:.2f} {peak} {child.returncode}")
PY
}

mkdir "$work/ours" "$work/sos"
# Once for the caches of both.
"$agent" report --out "$work/ours" >/dev/null 2>&1
rm -f "$work"/ours/*
read -r ours_wall ours_cpu ours_peak ours_code < <(measure "$agent" report --out "$work/ours")
read -r sos_wall sos_cpu sos_peak sos_code < <(measure sos report --batch --tmp-dir "$work/sos")
ours_file=$(find "$work/ours" -name '*.zip' | head -1)
sos_file=$(find "$work/sos" -name '*.tar.*' ! -name '*.sha256' ! -name '*.md5' | head -1)
[ -f "$ours_file" ] && [ -f "$sos_file" ] || { echo "no report: ours $ours_code, sos $sos_code" >&2; exit 1; }
sections=$(unzip -p "$ours_file" manifest.json | python3 -c '
import json, sys
print(sum(entry["status"] == "ok" for entry in json.load(sys.stdin)["entries"]))')
tests=${REPORT_TESTS:-$(find "$target" -maxdepth 3 -path '*/deps/report-*' -type f -perm -u+x -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)}
equal=$("$tests" --nocapture equal:: 2>/dev/null | sed -n 's/^EQUAL \([0-9]*\) DIFFERENT \([0-9]*\).*/\1 \2/p')
read -r equal different <<<"${equal:-0 0}"
disks=0
for disk in $(smartctl --scan | cut -d' ' -f1); do
    serial=$(smartctl -i "$disk" | sed -n 's/^Serial Number: *//p')
    [ -n "$serial" ] || continue
    disks=$((disks + 1))
    if unzip -p "$ours_file" storage/health.txt | grep -qF "serial=$serial "; then equal=$((equal + 1)); else different=$((different + 1)); fi
done

python3 - "$ours_wall" "$ours_cpu" "$ours_peak" "$(stat -c %s "$ours_file")" "$sections" "$equal" "$different" \
    "$sos_wall" "$sos_cpu" "$sos_peak" "$(stat -c %s "$sos_file")" "$disks" <<'PY'
import sys
ours_wall, ours_cpu, ours_peak, ours_size, sections, equal, different, sos_wall, sos_cpu, sos_peak, sos_size, disks = map(float, sys.argv[1:])
rows = [
    ("wall time, s", f"{ours_wall:.2f}", f"{sos_wall:.1f}", f"{ours_wall / sos_wall:.3f}", "<= 0.2", ours_wall <= sos_wall / 5),
    ("processor time, s", f"{ours_cpu:.2f}", f"{sos_cpu:.1f}", f"{ours_cpu / sos_cpu:.3f}", "", True),
    ("memory, MB", f"{ours_peak / 1024:.1f}", f"{sos_peak / 1024:.1f}", f"{ours_peak / sos_peak:.3f}", "<= 0.333", ours_peak <= sos_peak / 3),
    ("bundle, MB", f"{ours_size / 1e6:.2f}", f"{sos_size / 1e6:.2f}", "", "<= 2", ours_size <= 2e6),
    ("sections ok", f"{sections:.0f}", "", "", ">= 40", sections >= 40),
    ("facts equal", f"{equal:.0f}", "", f"{different:.0f} different", ">= 50", equal >= 50),
    ("disks smartctl knows", f"{disks:.0f}", "", "", "", True),
]
print(f"{'':<22}{'report':>10}{'sosreport':>11}{'ratio':>14}{'must be':>10}")
for name, ours, sos, ratio, must, holds in rows:
    print(f"{name:<22}{ours:>10}{sos:>11}{ratio:>14}{must:>10}  {'' if not must else 'holds' if holds else 'DOES NOT HOLD'}")
sys.exit(0 if all(row[5] for row in rows) else 1)
PY
