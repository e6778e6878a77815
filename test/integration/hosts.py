"""Two machines, made of network namespaces joined by a cable that can be pulled; and the systems that run on them.

Whoever may not make a namespace gets None of Cable.lay(): then two nodes on loopback must do."""
import contextlib
import ctypes
import os
import shutil
import subprocess
import tempfile
import uuid

from system import BIN, ROOT, System, wait_for

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Cable:
    """Hosts `a` and `b`, 10.77.0.1 and 10.77.0.2."""

    address = {"a": "10.77.0.1", "b": "10.77.0.2"}

    def __init__(self):
        tag = uuid.uuid4().hex[:6]
        self.names = {host: "fte-%s-%s" % (host, tag) for host in "ab"}

    @classmethod
    @contextlib.contextmanager
    def lay(cls):
        cable = cls()
        try:
            yield cable if cable._lay() else None
        finally:
            for name in cable.names.values():
                subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def _lay(self):
        try:
            for name in self.names.values():
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            ip("-n", self.names["a"], "link", "add", "eth", "type", "veth", "peer", "name", "eth", "netns", self.names["b"])
            for host, name in self.names.items():
                ip("-n", name, "address", "add", self.address[host] + "/24", "dev", "eth")
                ip("-n", name, "link", "set", "eth", "up")
            return True
        except (OSError, subprocess.CalledProcessError):
            return False

    def pull(self):
        ip("-n", self.names["b"], "link", "set", "eth", "down")

    def plug(self):
        ip("-n", self.names["b"], "link", "set", "eth", "up")

    @contextlib.contextmanager
    def at(self, host):
        """This thread, and what it starts, is on that host."""
        with open("/proc/thread-self/ns/net") as home, open("/run/netns/" + self.names[host]) as there:
            if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                libc.setns(home.fileno(), CLONE_NEWNET)


class First(System):
    """The host with PostgreSQL, which others reach over the network, too."""

    def __init__(self, address, **more):
        super().__init__(**more)
        self.address = address
        self.http.trust_env = False  # no proxy knows this host

    def _cluster(self, verb):
        url = super()._cluster(verb)
        conf = os.path.join(self.state, "pg", "postgresql.conf")
        if verb == "start" and self.address not in open(conf).read():
            with open(conf, "a") as f:
                f.write("listen_addresses = '%s'\n" % self.address)
            with open(os.path.join(self.state, "pg", "pg_hba.conf"), "a") as f:
                f.write("host all all %s/24 trust\n" % self.address)
            super()._cluster("stop")
            url = super()._cluster("start")
        return url

    def far_url(self):
        return "postgresql://fte@%s/fte" % self.address


class Second(System):
    """Another whole node, on another host than the first's PostgreSQL and Kafka."""

    def _join(self):
        self.database_url = self.env["DATABASE_URL"] = self.beside.far_url()
        self.env.update({name: value for name, value in self.beside.env.items()
                         if name in ("FTE_LOG_BACKEND", "FTE_KAFKA_BROKERS", "FTE_LINK_SECRET")})
        self.start_supervisor()
        self.wait_ready()
        return self


class Workers(System):
    """A host that has workers and nothing else: supervisor/workers.conf."""

    def __init__(self, **settings):
        super().__init__(table=os.path.join(ROOT, "supervisor/workers.conf"), **settings)

    def start(self):
        self.start_supervisor()
        wait_for(lambda: os.path.exists(os.path.join(self.state, "ready")), what="a supervisor")
        return self

    def wait_ready(self, deadline=60.0):
        def ready():
            if self.supervisor.poll() is not None:
                raise AssertionError("the supervisor ended: %s\n%s" % (self.supervisor.returncode, self.logs()[-4000:]))
            with contextlib.suppress(OSError):
                with open(os.path.join(self.state, "ready")) as f:
                    return f.read() == "ready\n"

        wait_for(ready, deadline, "readiness of the workers", 0.05)

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            if self.supervisor and self.supervisor.poll() is None:
                self.supervisor.terminate()
                self.supervisor.wait(40)
        shutil.rmtree(self.state, ignore_errors=True)


def table_without(*rows):
    """The checkout's child table without these; a path that the caller removes."""
    with open(os.path.join(ROOT, "supervisor/supervisor.conf")) as f:
        kept = [line for line in f if line.split("|")[0].strip() not in rows]
    fd, path = tempfile.mkstemp(prefix="fte-table.")
    with os.fdopen(fd, "w") as f:
        f.writelines(kept)
    return path


def keygen(directory, name):
    subprocess.run([os.path.join(BIN, "fte"), "keygen", name, "--dir", directory], check=True, capture_output=True)
