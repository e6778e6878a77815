"""The proxy breaks what it is told to, and nothing else."""

import contextlib
import socket
import threading

import pytest
from proxy import Proxy


def serve(listener):
    """Says hello, then everything back."""
    while True:
        try:
            wire, _ = listener.accept()
        except OSError:
            return

        def talk(wire=wire):
            with contextlib.suppress(OSError):
                wire.sendall(b"hello")
                while data := wire.recv(4096):
                    wire.sendall(data)
            wire.close()

        threading.Thread(target=talk, daemon=True).start()


@pytest.fixture
def proxied():
    """The proxy, and a function that connects through it."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    proxy, wires = Proxy(), []
    port = int(proxy.add("link", "tcp:127.0.0.1:0", f"tcp:127.0.0.1:{listener.getsockname()[1]}").rsplit(":", 1)[1])

    def connect():
        wires.append(socket.create_connection(("127.0.0.1", port), 10))
        return wires[-1]

    yield proxy, connect
    for wire in wires:
        wire.close()
    proxy.stop()
    listener.close()


def read(wire, n):
    got = b""
    while len(got) < n:
        got += wire.recv(n - len(got)) or pytest.fail(f"it ended after {got!r}")
    return got


def test_everything_goes_through_in_order(proxied):
    _, connect = proxied
    for early in (True, False):  # what comes before the other side is connected isn't lost
        wire, much = connect(), bytes(range(256)) * 4000
        if early:
            wire.sendall(b"at once")
        assert read(wire, 5) == b"hello"
        if early:
            assert read(wire, 7) == b"at once"
        sender = threading.Thread(target=wire.sendall, args=(much,))
        sender.start()
        assert read(wire, len(much)) == much
        sender.join()


def test_a_reset_is_one_and_new_connections_are_good(proxied):
    proxy, connect = proxied
    wire = connect()
    assert read(wire, 5) == b"hello" and proxy.tell("reset", "link", 1.0, 1) == 1
    with pytest.raises(ConnectionResetError):
        wire.recv(1)
    assert read(connect(), 5) == b"hello"


def test_in_silence_nothing_comes_and_nobody_is_told_until_it_is_over(proxied):
    proxy, connect = proxied
    wire = connect()
    assert read(wire, 5) == b"hello"
    proxy.tell("silence", "link")
    wire.sendall(b"anybody?")
    late = connect()
    for one in (wire, late):
        one.settimeout(0.2)
        with pytest.raises(TimeoutError):
            one.recv(1)
        one.settimeout(10)
    proxy.tell("heal", "link", 0.0, 1)
    assert read(wire, 8) == b"anybody?" and read(late, 5) == b"hello"


def test_what_is_slow_comes_late_and_in_order(proxied):
    proxy, connect = proxied
    wire = connect()
    assert read(wire, 5) == b"hello"
    proxy.tell("slow", "link", 100)
    wire.sendall(b"one")
    wire.settimeout(0.05)
    with pytest.raises(TimeoutError):
        wire.recv(1)
    wire.settimeout(10)
    wire.sendall(b"two")
    assert read(wire, 3) == b"one"
    proxy.tell("slow", "link", 0)
    wire.sendall(b"three")
    assert read(wire, 8) == b"twothree"
