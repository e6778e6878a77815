"""Loads a running system while everything in it is killed, and lets the checker judge.

    /usr/bin/python3 test/chaos/chaos.py [--messages 2000] [--rounds 4] [--clients 16] [--seed N] [--kafka N]

The whole system runs as `make run` starts it, with its own child table. In each round every actor is
killed with kill -9 once, in an order and at times that the seed decides (router, edge and ingress among
them); somewhere between, the supervisor with its whole tree twice, and PostgreSQL once; with --kafka, the
number of brokers that keep the log, one of these too. Clients submit
all the while: half of the load is spread over the time that the killing takes, half comes in bursts some
milliseconds before a kill, so that much is on its way then, and some comes after the last. They repeat a submission under the same submission_id until they get a 202, as a browser or a
provider would. When all is accepted the system gets time to finish, and checker.py reads the database.
Nothing that is sent is poison, so a dead letter is a violation, too.

The seed is printed; the last line is {"kills", "accepted", "violations", "recovery_p99_ms"}: from the
kill of an actor to its READY, what `fte status` shows. FTE_CHAOS_KEEP names a file for the log.
"""

import argparse
import bisect
import datetime
import json
import os
import random
import re
import signal
import sys
import threading
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "integration")]

import requests  # noqa: E402

from checker import check, message_id, print_verdict, read_journal  # noqa: E402
from system import System, wait_for  # noqa: E402

QUESTIONS = [
    "How do I write my own actor?",
    "How do I replay a dead letter?",
    "Where is my data kept?",
    "What happens when PostgreSQL is down?",
]
HANDED_OVER = [  # one in ten: a conversation that a person has gets no more replies
    "I want a refund",
    "I will call my lawyer",
    "Please cancel my subscription",
    "What is the best colour for a bicycle?",
    "I want to talk to a human being",
]
SETTLE_S = 90
PAUSE_S = (0.1, 1.0)  # between two kills
BURST_S = (0.0, 0.04)  # from a burst to its kill
QUIET = 0.05  # of the load comes after the last kill
OUTCOMES = """
    select m.id::text, extract(epoch from coalesce(r.created_at, e.created_at))::float8
      from messages m
      left join messages r on r.unit_id = m.unit_id and r.direction = 'outbound' and r.author = 'fte'
      left join escalations e on e.id = m.unit_id
     where m.direction = 'inbound' and (r.id is not null or e.id is not null)"""


class Load:
    """The clients and their journal."""

    def __init__(self, system, rng, total, journal):
        self.system, self.total, self.journal = system, total, journal
        self.accepted, self.begun, self.failures = {}, 0, 0  # accepted: {message id: unix time of its 202}
        self.lock, self.seeds = threading.Lock(), rng
        self.allowed = 0.0  # of the total: the killer moves it on
        # Half of the conversations go on: their customers write again, in bursts too.
        self.people = [f"p{i}.{uuid.uuid4().hex[:8]}@example.org" for i in range(max(20, total // 4))]

    def write(self, id, status):
        """What was answered (0: nothing), and when: all that the checker is told of us."""
        with self.lock:
            self.journal.write(json.dumps({"at": time.time(), "id": id, "status": status}) + "\n")

    def post(self, path, body, id):
        """Until a 202: the id makes the repeat harmless."""
        while True:
            status = 0
            try:
                answer = requests.post(self.system.base + path, json=body, timeout=5)
                status = answer.status_code
                if status not in (202, 429, 500, 502, 503, 504):
                    raise AssertionError(f"{answer.status_code}: {answer.text}")
            except requests.RequestException:
                pass
            self.write(id, status)
            if status == 202:
                return
            with self.lock:
                self.failures += 1
            time.sleep(0.05)

    def next(self):
        """True when it is the turn of one more; False when there are enough."""
        while True:
            with self.lock:
                if self.begun >= self.total:
                    return False
                if self.begun < self.allowed * self.total:
                    self.begun += 1
                    return True
            time.sleep(0.01)

    def client(self, seed):
        rng = random.Random(seed)
        while self.next():
            email, sid = rng.choice(self.people), uuid.uuid4().hex
            self.post("/support/submit", {"name": "C", "email": email, "subject": "Question",
                                          "message": rng.choice(HANDED_OVER if rng.random() < 0.1 else QUESTIONS), "submission_id": sid},
                      message_id(email, sid))
            with self.lock:
                self.accepted[message_id(email, sid)] = time.time()

    def run(self, clients):
        threads = [threading.Thread(target=self.client, args=(self.seeds.random(),), daemon=True)
                   for _ in range(clients)]
        for t in threads:
            t.start()
        return threads


class Killer:
    """Kills by a plan, and remembers when."""

    def __init__(self, system, rng, rounds):
        self.system = system
        self.kills = []  # (actor, unix time)
        names = sorted(system.actors())
        plan = []
        for _ in range(rounds):
            rng.shuffle(names)
            plan += names
        for name in ("supervisor", "supervisor", "postgresql") + ("kafka",) * (system.kafka > 0):
            plan.insert(rng.randrange(len(plan)), name)
        self.plan = [(name, rng.uniform(*PAUSE_S), rng.uniform(*BURST_S)) for name in plan]

    def pid(self, name):
        try:
            return self.system.actors().get(name, {}).get("pid")
        except (AssertionError, KeyError, ValueError):
            return None  # the supervisor is not back yet: its socket does not answer

    def victim(self, name):
        if name == "supervisor":
            return self.system.supervisor.pid
        if name == "postgresql":
            with open(os.path.join(self.system.state, "pg", "postmaster.pid")) as f:
                return int(f.readline())
        if name == "kafka":
            return int(self.system.broker("pid", str(1 + len(self.kills) % self.system.kafka)))
        return wait_for(lambda: self.pid(name), 30, f"a process of {name}", 0.01)

    def signal(self, name, pid):
        self.kills.append((name, time.time()))
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            self.kills.pop()  # somebody was faster

    def run(self, load):
        share = (1 - QUIET) / len(self.plan)
        for n, (name, pause, burst) in enumerate(self.plan):
            end = time.monotonic() + pause
            while (left := end - time.monotonic()) > 0:
                load.allowed = share * (n + (1 - left / pause) / 2)
                time.sleep(min(left, 0.02))
            victim = self.victim(name)
            load.allowed = share * (n + 1)
            time.sleep(burst)
            self.signal(name, victim)
            if name == "supervisor":
                self.system.supervisor.wait()
                self.system.start_supervisor()
        load.allowed = 1.0


def events(log, what):
    """{name: [unix times]} of the supervisor's lines of this event."""
    found = {}
    for stamp, name in re.findall(rf"(?m)^time=(\S+) level=\S+ actor=supervisor pid=\d+ event={what}(?: name=(\S+))?",
                                  log):
        at = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
        found.setdefault(name, []).append(at)
    return found


def after(times, at):
    """The first of the sorted `times` that is later, or None."""
    i = bisect.bisect_right(times, at)
    return times[i] if i < len(times) else None


def recovery_ms(log, kills):
    """{"actor", "supervisor", "postgresql", "kafka": sorted ms from each kill until it is back}; after one of the last two,
    until all is ready again. An actor that was down while what it stands on was killed, too, counts there."""
    ready, whole = events(log, "ready"), events(log, "tree_ready").get("", [])
    times, below = {"actor": [], "supervisor": [], "postgresql": [], "kafka": []}, []
    for name, at in kills:
        if name in ("supervisor", "postgresql", "kafka"):
            back = after(whole, at)
            below.append((at, back or at))
            if back:
                times[name].append((back - at) * 1000)
    for name, at in kills:
        back = after(ready.get(name, []), at)
        if back and not any(at < end and back > begin for begin, end in below):
            times["actor"].append((back - at) * 1000)
    return {kind: sorted(values) for kind, values in times.items()}


def waited_ms(outcomes, kills, accepted):
    """Of what was accepted and open when something was killed: from the last such kill to its outcome, in ms."""
    at = [t for _, t in kills]
    waited = []
    for message, done in outcomes:
        i = bisect.bisect_left(at, done)
        if i > 0 and accepted.get(message, done) < at[i - 1]:
            waited.append((done - at[i - 1]) * 1000)
    return sorted(waited)


def percentile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))] if values else None


def told(values):
    if not values:
        return "none"
    return f"{len(values)}; p50 {percentile(values, 0.5):.0f} ms, p99 {percentile(values, 0.99):.0f} ms, most {values[-1]:.0f} ms"


def wait_settled(system, accepted):
    def open_units():
        rows = system.sql(
            "select count(*) from (select distinct unit_id from messages where direction = 'inbound') u"
            " where not exists (select from outbox o where o.id = u.unit_id)"
            " and not exists (select from escalations e where e.id = u.unit_id)"
            " and not exists (select from dead_letters d where d.unit_id = u.unit_id)")
        stored = system.sql("select count(*) from messages where direction = 'inbound'")
        return rows[0][0] == 0 and stored[0][0] >= len(accepted)

    try:
        wait_for(open_units, SETTLE_S, "an outcome for every message", 0.5)
    except AssertionError as e:
        print(f"chaos: {e}")


def report(system, load, killer, violations):
    """For people; the ms in which actors were back."""
    log = system.logs()
    times = recovery_ms(log, killer.kills)
    by_name = {}
    for name, _ in killer.kills:
        by_name[name] = by_name.get(name, 0) + 1
    count = {table: system.sql(f"select count(*) from {table}")[0][0]
             for table in ("outbox", "escalations", "dead_letters")}
    print(f"chaos: {len(load.accepted)} accepted, {load.failures} tries refused or cut; {count['outbox']} replies, "
          f"{count['escalations']} escalations, {count['dead_letters']} dead letters")
    print("chaos: kills: " + ", ".join(f"{n} {k}" for n, k in sorted(by_name.items())))
    for kind, values in times.items():
        print(f"chaos: {kind} back in service: {told(values)}")
    print(f"chaos: messages open at a kill, until their outcome: "
          f"{told(waited_ms(system.sql(OUTCOMES), killer.kills, load.accepted))}")
    print_verdict(violations)
    if os.environ.get("FTE_CHAOS_KEEP"):
        with open(os.environ["FTE_CHAOS_KEEP"], "w") as f:
            f.write(log)
    return times["actor"]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--messages", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=4)
    options.add_argument("--clients", type=int, default=16)
    options.add_argument("--seed", type=int, default=random.randrange(10**6))
    options.add_argument("--kafka", type=int, default=0, metavar="BROKERS")
    args = options.parse_args()
    rng = random.Random(args.seed)
    print(f"chaos: seed {args.seed}, the log in {'Kafka' if args.kafka else 'PostgreSQL'}", flush=True)

    with System(kafka=args.kafka) as system, open(os.path.join(system.state, "journal"), "w+") as journal:
        system.watch_database()
        load, killer = Load(system, rng, args.messages, journal), Killer(system, rng, args.rounds)
        threads = load.run(args.clients)
        killer.run(load)
        for t in threads:
            t.join(120)
        system.wait_ready(120)
        wait_settled(system, load.accepted)
        journal.flush()
        accepted, _ = read_journal(journal.name)
        violations = check(system.sql, accepted, system.topics())
        # None of it was poison.
        violations += [("nothing_lost", row) for row in
                       system.sql("select unit_id::text, service, error, why, attempts from dead_letters")]
        times = report(system, load, killer, violations)
    p99 = percentile(times, 0.99)
    print(json.dumps({"kills": len(killer.kills), "accepted": len(load.accepted), "violations": len(violations),
                      "recovery_p99_ms": p99 and round(p99, 1)}))
    return 1 if violations or len(load.accepted) < args.messages else 0


if __name__ == "__main__":
    sys.exit(main())
