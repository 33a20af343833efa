#!/usr/bin/env bash
# arm.sh BINARIES NATIVE: the ARM programs under qemu's emulation of a process, against a native hub: they start with pages of
# 4 KiB and of 32 or 64 KiB, live through all steps of `NATIVE try --once`, and make a report. Emulation proves nothing about
# alignment, memory or seccomp. One lives in 1970 as well, without network and hub.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$work"' EXIT
chmod 711 "$work"
# As a user: qemu has a thread of its own, and root is given up only where there is no other. That user cannot go everywhere.
native=$work/native
cp "$2" "$native"
places=$work/user
mkdir -m 700 "$places"
chown 60653:60653 "$places"
user() { HOME=$places TMPDIR=$places exec setpriv --reuid=60653 --regid=60653 --clear-groups "$@"; }

fail() { echo "$*"; exit 1; }

report() { # PROGRAM DIR
    local file
    mkdir "$2"
    chown 60653:60653 "$2"
    (user timeout 200 "$1" --root "$work/box" --state "$2/state" --json report --out "$2") >"$2.json" 2>"$2.err" ||
        fail "no report: $(cat "$2.json" "$2.err")"
    file=$(ls "$2"/*.zip)
    (user timeout 60 "$1" report view "$file") >"$2.txt" || fail "the report cannot be viewed: $(cat "$2.txt")"
    python3 -m zipfile -t "$file" | grep -q 'Done testing' || fail "the report is no sound archive"
    echo "$(basename "$1"): a report of $(python3 -m zipfile -l "$file" | tail -n +2 | grep -c .) entries"
}

ticks() { awk '{ print $14 + $15 }' "/proc/$pid/stat"; }

# In a box whose clock starts anew at each start: it stays up, answers, and rests.
in_1970() { # QEMU BINARY
    local before spent
    (
        export LD_PRELOAD=$work/year1970.so
        [ "$(date +%Y)" = 1970 ] || fail "the clock was not set: $(date)"
        user unshare --user --net "$1" "$2" --state "$places/1970" run 2>"$work/1970.log"
    ) &
    pid=$!
    for _ in $(seq 60); do
        (user timeout 20 "$1" "$2" --state "$places/1970" --json status) >"$work/status" 2>/dev/null && break
        sleep 0.5
    done
    grep -q '"features"' "$work/status" || fail "in 1970 it does not answer: $(cat "$work/1970.log" "$work/status")"
    # A second in ten minutes is a clock tick, a hundredth of one, in six seconds. What is done once after the start, and
    # what the emulator translates for it, may be in the first of these.
    for _ in 1 2 3 4 5; do
        before=$(ticks)
        sleep 12
        spent=$(($(ticks) - before))
        [ $spent -gt 2 ] || break
    done
    [ $spent -le 2 ] || fail "in 1970 it took $spent ticks of the processor in twelve seconds, again and again"
    (user timeout 20 "$1" "$2" --state "$places/1970" --json status) >"$work/status" || fail "in 1970 it does not stay up"
    kill "$pid"
    wait "$pid" || fail "in 1970 it does not end in order: $(cat "$work/1970.log")"
    pid=
    echo "in 1970: up, and $spent ticks in twelve seconds"
}

# A box of QTS, small enough for an emulator.
cp -r "$(dirname "$0")/../roots/qts-3disk" "$work/box" && chmod -R a+rX "$work/box"
cc -O1 -shared -fPIC -o "$work/year1970.so" "$(dirname "$0")/year1970.c"
count=0
# Of the options of an emulator: no NEON, which boxes with a PJ4 have not.
for target in aarch64-unknown-linux-musl:qemu-aarch64::4096,65536 \
    armv7-unknown-linux-musleabihf:qemu-arm:-cpu,cortex-a9,neon=off:4096,32768; do
    IFS=: read -r triple qemu options pages <<<"$target"
    binary=$work/agent-$triple
    if ! cp "$1/$triple/qcloud-agent" "$binary"; then
        echo "$triple was not built" && continue
    fi
    qemu=$(command -v "$qemu")
    for page in ${pages//,/ }; do
        timeout 60 "$qemu" -p "$page" "$binary" --version
        timeout 60 "$qemu" -p "$page" "$binary" --state "$work/none" --json egress catalog | grep -q registration.start
    done
    options=${options/,/ }
    printf '#!/bin/sh\nexec %s %s %s "$@"\n' "$qemu" "$options" "$binary" >"$work/$triple"
    chmod 755 "$work/$triple"
    # A network of its own, with nobody else in it. The address is there so that the box is not offline.
    (export -f user && export places && timeout 200 unshare --net bash -c 'ip link set lo up
        ip link add line type veth peer name far && ip addr add 192.0.2.7/24 dev line && ip link set line up &&
            ip link set far up && user "$@"' try \
        "$native" try --once --json --agent "$work/$triple") >"$work/try" 2>"$work/try.err" || fail "$triple: $(cat "$work/try" "$work/try.err")"
    python3 -c '
import json, sys
steps = json.load(open(sys.argv[1]))["steps"]
assert len(steps) >= 9 and all(step["ok"] for step in steps), steps
print(sys.argv[2] + ":", ", ".join("%s %s ms" % (step["name"], step["ms"]) for step in steps))' "$work/try" "$triple"
    report "$work/$triple" "$work/report-$triple"
    [ "$count" -gt 0 ] || in_1970 "$qemu" "$binary"
    count=$((count + 1))
done
[ "$count" -gt 0 ] || fail "no ARM program to run"
echo "$count ARM programs lived through try --once and made a report"
