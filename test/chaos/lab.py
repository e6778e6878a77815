"""A live system whose safeguards are taken away one after the other, and the handles that provocations need: messages
whose ids are known before they are sent, stages that are held in the middle of a transaction, faults that are armed
and disarmed while everything runs.

One system serves all: what a trial finds is what the checker says after it and did not say before.
"""

import base64
import contextlib
import glob
import hashlib
import json
import os
import re
import signal
import uuid

import kafka
import psycopg2
from kafka.partitioner.default import murmur2

from checker import NAMESPACE, check, message_id
from system import ROOT, System, wait_for
from topics import read

INCOMING = "fte.tickets.incoming"
QUESTION, REFUND, GAP = "How do I write my own actor?", "I want a refund", "What is the airspeed of a swallow?"

# What a trial can have refused for good (as data that the database doesn't take), and where it can hold a transaction:
# before the row of a unit is inserted, between its statement's snapshot and its commit.
HELD = {"messages": "new.unit_id", "agent_runs": "new.unit_id", "outbox": "new.id", "escalations": "new.id",
        "dead_letters": "new.unit_id"}
PREPARE = """
    create table refused (unit uuid primary key);
    create function refuse() returns trigger language plpgsql as $$ begin
        if exists (select from refused where unit = new.unit_id) then raise exception 'refused' using errcode = '22000'; end if;
        return new; end $$;
    create trigger a_refuse before insert on agent_runs for each row when (new.step = 1) execute function refuse();
""" + "".join(f"""
    create function hold_{table}() returns trigger language plpgsql as $$ begin
        perform pg_advisory_xact_lock_shared(70420 + {n}, hashtext(({unit})::text)); return new; end $$;
    create trigger hold before insert on {table} for each row execute function hold_{table}();
""" for n, (table, unit) in enumerate(HELD.items()))

# Two of each stage, so that one can be held while the other works; dozens of kills are no crash loop.
TWO = ("identity", "ticketer", "triage", "agent", "sender.webform", "escalator")


def child_table(path):
    with open(os.path.join(ROOT, "supervisor/supervisor.conf")) as f:
        text = re.sub(r"(?m)^intensity .*$", "intensity 100000 in 60s", f.read())
    text = re.sub(r"(?m)^backoff .*$", "backoff 10ms to 10ms, reset after 1s", text)
    for name in TWO:
        text, n = re.subn(rf"(?m)^({re.escape(name)} (?:[^|]*\|){{5}}) *1 *", r"\1 2 ", text)
        assert n == 1, name
    with open(path, "w") as f:
        f.write(text)
    return path


class Lab:
    def __init__(self, state_dir, kafka=0):
        os.makedirs(state_dir, exist_ok=True)
        self.system = System(table=child_table(os.path.join(state_dir, "supervisor.conf")), kafka=kafka, FTE_FAULT="@faults",
                             FTE_EDGE_DEADLINE="4s", FTE_EDGE_LEASE="3s" if not kafka else "6s")
        self.sql = self.system.sql
        self.accepted, self.poison = {}, set()
        self.without = False

    def __enter__(self):
        self.disarm()
        self.system.__enter__()
        self.sql(PREPARE)
        self.holder = psycopg2.connect(self.system.database_url)
        self.holder.autocommit = True
        return self

    def __exit__(self, *_):
        if hasattr(self, "holder"):
            self.holder.close()
        self.system.stop()

    # --- the safeguard and the faults --------------------------------------------------------------

    def begin(self, safeguard, without):
        """A trial with the safeguard in its place, or `without` it."""
        self.safeguard, self.without = safeguard, without
        self.before = self.violations()
        for statement in safeguard.sql if without else ():
            self.sql(statement)
        self.arm()

    def arm(self, *faults):
        """From now on these, and no other. Each strikes once, whatever struck before."""
        for marker in glob.glob(os.path.join(self.system.state, "fault.*")) + glob.glob(os.path.join(self.system.state, "off.*")):
            os.unlink(marker)
        path = os.path.join(self.system.state, "faults")
        with open(path + ".new", "w") as f:
            f.write(",".join(list(faults) + (list(self.safeguard.away) if self.without else [])))
        os.rename(path + ".new", path)

    def disarm(self):
        with open(os.path.join(self.system.state, "faults.new"), "w"):
            pass
        os.rename(os.path.join(self.system.state, "faults.new"), os.path.join(self.system.state, "faults"))

    def struck(self, place):
        """Until the fault has struck."""
        wait_for(lambda: glob.glob(os.path.join(self.system.state, f"fault.{place}.*")), what=f"the fault at {place}")

    def missed(self, place):
        """Until the safeguard would have acted, and was not there."""
        wait_for(lambda: os.path.exists(os.path.join(self.system.state, f"off.{place}")), what=f"a miss of {place}")

    def violations(self):
        topics = self.system.topics()
        return {(name, str(row[0] if isinstance(row, tuple) else row))
                for name, row in check(self.sql, self.accepted, topics, self.poison, self.accepted)}

    def new_violations(self):
        return self.violations() - self.before

    def end(self):
        """Everything in its place again; what was stuck goes its way."""
        for statement in self.safeguard.sql_back if self.without else ():
            self.sql(statement)
        self.without = False
        self.disarm()
        with self.holder.cursor() as c:
            c.execute("select pg_advisory_unlock_all()")
        self.kill("edge")
        self.quiet()

    # --- customers -----------------------------------------------------------------------------------

    def new(self, text=QUESTION, **fields):
        """A message that is to be sent: its id is known already."""
        return Message(self, text, **fields)

    def send(self, text=QUESTION, **fields):
        return self.new(text, **fields).send()

    def neighbour(self, other, text):
        """A message of somebody else, in the same partition of the log."""
        while True:
            mail = f"n.{uuid.uuid4().hex[:12]}@example.org"
            message = self.new(text, email=mail)
            if self.partition(message.key) == self.partition(other.key):
                return message

    def partition(self, key):
        """Of the log in PostgreSQL (dblog_partition()), or in Kafka, as its clients agree."""
        if self.system.kafka:
            return murmur2(key.encode()) % 2 ** 31 % 12
        h = 14695981039346656037
        for byte in key.encode():
            h = ((h ^ byte) * 1099511628211) % 2 ** 64
        return (h ^ h >> 32) % 12

    # --- the middle of things ----------------------------------------------------------------------

    def _lock(self, table, unit):
        return 70420 + list(HELD).index(table), str(unit)

    def hold(self, table, unit):
        """Whoever inserts the unit's row there waits, until release()."""
        with self.holder.cursor() as c:
            c.execute("select pg_advisory_lock(%s, hashtext(%s))", self._lock(table, unit))

    def send_held(self, table, text=QUESTION):
        """A message that was sent, and is held there now."""
        message = self.new(text)
        self.hold(table, message.id)
        message.send()
        self.wait_held(table, message.id)
        return message

    def release(self, table, unit):
        with self.holder.cursor() as c:
            c.execute("select pg_advisory_unlock(%s, hashtext(%s))", self._lock(table, unit))

    def wait_held(self, table, unit, n=1):
        """Until n transactions wait there; their backends."""
        def held():
            found = self.sql("select pid from pg_locks where locktype = 'advisory' and not granted and classid = %s"
                             " and objid::bigint = hashtext(%s)::bigint & 4294967295", *self._lock(table, unit))
            return [pid for pid, in found] if len(found) >= n else None

        return wait_for(held, what=f"{n} that wait at {table}")

    @contextlib.contextmanager
    def backend_stopped(self, pid):
        """Of PostgreSQL: what it waits for, others get first."""
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def wait_blocked(self, n):
        """Until n transactions wait for any lock."""
        wait_for(lambda: self.sql("select count(distinct pid) from pg_locks where not granted")[0][0] >= n,
                 what=f"{n} transactions that wait")

    def refuse(self, unit):
        """The next time that an agent has it, it is refused for good."""
        self.sql("insert into refused values (%s)", unit)
        self.poison.add(unit)

    def again(self):
        """All that is in flight is delivered again: the router is new."""
        self.kill("router")

    def kill(self, name, sig=signal.SIGKILL, wait=True):
        """All processes of this name; until others run."""
        for actor, row in self.system.actors().items():
            if actor == name or actor.startswith(name + ".") and actor[len(name) + 1:].isdigit():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(row["pid"], sig)
                if wait:
                    self.system.wait_restarted(actor, row["pid"])

    def stopped(self, program):
        """The process of this program that a fault has stopped."""
        def find():
            for row in self.system.actors().values():
                with contextlib.suppress(OSError, TypeError):
                    with open(f"/proc/{row['pid']}/stat") as f:
                        name, state = re.match(r"\d+ \((.*)\) (\S)", f.read()).groups()
                    if state == "T" and name == f"fte-{program}":
                        return row["pid"]

        return wait_for(find, what=f"an fte-{program} that is stopped")

    def knowledge(self, text):
        """A file for `fte kb import`, always the same: the next one replaces what it held."""
        path = os.path.join(self.system.state, "safeguards.jsonl")
        with open(path, "w") as f:
            f.write(json.dumps({"id": "zebra", "title": "How are zebras counted in the savanna?", "body": text}) + "\n")
        return path

    def copy(self, message):
        """The message's record once more in Kafka, as a producer leaves it that tries again."""
        brokers = self.system.env["FTE_KAFKA_BROKERS"]
        key, headers, value = next(r for r in read(brokers, INCOMING) if r[1]["ce_id"].decode() == message.id)
        producer = kafka.KafkaProducer(bootstrap_servers=brokers)
        producer.send(INCOMING, key=key.encode(), value=value, headers=list(headers.items()),
                      partition=self.partition(message.key)).get(10)
        producer.close()

    @contextlib.contextmanager
    def broker_dying(self, dies=True):
        """It hangs, and at the end dies with all that it has not read, and is started again; or goes on."""
        pid = int(self.system.broker("pid", "1"))
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            if dies:
                self.system.broker("kill", "1")
                self.system.broker("start", "1")
            else:
                os.kill(pid, signal.SIGCONT)
            self.system.wait_ready()

    # --- two edges ---------------------------------------------------------------------------------

    def scale_edges(self, n):
        self.owner = self.sql("select max(owner) from log_partitions")[0][0]
        self.system.fte("scale", "edge", str(n), check=True)

    def other_edge(self, pid):
        """The edge that is not this process."""
        return next(row["pid"] for name, row in self.system.actors().items() if name.startswith("edge") and row["pid"] != pid)

    def wait_awake(self):
        """Until the edge that held the partitions before scale_edges() has looked what is its own."""
        wait_for(lambda: self.sql("select lease_until > now() from log_members where owner = %s", self.owner) == [(True,)],
                 what="an edge that is awake")

    # --- waiting ---------------------------------------------------------------------------------------

    def position(self, message):
        """Up to where the partition of this message is settled."""
        if self.system.kafka:
            return self.system.topics().position(INCOMING, self.partition(message.key))
        return self.sql("select position from log_partitions where topic = %s and partition = %s", INCOMING,
                        self.partition(message.key))[0][0]

    def offset(self, message):
        table = "kafka_records" if self.system.kafka else "log_records"
        return self.sql(f"select record_offset from {table} where topic = %s and id = %s", INCOMING, message.id)[0][0]

    def quiet(self):
        """Nothing in the log is unsettled, and no transaction is under way."""
        wait_for(lambda: self.system.topics().unsettled() == 0, 30, "a log that is settled", 0.05)


class Message:
    """Of a new customer, or (`after`) over the link of an earlier one."""

    def __init__(self, lab, text, email=None, after=None):
        self.lab, self.text, self.after = lab, text, after
        self.sid = uuid.uuid4().hex
        self.email = email or f"s.{uuid.uuid4().hex[:12]}@example.org"
        self.id = str(uuid.uuid5(NAMESPACE, f"envelope:webform\x1f{after.link}\x1f{self.sid}")) if after else \
            message_id(self.email, self.sid)

    @property
    def key(self):
        return self.after.key if self.after else "webform:" + hashlib.sha256(self.email.encode()).hexdigest()[:16]

    def post(self):
        body = {"message": self.text, "submission_id": self.sid}
        if self.after:
            return self.lab.system.post(self.after.url.split("?")[0] + "/reply", json=body)
        return self.lab.system.post("/support/submit", json={**body, "name": "S", "email": self.email})

    def send(self):
        """Until it is accepted."""
        def accepted():
            with contextlib.suppress(OSError):
                answer = self.post()
                return answer if answer.status_code == 202 else None

        self.url = wait_for(accepted, what=f"a 202 of {self.text!r}").json()["status_url"]
        self.lab.accepted[self.id] = self.text
        self.link = uuid.UUID(bytes=base64.urlsafe_b64decode(self.url.split("?")[0].rsplit("/", 1)[1])[:16])
        return self

    def count(self, table):
        column = {"replies": "messages where author = 'fte' and unit_id", "messages": "messages where id"}.get(
            table, f"{table} where " + ("unit_id" if table == "dead_letters" else "id"))
        return self.lab.sql(f"select count(*) from {column} = %s", self.id)[0][0]

    def wait(self, *tables):
        """Until a row tells of it in one of them: replies, escalations, dead_letters, messages."""
        wait_for(lambda: any(self.count(table) for table in tables), what=f"{self.text!r} in {' or '.join(tables)}")
        return self

    def outcome(self):
        return self.wait("replies", "escalations", "dead_letters")
