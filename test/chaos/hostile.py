"""Attacks a system over HTTP while other clients use it, and tells how these fared.

    /usr/bin/python3 test/chaos/hostile.py [--seconds 10] [--only KIND ...] [--rate-limit 60]

One whole system, with its default settings. Four clients submit forms and look at status pages, each request over a
connection of its own and from another loopback address than the attackers', 100 a second in all; first alone, then
under each attack (test/bench/attack.c). A request is an error unless its answer is the one it has when all is quiet
(202 or 200), within 10 s. Beside the latency: the most memory, threads and descriptors that ingress had.

The last line is {"quiet_p99_ms", "worst_ratio", "errors"}; the ratio is p99 under an attack by p99 when quiet.
Everything takes place on loopback addresses, and the machine's cores are shared by both sides.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "integration")]

from system import BIN, System  # noqa: E402

CLIENTS = 4
RATE = 100  # requests a second, all clients together
GIVE_UP_S = 10

# name: (kind, connections, rate, source addresses, path)
ATTACKS = {
    "5,000 idle connections, 1 address": ("idle", 5000, 5000, 1),
    "5,000 idle connections, 5,000 addresses": ("idle", 5000, 5000, 5000),
    "5,000 slow heads, 1 address": ("slowhead", 5000, 5000, 1),
    "5,000 slow heads, 5,000 addresses": ("slowhead", 5000, 5000, 5000),
    "5,000 slow bodies, 5,000 addresses": ("slowbody", 5000, 5000, 5000),
    "5,000 bodies that stall after 200 KB, 5,000 addresses": ("stalled", 5000, 5000, 5000),
    "50 endless chunked bodies, 1 address": ("chunked", 50, 1000, 1),
    "50 endless bodies beyond their length, 1 address": ("toolong", 50, 1000, 1),
    "10,000 requests/s, keep-alive, 1 address": ("requests", 100, 10000, 1, "/"),
    "10,000 requests/s of a status page, 1 address": ("requests", 100, 10000, 1, "STATUS"),
    "10,000 requests/s, a connection each, 1 address": ("connects", 500, 10000, 1, "/"),
    "2,000 connects and resets/s, 1 address": ("reset", 500, 2000, 1),
    "5,000 half-closed connections, 5,000 addresses": ("halfclose", 5000, 5000, 5000),
    "200 pipelines whose answers nobody reads, 200 addresses": ("unread", 200, 200, 200, "/"),
}


class Client(threading.Thread):
    """Submits and looks, in turn, at a fixed pace."""

    def __init__(self, system, number, links):
        super().__init__(daemon=True)
        self.system, self.number, self.links = system, number, links
        self.times, self.errors = [], []
        self.ending = threading.Event()

    def run(self):
        due = time.monotonic() + self.number / RATE
        count = 0
        while not self.ending.wait(max(0.0, due - time.monotonic())):
            due = max(due + CLIENTS / RATE, time.monotonic())
            start = time.monotonic()
            try:
                if count % 2 == 0:
                    self.submit(count)
                else:
                    self.look(count)
                self.times.append((time.monotonic() - start) * 1000)
            except (OSError, http.client.HTTPException, AssertionError) as e:
                self.errors.append(f"{type(e).__name__}: {e}"[:100])
            count += 1

    def ask(self, count, status, *request, **more):
        source = (f"127.0.{self.number + 1}.{count % 250 + 1}", 0)
        c = http.client.HTTPConnection("127.0.0.1", self.system.port, timeout=GIVE_UP_S, source_address=source)
        try:
            c.request(*request, **more)
            answer = c.getresponse()
            body = answer.read()
            assert answer.status == status, f"{answer.status}"
            return body
        finally:
            c.close()

    def submit(self, count):
        body = json.dumps({"name": "Ann", "email": f"{uuid.uuid4().hex[:12]}@example.org", "message": "I want a refund"})
        self.ask(count, 202, "POST", "/support/submit", body=body, headers={"Content-Type": "application/json"})

    def look(self, count):
        self.ask(count, 200, "GET", self.links[count % len(self.links)], headers={"Accept": "text/html"})


class Watch(threading.Thread):
    """The most that ingress took of memory (MB), threads and descriptors."""

    def __init__(self, system):
        super().__init__(daemon=True)
        self.pid = system.pid("ingress")
        self.most = {"rss_mb": 0.0, "threads": 0, "fds": 0}
        self.ending = threading.Event()

    def run(self):
        while not self.ending.wait(0.2):
            try:
                with open(f"/proc/{self.pid}/status") as f:
                    lines = dict(line.split(":", 1) for line in f)
                now = {"rss_mb": int(lines["VmRSS"].split()[0]) / 1024, "threads": int(lines["Threads"]),
                       "fds": len(os.listdir(f"/proc/{self.pid}/fd"))}
            except (OSError, KeyError):
                continue
            self.most = {k: max(v, self.most[k]) for k, v in now.items()}


def percentile(times, q):
    times = sorted(times)
    return times[min(len(times) - 1, int(len(times) * q))] if times else float("inf")


def measure(system, links, seconds):
    """What other clients saw in `seconds`, and what ingress took."""
    watch = Watch(system)
    clients = [Client(system, i, links) for i in range(CLIENTS)]
    for thread in [watch, *clients]:
        thread.start()
    time.sleep(seconds)
    for thread in [*clients, watch]:
        thread.ending.set()
    for thread in [*clients, watch]:
        thread.join()
    times = [t for c in clients for t in c.times]
    errors = [e for c in clients for e in c.errors]
    return {"n": len(times), "errors": len(errors), "first_error": errors[0] if errors else None,
            "p50_ms": percentile(times, 0.5), "p99_ms": percentile(times, 0.99), "max_ms": max(times, default=0.0),
            **watch.most, "same_process": system.pid("ingress") == watch.pid}


def attack(system, links, seconds, kind, connections, rate, addresses, path="/support/submit"):
    """measure() under an attack; with what the attackers report of themselves in "attack"."""
    path = links[0] if path == "STATUS" else path
    attacker = subprocess.Popen([os.path.join(BIN, "attack"), kind, str(system.port), str(seconds + 20), str(connections),
                                 str(rate), str(addresses), path], stdout=subprocess.PIPE, text=True)
    try:
        assert attacker.stdout.readline() == "up\n"
        row = measure(system, links, seconds)
        attacker.terminate()
        row["attack"] = json.loads(attacker.stdout.readline())
        attacker.wait()
        return row
    finally:
        if attacker.poll() is None:
            attacker.kill()
            attacker.wait()


def print_row(name, row, quiet):
    ratio = row["p99_ms"] / quiet["p99_ms"]
    print(f"| {name} | {row['p50_ms']:.1f} | {row['p99_ms']:.1f} | {row['max_ms']:.0f} | {ratio:.1f} | {row['errors']} of "
          f"{row['n'] + row['errors']} | {row['rss_mb']:.0f} | {row['threads']} | {row['fds']} |", flush=True)
    if row["errors"]:
        print(f"  first error: {row['first_error']}", file=sys.stderr)
    if "attack" in row:
        print(f"  {json.dumps(row['attack'])}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--only", nargs="*", default=[], help="kinds of attack")
    parser.add_argument("--rate-limit", default="60", help="FTE_RATE_LIMIT of the system that is attacked")
    options = parser.parse_args()
    with System(FTE_RATE_LIMIT=options.rate_limit) as system:
        links = [system.submit() for _ in range(20)]
        measure(system, links, 3)  # warm
        quiet = measure(system, links, options.seconds)
        print("| attack | p50 ms | p99 ms | max ms | p99 by quiet | errors | MB | threads | descriptors |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        print_row("none", quiet, quiet)
        rows = []
        for name, how in ATTACKS.items():
            if not options.only or how[0] in options.only:
                rows.append(attack(system, links, options.seconds, *how))
                print_row(name, rows[-1], quiet)
                assert rows[-1]["same_process"], "ingress was started again"
    errors = sum(row["errors"] for row in [quiet, *rows])
    print(json.dumps({"quiet_p99_ms": round(quiet["p99_ms"], 1),
                      "worst_ratio": round(max(row["p99_ms"] for row in rows) / quiet["p99_ms"], 1), "errors": errors}))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
