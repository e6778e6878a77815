"""A cut of hostile.py: whatever hostile clients do, others get all their answers, and what it costs us is bounded. How
long these take is measured by `make hostile`."""

import os
import socket
import subprocess
import time

import pytest
from hostile import attack
from system import System

SECONDS = 2.0
MEMORY_MB = 220  # 64 MB of what clients sent, as much again that the allocator keeps, and the process


@pytest.fixture(scope="module")
def attacked():
    with System(FTE_RATE_LIMIT="60") as s:
        s.links = [s.submit() for _ in range(10)]
        yield s


@pytest.mark.parametrize("how", [
    ("idle", 5000, 5000, 5000),
    ("slowhead", 5000, 5000, 1),
    ("slowbody", 5000, 5000, 5000),
    ("stalled", 2000, 2000, 2000),
    ("toolong", 50, 1000, 1),
    ("requests", 100, 10000, 1, "/"),
    ("connects", 500, 5000, 1, "/"),
    ("halfclose", 1000, 1000, 1000),
    ("unread", 20, 200, 20, "/"),
], ids=lambda how: f"{how[0]}-{how[3]}")
def test_others_get_their_answers_and_we_stay_small(attacked, how):
    row = attack(attacked, attacked.links, SECONDS, *how)
    assert row["errors"] == 0, row
    assert row["n"] >= 40, row  # of 200
    assert row["same_process"] and row["rss_mb"] < MEMORY_MB and row["threads"] < 140, row
    assert row["fds"] < 8192 + 128, row  # FTE_HTTP_CONNECTIONS, and our own
    assert attacked.get("/readyz").status_code == 200


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_descriptors_new_clients_take_the_place_of_silent_ones_and_nothing_spins():
    silent = []
    with System(FTE_HTTP_PER_ADDRESS="0") as system:
        pid = system.pid("ingress")
        subprocess.run(["prlimit", "--pid", str(pid), "--nofile=150:150"], check=True)
        try:
            for _ in range(400):
                silent.append(socket.create_connection(("127.0.0.1", system.port), timeout=10))
            assert system.submit()
            before, start = cpu_seconds(pid), time.monotonic()
            while time.monotonic() < start + 1:
                assert system.get("/healthz").status_code == 200
                time.sleep(0.1)
            assert cpu_seconds(pid) - before < 0.5
        finally:
            for s in silent:
                s.close()
        assert system.submit() and system.pid("ingress") == pid


def test_one_address_has_so_many_connections_and_no_more():
    with System(FTE_HTTP_PER_ADDRESS="20") as system:
        pid = system.pid("ingress")
        held = [socket.create_connection(("127.0.0.1", system.port), timeout=10) for _ in range(60)]
        try:
            assert system.submit()
            assert len(os.listdir(f"/proc/{pid}/fd")) < 60
            ended = [s for s in held if is_ended(s)]
            assert len(ended) >= 40 and held[-1] not in ended
        finally:
            for s in held:
                s.close()


def is_ended(s):
    s.setblocking(False)
    try:
        return s.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
