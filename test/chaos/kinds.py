"""Kinds of faults: what can be done to a running world from outside.

Each is a function of the world, one of its nodes and a random generator. It strikes once, waits until the fault is
over, and gives the unix time at which the world was left alone again (with the ms until what it had broken was settled
again, where it measured that itself), or None where there was nothing to strike. The generator decides everything
but the moments.
"""

import contextlib
import os
import random
import resource
import signal
import subprocess
import time

import psycopg2

STOP_S = 13.0      # longer than the supervisor waits for a silent child: 10 s, and 2 for its SIGABRT
CROWD_S = 3.0
FULL_S = 4.0
SILENT_S = (1.0, 6.0)
NODE_S = 15.0      # a node that was killed is started again at the latest then
CLOCKS_S = (30, -30, 3600, -3600, 86400, -86400)
TOPICS = ("fte.tickets.incoming", "fte.channels.webform.inbound", "fte.escalations")
MESSAGE_MAX = "max.message.bytes"
MEMBERS = 5        # that join and leave in a rebalance storm


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def send(pid, what):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, what)
        return True
    return False


def actor_pid(node, name):
    with contextlib.suppress(AssertionError, KeyError, ValueError, subprocess.SubprocessError):
        return node.actors()[name]["pid"] or None
    return None


def any_actor(node, rng):
    """Its name, and its process where it has one."""
    name = rng.choice(node.world.actors)
    return name, actor_pid(node, name)


# --- processes ------------------------------------------------------------------------------------


def kill_actor(node, name):
    pid = actor_pid(node, name)
    at = time.time()
    return at if pid and send(pid, signal.SIGKILL) else None


def stop_actor(world, node, rng):
    """Longer than the supervisor takes it for hung: it is replaced meanwhile, and wakes up to nothing, or dead."""
    _, pid = any_actor(node, rng)
    if not pid or not send(pid, signal.SIGSTOP):
        return None
    time.sleep(STOP_S)
    send(pid, signal.SIGCONT)
    return time.time()


def pause_actor(world, node, rng):
    """Shorter than that: it goes on as if nothing had happened."""
    _, pid = any_actor(node, rng)
    seconds = rng.uniform(0.5, 4)
    if not pid or not send(pid, signal.SIGSTOP):
        return None
    time.sleep(seconds)
    send(pid, signal.SIGCONT)
    return time.time()


def kill_supervisor(world, node, rng):
    """Its tree dies with it, and it is started again at once."""
    node.set_down(True)
    now = time.time()
    node.set_down(False)
    return now


def holders(world):
    """{partition: its owner}"""
    return dict(world.first.sql("select partition, owner from log_partitions"))


OUTCOME_IN = """
    select extract(epoch from min(t.at))::float8 from (select id, created_at as at from outbox
           union all select id, created_at from escalations) t
      join (select coalesce(unit, id) as id, partition from log_records where topic = 'fte.tickets.incoming'
            union all select coalesce(unit, id), partition from kafka_records where topic = 'fte.tickets.incoming') r using (id)
     where r.partition = any(%s) and t.at > to_timestamp(%s)"""


def kill_node(world, node, rng):
    """All of it, and it stays away until the other does its work: until all its partitions have another owner and
    the first unit of them is settled there."""
    try:
        before = holders(world)
    except psycopg2.Error:
        return None  # PostgreSQL is away: nobody could take anything over
    node.set_down(True)
    killed, moved, settled = time.time(), None, None
    while time.time() < killed + NODE_S and not settled:
        with contextlib.suppress(psycopg2.Error):
            now = holders(world)
            owners = set(now.values())
            if not moved and None not in owners and len(owners) == 1:
                moved = [p for p, owner in now.items() if owner != before.get(p)]
                since = time.time() - 0.05
            if moved:
                settled = world.first.sql(OUTCOME_IN, moved, since)[0][0]
        time.sleep(0.03)
    node.set_down(False)
    return time.time(), settled and (settled - killed) * 1000


def starve_of_descriptors(world, node, rng):
    """An actor can open nothing more for a while."""
    _, pid = any_actor(node, rng)
    if not pid:
        return None
    with contextlib.suppress(OSError, ValueError):
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), hard))
        time.sleep(CROWD_S)
        with contextlib.suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        return time.time()
    return None


def restart_actor(world, node, rng):
    name = rng.choice(world.actors)
    with contextlib.suppress(AssertionError, subprocess.SubprocessError, ValueError, KeyError):
        node.fte("restart", name)
        return time.time()
    return None


def set_clock(world, node, rng):
    """CLOCK_REALTIME of one actor goes forward or back by up to a day, and back again. CLOCK_MONOTONIC doesn't: setting a
    clock doesn't touch it."""
    name, seconds, hold = rng.choice(world.actors), rng.choice(CLOCKS_S), rng.uniform(2, 6)
    node.set_clock(name, seconds)
    time.sleep(hold)
    node.set_clock(name, 0)
    return time.time()


# --- PostgreSQL -----------------------------------------------------------------------------------


def postmaster(world):
    with contextlib.suppress(OSError, ValueError):
        with open(os.path.join(world.first.state, "pg", "postmaster.pid")) as f:
            return int(f.readline())
    return None


def kill_postgresql(world, node, rng):
    pid = postmaster(world)
    return time.time() if pid and send(pid, signal.SIGKILL) else None


def terminate_backends(world, node, rng):
    """One connection in three is cut."""
    seed = rng.random()
    with contextlib.suppress(psycopg2.Error), psycopg2.connect(world.first.database_url) as db:
        cursor = db.cursor()
        cursor.execute("select setseed(%s)", [seed])
        cursor.execute("select pg_terminate_backend(pid) from pg_stat_activity"
                       " where pid <> pg_backend_pid() and backend_type = 'client backend' and random() < 0.34")
        return time.time()
    return None


def stop_postgresql(world, node, rng):
    pid = postmaster(world)
    if not pid:
        return None
    family = [pid] + children(pid)
    for one in family:
        send(one, signal.SIGSTOP)
    time.sleep(world.stop_database_s)
    for one in family:
        send(one, signal.SIGCONT)
    return time.time()


def crowd_postgresql(world, node, rng):
    """All connections that the server allows are taken, and some actors must make new ones."""
    crowd = []
    with contextlib.suppress(psycopg2.Error):
        for _ in range(200):
            crowd.append(psycopg2.connect(world.first.database_url, connect_timeout=2))
    with contextlib.suppress(psycopg2.Error, IndexError):
        crowd[0].cursor().execute("select pg_terminate_backend(pid) from pg_stat_activity"
                                  " where application_name = 'fte' and random() < 0.2")
    time.sleep(CROWD_S)
    for one in crowd:
        with contextlib.suppress(psycopg2.Error):
            one.close()
    return time.time()


def fill(disk, seconds, meanwhile=lambda: None):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            disk.fill()
        meanwhile()
        time.sleep(0.1)
    disk.empty()
    return time.time()


def fill_postgresql(world, node, rng):
    """No table can grow. Sometimes its journal can't either (each switch begins a new file of it): then the server
    ends (PANIC), and can't start before there is room."""
    journal = rng.random() < 0.5

    def switch():
        with contextlib.suppress(psycopg2.Error):
            with contextlib.closing(psycopg2.connect(world.first.database_url, connect_timeout=1)) as db:
                db.autocommit = True
                db.cursor().execute("set statement_timeout = '1s'")
                for _ in range(20):
                    db.cursor().execute("select pg_logical_emit_message(false, 'soak', ''), pg_switch_wal()")

    return fill(world.disks["PostgreSQL"], FULL_S, switch if journal else lambda: None)


# --- Kafka ----------------------------------------------------------------------------------------


def broker_pid(world, number):
    with contextlib.suppress(subprocess.CalledProcessError, ValueError):
        return int(world.first.broker("pid", str(number)))
    return None


def kill_broker(world, node, rng):
    """It is started again with its data, like every process that dies."""
    pid = broker_pid(world, rng.randint(1, world.kafka))
    return time.time() if pid and send(pid, signal.SIGKILL) else None


def leader_of(world, partition):
    import kafka

    admin = kafka.KafkaAdminClient(bootstrap_servers=world.first.env["FTE_KAFKA_BROKERS"], request_timeout_ms=5000)
    try:
        topic = admin.describe_topics([TOPICS[0]])[0]
        return next(p["leader"] for p in topic["partitions"] if p["partition"] == partition)
    finally:
        admin.close()


def kill_leader(world, node, rng):
    """Whichever of the three leads a partition."""
    partition = rng.randrange(12)
    try:
        pid = broker_pid(world, leader_of(world, partition))
    except Exception:  # kafka-python has many ways of saying that nobody answers
        return None
    return time.time() if pid and send(pid, signal.SIGKILL) else None


def stop_broker(world, node, rng):
    pid, seconds = broker_pid(world, rng.randint(1, world.kafka)), rng.uniform(2, STOP_S)
    if not pid or not send(pid, signal.SIGSTOP):
        return None
    time.sleep(seconds)
    send(pid, signal.SIGCONT)
    return time.time()


def fill_broker(world, node, rng):
    """A broker that can't write gives up its directory, and ends; it can't start before there is room."""
    return fill(world.disks[f"broker {rng.randint(1, world.kafka)}"], FULL_S)


def configure_topic(world, topic, *what):
    """With Kafka's own tool."""
    return world.first.broker("configs", "--entity-type", "topics", "--entity-name", topic, "--alter", *what)


def shrink_topic(world, node, rng):
    """What the topic takes is too small for a message: "message too large"."""
    topic = rng.choice(TOPICS)
    with contextlib.suppress(subprocess.CalledProcessError):
        configure_topic(world, topic, "--add-config", f"{MESSAGE_MAX}=200")
        time.sleep(rng.uniform(2, 5))
    for _ in range(20):  # a broker may be away just now
        with contextlib.suppress(subprocess.CalledProcessError):
            configure_topic(world, topic, "--add-config", f"{MESSAGE_MAX}={world.message_max}")
            return time.time()
    raise AssertionError(f"{topic} can't be set back")


def scale_edge(world, node, rng):
    """More edges come and go: leases move, or Kafka's group divides anew."""
    for n in ("3", "1", "2", "1"):
        node.fte("scale", "edge", n)
        time.sleep(rng.uniform(0.2, 1.5))
    return time.time()


def storm(world, node, rng):
    """Strangers join the group, get partitions that they don't serve, and leave or fall silent."""
    import kafka

    for _ in range(MEMBERS):
        with contextlib.suppress(Exception):  # kafka-python has many ways of saying that nobody answers
            member = kafka.KafkaConsumer(TOPICS[0], group_id="fte", bootstrap_servers=world.first.env["FTE_KAFKA_BROKERS"],
                                         session_timeout_ms=6000, heartbeat_interval_ms=1000, enable_auto_commit=False,
                                         api_version=(2, 5, 0))
            end = time.monotonic() + rng.uniform(0.3, 2)
            while time.monotonic() < end:
                member.poll(100)
            member.close(autocommit=False)
    return time.time()


# --- what lies between two -------------------------------------------------------------------------


def links(world, node):
    """{the two: the link's names in the proxy}"""
    found = {"clients and ingress": [f"{node.name} clients"], "actors and PostgreSQL": [f"{node.name} database"],
             "actors and router": [f"{node.name} router"]}
    if world.kafka:
        found["edges and Kafka"] = [f"broker {i + 1}" for i in range(world.kafka)]
    return found


def reset(between):
    def strike(world, node, rng):
        """All connections, or a part of them, at once."""
        share, seed = rng.choice((0.34, 1.0)), rng.random()
        return time.time() if sum(world.proxy.tell("reset", link, share, seed) for link in links(world, node)[between]) else None
    return strike


def silence(between):
    def strike(world, node, rng):
        """Neither end hears of the other, and none is told; afterwards half of the connections are reset."""
        names, seed = links(world, node)[between], rng.random()
        for link in names:
            world.proxy.tell("silence", link)
        time.sleep(rng.uniform(*SILENT_S))
        for link in names:
            world.proxy.tell("heal", link, 0.5, seed)
        return time.time()
    return strike


def slow(between):
    def strike(world, node, rng):
        names = links(world, node)[between]
        for link in names:
            world.proxy.tell("slow", link, rng.randint(20, 200))
        time.sleep(rng.uniform(*SILENT_S))
        for link in names:
            world.proxy.tell("slow", link, 0)
        return time.time()
    return strike


# --- all of them ----------------------------------------------------------------------------------

SHARED = object()  # strikes what both nodes stand on


def kinds(world):
    """{name: (how often in each round, strike, SHARED or None)} of what can be done to this world besides the kills of
    actors."""
    found = {"kill -9 a supervisor with its tree": (2, kill_supervisor, None), "kill -9 a node": (2, kill_node, None),
             "SIGSTOP an actor 13 s": (1, stop_actor, None), "SIGSTOP an actor up to 4 s": (2, pause_actor, None),
             "fte restart of an actor": (2, restart_actor, None), "no descriptor left for an actor": (2, starve_of_descriptors, None),
             "edges come and go": (1, scale_edge, None),
             "kill -9 PostgreSQL": (2, kill_postgresql, SHARED), "cut database connections": (3, terminate_backends, SHARED),
             f"SIGSTOP PostgreSQL {world.stop_database_s:.0f} s": (1, stop_postgresql, SHARED),
             "no database connection left": (1, crowd_postgresql, SHARED)}
    if world.clocks:
        found["clock of an actor set"] = (3, set_clock, None)
    if "PostgreSQL" in world.disks:
        found["PostgreSQL's disk full"] = (2, fill_postgresql, SHARED)
    if world.kafka:
        found |= {"kill -9 a broker": (2, kill_broker, SHARED), "SIGSTOP a broker up to 13 s": (1, stop_broker, SHARED),
                  "message too large for a topic": (1, shrink_topic, SHARED), "rebalance storm": (1, storm, SHARED)}
    if world.kafka > 1:
        found["kill -9 the leader of three"] = (2, kill_leader, SHARED)
    if "broker 1" in world.disks:
        found["a broker's disk full"] = (1, fill_broker, SHARED)
    for between in links(world, world.first):
        shared = SHARED if "Kafka" in between else None
        found |= {f"reset: {between}": (1, reset(between), shared), f"silence: {between}": (1, silence(between), shared),
                  f"delay: {between}": (1, slow(between), shared)}
    return found


def deal(found, rng):
    """Names of kinds, without end: all of a round, in a new order each time."""
    while True:
        hand = [name for name in sorted(found) for _ in range(found[name][0])]
        rng.shuffle(hand)
        yield from hand


def pick(seed, n):
    """A generator for the nth fault alone: what one fault draws doesn't depend on how the earlier ones went."""
    return random.Random(f"{seed} {n}")
