"""fte - write an actor in Python: the worker's side of proto/README.md. How: docs/guide/write-an-actor.md. A `call`
handler answers a dict with a dict; a `work` handler gets a list of 1..32 units with .body (the envelope) and returns as
many verdicts: DONE, Pass(service, section, dict) or Fault(code, why). Either kind may also raise a Fault."""
import collections, itertools, os, re, signal, sys, time, msgpack, zmq

READY, CREDIT, WORK, SETTLED, RETRY, FAIL, CALL, RETURN, BUSY, LOST, HB, DRAIN, BYE = range(1, 14)
DONE, Pass = object(), collections.namedtuple("Pass", "service section value")
Unit, ANY, U32 = collections.namedtuple("Unit", "head body"), 1 << 63, (int, 0, (1 << 32) - 1)
HEAD = dict(version=U32, type=U32, service=(str, 0, 64), id=(bytes, 0, 16), attempt=U32, generation=U32,
            route=(bytes, 0, 32), count=U32, pid=U32)  # field: type, smallest and largest value or length in bytes
ENVELOPE = dict(v=U32, id=(bytes, 16, 16), key=(str, 1, 256), seq=(int, 0, ANY), kind=(str, 1, 32),
                source=(dict, 0, ANY), received=(int, -ANY, ANY), deadline=(int, -ANY, ANY), body=(dict, 0, ANY))
SUPERVISED = os.path.exists("/proc/self/fd/3") and os.readlink("/proc/self/fd/3").startswith(("pipe:", "socket:"))
class Fault(Exception):  # `code`: proto/README.md section 10; `why`: a word or two of ours, never a customer's
    def __init__(self, code, why=""): self.code, self.why = code, why
def need(ok, why, code="malformed"):
    if not ok: raise Fault(code, why)
def plain(v, depth=1):
    if type(v) is dict: return depth <= 16 and all(type(k) is str and plain(k) and plain(v[k], depth + 1) for k in v)
    if type(v) is list: return depth <= 16 and all(plain(x, depth + 1) for x in v)
    return depth <= 16 and type(v) in (str, bytes, int, float, bool, type(None)) and (type(v) != str or "\0" not in v)
def decode(data, name="body", limit=256 * 1024):
    need(len(data) <= limit, name, "too_big")
    try: value = msgpack.unpackb(data, raw=False, strict_map_key=False)
    except ValueError: raise Fault("malformed", name) from None
    return value if plain(value) else need(False, name)
def checked(value, rules, name):
    for field, (kind, low, high) in rules.items():
        v = value.get(field) if type(value) is dict else need(False, name)
        need(type(v) is kind and low <= (v if kind is int else len(v.encode() if kind is str else v)) <= high, field)
        if field in ("v", "version"): need(v == 1, field, "version")
    return value
def decode_head(data):
    head = checked(dict(zip(HEAD, v)) if type(v := decode(data, "head", 256)) is list else None, HEAD, "head")
    return head if re.fullmatch("[a-z0-9_.-]*", head["service"]) and len(head["id"]) in (0, 16) else need(False, "head")
def decode_envelope(data):
    e = checked(decode(data, "envelope"), ENVELOPE, "envelope")
    need(any(e["id"]), "id"), need(type(e.get("errors")) in (list, type(None)), "errors")
    return checked(e["source"], dict(topic=(str, 0, ANY), partition=(int, 0, 2**31 - 1), offset=(int, -ANY, ANY)), "source") and e
def keys(socket):  # between machines: the router's public key and our secret one, or nothing leaves this one
    for option, name in ((zmq.CURVE_SERVERKEY, "FTE_CURVE_SERVER_KEY"), (zmq.CURVE_SECRETKEY, "FTE_CURVE_SECRET")):
        try: value = (open(v).read().split() or [""])[0] if (v := os.environ.get(name, "")).startswith("/") else v
        except OSError as e: value = e.strerror
        if not re.fullmatch(r"[0-9a-zA-Z.:+=^!/*?&<>()[\]{}@%$#-]{40}", value):
            sys.exit(print("fte: FTE_ROUTER is a tcp address and needs keys: %s" % name, file=sys.stderr) or 78)
        socket.setsockopt(option, value.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, zmq.curve_public(value.encode()))
    for option, ms in dict(TCP_MAXRT=5000, CONNECT_TIMEOUT=2000, TCP_KEEPALIVE=1, TCP_KEEPALIVE_IDLE=5).items():
        socket.setsockopt(getattr(zmq, option), ms)

class Actor:
    def __init__(self, name, service, work=None, call=None, slots=64):
        self.name, self.service, self.handlers, self.slots = name, service, {WORK: work, CALL: call}, slots
        self.queue, self.ready, self.stop, self.settled, self.beat_at = collections.deque(), False, False, 0, 0
    def run(self):
        if sys.argv[1:] == ["--check"]: return print("fte-%s: configuration OK" % self.name)
        for s in (signal.SIGTERM, signal.SIGINT): signal.signal(s, lambda *_: setattr(self, "stop", True))
        self.socket, state = zmq.Context.instance().socket(zmq.DEALER), os.environ.get("FTE_STATE_DIR") or "var"
        for option, value in dict(ROUTING_ID=b"\x80" + os.urandom(15), SNDHWM=0, RCVHWM=0, RECONNECT_IVL=20).items():
            self.socket.setsockopt(getattr(zmq, option), value)
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        router = os.environ.get("FTE_ROUTER") or "ipc://%s/run/router.sock" % state
        if router.startswith("tcp:"): keys(self.socket), self.socket.setsockopt(zmq.IPV6, int("[" in router))
        self.socket.connect(router)
        while not self.stop: self.turn()
        self.send(DRAIN)  # the router gives us nothing more
        while self.queue: self.turn()
        self.send(BYE), zmq.Context.instance().destroy(1000)
    def turn(self):
        zmq.select([self.socket, self.monitor], [], [], 0 if self.queue else 0.25)
        if self.monitor.poll(0): self.connected(int.from_bytes(self.monitor.recv_multipart()[0][:2], sys.byteorder))
        while self.socket.getsockopt(zmq.EVENTS) & zmq.POLLIN: self.receive(*self.socket.recv_multipart()[:2])
        if self.queue: self.handle()
        if self.ready and time.monotonic() >= self.beat_at: self.beat(b"T %d %d\n" % (self.settled, len(self.queue)))
    def connected(self, event):  # (again): hello. Or the router doesn't know our key, yet: to be started again
        self.socket.send(b"") if event == zmq.EVENT_HANDSHAKE_SUCCEEDED else sys.exit(self.log("refused", "key") or 75)
    def send(self, type_, body=b"", **fields):
        head = {**dict(zip(HEAD, (1, 0, self.service, b"", 0, 0, b"", 0, 0))), **fields, "type": type_}
        self.socket.send_multipart([msgpack.packb(list(head.values())), body])
    def log(self, event, what): print("level=warn actor=%s event=%s why=%s" % (self.name, event, what), file=sys.stderr)
    def beat(self, line):
        try: self.ready, self.beat_at, _ = True, time.monotonic() + 1, SUPERVISED and os.write(3, line)
        except BrokenPipeError: os._exit(75)  # the supervisor is gone
        self.send(HB)
    def receive(self, frame, body=b""):
        try: head = decode_head(frame)
        except Fault as fault: return self.log("refused", fault.code)
        if head["type"] == READY and not head["service"]:  # from a router that doesn't know us, yet or any more
            self.send(READY, **{**head, "service": self.service, "count": self.slots - len(self.queue), "pid": os.getpid()})
            if not self.ready: self.beat(b"READY\n")
        elif head["type"] == DRAIN: self.stop = True
        elif self.handlers.get(head["type"]):
            try: self.queue.append(Unit(head, (decode_envelope if head["type"] == WORK else decode)(body)))
            except Fault as fault: self.settle(Unit(head, None), fault)
        elif head["type"] not in (READY, HB): self.log("refused", "type-%d" % head["type"])
    def handle(self):  # up to 32 WORK; or one CALL
        work = lambda u: u.head["type"] == WORK
        units = list(itertools.islice(itertools.takewhile(work, self.queue), 32)) or [self.queue[0]]
        kind = [self.queue.popleft() for _ in units][0].head["type"]
        try: verdicts = self.handlers[WORK](units) if kind == WORK else [self.handlers[CALL](units[0].body)]
        except Exception as e: verdicts = [e if isinstance(e, Fault) else Fault("internal", type(e).__name__)] * len(units)
        for unit, verdict in zip(units, verdicts): self.settle(unit, verdict)
    def settle(self, unit, verdict):
        kind, body, fields = SETTLED if unit.head["type"] == WORK else RETURN, b"", dict(unit.head, service=self.service)
        if isinstance(verdict, Fault):
            self.log("fault", "%s:%s" % (verdict.code, verdict.why))
            kind = RETRY if kind == SETTLED and verdict.code in ("unavailable", "busy", "timeout", "internal") else FAIL
            body = msgpack.packb(dict(code=verdict.code, why=verdict.why))
        elif isinstance(verdict, Pass):
            kind, fields["service"] = WORK, verdict.service
            body = msgpack.packb({**unit.body, "body": {**unit.body["body"], verdict.section: verdict.value}})
        elif kind == RETURN: body = msgpack.packb(verdict)
        self.send(kind, body, **fields), self.send(CREDIT, count=1)
        self.settled += 1
