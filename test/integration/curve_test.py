"""Keys between machines: `fte keygen`, the router's door, and what is on the wrong side of it gets nothing."""
import json, os, re, socket, stat, subprocess, tempfile, time

import pytest
import zmq
from sdk_test import BIN, DEADLINE, Peer, System, ROOT, fte
from system import free_port, wait_for

SILENCE_S = 5  # how long the router waits for a handshake
ECHO = os.path.join(ROOT, "test/fake/echo_actor.py")


def keygen(directory, *arguments):
    return subprocess.run([os.path.join(BIN, "fte"), "keygen", *arguments], text=True, capture_output=True,
                          env=dict(os.environ, FTE_STATE_DIR=str(directory)))


def word(path):
    with open(path) as f:
        return f.read().split()[0].encode()


class Guarded(System):
    """A router on this machine's socket and on a tcp port with keys; `host-b` is on its list, `stranger` has keys, too."""

    def __init__(self, directory, host="127.0.0.1", alone=False):
        """`alone`: the router listens on tcp and nowhere else."""
        self.directory, self.port = directory, free_port()
        self.tcp, self.alone = "tcp://%s:%d" % (host, self.port), alone
        for name in ("router", "host-b", "stranger"):
            assert keygen(directory, name).returncode == 0
        self.list = self.key("clients")
        self.allow("host-b")
        self.log_path = os.path.join(directory, "router.log")
        super().__init__(directory, FTE_ROUTER_LISTEN=self.tcp, FTE_CURVE_SERVER_SECRET=self.key("router.key"),
                         FTE_CURVE_CLIENTS=self.list)
        wait_for(lambda: "event=ready" in self.log(), DEADLINE, "a router")

    def key(self, name):
        return os.path.join(self.directory, "keys", name)

    def allow(self, *names):
        with open(self.list + ".new", "w") as f:
            f.write("# who may connect\n\n" + "".join(open(self.key(n + ".pub")).read() for n in names))
        os.rename(self.list + ".new", self.list)

    def start_router(self):
        only = {"FTE_ROUTER": self.tcp, "FTE_ROUTER_LISTEN": ""} if self.alone else {}
        return self.start(os.path.join(BIN, "fte-router"), env=only, stderr=open(self.log_path, "a"))

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def remote(self, who="host-b", server="router", **more):
        """The environment of an actor on another machine."""
        return dict(FTE_ROUTER=self.tcp, FTE_CURVE_SERVER_KEY=self.key(server + ".pub"), FTE_CURVE_SECRET=self.key(who + ".key"),
                    FTE_ROUTER_LISTEN="", FTE_CURVE_SERVER_SECRET="", FTE_CURVE_CLIENTS="", **more)

    def echo(self, service="echo", **env):
        log = open(os.path.join(self.directory, "echo.log"), "a")
        return self.start("/usr/bin/python3", ECHO, service, env={"ECHO_SLOTS": "8", **env}, stderr=log)

    def outsider(self, *options):
        self.peers.append(Peer(self.tcp, options))
        return self.peers[-1]

    def curve(self, who="host-b", server="router"):
        return ((zmq.CURVE_SERVERKEY, word(self.key(server + ".pub"))), (zmq.CURVE_PUBLICKEY, word(self.key(who + ".pub"))),
                (zmq.CURVE_SECRETKEY, word(self.key(who + ".key"))))

    def refused(self):
        return self.peers[0].ask("router", {})[1]["refused"]


@pytest.fixture
def guarded():
    with tempfile.TemporaryDirectory(prefix="fte-curve-") as directory:
        s = Guarded(directory)
        s.peer()
        yield s
        s.stop()


def served(system, service="echo"):
    return system.peers[0].ask(service, {"x": 1})[0]["type"] == fte.RETURN


# --- fte keygen ------------------------------------------------------------------------------------


def test_keygen_makes_files_for_their_owner_alone_and_says_which_settings_name_them(tmp_path):
    done = keygen(tmp_path, "router", "--json")
    made = json.loads(done.stdout)
    secret = word(made["secret_file"]).decode()
    assert made["settings"] == {"FTE_CURVE_SERVER_SECRET": made["secret_file"], "FTE_CURVE_SERVER_KEY": made["public_file"]}
    assert secret not in done.stdout + done.stderr and made["public_key"].encode() == word(made["public_file"])
    assert zmq.curve_public(secret.encode()) == made["public_key"].encode()
    assert stat.S_IMODE(os.stat(tmp_path / "keys").st_mode) == 0o700
    for path in (made["secret_file"], made["public_file"]):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    host = keygen(tmp_path, "host-b")
    assert host.returncode == 0 and "FTE_CURVE_SECRET=%s/keys/host-b.key" % tmp_path in host.stdout


def test_keygen_overwrites_only_when_it_is_told_to(tmp_path):
    first = json.loads(keygen(tmp_path, "host-b", "--json").stdout)
    again = keygen(tmp_path, "host-b", "--json")
    assert again.returncode == 1 and again.stdout == "" and "is there already" in again.stderr
    assert word(first["public_file"]).decode() == first["public_key"]
    forced = json.loads(keygen(tmp_path, "host-b", "--force", "--json").stdout)
    assert forced["public_key"] != first["public_key"] and word(forced["public_file"]).decode() == forced["public_key"]
    assert sorted(os.listdir(tmp_path / "keys")) == ["host-b.key", "host-b.pub"]


@pytest.mark.parametrize("arguments, code", [
    ([], 64), (["../x"], 64), (["a b"], 64), ([".x"], 64), (["x" * 64], 64), (["a", "b"], 64), (["x", "--dir"], 64),
    (["x", "--dir", "/proc/fte"], 1), (["x", "--dir", "/etc"], 1)])
def test_keygen_says_no_in_one_line(tmp_path, arguments, code):
    done = keygen(tmp_path, *arguments)
    assert done.returncode == code and done.stdout == "" and len(done.stderr.splitlines()) == 1, done


# --- settings --------------------------------------------------------------------------------------


def check(program, directory, **settings):
    env = {k: v for k, v in os.environ.items() if not k.startswith("FTE_")}
    env.update(FTE_STATE_DIR=str(directory), DATABASE_URL="postgresql:///x", **settings)
    command = ["/usr/bin/python3", ECHO, "echo"] if program == "python" else [os.path.join(BIN, program), "--check"]
    done = subprocess.run(command, env=env, text=True, capture_output=True, timeout=20)
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("program", ["fte-history", "fte-ingress", "fte-edge", "python"])
@pytest.mark.parametrize("given", [{}, {"FTE_CURVE_SECRET": "host-b.key"}, {"FTE_CURVE_SERVER_KEY": "router.pub"}])
def test_an_actor_without_keys_goes_nowhere_by_tcp(tmp_path, program, given):
    keygen(tmp_path, "router"), keygen(tmp_path, "host-b")
    settings = {name: str(tmp_path / "keys" / file) for name, file in given.items()}
    code, lines = check(program, tmp_path, FTE_ROUTER="tcp://127.0.0.1:7000", **settings)
    assert code == 78 and len(lines) == 1 and "tcp" in lines[0] and "FTE_CURVE_" in lines[0], lines


@pytest.mark.parametrize("setting", ["FTE_ROUTER", "FTE_ROUTER_LISTEN"])
@pytest.mark.parametrize("given", [{}, {"FTE_CURVE_SERVER_SECRET": "router.key"}, {"FTE_CURVE_CLIENTS": "host-b.pub"}])
def test_a_router_without_keys_does_not_listen_on_tcp(tmp_path, setting, given):
    keygen(tmp_path, "router"), keygen(tmp_path, "host-b")
    settings = {name: str(tmp_path / "keys" / file) for name, file in given.items()}
    code, lines = check("fte-router", tmp_path, **{setting: "tcp://127.0.0.1:7000"}, **settings)
    assert code == 78 and len(lines) == 1 and lines[0].startswith('fte-router: %s="tcp://127.0.0.1:7000"' % setting), lines


def test_a_wrong_key_is_one_line_that_does_not_show_it(tmp_path):
    keygen(tmp_path, "host-b")
    good = word(tmp_path / "keys" / "host-b.key").decode()
    (tmp_path / "empty").write_text("# nothing\n")
    for value in (good[:39], good[:39] + '"', good + "x", "/nonexistent/key", str(tmp_path), str(tmp_path / "empty")):
        code, lines = check("fte-history", tmp_path, FTE_CURVE_SECRET=value)
        assert code == 78 and len(lines) == 1 and good[:20] not in lines[0], lines
        assert lines[0].startswith("fte-history: FTE_CURVE_SECRET has a value that is not allowed (not shown): must be a CURVE key")
    assert check("fte-history", tmp_path, FTE_CURVE_SECRET=good)[0] == 0
    for text in ("nonsense\n", good + "\n", good + " a b\n", good + " " + "x" * 64 + "\n"):
        (tmp_path / "clients").write_text(text)
        code, lines = check("fte-router", tmp_path, FTE_CURVE_CLIENTS=str(tmp_path / "clients"))
        assert code == 78 and len(lines) == 1 and lines[0].endswith("(line 1 must be a public key and a name)"), lines


# --- with keys -------------------------------------------------------------------------------------


def test_who_is_on_the_list_is_served_and_serves_and_this_machine_needs_no_keys(guarded):
    guarded.echo("far", **guarded.remote())
    guarded.echo("near")
    far = guarded.outsider(*guarded.curve())
    assert served(guarded, "far") and served(guarded, "near")
    assert far.ask("near", {})[0]["type"] == fte.RETURN and far.ask("far", {})[0]["type"] == fte.RETURN
    assert guarded.refused() == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_router_may_listen_on_tcp_alone(host):
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            if "[" in host:
                pytest.skip("no IPv6 here")
    with tempfile.TemporaryDirectory(prefix="fte-curve-") as directory:
        s = Guarded(directory, host, alone=True)
        try:
            s.echo("far", **s.remote())
            peer = s.outsider((zmq.IPV6, int("[" in host)), *s.curve())
            assert peer.ask("far", {})[0]["type"] == fte.RETURN
            # The number of a process on another machine is nobody's here.
            assert peer.ask("router", {})[1]["deaths"] == 0 and not os.path.exists(os.path.join(directory, "r.sock"))
        finally:
            s.stop()


def test_a_dead_worker_behind_tcp_is_noticed_by_its_silence_and_a_new_router_is_found(guarded):
    worker = guarded.echo("far", **guarded.remote())
    assert served(guarded, "far")
    lost = guarded.peers[0].call("far", {"sleep": 30})
    wait_for(lambda: guarded.peers[0].ask("router", {})[1]["routed"] >= 3, what="the question with the worker")
    worker.kill()
    began = time.monotonic()
    guarded.peers[0].of(lost, fte.LOST)
    assert time.monotonic() - began < 4.5
    guarded.echo("far", **guarded.remote())
    assert served(guarded, "far")
    guarded.router.kill(), guarded.router.wait()
    guarded.router = guarded.start_router()
    assert served(guarded, "far")


def test_a_host_that_is_put_on_the_list_comes_in_without_a_restart_of_the_router(guarded):
    stranger = subprocess.Popen(["/usr/bin/python3", "-c", RESTARTED, ECHO], start_new_session=True, stderr=subprocess.DEVNULL,
                                env=dict(guarded.env, ECHO_SLOTS="8", **guarded.remote("stranger")))
    try:
        wait_for(lambda: guarded.refused() > 0, what="a refusal")
        guarded.allow("host-b", "stranger")
        assert served(guarded, "far")
    finally:
        os.killpg(stranger.pid, 9), stranger.wait()


# What a supervisor does with an actor that ends with 75.
RESTARTED = """
import subprocess, sys
while subprocess.run(["/usr/bin/python3", sys.argv[1], "far"]).returncode == 75: pass
"""

# --- without ---------------------------------------------------------------------------------------


def garbage(port, data):
    """What a peer is sent back that has no idea of ZeroMQ."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=SILENCE_S + 5) as s:
        try:
            s.sendall(data)
            while part := s.recv(1000):
                got += part
        except ConnectionError:
            pass
    return got


GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\0"
GARBAGE = {"http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "random": os.urandom(4096), "silence": b"", "zmtp1": b"\x01\x00\x03\x00ab",
           "zmtp2": b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05\0\0", "null": GREETING + b"NULL" + b"\0" * 48 + b"\x04\x19\x05READY" + b"\0" * 18,
           "curve": GREETING + b"CURVE" + b"\0" * 47 + b"\x04\xc8\x05HELLO" + b"\0" * 194, "endless": GREETING + b"\xff" * 65536}


@pytest.mark.parametrize("kind", sorted(GARBAGE))
def test_who_sends_garbage_gets_no_byte_of_a_message(guarded, kind):
    guarded.echo("near")
    got = garbage(guarded.port, GARBAGE[kind])
    assert b"READY" not in got and len(got) <= 64, got  # nothing behind ZeroMQ's own greeting
    wait_for(lambda: guarded.refused() == 1, what="one that is counted")
    assert served(guarded, "near")


@pytest.mark.parametrize("who", ["no keys", "wrong server key", "not on the list"])
def test_an_unkeyed_peer_gets_nothing_and_is_counted_and_the_others_are_served(guarded, who):
    guarded.echo("far", **guarded.remote())
    assert served(guarded, "far")
    options = {"no keys": (), "wrong server key": guarded.curve(server="stranger"), "not on the list": guarded.curve("stranger")}
    peer = guarded.outsider(*options[who])
    peer.hello()
    asked = peer.call("far", {"secret": 1})
    peer.send(fte.READY, "far", count=100)  # nor does it get a worker's work
    wait_for(lambda: guarded.refused() > 0, what="one that is counted")
    for _ in range(20):
        assert served(guarded, "far")
    assert peer.socket.poll(1000) == 0 and peer.got == [], asked
    lines = re.findall(r"event=peer_refused .*", guarded.log())
    assert len(lines) == 1, guarded.log()
    says = {"no keys": "shows no key", "wrong server key": "FTE_CURVE_SERVER_KEY", "not on the list": "FTE_CURVE_CLIENTS"}
    assert says[who] in lines[0] and "malformed" not in guarded.log()


def test_a_broken_list_lets_nobody_in_and_says_so(guarded):
    with open(guarded.list, "a") as f:
        f.write("nonsense\n")
    peer = guarded.outsider(*guarded.curve())
    peer.hello()
    wait_for(lambda: guarded.refused() > 0, what="a refusal")
    assert peer.socket.poll(500) == 0 and 'line 4 must be a public key' in guarded.log()


def test_a_flood_of_strangers_is_one_line_of_the_log_and_the_others_are_served(guarded):
    guarded.echo("far", **guarded.remote())
    assert served(guarded, "far")
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", guarded.port)) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert served(guarded, "far")
    wait_for(lambda: guarded.refused() == 200, what="all of them counted")
    assert len(re.findall("event=peer_refused", guarded.log())) == 1
