#!/usr/bin/env bash
# reproducible.sh DIST BINARIES: packs once more, in another directory, with another umask, clock zone and language.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -a "$root/packaging" "$root/systemd" "$root/Cargo.toml" "$root/LICENSE" "$work"
umask 077
# The date in the packages, as their bill of materials tells it.
made=$(sed -n 's/^ *"timestamp": "\(.*\)",\?$/\1/p' "$1"/qcloud-agent-*.cdx.json | sort -u)
SOURCE_DATE_EPOCH=$(date -ud "$made" +%s)
export SOURCE_DATE_EPOCH
for only in $(cd "$2" && ls -d ./*-linux-musl* | cut -c3-); do
    [ -e "$2/$only/qcloud-agent" ] || continue
    TZ=Asia/Kolkata LANG=tr_TR.UTF-8 LC_ALL=C.UTF-8 python3 "$work/packaging/pack.py" "$work/again" --binaries "$2" --only "$only" >/dev/null
done
count=0
for file in "$work"/again/*; do
    cmp "$file" "$1/$(basename "$file")"
    count=$((count + 1))
done
[ "$count" -gt 0 ]
echo "$count packages are the same bytes when packed again elsewhere"
