"""Loads a running system while everything in it is killed, and lets the checker judge.

    /usr/bin/python3 test/chaos/chaos.py [--messages 2000] [--seed N] [--clients 16]

Kills with kill -9, at random times: every actor in turn (router, edge and ingress among them), the
supervisor with its whole tree twice, PostgreSQL once. Clients repeat a submission under the same
submission_id until they get a 202, as a browser or a provider would. When all is accepted the system
gets time to finish, and checker.py reads the database. The seed is printed; the last line is
{"kills", "accepted", "violations", "recovery_p99_ms"}.
"""

import argparse
import datetime
import json
import os
import random
import re
import signal
import sys
import tempfile
import threading
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "integration")]

import requests  # noqa: E402

from checker import CHECKS, check, message_id  # noqa: E402
from system import ROOT, System, wait_for  # noqa: E402

MESSAGES = [
    "How do I write my own actor?",
    "How do I replay a dead letter?",
    "Where is my data kept?",
    "What happens when PostgreSQL is down?",
    "I want a refund",
    "I will call my lawyer",
    "Please cancel my subscription",
    "What is the best colour for a bicycle?",
    "I want to talk to a human being",
]
SETTLE_S = 90


class Load:
    """The clients and their journal."""

    def __init__(self, system, rng, total):
        self.system, self.total = system, total
        self.accepted, self.lock, self.begun = [], threading.Lock(), 0
        self.seeds = rng
        self.failures = 0
        # Half of the conversations go on: their customers write again, in bursts too.
        self.people = [f"p{i}.{uuid.uuid4().hex[:8]}@example.org" for i in range(max(20, total // 4))]

    def post(self, path, body):
        """Until a 202: the id makes the repeat harmless."""
        while True:
            try:
                answer = requests.post(self.system.base + path, json=body, timeout=5)
                if answer.status_code == 202:
                    return answer.json()
                if answer.status_code not in (429, 500, 502, 503, 504):
                    raise AssertionError(f"{answer.status_code}: {answer.text}")
            except requests.RequestException:
                pass
            with self.lock:
                self.failures += 1
            time.sleep(0.05)

    def client(self, seed):
        rng = random.Random(seed)
        while True:
            with self.lock:
                if self.begun >= self.total:
                    return
                self.begun += 1
            email, sid = rng.choice(self.people), uuid.uuid4().hex
            self.post("/support/submit", {"name": "C", "email": email, "subject": "Question",
                                          "message": rng.choice(MESSAGES), "submission_id": sid})
            with self.lock:
                self.accepted.append(message_id(email, sid))

    def run(self, clients):
        threads = [threading.Thread(target=self.client, args=(self.seeds.random(),), daemon=True)
                   for _ in range(clients)]
        for t in threads:
            t.start()
        return threads


class Killer:
    """Kills, and remembers when."""

    def __init__(self, system, rng):
        self.system, self.rng = system, rng
        self.kills = []  # (actor, unix time)
        self.names = []

    def actor(self):
        """The next in turn, the order shuffled in each round."""
        rows = self.system.actors()
        if not self.names:
            self.names = sorted(rows)
            self.rng.shuffle(self.names)
        name = self.names.pop()
        pid = rows.get(name, {}).get("pid")
        if pid:
            self.signal(name, pid)

    def signal(self, name, pid):
        try:
            os.kill(pid, signal.SIGKILL)
            self.kills.append((name, time.time()))
        except ProcessLookupError:
            pass

    def supervisor(self):
        self.signal("supervisor", self.system.supervisor.pid)
        self.system.supervisor.wait()
        self.system.start_supervisor()

    def postgres(self):
        with open(os.path.join(self.system.state, "pg", "postmaster.pid")) as f:
            self.signal("postgresql", int(f.readline()))

    def run(self, alive):
        """Until alive() is false. At least one kill of everything."""
        turn = 0
        while alive() or turn < 30:
            turn += 1
            try:
                if turn in (10, 25):
                    self.supervisor()
                elif turn == 18:
                    self.postgres()
                else:
                    self.actor()
            except (AssertionError, KeyError, ValueError, OSError):
                pass  # the supervisor is not back yet: its socket does not answer
            time.sleep(self.rng.uniform(0.05, 0.4))


def patient_table(directory):
    """The checkout's child table, for children that are killed from outside every few seconds: the
    restart limits are there for children that kill themselves, and would call each of them degraded."""
    with open(os.path.join(ROOT, "supervisor", "supervisor.conf")) as f:
        text = f.read()
    text = re.sub(r"(?m)^intensity .*$", "intensity 100000 in 60s", text)
    text = re.sub(r"(?m)^backoff .*$", "backoff 100ms to 5s, reset after 1s", text)
    path = os.path.join(directory, "supervisor.conf")
    with open(path, "w") as f:
        f.write(text)
    return path


def recovery_ms(log, kills):
    """From each kill of an actor to the next `ready` of that actor, in ms, sorted."""
    ready = {}
    for stamp, actor in re.findall(r"time=(\S+) level=info actor=(\S+) pid=\d+ event=ready", log):
        at = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
        ready.setdefault(actor, []).append(at)
    times = []
    for name, at in kills:
        later = [t for t in ready.get(name.split(".")[0], []) if t > at]
        if later:
            times.append((min(later) - at) * 1000)
    return sorted(times)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--messages", type=int, default=2000)
    options.add_argument("--clients", type=int, default=16)
    options.add_argument("--seed", type=int, default=random.randrange(10**6))
    args = options.parse_args()
    rng = random.Random(args.seed)
    print(f"chaos: seed {args.seed}", flush=True)

    with tempfile.TemporaryDirectory() as tables, System(table=patient_table(tables)) as system:
        system.watch_database()
        load, killer = Load(system, rng, args.messages), Killer(system, rng)
        threads = load.run(args.clients)
        killer.run(lambda: any(t.is_alive() for t in threads))
        for t in threads:
            t.join(120)
        system.wait_ready(120)

        def open_units():
            rows = system.sql(
                "select count(*) from (select distinct unit_id from messages where direction = 'inbound') u"
                " where not exists (select from outbox o where o.id = u.unit_id)"
                " and not exists (select from escalations e where e.id = u.unit_id)"
                " and not exists (select from dead_letters d where d.unit_id = u.unit_id)")
            stored = system.sql("select count(*) from messages where direction = 'inbound'")
            return rows[0][0] == 0 and stored[0][0] >= len(set(load.accepted))

        try:
            wait_for(open_units, SETTLE_S, "an outcome for every message", 0.5)
        except AssertionError as e:
            print(f"chaos: {e}")
        violations = check(system.sql, load.accepted)
        times = recovery_ms(system.logs(), killer.kills)
        dead = system.sql("select count(*) from dead_letters")[0][0]
        replies = system.sql("select count(*) from messages where direction = 'outbound'")[0][0]
        escalations = system.sql("select count(*) from escalations")[0][0]
        by_name = {}
        for name, _ in killer.kills:
            by_name[name] = by_name.get(name, 0) + 1
        print(f"chaos: {len(load.accepted)} accepted, {load.failures} tries refused or cut; {replies} replies, "
              f"{escalations} escalations, {dead} dead letters")
        print("chaos: kills: " + ", ".join(f"{n} {k}" for k, n in sorted(by_name.items())))
        for name, what in violations[:50]:
            print(f"chaos: VIOLATION {name}: {what}")
        if violations and os.environ.get("FTE_CHAOS_KEEP"):
            with open(os.environ["FTE_CHAOS_KEEP"], "w") as f:
                f.write(system.logs())
    p99 = times[int(len(times) * 0.99) - 1] if times else None
    names = {name for name, _ in violations}
    total = len(CHECKS) + 1
    print(f"chaos: {total - len(names)} passed, {len(names)} failed")
    print(json.dumps({"kills": len(killer.kills), "accepted": len(load.accepted), "violations": len(violations),
                      "recovery_p99_ms": p99 and round(p99, 1)}))
    return 1 if violations or len(load.accepted) < args.messages else 0


if __name__ == "__main__":
    sys.exit(main())
