#!/usr/bin/env python3
"""link.py NATIVE AGENT OTHER [MIB [PAIRS]]: what a byte through the link costs two builds of the agent.

Each agent lives on a stage of its own (`NATIVE try --agent AGENT`; NATIVE has the hub in it). A visitor loads MIB from a
service behind each of them in turns, and then sends as much; what is measured is the agent's processor time, by the
kernel's schedstat. On a busy machine single runs differ by more than the agents do, so look at the ratio of the pairs.
Judges nothing. Needs root and curl.
"""

import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading

BLOCK = os.urandom(1 << 20)


def answer(client, mib):
    """Answers one request: takes what is put, or gives MIB."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536)
    head, rest = data.split(b"\r\n\r\n", 1)
    if head.startswith(b"PUT"):
        left = int(re.search(rb"content-length: (\d+)", head, re.I).group(1)) - len(rest)
        while left > 0 and (part := client.recv(1 << 20)):
            left -= len(part)
        client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    else:
        client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (mib << 20))
        for _ in range(mib):
            client.sendall(BLOCK)
    client.close()


def serve(mib):
    """The service; returns its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def loop():
        while True:
            threading.Thread(target=answer, args=(listener.accept()[0], mib), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()
    return listener.getsockname()[1]


def pid_of(agent, state):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                words = file.read().split("\0")
        except OSError:
            continue
        if words[0] == agent and "run" in words and state in words:
            return pid
    raise SystemExit(f"error: {agent} does not run with {state}")


class Stage:
    def __init__(self, native, agent, port):
        self.process = subprocess.Popen([native, "try", "--agent", agent], stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if found := re.search(r"curl (.*)$", line):
                self.curl = found.group(1).split()
            if found := re.search(r"--state (\S+) status", line):
                state = found.group(1)
            if "/welcome/" in line:
                break
        self.pid = pid_of(agent, state)
        talk = [native, "--state", state, "link"]
        subprocess.run([*talk, "unpublish", "web"], capture_output=True, check=True)
        subprocess.run([*talk, "publish", "web", f"http://127.0.0.1:{port}"], capture_output=True, check=True)

    def seconds(self):
        """Processor time of the agent so far."""
        tasks, total = f"/proc/{self.pid}/task", 0
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def visit(self, extra):
        """Processor time of one visit."""
        before = self.seconds()
        command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *self.curl, *extra]
        code = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        assert code == "200", code
        return self.seconds() - before


def compare(stages, names, what, extra, mib, pairs):
    taken = []
    for number in range(pairs):
        pair = {which: stages[which].visit(extra) for which in ((0, 1) if number % 2 else (1, 0))}
        taken.append((pair[0], pair[1]))
    for which, name in enumerate(names):
        seconds = [pair[which] for pair in taken]
        print(f"{what} {name}: {mib / statistics.median(seconds):.0f} MiB for each second of the processor (median)")
    low, middle, high = statistics.quantiles([other / one for one, other in taken], n=4)
    print(f"{what}: the second takes {middle:.2f} times what the first takes (quartiles {low:.2f} to {high:.2f})")


def main():
    native, *agents = (os.path.abspath(path) for path in sys.argv[1:4])
    mib, pairs = (int(number) for number in (sys.argv[4:6] + ["64", "24"][len(sys.argv[4:6]) :]))
    port = serve(mib)
    stages = []
    try:
        stages += [Stage(native, agent, port) for agent in agents]
        compare(stages, agents, "sent to a visitor,", [], mib, pairs)
        with tempfile.NamedTemporaryFile() as file:
            for _ in range(mib):
                file.write(BLOCK)
            file.flush()
            compare(stages, agents, "received,", ["-T", file.name, "-H", "Expect:"], mib, pairs)
    finally:
        for stage in stages:
            stage.process.send_signal(2)
        for stage in stages:
            stage.process.wait(20)


if __name__ == "__main__":
    main()
