"""Kinds of faults: what can be done to a running system from outside. Each is a function of the system and a
random generator that strikes once, waits until the fault is over, and gives the unix time at which the system was
left alone again, or None where there was nothing to strike."""

import contextlib
import os
import random
import resource
import signal
import subprocess
import time

import psycopg2

STOP_S = 15.0      # longer than the supervisor waits for a silent child
STOP_DATABASE_S = 20.0
CROWD_S = 3.0


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


def actor_pid(system, name):
    with contextlib.suppress(AssertionError, KeyError, ValueError, subprocess.SubprocessError):
        return system.actors()[name]["pid"] or None
    return None


def postmaster(system):
    with contextlib.suppress(OSError, ValueError):
        with open(os.path.join(system.state, "pg", "postmaster.pid")) as f:
            return int(f.readline())
    return None


def kill_actor(name):
    def strike(system, rng):
        pid = actor_pid(system, name)
        return time.time() if pid and send(pid, signal.SIGKILL) else None
    return strike


def stop_actor(system, rng):
    """Longer than the supervisor takes it for hung: it is replaced meanwhile, and wakes up to nothing, or dead."""
    name = rng.choice(sorted(system.actors()))
    pid = actor_pid(system, name)
    if not pid or not send(pid, signal.SIGSTOP):
        return None
    time.sleep(STOP_S)
    send(pid, signal.SIGCONT)
    return time.time()


def pause_actor(system, rng):
    """Shorter than that: it goes on as if nothing had happened."""
    pid = actor_pid(system, rng.choice(sorted(system.actors())))
    if not pid or not send(pid, signal.SIGSTOP):
        return None
    time.sleep(rng.uniform(0.5, 4))
    send(pid, signal.SIGCONT)
    return time.time()


def kill_supervisor(system, rng):
    system.supervisor.kill()
    system.supervisor.wait()
    now = time.time()
    system.start_supervisor()
    return now


def kill_postgresql(system, rng):
    pid = postmaster(system)
    return time.time() if pid and send(pid, signal.SIGKILL) else None


def terminate_backends(system, rng):
    """One connection in three is cut."""
    with contextlib.suppress(psycopg2.Error), psycopg2.connect(system.database_url) as db:
        db.cursor().execute("select pg_terminate_backend(pid) from pg_stat_activity"
                            " where pid <> pg_backend_pid() and backend_type = 'client backend' and random() < 0.34")
        return time.time()
    return None


def stop_postgresql(system, rng):
    pid = postmaster(system)
    if not pid:
        return None
    family = [pid] + children(pid)
    for one in family:
        send(one, signal.SIGSTOP)
    time.sleep(STOP_DATABASE_S)
    for one in family:
        send(one, signal.SIGCONT)
    return time.time()


def crowd_postgresql(system, rng):
    """All connections that the server allows are taken, and some actors must make new ones."""
    crowd = []
    with contextlib.suppress(psycopg2.Error):
        for _ in range(200):
            crowd.append(psycopg2.connect(system.database_url, connect_timeout=2))
    terminate_backends_of_others = "select pg_terminate_backend(pid) from pg_stat_activity" \
        " where application_name <> 'crowd' and pid <> pg_backend_pid() and random() < 0.2"
    with contextlib.suppress(psycopg2.Error, IndexError):
        crowd[0].cursor().execute(terminate_backends_of_others)
    time.sleep(CROWD_S)
    for one in crowd:
        with contextlib.suppress(psycopg2.Error):
            one.close()
    return time.time()


def starve_of_descriptors(system, rng):
    """An actor can open nothing more for a while."""
    pid = actor_pid(system, rng.choice(sorted(system.actors())))
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


def scale_edge(system, rng):
    """A second edge comes and goes: leases move, or Kafka's group divides anew."""
    for n in ("2", "1"):
        system.fte("scale", "edge", n)
        time.sleep(rng.uniform(0.5, 2))
    return time.time()


def restart_actor(system, rng):
    with contextlib.suppress(AssertionError, subprocess.SubprocessError, ValueError, KeyError):
        system.fte("restart", rng.choice(sorted(system.actors())))
        return time.time()
    return None


def broker_pid(system, rng):
    with contextlib.suppress(subprocess.CalledProcessError, ValueError):
        return int(system.broker("pid", str(rng.randint(1, system.kafka))))
    return None


def kill_broker(system, rng):
    pid = broker_pid(system, rng)
    return time.time() if pid and send(pid, signal.SIGKILL) else None


def stop_broker(system, rng):
    pid = broker_pid(system, rng)
    if not pid or not send(pid, signal.SIGSTOP):
        return None
    time.sleep(rng.uniform(2, STOP_S))
    send(pid, signal.SIGCONT)
    return time.time()


def kinds(system):
    """{name: (weight, strike)} of what can be done to this system."""
    names = sorted(system.actors())
    found = {f"kill -9 {name}": (60 / len(names), kill_actor(name)) for name in names}
    found |= {"kill -9 supervisor": (1.0, kill_supervisor), "kill -9 PostgreSQL": (1.0, kill_postgresql),
              "SIGSTOP an actor 15 s": (0.25, stop_actor), "SIGSTOP an actor up to 4 s": (1.0, pause_actor),
              "cut database connections": (2.0, terminate_backends), "SIGSTOP PostgreSQL 20 s": (0.1, stop_postgresql),
              "no connection left": (0.5, crowd_postgresql), "no descriptor left": (1.0, starve_of_descriptors),
              "fte restart": (1.0, restart_actor), "edges come and go": (1.0, scale_edge)}
    if system.kafka:
        found |= {"kill -9 a broker": (0.5, kill_broker), "SIGSTOP a broker": (0.15, stop_broker)}
    return found


def choose(found, rng):
    names = sorted(found)
    return random.Random(rng.random()).choices(names, [found[n][0] for n in names])[0]
