"""A hundred conversations that are always open, and faults of every kind, for as long as you like.

    /usr/bin/python3 test/chaos/soak.py [--minutes 30] [--clients 100] [--seed N] [--kafka BROKERS]

Each client has one conversation after the other: it asks, waits for the outcome, thinks, writes again over its
status page, some messages in a burst, and starts anew when a person has taken over. Faults (kinds.py) come one
after the other, at times and of kinds that the seed decides. When the time is over the system is left alone,
everything gets its outcome, and checker.py judges. Ends with a table and the closing line.
"""

import argparse
import base64
import contextlib
import json
import os
import random
import sys
import threading
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "integration")]

import requests  # noqa: E402

import kinds  # noqa: E402
from chaos import HANDED_OVER, QUESTIONS, events, after, told, wait_settled  # noqa: E402
from checker import NAMESPACE, check, message_id, print_verdict, read_journal  # noqa: E402
from system import System  # noqa: E402

PAUSE_S = (0.05, 0.9)  # between two faults
THINK_S = (0.3, 1.5)
OUTCOME_S = 180  # a client waits so long, then it counts as unanswered


class Clients:
    def __init__(self, system, journal, seed):
        self.system, self.journal, self.rng = system, journal, random.Random(seed)
        self.lock, self.over = threading.Lock(), threading.Event()
        self.tries = self.accepted = self.open = 0
        self.waits = []  # seconds from a 202 to its outcome, as the client sees it
        self.late = 0

    def post(self, path, body, id):
        """Until a 202; its answer. None when the time is over before."""
        while True:
            status, answer = 0, None
            with contextlib.suppress(requests.RequestException):
                answer = requests.post(self.system.base + path, json=body, timeout=6)
                status = answer.status_code
            with self.lock:
                self.tries += 1
                self.accepted += status == 202
                self.journal.write(json.dumps({"at": time.time(), "id": id, "status": status}) + "\n")
            if status == 202:
                return answer.json()
            if status not in (0, 429, 500, 502, 503, 504):
                raise AssertionError(f"{status}: {answer.text}")
            if self.over.is_set():
                return None
            time.sleep(0.1)

    def outcome(self, url):
        """What the status page says once it isn't open any more; None when it stays so."""
        began = time.monotonic()
        while time.monotonic() - began < OUTCOME_S:
            with contextlib.suppress(requests.RequestException, ValueError):
                got = requests.get(self.system.base + url, headers={"Accept": "application/json"}, timeout=6)
                if got.status_code == 200 and got.json()["status"] in ("answered", "escalated"):
                    with self.lock:
                        self.waits.append(time.monotonic() - began)
                    return got.json()["status"]
            time.sleep(0.15)
        with self.lock:
            self.late += 1
        return None

    def converse(self, rng):
        email, sid = f"s.{uuid.uuid4().hex[:12]}@example.org", uuid.uuid4().hex
        body = {"name": "S", "email": email, "message": rng.choice(QUESTIONS), "submission_id": sid}
        answer = self.post("/support/submit", body, message_id(email, sid))
        while answer:
            url = answer["status_url"]
            token = url.split("?")[0].rsplit("/", 1)[1]
            link = uuid.UUID(bytes=base64.urlsafe_b64decode(token)[:16])
            if self.outcome(url) != "answered" or self.over.is_set() or rng.random() < 0.15:
                return
            time.sleep(rng.uniform(*THINK_S))
            for _ in range(3 if rng.random() < 0.1 else 1):
                sid = uuid.uuid4().hex
                text = rng.choice(HANDED_OVER if rng.random() < 0.1 else QUESTIONS)
                answer = self.post(url.split("?")[0] + "/reply", {"message": text, "submission_id": sid},
                                   str(uuid.uuid5(NAMESPACE, f"envelope:webform\x1f{link}\x1f{sid}")))
                if not answer:
                    return

    def client(self, seed):
        rng = random.Random(seed)
        while not self.over.is_set():
            self.converse(rng)

    def start(self, n):
        threads = [threading.Thread(target=self.client, args=(self.rng.random(),), daemon=True) for _ in range(n)]
        for t in threads:
            t.start()
        return threads


class Faults:
    def __init__(self, system, seed):
        self.system, self.rng, self.kinds = system, random.Random(seed), kinds.kinds(system)
        self.struck = []  # (kind, unix time when it was over)

    def run(self, minutes):
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            time.sleep(self.rng.uniform(*PAUSE_S))
            name = kinds.choose(self.kinds, self.rng)
            with contextlib.suppress(AssertionError, KeyError, ValueError):
                at = self.kinds[name][1](self.system, self.rng)
                if at:
                    self.struck.append((name, at))


def recoveries(log, struck):
    """{kind: sorted ms from the end of the fault until what it struck was ready again}. Of actors their own READY; of
    anything else the next "tree is ready", where the fault made it not ready at all."""
    ready, whole = events(log, "ready"), events(log, "tree_ready").get("", [])
    found = {}
    for kind, at in struck:
        killed = kind.removeprefix("kill -9 ")
        times = ready.get(killed) if killed != kind and killed in ready else whole
        back = after(times or [], at)
        if back and (times is not whole or back - at < 60):
            found.setdefault(kind, []).append((back - at) * 1000)
    return {kind: sorted(values) for kind, values in found.items()}


def table(faults, log):
    back = recoveries(log, faults.struck)
    counts = {}
    for kind, _ in faults.struck:
        counts[kind] = counts.get(kind, 0) + 1
    lines = ["| fault | times | ready again, ms: p50 | p99 | most |", "| --- | --- | --- | --- | --- |"]
    for kind in sorted(counts):
        values = back.get(kind, [])
        cells = [f"{values[int(len(values) * q)]:.0f}" for q in (0.5, 0.99)] + [f"{values[-1]:.0f}"] if values else ["–"] * 3
        lines.append(f"| {kind} | {counts[kind]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--clients", type=int, default=100)
    options.add_argument("--seed", type=int, default=random.randrange(10**6))
    options.add_argument("--kafka", type=int, default=0, metavar="BROKERS")
    args = options.parse_args()
    print(f"soak: seed {args.seed}, {args.minutes:g} minutes, {args.clients} clients, the log in "
          f"{'Kafka' if args.kafka else 'PostgreSQL'}", flush=True)

    with System(kafka=args.kafka) as system, open(os.path.join(system.state, "journal"), "w+") as journal:
        system.watch_database()
        clients, faults = Clients(system, journal, args.seed), Faults(system, args.seed + 1)
        threads = clients.start(args.clients)
        faults.run(args.minutes)
        clients.over.set()
        for t in threads:
            t.join(OUTCOME_S + 30)
        system.wait_ready(120)
        journal.flush()
        accepted, _ = read_journal(journal.name)
        wait_settled(system, accepted)
        violations = check(system.sql, accepted, system.topics())
        count = {name: system.sql(f"select count(*) from {name}")[0][0] for name in ("outbox", "escalations")}
        dead = system.sql("select service, error, why, count(*) from dead_letters group by 1, 2, 3")
        log = system.logs()
    if os.environ.get("FTE_CHAOS_KEEP"):
        with open(os.environ["FTE_CHAOS_KEEP"], "w") as f:
            f.write(log)
    print(table(faults, log))
    print(f"\nmessages: {len(accepted)} accepted in {clients.tries} tries; {count['outbox']} replies, {count['escalations']} "
          f"escalations, {sum(row[3] for row in dead)} dead letters {dead or ''}; {clients.late} without an outcome in {OUTCOME_S} s")
    print(f"from the 202 to the outcome on the page: {told(sorted(1000 * w for w in clients.waits))}")
    failed = print_verdict(violations)
    kills = sum(kind.startswith("kill -9") for kind, _ in faults.struck)
    print(json.dumps({"kills": kills, "faults": len(faults.struck), "accepted": len(accepted), "violations": len(violations),
                      "seed": args.seed, "log": "kafka" if args.kafka else "postgres"}))
    return 1 if failed or clients.late else 0


if __name__ == "__main__":
    sys.exit(main())
