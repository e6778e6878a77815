"""A hundred conversations that are always open, and faults of every kind, for as long as you like.

    /usr/bin/python3 test/chaos/soak.py [--minutes 30] [--clients 100] [--seed N] [--kafka BROKERS] [--markdown FILE]

Two nodes run on one database and one log (world.py), clients write (clients.py), and two who strike are at work at the
same time: one kills an actor of either node every half second, the other deals out faults of all other kinds, one
after the other (kinds.py). When the time is over the system is left alone, everything gets its outcome, and checker.py
judges. Nothing that is sent is poison: a dead letter is a violation, too, and so is a client that waited in vain.

Ends with a table and the closing line, "N passed, N failed". The seed is printed; it decides kinds, targets and what
customers write, but not the moments: those are the machine's. FTE_CHAOS_KEEP names a folder for the logs.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import re
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "integration")]

import psycopg2  # noqa: E402
import requests  # noqa: E402

import disk  # noqa: E402
import kinds  # noqa: E402
import recovery  # noqa: E402
from checker import check, print_verdict, read_journal  # noqa: E402
from clients import OUTCOME_S, Clients  # noqa: E402
from system import ROOT, wait_for  # noqa: E402
from world import World  # noqa: E402

KILL_PAUSE_S, PAUSE_S = (0.2, 0.7), (0.3, 2.0)  # between two kills of actors; between two other faults
BRIEF_MIN = 5  # a shorter run doesn't spend 20 s on one fault
BRIEF_STOP_S, STOP_S = 6.0, 20.0
PATIENT_SHARE, WHOLE_S = 0.8, 20.0  # of the faults are followed by the next when all is ready again, not sooner
SETTLE_S = 120


class Strikers:
    """The two who strike."""

    def __init__(self, world, seed, end, only):
        self.world, self.seed, self.end = world, seed, end
        self.lock, self.struck, self.failed = threading.Lock(), [], []
        self.found = {name: kind for name, kind in kinds.kinds(world).items() if re.search(only, name)}
        self.threads = [threading.Thread(target=self.safely, args=(work,)) for work in (self.kill, self.trouble)]

    def safely(self, work):
        try:
            work()
        except Exception as e:  # ours, not the system's: the run is worth nothing
            self.failed.append(repr(e))
            raise

    def keep(self, struck):
        with self.lock:
            self.struck.append(struck)

    def kill(self):
        n = 0
        while time.monotonic() < self.end:
            rng = kinds.pick(f"{self.seed} kill", n)
            node, name = rng.randrange(len(self.world.nodes)), rng.choice(self.world.actors)
            time.sleep(rng.uniform(*KILL_PAUSE_S))
            at = kinds.kill_actor(self.world.nodes[node], name)
            if at:
                self.keep(recovery.Struck(f"kill -9 {name}", node, name, at, at))
            n += 1

    def trouble(self):
        if not self.found:
            return
        names = kinds.deal(self.found, random.Random(f"{self.seed} deal"))
        n = 0
        while time.monotonic() < self.end:
            rng, name = kinds.pick(f"{self.seed} trouble", n), next(names)
            time.sleep(rng.uniform(*PAUSE_S))
            node = rng.randrange(len(self.world.nodes))
            _, strike, shared = self.found[name]
            began = time.time()
            done = strike(self.world, self.world.nodes[node], rng)
            if rng.random() < PATIENT_SHARE:
                self.whole()
            if done:
                over, settled_ms = done if isinstance(done, tuple) else (done, None)
                self.keep(recovery.Struck(name, None if shared else node, None, began, over, settled_ms))
            n += 1

    def whole(self):
        """Until all nodes are ready, or it takes too long."""
        end = min(self.end, time.monotonic() + WHOLE_S)
        while time.monotonic() < end:
            with contextlib.suppress(requests.RequestException):
                if all(requests.get(node.base + "/readyz", timeout=1).status_code == 200 for node in self.world.nodes):
                    return
            time.sleep(0.1)

    def run(self):
        for t in self.threads:
            t.start()
        for t in self.threads:
            t.join()


def wait_settled(sql, accepted):
    def all_settled():
        rows = sql("select count(*) from (select distinct unit_id from messages where direction = 'inbound') u"
                   " where not exists (select from outbox o where o.id = u.unit_id)"
                   " and not exists (select from escalations e where e.id = u.unit_id)"
                   " and not exists (select from dead_letters d where d.unit_id = u.unit_id)")
        stored = sql("select count(*) from messages where direction = 'inbound'")
        return rows[0][0] == 0 and stored[0][0] >= len(accepted)

    try:
        wait_for(all_settled, SETTLE_S, "an outcome for every message", 0.5)
    except AssertionError as e:
        print(f"soak: {e}")


def told(values):
    if not values:
        return "none"
    p50, p99 = (recovery.percentile(values, share) for share in (0.5, 0.99))
    return f"{len(values)}; p50 {p50:.0f} ms, p99 {p99:.0f} ms, most {values[-1]:.0f} ms"


def machine():
    """What it ran on, and which commit."""
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*: (.*)", f.read())
    with open("/proc/meminfo") as f:
        memory = int(re.search(r"MemTotal:\s*(\d+)", f.read())[1]) / 2**20
    git = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=10"], cwd=ROOT, capture_output=True, text=True)
    return (f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), {memory:.0f} GiB, Linux "
            f"{platform.release().split('-')[0]}, commit {git.stdout.strip() or 'unknown'}, {time.strftime('%Y-%m-%d', time.gmtime())}")


class Run:
    """What happened, for the table."""

    def __init__(self, args):
        self.args = args
        self.log = "PostgreSQL" if not args.kafka else f"Kafka, {args.kafka} broker{'s' if args.kafka > 1 else ''}"
        self.command = f"soak.py --minutes {args.minutes:g} --clients {args.clients} --kafka {args.kafka} --seed {args.seed}"
        self.command += f" --only '{args.only}'" if args.only else ""

    def go(self, world):
        journal = os.path.join(world.first.state, "journal")
        clients = Clients(world.fronts, journal, self.args.seed, self.args.clients)
        strikers = Strikers(world, self.args.seed, time.monotonic() + 60 * self.args.minutes, self.args.only)
        strikers.run()
        self.struck, self.failed, self.found = strikers.struck, strikers.failed, strikers.found
        self.clients = clients.finish()
        for node in world.nodes:
            node.wait_ready(120)
        self.accepted, _ = read_journal(journal)
        self.judge(world.first)
        logs = [node.logs() for node in world.nodes]
        recovery.measure(self.struck, logs)
        self.traces = recovery.traces(world.servers_said() + "".join(logs))
        if os.environ.get("FTE_CHAOS_KEEP"):
            with open(os.path.join(os.environ["FTE_CHAOS_KEEP"], "servers.log"), "w") as f:
                f.write(world.servers_said())
            for node, log in zip(world.nodes, logs):
                with open(os.path.join(os.environ["FTE_CHAOS_KEEP"], f"{node.name}.log"), "w") as f:
                    f.write(log)

    def judge(self, node):
        with contextlib.suppress(psycopg2.Error):
            node.sql("select 1")  # the connection that was there may be of a server that was killed
        wait_settled(node.sql, self.accepted)
        self.violations = check(node.sql, self.accepted, node.topics())
        dead = node.sql("select unit_id::text, service, error, why, attempts from dead_letters")
        self.violations += [("nothing_lost", row) for row in dead]
        self.violations += [("nothing_lost", f"{self.clients['late']} clients waited {OUTCOME_S} s in vain")] * (self.clients["late"] > 0)
        self.failed += [f"a client was answered {what}" for what in self.clients["broken"][:10]]
        self.replies, self.escalations = (node.sql(f"select count(*) from {table}")[0][0] for table in ("outbox", "escalations"))
        self.dead = len(dead)

    def table(self):
        kills = sum(s.actor is not None for s in self.struck)
        alone = sum(s.actor is not None and s.alone for s in self.struck)
        never = sorted(set(self.found) - {s.kind for s in self.struck})
        clients = self.clients
        lines = [recovery.table(self.struck), "",
                 f"{len(self.accepted)} messages accepted in {clients['tries']} tries ({clients['refused']} refused for good), of "
                 f"{self.args.clients} conversations that were always open: {self.replies} replies, {self.escalations} escalations, "
                 f"{self.dead} dead letters, {len(self.violations)} violations. From the 202 to the outcome on the page: "
                 f"{told(sorted(1000 * w for w in clients['waits']))}.", "",
                 f"{len(self.struck)} faults, {kills} of them a kill -9 of an actor ({alone} while nothing else was broken)."
                 + (f" Not struck in this run: {', '.join(never)}." if never else "") + f" Their traces in the logs: {self.traces}.", ""]
        return "\n".join(lines + [recovery.verdict(self.struck)])

    def markdown(self):
        return (f"#### The log in {self.log}, {self.args.minutes:g} minutes\n\n`{self.command}` on {machine()}.\n\n{self.table()}\n"
                .replace("\nfrom kill -9", "\n\n- from kill -9"))

    def close(self):
        """The closing lines; the exit code."""
        failed = print_verdict(self.violations)
        for why in self.failed:
            print(f"soak: the run itself failed: {why}")
        print(json.dumps({"kills": sum(s.kind.startswith("kill -9") for s in self.struck), "faults": len(self.struck),
                          "accepted": len(self.accepted), "violations": len(self.violations), "seed": self.args.seed, "log": self.log}))
        print(f"{10 - failed} passed, {failed} failed", flush=True)
        return 1 if failed or self.failed else 0


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--clients", type=int, default=100)
    options.add_argument("--seed", type=int, default=random.randrange(10**6))
    options.add_argument("--kafka", type=int, default=0, metavar="BROKERS")
    options.add_argument("--only", default="", metavar="PATTERN", help="of the faults besides the kills of actors")
    options.add_argument("--markdown", metavar="FILE", help="appends the table, as it stands in docs/reliability.md")
    args = options.parse_args()
    run = Run(args)
    no_mounts = disk.private([sys.executable, os.path.abspath(__file__), *sys.argv[1:], "--seed", str(args.seed)])
    print(f"soak: {run.command}; the log in {run.log}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whatever runs is stopped first
    stop_s = STOP_S if args.minutes >= BRIEF_MIN else BRIEF_STOP_S
    with World(args.kafka, no_mounts, stop_s) as world:
        run.go(world)
    print(run.table())
    if args.markdown:
        with open(args.markdown, "a") as f:
            f.write(run.markdown())
    return run.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
