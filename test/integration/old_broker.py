"""A stand-in for brokers that are too old to be had: it answers who it is, and what such a one would, over the real
protocol. `first`: hangs up at the first question, as those before 0.10 do. `0.10.0`: names no controller. `0.10.2`: knows
no headers."""
import socket
import struct
import threading

BASE = {0: (0, 1), 1: (0, 1), 2: (0, 0), 3: (0, 0), 8: (0, 2), 9: (0, 1), **{api: (0, 0) for api in (10, 11, 12, 13, 14, 18)}}
APIS = {"0.10.0": BASE, "0.10.2": {**BASE, 0: (0, 2), 1: (0, 3), 3: (0, 2), 17: (0, 0), 19: (0, 1), 20: (0, 1)}}


class OldBroker:
    def __init__(self, version):
        self.version = version
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.socket.close()

    def accept(self):
        try:
            while True:
                threading.Thread(target=self.serve, args=(self.socket.accept()[0],), daemon=True).start()
        except OSError:
            pass  # closed

    def serve(self, client):
        with client, client.makefile("rb") as requests:
            while len(size := requests.read(4)) == 4:
                request = requests.read(struct.unpack(">i", size)[0])
                api, version, correlation = struct.unpack(">hhi", request[:8])
                body = self.answer(api, version)
                if body is None:
                    return
                client.sendall(struct.pack(">ii", len(body) + 4, correlation) + body)

    def answer(self, api, version):
        if api == 18 and self.version in APIS:
            if version > 0:
                return struct.pack(">hi", 35, 0)  # unsupported version: ask in an older one
            apis = APIS[self.version]
            return struct.pack(">hi", 0, len(apis)) + b"".join(struct.pack(">hhh", key, *span) for key, span in apis.items())
        if api == 3 and version in (0, 2):  # metadata: one broker, no topics
            new = version == 2
            return (struct.pack(">iih9si", 1, 1, 9, b"127.0.0.1", self.port) + (struct.pack(">hhi", -1, -1, 1) if new else b"") +
                    struct.pack(">i", 0))
        return None
