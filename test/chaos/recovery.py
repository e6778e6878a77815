"""How long it took: from the log of the supervisors, which say when a child is READY and when it has settled its
first unit (`event=works`)."""

import bisect
import datetime
import re

NOTICED_S = 1.0
FALLS_S = 60  # what takes longer is not the end of this fault


def events(log, what):
    """{name: [unix times]} of a supervisor's lines of this event."""
    found = {}
    for stamp, name in re.findall(rf"(?m)^time=(\S+) level=\S+ actor=supervisor pid=\d+ event=(?:{what})(?: name=(\S+))?", log):
        at = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
        found.setdefault(name, []).append(at)
    return found


def after(times, at):
    """The first of the sorted `times` that is later, or None."""
    i = bisect.bisect_right(times, at)
    return times[i] if i < len(times) else None


def percentile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))] if values else None


class Struck:
    """One fault: what, at which node (None: at what all stand on), when it began and when it was over (unix time), and
    where whoever struck measured it, how many ms until what it had broken was settled again."""

    def __init__(self, kind, node, actor, begin, end, settled_ms=None):
        self.kind, self.node, self.actor, self.begin, self.end = kind, node, actor, begin, end
        self.ready_ms, self.settled_ms, self.alone = None, settled_ms, False


def whole_again(s, ready, broken):
    """When the node was ready again after what happened from the fault's begin until a moment after its end."""
    last = [t for t in broken if s.begin <= t <= s.end + NOTICED_S]
    return max(s.end, after(ready, last[-1]) or s.end + FALLS_S) if last else s.end


def measure(struck, logs):
    """Fills in the times; `logs` is one for each node. Of a kill of an actor its own READY and its own first unit; of
    anything else, from its end until the whole node is ready again: 0 where it was so then already. `alone`: nothing
    else was broken in that node, or under it, from the kill until the first unit."""
    ready, works = ([events(log, what) for log in logs] for what in ("ready", "works"))
    whole = [(events(log, "tree_ready").get("", []), sorted(sum((events(log, "tree_not_ready|begins").values()), start=[])))
             for log in logs]
    for s in struck:
        if s.actor:
            back = after(ready[s.node].get(s.actor, []), s.begin)
            work = after(works[s.node].get(s.actor, []), s.begin)
        else:
            nodes = range(len(logs)) if s.node is None else [s.node]
            back, work = max((whole_again(s, *whole[n]) for n in nodes), default=None), None
        if back and back - s.begin < FALLS_S:
            s.ready_ms = max(0.0, back - (s.begin if s.actor else s.end)) * 1000
        if work and back and work - s.begin < FALLS_S:
            s.settled_ms = (work - s.begin) * 1000
        s.until = max(s.end, back or 0, work or 0)
    for s in struck:
        s.alone = not any(o is not s and o.node in (s.node, None) and o.begin < s.until and o.until > s.begin
                          for o in struck)


def cells(values):
    values = sorted(v for v in values if v is not None)
    if not values:
        return ["–"] * 3
    return [f"{percentile(values, 0.5):.0f}", f"{percentile(values, 0.99):.0f}", f"{values[-1]:.0f}"]


def row(kind, of):
    return f"| {kind} | {len(of)} | " + " | ".join(cells([s.ready_ms for s in of]) + cells([s.settled_ms for s in of])) + " |"


def table(struck):
    """For people, and for docs/reliability.md."""
    lines = ["| fault | times | ready again, ms: p50 | p99 | most | next settled, ms: p50 | p99 | most |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for kind in sorted({s.kind for s in struck}):
        lines.append(row(kind, [s for s in struck if s.kind == kind]))
    kills = [s for s in struck if s.actor]
    lines.append(row("**kill -9 of any actor**", kills))
    lines.append(row("**the same, with nothing else broken at that moment**", [s for s in kills if s.alone]))
    lines.append(row("**kill -9 of the router, with nothing else broken**", [s for s in kills if s.alone and s.actor == "router"]))
    return "\n".join(lines)


# What faults leave in the logs of PostgreSQL, Kafka and ours: that they were felt at all.
TRACES = {"disk full": "No space left on device", "server ended for it": "PANIC:.*No space left", "a broker gave up its disk":
          "(?:Stopping|Shutdown broker because).*log dir", "connections refused": "too many clients already|remaining connection slots",
          "connections reset": "[Cc]onnection reset by peer", "message too large": "event=produce_failed .*[Mm]essage size too large",
          "partitions revoked": "event=revoked", "hung": "event=hung", "out of descriptors": "Too many open files"}


def traces(text):
    counts = {name: len(re.findall(pattern, text)) for name, pattern in TRACES.items()}
    return ", ".join(f"{name} {n}" for name, n in counts.items() if n) or "none"


TARGETS = (("an actor", 200, lambda s: s.actor and s.alone), ("the router", 200, lambda s: s.actor == "router" and s.alone),
           ("a whole node", 10000, lambda s: s.kind == "kill -9 a node"))


def verdict(struck):
    """How it compares with what is wanted: from the kill to the next settled envelope, p99."""
    lines = []
    for what, most, wanted in TARGETS:
        values = sorted(s.settled_ms for s in struck if wanted(s) and s.settled_ms is not None)
        if values:
            p99 = percentile(values, 0.99)
            lines.append(f"from kill -9 of {what} to the next settled envelope: p99 {p99:.0f} ms of {len(values)}; "
                         f"wanted at most {most} ms{'' if p99 <= most else ': OVER'}")
    return "\n".join(lines)
