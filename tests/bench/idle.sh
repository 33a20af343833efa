#!/usr/bin/env bash
# What an idle agent costs: wake-ups, bytes written and packets, with everything off, with DDNS, with DDNS and
# the link, beside inadyn. All cases run at once, each in namespaces of its own; prints a table and judges nothing.
#
# SECONDS_PER_CASE is how long is measured (default 180), after SETTLE seconds (default 15) that are not.
# On a busy machine the agents wake up more often (30 times in 180 s while other tests ran beside it, 2026-11-22;
# alone 0 times in 120 s). Takes the firmware build of the agent when there is one, else the release build. Needs root.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=${SECONDS_PER_CASE:-180} settle=${SETTLE:-15}
target=${CARGO_TARGET_DIR:-target}
hub=$target/release/qcloud-hub agent=$target/firmware/qcloud-agent
[ -x "$agent" ] || agent=$target/release/qcloud-agent
for program in "$hub" "$agent"; do
    [ -x "$program" ] || { echo "$program is missing: cargo build --release" >&2; exit 1; }
done
command -v inadyn >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -qy inadyn >&2 || exit 1
work=$(mktemp -d)
here=203.0.113.10 there=203.0.113.1 zone=nas.example.test

# The namespaces of a case: d with the device, h with everything else.
network() { # NAME
    local d=qcb$$$1d h=qcb$$$1h
    ip netns add "$d" && ip netns add "$h" || return 1
    ip -n "$d" link add eth0 type veth peer name eth0 netns "$h"
    local place
    for place in "$d" "$h"; do
        # What the kernel itself says of IPv6 is nobody's packet.
        ip netns exec "$place" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
        ip -n "$place" link set lo up
        ip -n "$place" link set eth0 up
    done
    ip -n "$d" addr add $here/24 dev eth0
    ip -n "$h" addr add $there/24 dev eth0
    ip -n "$d" route add default via $there
    ip netns exec "$d" nft "table inet idle {
        chain out { type filter hook output priority 0; oifname eth0 counter; };
        chain in { type filter hook input priority 0; iifname eth0 counter; }; }"
}

clear_network() { # NAME
    ip netns del "qcb$$$1d" 2>/dev/null
    ip netns del "qcb$$$1h" 2>/dev/null
}

wake_ups() { awk '/^voluntary/ { n += $2 } END { print n }' /proc/"$1"/task/*/status; }
written() { awk '/^write_bytes/ { print $2 }' /proc/"$1"/io; }
resident() { awk '/^VmRSS/ { print $2 }' /proc/"$1"/status; }
packets() { ip netns exec "$1" nft list table inet idle | awk '/packets/ { for (i = 1; i < NF; i++) if ($i == "packets") n += $(i + 1) } END { print n }'; }

# Measures a process, and leaves its line of the table.
measure() { # NAME PID WHAT
    sleep "$settle"
    local d=qcb$$$1d wakes bytes sent
    wakes=$(wake_ups "$2") bytes=$(written "$2") sent=$(packets "$d")
    sleep "$seconds"
    printf '%-26s %10s %15s %9s %12s\n' "$3" $(($(wake_ups "$2") - wakes)) $(($(written "$2") - bytes)) \
        $(($(packets "$d") - sent)) "$(resident "$2")" >"$work/$1.line"
}

of_agent() { # NAME WHAT FEATURE...
    local name=$1 what=$2 d=qcb$$$1d h=qcb$$$1h pids=() pid code
    shift 2
    local dir=$work/$name
    mkdir "$dir"
    printf '[agent]\nresolvers = ["%s:53"]\n' $there >"$dir/config.toml"
    talk() { timeout 60 ip netns exec "$d" "$agent" "$@" --json --state "$dir/state" --config "$dir/config.toml"; }
    ip netns exec "$d" "$agent" run --state "$dir/state" --config "$dir/config.toml" 2>"$dir/agent.log" &
    pid=$!
    pids=("$pid")
    if [ $# -gt 0 ]; then
        "$hub" init --dir "$dir/hub" --zone $zone --address $there --listen $there:443 --dns $there:53 >/dev/null
        ip netns exec "$h" "$hub" serve --ready --dir "$dir/hub" >"$dir/hub.ready" 2>"$dir/hub.log" &
        pids+=($!)
        for _ in $(seq 100); do [ -s "$dir/hub.ready" ] && break; sleep 0.1; done
        : >"$dir/register"
        talk register --name box --hub https://hub.$zone \
            --hub-pin "$(sed -n 's/.*"pin":"\([^"]*\)".*/\1/p' "$dir/hub.ready")" >"$dir/register" 2>&1 &
        local asking=$!
        for _ in $(seq 100); do
            code=$(sed -n 's/.*"user_code":"\([^"]*\)".*/\1/p' "$dir/register")
            [ -n "$code" ] && break
            sleep 0.1
        done
        "$hub" approve "$code" --yes --dir "$dir/hub" >/dev/null 2>&1
        wait "$asking" || { echo "$name: $(tail -n 1 "$dir/register")" >&2; }
        local feature
        for feature; do talk "$feature" on >>"$dir/on" 2>&1 || echo "$name: $(tail -n 1 "$dir/on")" >&2; done
    fi
    measure "$name" "$pid" "$what"
    [ $# -eq 0 ] || talk status >"$dir/status" 2>&1
    kill "${pids[@]}"
    wait "${pids[@]}" 2>/dev/null
}

of_inadyn() { # NAME WHAT
    local name=$1 d=qcb$$$1d h=qcb$$$1h dir=$work/$1
    mkdir "$dir"
    # A server that says yes to everything, and does nothing.
    ip netns exec "$h" python3 -c '
import http.server, sys
class Stub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"203.0.113.10\n" if self.path == "/ip" else b"good 203.0.113.10\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer((sys.argv[1], 8080), Stub).serve_forever()' $there 2>"$dir/stub.log" &
    local stub=$!
    cat >"$dir/inadyn.conf" <<END
custom stub {
    hostname       = box.$zone
    username       = user
    password       = word
    ddns-server    = $there:8080
    ddns-path      = "/update?hostname=%h&myip=%i"
    ssl            = false
    checkip-server = $there:8080
    checkip-path   = /ip
    checkip-ssl    = false
}
END
    sleep 1
    ip netns exec "$d" inadyn -n -C --cache-dir="$dir" -P "$dir/pid" -f "$dir/inadyn.conf" >"$dir/inadyn.log" 2>&1 &
    local pid=$!
    measure "$name" "$pid" "$2"
    kill "$pid" "$stub"
    wait "$pid" "$stub" 2>/dev/null
}

# Names are as long as a namespace's may be, and no longer than a letter is needed.
trap 'for name in a b c i; do clear_network $name; done; [ -n "${KEEP:-}" ] || rm -rf "$work"' EXIT
for name in a b c i; do network $name || exit 1; done
of_agent a "everything off" &
of_agent b "ddns" ddns &
of_agent c "ddns and link" ddns link &
of_inadyn i "$(inadyn --version 2>&1 | head -n 1 | sed "s/^v*/inadyn /")" &
wait
echo "$agent, $seconds s, $(uname -m), $(date -u +%Y-%m-%d)"
printf '%-26s %10s %15s %9s %12s\n' case wake-ups "bytes written" packets "RSS, KiB"
for name in a b c i; do
    cat "$work/$name.line" 2>/dev/null || { echo "case $name failed; KEEP=1 leaves its logs in $work" >&2; false; }
done
