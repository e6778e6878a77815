"""What the faults strike: two whole nodes on one database and one log, with a proxy between any two that talk to each
other, a disk of its own for what is stored, and clocks that can be set.

    with World(kafka=1) as world:
        world.fronts, world.nodes, world.proxy, world.disks

Where something isn't possible on this machine (a mount without root, no libfaketime) a line says so, and the kinds of
faults that need it are left out.
"""

import contextlib
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import uuid

import disk
from proxy import Proxy
from system import ROOT, System

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
SWEEP_S = 0.1
AGAIN_S = 1.0
CONFIG = 78  # exit code: it won't be better the next time


class Node(System):
    """As a System, but its actors reach the database, the router and Kafka through the world's proxy, each with a clock
    of its own."""

    def __init__(self, world, name, **more):
        super().__init__(**more)
        self.world, self.name, self.down = world, name, False
        os.makedirs(os.path.join(self.state, "clock"))
        os.makedirs(os.path.join(self.state, "run"), mode=0o700)
        self.env["FTE_CHILD_TABLE"] = self.write_table()
        self.front = world.proxy.add(f"{name} clients", "tcp:127.0.0.1:0", f"tcp:127.0.0.1:{self.port}")[4:]

    def socket(self, name):
        return os.path.join(self.state, "run", name)

    def clock(self, actor):
        return os.path.join(self.state, "clock", actor)

    def write_table(self):
        """The checkout's own child table; what is added are variables."""
        rows = []
        with open(os.path.join(ROOT, "supervisor/supervisor.conf")) as f:
            for line in f:
                name = line.split("|")[0].strip()
                if line.count("|") == 6 and name != "name":
                    more = [f"FTE_ROUTER=ipc://{self.socket('router.sock')}"] if name == "router" else []
                    if self.world.clocks:
                        self.set_clock(name, 0)
                        more += [f"LD_PRELOAD={FAKETIME}", f"FAKETIME_TIMESTAMP_FILE={self.clock(name)}",
                                 "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_FORCE_MONOTONIC_FIX=0",
                                 "FAKETIME_CACHE_DURATION=1", "NO_FAKE_STAT=1"]
                    line = f"{line.rstrip()} {' '.join(more)}\n"
                rows.append(line)
        path = os.path.join(self.state, "table.conf")
        with open(path, "w") as f:
            f.writelines(rows)
        return path

    def supervise(self):
        """As whatever starts `fte up` would: again when it has ended, unless its configuration is wrong."""
        with self.world.lock:
            ended = self.supervisor.poll() not in (None, 0, CONFIG)
            if ended and not self.down and time.monotonic() > self.started + AGAIN_S:
                self.start_supervisor()

    def set_down(self, down):
        with self.world.lock:
            self.down = down
            if down:
                self.supervisor.kill()
                self.supervisor.wait()
            else:
                self.start_supervisor()

    def set_clock(self, actor, seconds):
        """Whole at any moment: it is read again each second."""
        with open(self.clock(actor) + ".new", "w") as f:
            f.write(f"{seconds:+d}\n")
        os.rename(self.clock(actor) + ".new", self.clock(actor))

    def start_supervisor(self):
        add, name = self.world.proxy.add, self.name
        if self.supervisor is None:
            host = urllib.parse.parse_qs(urllib.parse.urlparse(self.database_url).query)["host"][0]
            self.database = add(f"{name} database", "tcp:127.0.0.1:0", f"unix:{host}/.s.PGSQL.5432").split(":", 1)[1]
            add(f"{name} router", f"unix:{self.socket('via.sock')}", f"unix:{self.socket('router.sock')}")
        self.env["DATABASE_URL"] = f"postgresql://fte@{self.database}/fte?sslmode=disable&gssencmode=disable"
        self.env["FTE_ROUTER"] = f"ipc://{self.socket('via.sock')}"
        self.started = time.monotonic()
        super().start_supervisor()

    # The first node's part: the database and the log are made, moved to disks of their own, and started again.

    def _cluster(self, verb):
        url = super()._cluster(verb)
        if verb == "start":
            self.world.move(os.path.join(self.state, "pg"), "PostgreSQL", lambda: super(Node, self)._cluster("stop"))
            url = super()._cluster("start")
        return url

    def broker(self, verb, *arguments):
        if verb != "start":
            return super().broker(verb, *arguments)
        n = int(arguments[0])
        via = [self.world.proxy.add(f"broker {i + 1}", "tcp:127.0.0.1:0", "tcp:127.0.0.1:1").split(":")[2] for i in range(n)]
        self.broker_env["FTE_KAFKA_ADVERTISED"] = ",".join(via)
        direct = super().broker(verb, *arguments).split(",")
        for i, address in enumerate(direct):
            self.world.proxy.tell("aim", f"broker {i + 1}", f"tcp:{address}")
        for i in range(n):
            self.world.move(os.path.join(self.state, "kafka", str(i + 1), "data"), f"broker {i + 1}",
                            lambda: super(Node, self).broker("stop"))
        super().broker(verb, *arguments)
        return ",".join(f"127.0.0.1:{port}" for port in via)

    def topic_setting(self, topic, name):
        said = super().broker("configs", "--describe", "--entity-type", "topics", "--entity-name", topic)
        return re.search(rf"(?m)^\s*{re.escape(name)}=(\S+)", said)[1]


class World:
    """`stop_database_s` is how long PostgreSQL is stopped by the fault of that name."""

    def __init__(self, kafka=0, no_mounts=None, stop_database_s=20.0, say=print):
        self.kafka, self.no_mounts, self.stop_database_s, self.say = kafka, no_mounts, stop_database_s, say
        self.disks, self.mounted = {}, []  # disks: {what is on it: Disk}
        self.clocks = os.path.exists(FAKETIME)
        self.proxy, self.sweeper = Proxy(), None
        self.nodes, self.over, self.lock = [], threading.Event(), threading.Lock()
        if no_mounts:
            say(f"soak: no disk is filled: {no_mounts}")
        if not self.clocks:
            say(f"soak: no clock is set: there is no {FAKETIME} (Debian's package libfaketime)")

    def __enter__(self):
        try:
            one = Node(self, "one", kafka=self.kafka, FTE_LINK_SECRET=uuid.uuid4().hex)
            self.nodes.append(one)
            one.start()
            one.watch_database()
            two = Node(self, "two", beside=one)
            self.nodes.append(two)
            two.start()
        except BaseException:
            self.__exit__()
            raise
        self.actors = sorted(two.actors())
        self.message_max = self.first.topic_setting("fte.tickets.incoming", "max.message.bytes") if self.kafka else None
        self.sweeper = threading.Thread(target=self.sweep, daemon=True)
        self.sweeper.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        if self.sweeper:
            self.sweeper.join()
        for node in reversed(self.nodes):
            node.keep = True
            node.stop()
        for one in self.mounted:
            one.unmount()
        for node in self.nodes:
            shutil.rmtree(node.state, ignore_errors=True)
        self.proxy.stop()
        self.sweep_once()

    @property
    def first(self):
        return self.nodes[0]

    @property
    def fronts(self):
        return [node.front for node in self.nodes]

    def move(self, directory, what, stop_users):
        """Onto a disk of its own, where that is possible."""
        if self.no_mounts:
            return
        stop_users()
        try:
            self.disks[what] = disk.Disk(directory)
            self.mounted.append(self.disks[what])
        except (OSError, subprocess.CalledProcessError) as e:
            self.no_mounts = "no file can be mounted here (" + (getattr(e, "stderr", None) or str(e).encode()).decode().strip() + ")"
            self.say(f"soak: no disk is filled: {self.no_mounts}")

    def servers_said(self):
        """The logs of PostgreSQL and of the brokers."""
        said = ""
        for path in [os.path.join("pg", "server.log")] + [f"kafka/{i + 1}/server.log" for i in range(self.kafka)]:
            with open(os.path.join(self.first.state, path), errors="replace") as f:
                said += f.read()
        return said

    def sweep(self):
        while not self.over.wait(SWEEP_S):
            self.sweep_once()
            for node in self.nodes:
                node.supervise()

    def sweep_once(self):
        """libfaketime leaves its memory behind when it is killed, and fails where it finds that of an earlier process
        of the same number."""
        for name in os.listdir("/dev/shm"):
            found = re.fullmatch(r"(?:sem\.)?faketime_(?:shm|sem)_(\d+)", name)
            if found and not os.path.exists(f"/proc/{found[1]}"):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join("/dev/shm", name))
