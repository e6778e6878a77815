"""Bad configuration: every setting of the guide with wrong values, and every wrong surrounding, is one
clear line with name, value and what is allowed, exit code 78, and nothing that is started again."""
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import uuid

import psycopg2
import pytest
from system import BIN, ROOT, free_port, wait_for

sys.path.insert(0, os.path.join(ROOT, "test", "docs"))
import settings_test as guide  # noqa: E402

TABLE = os.path.join(ROOT, "supervisor/supervisor.conf")
SETTINGS = {name: (guide.allowed(fields), fields) for name, (_, fields) in guide.tables().items()}
SETTINGS.update({name: (allowed, None) for name, (_, _, allowed, _) in guide.OTHERS.items()})

# Where the type of a setting doesn't tell what is wrong. A new setting of a type that wrong_values()
# can't judge must be added here, or its test fails.
WRONG = {
    "FTE_CHILD_TABLE": ["/nonexistent/table.conf", "/etc"],
    "FTE_CONFIG": ["/nonexistent/fte.conf", "/etc"],
    "FTE_CURVE_CLIENTS": ["/nonexistent/clients", "/etc", "/etc/passwd"],
    "FTE_CURVE_SECRET": ["short", "x" * 41, "/nonexistent/key", "/etc/passwd"],
    "FTE_CURVE_SERVER_KEY": ["short", "x" * 41, "~" * 40, "/nonexistent/key", "/etc"],
    "FTE_CURVE_SERVER_SECRET": ["short", "x" * 41, "/nonexistent/key", "/etc/passwd"],
    "FTE_DRAIN_BUDGET": ["soon", "-1s", "25h", "1.5s"],
    "FTE_KAFKA_BROKERS": ["localhost", "a:0", "a:9092,", ":9092", "a:9092,b"],
    "FTE_KAFKA_INSTANCE": ["x" * 151],
    "FTE_KAFKA_PROPERTIES": ["nonsense=1", "acks=0", "/nonexistent", "linger.ms=soon", "=x", "x" * 8001],
    "FTE_HTTP_BIND": ["localhost", "::1", "127.0.0.256", "1.2.3.4.5"],
    "FTE_PG_BIN": ["/nonexistent", "/etc/passwd"],
    "FTE_PHONE_REGION": ["XX", "de", "DEU", "0"],
    "FTE_ROUTER": ["nonsense", "tcp://host", "tcp://host:0", "tcp://:1", "ipc://", "ipc:///" + "x" * 107],
    "FTE_ROUTER_LISTEN": ["nonsense", "ipc:///run/x", "tcp://host", "tcp://host:70000", "tcp://:1"],
    "FTE_STATE_DIR": ["/proc/fte", "/etc/passwd/x", "/sys/kernel", "/tmp/" + "x" * 4000],
    "FTE_TRIAGE_RULES": ["/nonexistent/rules", "/etc", "/etc/passwd"],
}
# These are read first; what else is wrong is told when they are right.
FIRST = {"FTE_CONFIG", "FTE_CHILD_TABLE", "FTE_STATE_DIR"}


def wrong_values(name):
    if name in WRONG:
        return WRONG[name]
    fields = SETTINGS[name][1]
    kind = fields["type"].strip()
    low, high = (guide.number(fields.get(side, "0")) for side in ("min", "max"))
    if kind in ("OPTION_INT", "OPTION_PORT"):
        return [str(int(low) - 1), str(int(high) + 1), "many", "0x10", "5.5", " 5"]
    if kind == "OPTION_DURATION":
        return ["%dms" % (low - 1), "%dms" % (high + 1), "soon", "5", "5 s", "-5s", "1.5h"]
    if kind == "OPTION_CHOICE":
        return ["nonsense", guide.literal(fields["choices"]).split("|")[0] + "x"]
    if kind == "OPTION_URL":
        scheme = guide.literal(fields["choices"]).split("|")[0]
        return ["nonsense", "gopher://x", scheme + "://", scheme + ":/x", scheme + "://a b"]
    if kind == "OPTION_TEXT" and low > 0:
        return ["x" * int(low - 1), "x" * int(high + 1)]
    raise AssertionError("say in WRONG what is a wrong value of %s" % name)


CASES = [(name, value) for name in sorted(SETTINGS) for value in wrong_values(name) if value != ""]


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory):
    """An environment in which everything is right, with a database that is migrated."""
    state = str(tmp_path_factory.mktemp("config") / "state")
    cluster = os.path.join(ROOT, "db/cluster.sh")
    os.makedirs(state)
    for path in (os.path.dirname(state), os.path.dirname(os.path.dirname(state))):
        os.chmod(path, 0o755)
    url = subprocess.run([cluster, "start", state], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    env = {k: v for k, v in os.environ.items() if not k.startswith("FTE_")}
    env.update(FTE_STATE_DIR=state, DATABASE_URL=url, FTE_HTTP_PORT=str(free_port()))
    subprocess.run([os.path.join(BIN, "fte"), "migrate"], env=env, check=True, stdout=subprocess.DEVNULL)
    yield env
    subprocess.run([cluster, "stop", state], check=True)


def faults(env, *command, code=78):
    """The lines of a command that must end with this code, without the names of programs."""
    done = subprocess.run([os.path.join(BIN, "fte"), *command], env=env, text=True, capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return [re.sub(r"^(fte(-[\w.]+)?( \w+)?: )+", "", line) for line in done.stderr.splitlines()]


def with_wrong(env, name, value, directory):
    """The environment with one wrong setting: in the child table where that is what says its value."""
    with open(TABLE) as f:
        table = f.read()
    if re.search(r"\b%s=\S+" % name, table):
        path = os.path.join(str(directory), "table.conf")
        with open(path, "w") as f:
            f.write(re.sub(r"\b%s=\S+" % name, '"%s=%s"' % (name, value), table))
        return dict(env, FTE_CHILD_TABLE=path)
    return dict(env, **{name: value})


def said(name, value):
    """What the one line must be."""
    allowed, fields = SETTINGS[name]
    if fields and "secret" in fields:
        return re.escape("%s has a value that is not allowed (not shown): must be %s" % (name, allowed)) + r"( \([^\n]+\))?"
    shown = value if name in FIRST - {"FTE_STATE_DIR"} else value[:40] if name == "FTE_DRAIN_BUDGET" else value[:100]
    return re.escape('%s="%s" is not allowed: must be %s' % (name, shown, allowed)) + r"( \([^\n]+\))?"


def test_what_is_right_is_not_complained_about(surroundings):
    done = subprocess.run([os.path.join(BIN, "fte"), "check"], env=surroundings, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name, value", CASES, ids=["%s-%s" % (n, v[:20]) for n, v in CASES])
def test_a_wrong_value_is_one_line_with_name_value_and_what_is_allowed(surroundings, tmp_path, name, value):
    env = with_wrong(surroundings, name, value, tmp_path)
    lines = faults(env, "check")
    assert len(lines) == 1, lines
    assert re.fullmatch(said(name, value), lines[0]), lines[0]
    assert faults(env, "up") == lines, "fte up says what fte check says"


def test_every_setting_has_a_wrong_value():
    assert {name for name, _ in CASES} == set(SETTINGS) >= {"DATABASE_URL", "FTE_HTTP_PORT"}


def test_many_faults_are_all_told_and_nothing_is_made_or_started(surroundings, tmp_path):
    wrong = {name: wrong_values(name)[-1] for name in sorted(set(SETTINGS) - FIRST)}
    env = {k: v for k, v in surroundings.items() if k != "DATABASE_URL"}
    env["FTE_STATE_DIR"] = str(tmp_path / "state")
    for name, value in wrong.items():
        env = with_wrong(env, name, value, tmp_path)
    done = subprocess.run([os.path.join(ROOT, "supervisor/run.sh")], text=True, capture_output=True, timeout=60,
                          env=dict(env, BUILD=os.path.relpath(os.path.dirname(BIN), ROOT)), stdin=subprocess.DEVNULL)
    assert done.returncode == 78, done.stderr
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == len(wrong), done.stderr
    for name, value in wrong.items():
        assert sum(bool(re.search(said(name, value) + "$", line)) for line in lines) == 1, (name, done.stderr)
    assert not os.path.exists(tmp_path / "state" / "pg")


def test_a_line_of_the_file_of_settings_that_is_none_is_named(surroundings, tmp_path):
    config = tmp_path / "fte.conf"
    config.write_text("FTE_LOG_LEVEL=info\n\n# why\nnonsense\nexport FTE_LOG_LEVEL=debug\n")
    assert faults(dict(surroundings, FTE_CONFIG=str(config)), "check") == \
        ['FTE_CONFIG="%s" is not allowed: line %d must be KEY=VALUE, the KEY of letters, digits and _' % (config, line)
         for line in (4, 5)]


def test_a_wrong_value_in_the_file_of_settings_is_told_like_one_of_the_environment(surroundings, tmp_path):
    config = tmp_path / "fte.conf"
    config.write_text("FTE_EDGE_LEASE = 1s\n")
    assert faults(dict(surroundings, FTE_CONFIG=str(config)), "check") == \
        ['FTE_EDGE_LEASE="1s" is not allowed: must be a time from 3s to 10m']


@pytest.mark.parametrize("command, why", [
    ("fte-nonexistent", "No such file or directory"),
    ("nonexistent-program", "not found on PATH"),
    ("./nonexistent/program", "No such file or directory"),
])
def test_a_command_of_the_child_table_that_is_not_there_is_one_line(surroundings, tmp_path, command, why):
    table = tmp_path / "table.conf"
    with open(TABLE) as f:
        table.write_text(re.sub(r"\bfte-history\b", command, f.read()))
    lines = faults(dict(surroundings, FTE_CHILD_TABLE=str(table)), "check")
    assert len(lines) == 1 and command in lines[0] and why in lines[0], lines


def test_an_occupied_port_is_one_line(surroundings):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        lines = faults(dict(surroundings, FTE_HTTP_PORT=str(port)), "check")
        assert lines == [f'FTE_HTTP_PORT="{port}" is not allowed: must be a port from 1 to 65535 that is free '
                         "(somebody else listens there)"]
        assert faults(dict(surroundings, FTE_HTTP_PORT=str(port)), "up") == lines


# --- the database ----------------------------------------------------------------------------------


@pytest.fixture
def old_server():
    """Something that says it is PostgreSQL 14; its URL."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()

    def message(kind, body):
        return kind + struct.pack("!i", len(body) + 4) + body

    def serve(client):
        with client:
            while True:
                head = client.recv(8, socket.MSG_WAITALL)
                if len(head) < 8:
                    return
                size, code = struct.unpack("!ii", head)
                if code >> 16 == 1234:  # SSLRequest, GSSENCRequest: no
                    client.sendall(b"N")
                    continue
                client.recv(size - 8, socket.MSG_WAITALL)
                client.sendall(message(b"R", struct.pack("!i", 0)) + message(b"S", b"server_version\x0014.9\0") +
                               message(b"S", b"client_encoding\0UTF8\0") + message(b"K", struct.pack("!ii", 1, 1)) +
                               message(b"Z", b"I"))
                while client.recv(4096):
                    pass

    def accept():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield "postgresql://fte@127.0.0.1:%d/fte" % listener.getsockname()[1]
    listener.close()


def test_a_server_that_is_too_old_is_one_line(surroundings, old_server):
    env = dict(surroundings, DATABASE_URL=old_server)
    for command in ("check", "up", "migrate"):
        assert faults(env, command) == ["DATABASE_URL: the server is PostgreSQL 14, and 15 or newer is needed"], command


def test_an_actor_ends_with_78_when_the_server_is_too_old(surroundings, old_server):
    done = subprocess.run([os.path.join(BIN, "fte-history")], env=dict(surroundings, DATABASE_URL=old_server), text=True,
                          capture_output=True, timeout=30, stdin=subprocess.DEVNULL)
    assert done.returncode == 78
    lines = [line for line in done.stderr.splitlines() if "DATABASE_URL" in line]
    assert len(lines) == 1 and "PostgreSQL 15" in lines[0], done.stderr


def test_a_server_that_is_not_there_is_one_line_without_its_password_and_no_fault_of_a_setting(surroundings):
    """A node that is started while the server is away, or starts itself, must be started again: 69, not 78."""
    env = dict(surroundings, DATABASE_URL="postgresql://fte:hunter2@127.0.0.1:1/fte")
    for command in ("check", "up"):
        lines = faults(env, command, code=69)
        assert len(lines) == 1 and lines[0].startswith("DATABASE_URL: no connection: "), lines
        assert "refused" in lines[0] and "hunter2" not in lines[0]


def test_a_database_that_does_not_exist_is_a_fault_of_the_setting(surroundings):
    env = dict(surroundings, DATABASE_URL=surroundings["DATABASE_URL"].replace("/fte?", "/nowhere?"))
    for command in ("check", "up", "migrate"):
        lines = faults(env, command)
        assert len(lines) == 1 and lines[0].startswith("DATABASE_URL: ") and "does not exist" in lines[0], lines


@pytest.fixture
def another_database(surroundings):
    """An environment with a database of its own on the same server, empty."""
    name = "other_%s" % uuid.uuid4().hex[:8]
    connection = psycopg2.connect(surroundings["DATABASE_URL"])
    connection.autocommit = True
    connection.cursor().execute("create database " + name)
    connection.close()
    return dict(surroundings, DATABASE_URL=surroundings["DATABASE_URL"].replace("/fte?", "/%s?" % name))


def test_a_schema_that_is_too_old_is_one_line_with_what_to_do(another_database):
    for command in ("check", "up"):
        lines = faults(another_database, command)
        assert len(lines) == 1 and re.fullmatch(
            r"DATABASE_URL: the schema is version 0 and \d+ is needed: run `fte migrate`", lines[0]), lines


def test_a_schema_that_is_newer_than_the_program_is_one_line(another_database):
    subprocess.run([os.path.join(BIN, "fte"), "migrate"], env=another_database, check=True, stdout=subprocess.DEVNULL)
    connection = psycopg2.connect(another_database["DATABASE_URL"])
    connection.autocommit = True
    connection.cursor().execute("insert into schema_migrations (version, name, sha256) values (999, 'future', '')")
    connection.close()
    for command in ("check", "up", "migrate"):
        lines = faults(another_database, command)
        assert len(lines) == 1 and re.fullmatch(
            r"DATABASE_URL: the schema is version 999, newer than this program \(\d+\)", lines[0]), lines


# --- while it runs ---------------------------------------------------------------------------------


def test_what_becomes_wrong_later_is_not_started_again_and_status_says_why(fresh_system, tmp_path):
    rules = tmp_path / "my.rules"
    shutil.copy(os.path.join(ROOT, "actors/triage/triage.rules"), rules)
    system = fresh_system(FTE_TRIAGE_RULES=rules)
    good = rules.read_text()
    rules.write_text("nonsense\n")
    before = system.actors()["triage"]
    os.kill(before["pid"], signal.SIGKILL)
    wait_for(lambda: system.actors()["triage"]["state"] == "misconfigured", what="triage misconfigured")
    shown = system.actors()["triage"]
    assert not shown["pid"] and shown["restarts"] == before["restarts"] + 1
    assert 'FTE_TRIAGE_RULES="%s" is not allowed' % rules in shown["why"] and "my.rules:1: " in shown["why"]
    table = system.fte("status").stdout
    assert 'FTE_TRIAGE_RULES="%s"' % rules in table, table
    assert system.logs().count("event=misconfigured") == 1
    assert system.get("/readyz").status_code == 503
    rules.write_text(good)
    system.fte("restart", "triage", check=True)
    wait_for(lambda: system.actors()["triage"]["state"] == "ready", what="triage ready")
    system.wait_ready()


def test_a_machine_with_workers_alone_is_asked_for_its_own_settings_only(surroundings, tmp_path):
    """Neither the port of a form that it doesn't have, nor which log there is, which is the edge's to know."""
    for name in ("router", "host-b"):
        subprocess.run([os.path.join(BIN, "fte"), "keygen", name, "--dir", str(tmp_path / "keys")], env=surroundings, check=True,
                       stdout=subprocess.DEVNULL)
    env = dict(surroundings, FTE_ROUTER="tcp://127.0.0.1:7000", FTE_CURVE_SERVER_KEY=str(tmp_path / "keys/router.pub"),
               FTE_CURVE_SECRET=str(tmp_path / "keys/host-b.key"))
    with psycopg2.connect(surroundings["DATABASE_URL"]) as db, socket.socket() as taken, db.cursor() as c:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        env["FTE_HTTP_PORT"] = str(taken.getsockname()[1])
        c.execute("update log_backend set name = 'kafka'")
        db.commit()
        done = subprocess.run([os.path.join(BIN, "fte"), "check", "--table", os.path.join(ROOT, "supervisor/workers.conf")], env=env,
                              text=True, capture_output=True)
        c.execute("update log_backend set name = 'postgres'")
    assert (done.returncode, done.stderr) == (0, "")
    without = {k: v for k, v in env.items() if k != "FTE_CURVE_SECRET"}
    assert faults(without, "check", "--settings", "--table", os.path.join(ROOT, "supervisor/workers.conf")) == [
        'FTE_ROUTER="tcp://127.0.0.1:7000" is not allowed without FTE_CURVE_SERVER_KEY and FTE_CURVE_SECRET: tcp needs keys (fte keygen)']
