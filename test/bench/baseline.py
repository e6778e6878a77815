"""The same SQL alone: what the system's own statements cost PostgreSQL when nothing else runs.

A stretch of a real run at full load is recorded from the server's log, statement by statement with its
parameters, in the batches and transactions in which the actors sent them. pgbench then replays it:
prepared statements, the same plans, the same batches; only ids, addresses and references are made new
for each round. So the baseline does the same durable work, without actors, messages or HTTP.
"""

import os
import re
import subprocess
import tempfile

BIN = os.environ.get("FTE_PG_BIN", "/usr/lib/postgresql/15/bin")
UUID = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-)[0-9a-f]{12}")
ENTRY = re.compile(r"^fte-bench (\d+) (\S+) (\w+):  (.*)", re.S)
CLIENTS = 8


class Recording:
    """Between start() and stop() the server logs every statement."""

    SETTINGS = {"log_min_duration_statement": "0", "log_parameter_max_length": "-1",
                "log_line_prefix": "'fte-bench %p %v '"}

    def __init__(self, system):
        self.system = system
        self.path = os.path.join(system.state, "pg", "server.log")

    def start(self):
        self.begin = os.path.getsize(self.path)
        for name, value in self.SETTINGS.items():
            self.system.sql(f"alter system set {name} = {value}")
        self.system.sql("select pg_reload_conf()")

    def stop(self):
        for name in self.SETTINGS:
            self.system.sql(f"alter system reset {name}")
        self.system.sql("select pg_reload_conf()")
        with open(self.path, errors="replace") as f:
            f.seek(self.begin)
            return f.read()


def entries(log):
    """(pid, virtual transaction, kind, text) of each entry; continuation lines begin with a tab."""
    text = log.replace("\n\t", "\n ")
    for part in re.split(r"\n(?=fte-bench )", text):
        m = ENTRY.match(part)
        if m:
            yield m.groups()


def transactions(log):
    """[[(name, sql, [parameters])]] in the order of their first statement."""
    by_txn, order, last = {}, [], {}
    for pid, vxid, kind, text in entries(log):
        if kind == "LOG":
            m = re.match(r"duration: [\d.]+ ms  execute ([a-z]\w*): (.*)", text, re.S)
            last[pid] = None
            if m:
                key = (pid, vxid)
                if key not in by_txn:
                    by_txn[key] = []
                    order.append(key)
                last[pid] = [m.group(1), m.group(2).strip(), []]
                by_txn[key].append(last[pid])
        elif kind == "DETAIL" and last.get(pid) and text.startswith("parameters: "):
            last[pid][2] = parameters(text[len("parameters: "):])
    return [by_txn[key] for key in order]


def parameters(text):
    """The literals of `$1 = '...', $2 = NULL`, quoted as SQL."""
    found = re.findall(r"\$\d+ = ('(?:[^']|'')*'|NULL)", text)
    return [p.strip() for p in found]


def renew(literal, refs):
    """Ids, addresses and references become new ones in every round."""
    literal = UUID.sub(r"\1:salt", literal)
    literal = literal.replace("@load.example", ".:salt@load.example")

    def ref(m):
        return f"TKT-:ref{refs.setdefault(m.group(0), len(refs))}"

    return re.sub(r"TKT-[0-9A-Z]{6}", ref, literal)


def script(txns):
    """A pgbench script that does all of it once, and how many conversations that is."""
    prepared, lines, refs, conversations = {}, [], {}, 0
    for txn in txns:
        if any(name.startswith(("metric", "link", "schema", "health")) for name, _, _ in txn):
            continue  # not what a conversation costs
        if len(txn) > 1:
            lines.append("begin;")
        for name, sql, args in txn:
            prepared.setdefault(name, sql)
            values = ", ".join(renew(a, refs) for a in args)
            lines.append(f"execute {name}{f' ({values})' if values else ''};")
            if name.startswith("outbox"):
                conversations += len(UUID.findall(args[0]))
        if len(txn) > 1:
            lines.append("commit;")
    head = [r"\if :first"]
    head += [f"prepare {name} as {' '.join(sql.split())};" for name, sql in prepared.items()]
    head += [r"\set first 0", r"\endif", r"\set salt random(100000000000, 999999999999)",
             r"\set round :round + 1"]
    head += [rf"\set ref{i} 100000 + :client_id * 112500 + :round * {len(refs)} + {i}" for i in range(len(refs))]
    return "\n".join(head + lines) + "\n", conversations


def run(system, log, rounds):
    """Conversations per second of the statements alone."""
    text, conversations = script(transactions(log))
    if conversations == 0:
        raise RuntimeError("the recording holds no conversation")
    # The new references are numbers: a real one that is all digits by chance gets out of their way.
    system.sql("update tickets set ref = translate(ref, '0123456789', 'ABCDEFGHJK')"
               " where ref ~ '^TKT-[0-9]{6}$'")
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as f:
        f.write(text)
        f.flush()
        env = dict(os.environ, PGOPTIONS="-c plan_cache_mode=force_generic_plan")
        done = subprocess.run([os.path.join(BIN, "pgbench"), "-n", "-M", "simple", "-c", str(CLIENTS), "-j", "2",
                               "-t", str(rounds), "-D", "first=1", "-D", "round=0", "-f", f.name,
                               system.database_url], env=env, capture_output=True, text=True)
    m = re.search(r"tps = ([\d.]+)", done.stdout)
    if done.returncode != 0 or not m:
        raise RuntimeError(done.stdout[-1000:] + done.stderr[-3000:])
    return float(m.group(1)) * conversations
