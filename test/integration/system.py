"""A whole system of its own: state directory, PostgreSQL, supervisor, every actor, a free port.

    with System(FTE_RATE_LIMIT="0") as s:
        link = s.submit(message="How do I write my own actor?")
        print(s.wait_outcome(link)["status"])

Used by the fixtures in conftest.py and by anything else that needs the real thing (chaos, browser).
Nothing sleeps for luck: wait_for() asks until something is true, with a deadline.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid

import psycopg2
import requests

from topics import KafkaTopics, PostgresTopics

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("FTE_BIN") or os.path.join(ROOT, "build", "bin")
DEADLINE = 20.0  # seconds that anything may take on a busy machine


def wait_for(condition, deadline=DEADLINE, what="the condition", every=0.02):
    """What condition() returns as soon as it is true; AssertionError after `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} was not so within {deadline:g} s; last seen: {value!r}")
        time.sleep(every)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class System:
    """`settings` are FTE_* variables; `table` is a child table other than the checkout's; `knowledge`
    are the files or directories that are imported before the start; `kafka` is how many brokers keep the
    log (0: it is in PostgreSQL); `beside` is a system that runs, and this is a second node of it: with the same
    database and log, and a supervisor, a router and actors of its own; `ready_s` is how long a start may take."""

    def __init__(self, table=None, knowledge=("docs/guide",), state=None, kafka=0, beside=None, ready_s=60.0, **settings):
        self.kafka = beside.kafka if beside else kafka
        self.beside = beside
        self.ready_s = ready_s
        self.table = table or os.environ.get("FTE_TEST_TABLE")  # to try another table with all tests
        self.knowledge = knowledge
        self.keep = state is not None
        self.state = state or tempfile.mkdtemp(prefix="fte-it.")
        os.chmod(self.state, 0o755)
        self.port = int(settings.get("FTE_HTTP_PORT") or free_port())
        self.base = f"http://127.0.0.1:{self.port}"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("FTE_") and k != "DATABASE_URL"}
        self.env.update(FTE_STATE_DIR=self.state, FTE_HTTP_PORT=str(self.port), FTE_RATE_LIMIT="0")
        self.env.update({k: str(v) for k, v in settings.items()})
        if self.table:
            self.env["FTE_CHILD_TABLE"] = self.table
        self.http = requests.Session()
        self.supervisor = None
        self.watcher = self.broker_watcher = None
        self.broker_env = {}
        self._db = None

    # --- life ------------------------------------------------------------------------------------

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    def start(self):
        if self.beside:
            return self._join()
        self.database_url = self._cluster("start")
        self.env["DATABASE_URL"] = self.database_url
        if self.kafka:
            self.env.update(FTE_LOG_BACKEND="kafka", FTE_KAFKA_BROKERS=self.broker("start", str(self.kafka)))
        self.fte("migrate", check=True)
        for path in self.knowledge:
            if os.path.exists(os.path.join(ROOT, path)):
                self.fte("kb", "import", path, check=True)
        self.start_supervisor()
        self.wait_ready()
        return self

    def _join(self):
        self.database_url = self.beside.database_url
        self.env.update({name: value for name, value in self.beside.env.items()
                         if name in ("DATABASE_URL", "FTE_LOG_BACKEND", "FTE_KAFKA_BROKERS", "FTE_LINK_SECRET")})
        self.start_supervisor()
        self.wait_ready()
        return self

    def start_supervisor(self):
        self.log = open(os.path.join(self.state, "fte.log"), "ab")
        self.supervisor = subprocess.Popen([os.path.join(BIN, "fte"), "up"], cwd=ROOT, env=self.env,
                                           stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                           start_new_session=True)

    def watch_database(self):
        """Has PostgreSQL, and Kafka, started again whenever they die, as `make run` does."""
        self.watcher = subprocess.Popen([os.path.join(ROOT, "db/cluster.sh"), "watch", self.state],
                                        stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

        if self.kafka:
            self.broker_watcher = subprocess.Popen(
                [os.path.join(ROOT, "actors/edge/broker/broker.sh"), "watch", self.state], stdout=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait_ready(self, deadline=None):
        def ready():
            if self.supervisor.poll() is not None:
                raise AssertionError(f"the supervisor ended: {self.supervisor.returncode}\n{self.logs()[-4000:]}")
            try:
                return requests.get(self.base + "/readyz", timeout=3).status_code == 200
            except requests.RequestException:
                return False

        try:
            wait_for(ready, deadline or self.ready_s, "readiness", 0.05)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.logs()[-4000:]}") from None

    def stop(self):
        """Drains (SIGTERM) and stops everything; the exit code of the supervisor."""
        code = None
        if self._db is not None:
            self._db.close()
            self._db = None
        if self.supervisor is not None and self.supervisor.poll() is None:
            self.supervisor.terminate()
            try:
                self.supervisor.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(self.supervisor.pid, signal.SIGKILL)
                self.supervisor.wait()
        if self.supervisor is not None:
            code = self.supervisor.returncode
            self.log.close()
        for watcher in (self.watcher, self.broker_watcher):
            if watcher is not None:
                watcher.terminate()
                watcher.wait()
        if not self.beside:
            self._cluster("stop")
            if self.kafka:
                self.broker("stop")
        if not self.keep:
            shutil.rmtree(self.state, ignore_errors=True)
        return code

    def _cluster(self, verb):
        done = subprocess.run([os.path.join(ROOT, "db/cluster.sh"), verb, self.state], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, check=verb == "start")
        return done.stdout.strip()

    def topics(self):
        """What stands in the log (topics.py)."""
        return KafkaTopics(self.env["FTE_KAFKA_BROKERS"]) if self.kafka else PostgresTopics(self.sql)

    def broker(self, verb, *arguments):
        """Apache Kafka, by actors/edge/broker/broker.sh."""
        done = subprocess.run([os.path.join(ROOT, "actors/edge/broker/broker.sh"), verb, self.state, *arguments],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True,
                              env={**os.environ, **self.broker_env})
        return done.stdout.strip()

    def logs(self):
        with open(os.path.join(self.state, "fte.log"), errors="replace") as f:
            return f.read()

    # --- looking in ------------------------------------------------------------------------------

    def fte(self, *args, check=False, stdin=None):
        """The command line: a CompletedProcess with text."""
        done = subprocess.run([os.path.join(BIN, "fte"), *args], cwd=ROOT, env=self.env, text=True,
                              capture_output=True, input=stdin, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f"fte {' '.join(args)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def actors(self):
        """{name: row} of `fte status --json`."""
        rows = json.loads(self.fte("status", "--json", check=True).stdout)["actors"]
        return {row["name"]: row for row in rows}

    def pid(self, name):
        return self.actors()[name]["pid"]

    def sql(self, query, *args):
        """Rows as tuples."""
        if self._db is None or self._db.closed:
            self._db = psycopg2.connect(self.database_url)
            self._db.autocommit = True
        with self._db.cursor() as c:
            c.execute(query, args or None)
            return c.fetchall() if c.description else []

    # --- breaking --------------------------------------------------------------------------------

    def kill(self, name, sig=signal.SIGKILL):
        """Sends a signal to an actor; its pid."""
        pid = self.pid(name)
        os.kill(pid, sig)
        return pid

    def wait_restarted(self, name, old_pid, deadline=DEADLINE):
        """Until the actor runs again as another process."""
        def back():
            row = self.actors()[name]
            return row["pid"] not in (0, None, old_pid) and row["state"] == "ready"

        wait_for(back, deadline, f"a new {name}")

    # --- HTTP ------------------------------------------------------------------------------------

    def get(self, path, **kw):
        kw.setdefault("timeout", 20)
        return self.http.get(path if path.startswith("http") else self.base + path, **kw)

    def post(self, path, **kw):
        kw.setdefault("timeout", 20)
        return self.http.post(path if path.startswith("http") else self.base + path, **kw)

    def submit(self, **fields):
        """A JSON submission that must be accepted; its status_url."""
        body = {"name": "Ann Example", "email": f"ann.{uuid.uuid4().hex[:12]}@example.org", "message": "Hello"}
        body.update(fields)
        answer = self.post("/support/submit", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()["status_url"]

    def reply(self, link, message, **fields):
        """A reply that must be accepted; the status_url that waits for it."""
        answer = self.post(link.split("?")[0] + "/reply", json={"message": message, **fields})
        assert answer.status_code == 202, answer.text
        return answer.json()["status_url"]

    def status(self, link):
        answer = self.get(link, headers={"Accept": "application/json"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait_outcome(self, link, deadline=DEADLINE):
        """The status as soon as it is answered or escalated."""
        def outcome():
            status = self.status(link)
            return status if status["status"] in ("answered", "escalated") else None

        return wait_for(outcome, deadline, f"an outcome of {link}")
