#!/usr/bin/env bash
# arm.sh BINARIES: the ARM programs start under qemu's emulation of a process, with pages of 4 KiB and of 32 or 64 KiB, and
# serve a status. Emulation proves nothing about alignment, memory or seccomp.
set -euo pipefail
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$work"' EXIT
count=0
for target in aarch64-unknown-linux-musl:qemu-aarch64-static:4096,65536 armv7-unknown-linux-musleabihf:qemu-arm-static:4096,32768; do
    IFS=: read -r triple qemu pages <<<"$target"
    binary=$1/$triple/qcloud-agent
    if [ ! -e "$binary" ]; then
        echo "$triple was not built" && continue
    fi
    for page in ${pages//,/ }; do
        timeout 60 "$qemu" -p "$page" "$binary" --version
        timeout 60 "$qemu" -p "$page" "$binary" --state "$work/none" --json egress catalog | grep -q registration.start
    done
    unshare --net "$qemu" "$binary" --state "$work/$triple" run 2>"$work/$triple.log" &
    pid=$!
    for _ in $(seq 60); do
        timeout 20 "$qemu" "$binary" --state "$work/$triple" --json status >"$work/status" 2>/dev/null && break
        sleep 0.5
    done
    grep -q '"features"\|"agent"' "$work/status" || { cat "$work/$triple.log" "$work/status"; exit 1; }
    grep -o '"seccomp[a-z_]*": *[^,}]*' "$work/status" || true
    kill "$pid"
    wait "$pid" || true
    pid=
    count=$((count + 1))
done
[ "$count" -gt 0 ] || { echo "no ARM program to run"; exit 1; }
echo "$count ARM programs ran"
