"""What stands between two processes, and breaks what goes through it.

    Proxy().add("postgres", "tcp:127.0.0.1:0", "unix:/run/x/.s.PGSQL.5432")

Runs as a process of its own; the other side, Proxy, tells it what to do, one line of JSON for each command:

    add NAME LISTEN TO     LISTEN and TO are tcp:HOST:PORT or unix:PATH; port 0 is a free one. Says where it listens
    aim NAME TO            where new connections go to from now on
    reset NAME SHARE SEED  that share of its connections ends at once: RST (SO_LINGER 0) on TCP
    silence NAME           nothing goes through any more, new connections hang: the other side has vanished
    slow NAME MS           every piece waits so long
    heal NAME SHARE SEED   as before; that share of the connections that were silenced is reset
"""

import asyncio
import json
import os
import random
import socket
import struct
import subprocess
import sys

PIECE = 1 << 16


class Side(asyncio.Protocol):
    """One end of a connection that goes through."""

    def __init__(self, link):
        self.link, self.other, self.transport, self.waiting = link, None, None, []

    def connection_made(self, transport):
        self.transport = transport
        self.link.sides.add(self)
        if self.link.silent:
            self.wait()

    def wait(self):
        """Reads nothing; asyncio begins to read only after connection_made()."""
        asyncio.get_running_loop().call_soon(self.transport.pause_reading)

    def data_received(self, data):
        if self.link.slow_s or self.waiting:
            self.waiting.append(data)
            if len(self.waiting) == 1:
                asyncio.get_running_loop().call_later(self.link.slow_s, self.late)
        else:
            self.give(data)

    def late(self):
        data, self.waiting = b"".join(self.waiting), []
        self.give(data)

    def give(self, data):
        if self.other and not self.other.transport.is_closing():
            self.other.transport.write(data)

    def pause_writing(self):
        self.hold()

    def resume_writing(self):
        self.other.flow()

    def hold(self):
        if self.other:
            self.other.transport.pause_reading()

    def flow(self):
        if not self.link.silent and not self.transport.is_closing():
            self.transport.resume_reading()

    def connection_lost(self, why):
        self.link.sides.discard(self)
        if self.other:
            if self.waiting:
                self.late()
            if why:
                self.other.reset()
            else:
                self.other.transport.close()

    def reset(self):
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0 and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class Front(Side):
    """The end that was connected to us: it makes the other one, as soon as anything goes through."""

    def connection_made(self, transport):
        super().connection_made(transport)
        self.wait()
        asyncio.get_running_loop().create_task(self.connect())

    async def connect(self):
        loop, back = asyncio.get_running_loop(), Side(self.link)
        back.other = self  # it may have something to say before we know that it is there
        await self.link.open.wait()
        kind, _, rest = self.link.to.partition(":")
        try:
            if kind == "unix":
                await loop.create_unix_connection(lambda: back, rest)
            else:
                host, port = rest.rsplit(":", 1)
                await loop.create_connection(lambda: back, host, int(port))
        except OSError:
            self.reset()
            return
        self.other = back
        if self.transport.is_closing():
            back.transport.abort()
        else:
            self.flow()


class Link:
    def __init__(self, to):
        self.to, self.sides, self.silent, self.slow_s, self.open = to, set(), False, 0.0, asyncio.Event()
        self.open.set()

    async def listen(self, where):
        loop, (kind, _, rest) = asyncio.get_running_loop(), where.partition(":")
        if kind == "unix":
            await loop.create_unix_server(lambda: Front(self), rest)
            return where
        host, port = rest.rsplit(":", 1)
        server = await loop.create_server(lambda: Front(self), host, int(port))
        return f"tcp:{host}:{server.sockets[0].getsockname()[1]}"

    def reset(self, share, seed):
        rng = random.Random(seed)
        fronts = [s for s in self.sides if isinstance(s, Front)]
        struck = [s for s in fronts if rng.random() < share]
        for side in struck:
            side.reset()
        return len(struck)

    def silence(self):
        self.silent = True
        self.open.clear()
        for side in self.sides:
            side.transport.pause_reading()
        return len(self.sides) // 2

    def heal(self, share, seed):
        struck = self.reset(share, seed)
        self.silent, self.slow_s = False, 0.0
        self.open.set()
        for side in self.sides:
            if side.other:
                side.flow()
        return struck


async def serve():
    loop, links = asyncio.get_running_loop(), {}
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        verb, name, *more = json.loads(line)
        if verb == "add":
            links[name] = Link(more[1])
            said = await links[name].listen(more[0])
        elif verb == "aim":
            links[name].to, said = more[0], None
        elif verb == "slow":
            links[name].slow_s, said = more[0] / 1000, None
        else:
            said = getattr(links[name], verb)(*more)
        print(json.dumps(said), flush=True)


class Proxy:
    """The commands above as functions; ends with us."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def tell(self, *command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def add(self, name, listen, to):
        return self.tell("add", name, listen, to)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


if __name__ == "__main__":
    asyncio.run(serve())
