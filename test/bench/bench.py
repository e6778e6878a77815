"""Conversations per second from the form to the stored reply, and what they cost.

    make bench            (or: /usr/bin/python3 test/bench/bench.py [--conversations 12000] [--quick])

A system of its own with the product's settings, everything durable (fsync and synchronous_commit on);
only the rate limit per address is off, because all clients come from one. Closed loop: each client waits
for its reply before it asks again. The baseline is the same SQL alone (baseline.py), in the same run.
A machine is never quite quiet, so the two logs are measured in turn, ROUNDS times each with as many clients, and
compared pair by pair: what is told is the median. Kafka's broker is compiled while it runs; before anything
is measured it has had WARM conversations.
Writes docs/benchmarks.md; ends with one JSON line a row.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "integration")]

import baseline  # noqa: E402
from system import BIN, ROOT, System  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
LOGS = ("postgres", "kafka")
CLIENTS = {1: 12, 10: 3, 100: 1}  # and which part of the conversations
ROUNDS = 3
WARM = 20000  # on Kafka


def proc_cpu(pid):
    """Seconds of CPU that the process has used."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK
    except OSError:
        return 0.0


def proc_pss_mb(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:")) / 1024


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def processes(system):
    """{name: [pids]}: every actor, the supervisor, and PostgreSQL with its children."""
    found = {name: [row["pid"]] for name, row in system.actors().items() if row["pid"]}
    found["supervisor"] = [system.supervisor.pid]
    with open(os.path.join(system.state, "pg", "postmaster.pid")) as f:
        postmaster = int(f.readline())
    found["postgresql"] = [postmaster] + children(postmaster)
    if system.kafka:
        found["kafka"] = [int(system.broker("pid", str(node + 1))) for node in range(system.kafka)]
    return found


def load(system, clients, conversations):
    """One run of the load generator: its JSON, and CPU seconds per process during it."""
    before = {name: sum(map(proc_cpu, pids)) for name, pids in processes(system).items()}
    child = os.times()
    done = subprocess.run([os.path.join(BIN, "load"), system.base + "/support/submit", str(clients),
                           str(conversations)], env=system.env, capture_output=True, text=True)
    if not done.stdout.strip():
        raise RuntimeError(done.stderr)
    if done.stderr:
        print(done.stderr, file=sys.stderr)
    after = {name: sum(map(proc_cpu, pids)) for name, pids in processes(system).items()}
    own = os.times()
    cpu = {name: after[name] - before.get(name, 0) for name in after}
    cpu["load generator"] = own.children_user + own.children_system - child.children_user - child.children_system
    return json.loads(done.stdout), cpu


def warm(systems, n):
    """Plans, caches, connections, and the broker's compiler."""
    for log in LOGS:
        load(systems[log], 10, max(200, n // 50))
    load(systems["kafka"], 100, min(WARM, 4 * n))


def measure(systems, n):
    """{(log, clients): [(result, CPU seconds per 1,000 conversations and process)]}, in turn; PSS in MB by log and process."""
    runs, pss = {(log, clients): [] for clients in CLIENTS for log in LOGS}, {}
    for clients, share in CLIENTS.items():
        for turn in range(ROUNDS):
            for log in LOGS if turn % 2 == 0 else reversed(LOGS):
                result, cpu = load(systems[log], clients, max(100, n // share // ROUNDS))
                runs[log, clients].append((result, {k: 1000 * v / result["conversations"] for k, v in cpu.items()}))
        for log in LOGS:
            pss[log, clients] = {name: sum(map(proc_pss_mb, pids)) for name, pids in processes(systems[log]).items()
                                 if name not in ("postgresql", "kafka")}
    return runs, pss


def rate(run):
    return run[0]["conversations"] / run[0]["seconds"]


def summary(runs, pss):
    """A row for each log and number of clients: medians of its runs, and of the ratios pair by pair."""
    rows = []
    for (log, clients), mine in sorted(runs.items(), key=lambda item: (LOGS.index(item[0][0]), item[0][1])):
        results = [result for result, _ in mine]
        row = {"name": f"form_to_reply_{clients}" + ("_kafka" if log == "kafka" else ""), "clients": clients,
               "conversations_per_s": round(statistics.median(map(rate, mine)), 1),
               **{name: round(statistics.median(r[name] for r in results), 1) for name in ("p50_ms", "p95_ms", "p99_ms")},
               "pss_mb": round(sum(pss[log, clients].values()), 1), "baseline_ratio": None,
               **{name: sum(r[name] for r in results) for name in ("answered", "escalated", "failed")},
               "cpu_s_per_1000": round(statistics.median(sum(cpu.values()) for _, cpu in mine), 3)}
        if log == "kafka":
            pairs = list(zip(mine, runs["postgres", clients]))
            row["of_postgres"] = round(statistics.median(rate(k) / rate(p) for k, p in pairs), 3)
            row["broker_cpu_s_per_1000"] = round(statistics.median(cpu["kafka"] for _, cpu in mine), 3)
        rows.append(row)
    return rows


def costs_of(runs, log):
    """{clients: {process: median of CPU seconds per 1,000 conversations}}."""
    return {clients: {name: statistics.median(cpu.get(name, 0) for _, cpu in runs[log, clients])
                      for name in runs[log, clients][0][1]} for clients in CLIENTS}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--conversations", type=int, default=12000, help="at 100 clients")
    options.add_argument("--quick", action="store_true", help="a tenth of it, docs/benchmarks.md is left alone")
    args = options.parse_args()
    n = args.conversations // 10 if args.quick else args.conversations

    with System() as postgres, System(kafka=1) as kafka:
        systems = {"postgres": postgres, "kafka": kafka}
        warm(systems, n)
        runs, pss = measure(systems, n)
        recording = baseline.Recording(postgres)
        recording.start()
        load(postgres, 100, 600)
        alone = baseline.run(postgres, recording.stop(), 2 if args.quick else 12)
    rows = summary(runs, pss)
    for row in rows:
        row["baseline_ratio"] = round(row["conversations_per_s"] / alone, 3)
    report = describe(rows, alone, n) + describe_cost("the log in PostgreSQL", costs_of(runs, "postgres"), pss["postgres", 100])
    report += describe_cost("the log in Kafka, one broker on the same cores", costs_of(runs, "kafka"), pss["kafka", 100])
    print(report)
    if not args.quick:
        with open(os.path.join(ROOT, "docs", "benchmarks.md"), "w") as f:
            f.write(report)
    for row in rows:
        print(json.dumps(row))
    return 1 if any(row["failed"] for row in rows) else 0


def describe(rows, alone, n):
    with open("/proc/cpuinfo") as f:
        cpu = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    lines = [
        "# Benchmarks", "",
        f"Made by `make bench` on {datetime.date.today()} at commit {head.stdout.strip() or 'unknown'}: "
        f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, Linux {platform.release()}. The load generator, every",
        "actor, PostgreSQL and Kafka share these cores. fsync and synchronous_commit are on; each client waits for its",
        "reply to be stored before it asks again. Latency is from the request to the stored reply. The two logs were measured",
        f"in turn, {ROUNDS} times each with {n // ROUNDS} conversations at 100 clients and fewer with fewer; medians, of pairs where",
        f"they are compared. Kafka's broker had been warmed with {min(WARM, 4 * n)} conversations.", "",
        "| log | clients | conversations/s | p50 ms | p95 ms | p99 ms | of the baseline | of the PostgreSQL log "
        "| PSS of all actors, MB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {'Kafka' if 'of_postgres' in r else 'PostgreSQL'} | {r['clients']} | {r['conversations_per_s']} "
              f"| {r['p50_ms']} | {r['p95_ms']} | {r['p99_ms']} | {r['baseline_ratio']} "
              f"| {r.get('of_postgres', '')} | {r['pss_mb']} |" for r in rows]
    lines += ["", f"Baseline: the same SQL alone, replayed by pgbench in the batches of the run at 100 clients "
              f"({baseline.CLIENTS} connections): {alone:.0f} conversations/s."]
    most = rows[-1]
    lines += ["", f"At {most['clients']} clients the log in Kafka does {most['of_postgres']} of the conversations/s of the log in "
              f"PostgreSQL. Of its {most['cpu_s_per_1000']} s of CPU for 1,000 conversations the broker",
              f"takes {most['broker_cpu_s_per_1000']} s ({most['broker_cpu_s_per_1000'] / most['cpu_s_per_1000']:.0%})."]
    return "\n".join(lines) + "\n"


def describe_cost(which, costs, pss):
    lines = ["", f"CPU seconds per 1,000 conversations, {which}:", "",
              "| process | " + " | ".join(f"{c} clients" for c in costs) + " | PSS MB |",
              "| --- |" + " --- |" * (len(costs) + 1)]
    for name in sorted(costs[100], key=costs[100].get, reverse=True):
        memory_mb = f"{pss[name]:.1f}" if name in pss else ""
        lines.append(f"| {name} | " + " | ".join(f"{costs[c].get(name, 0):.2f}" for c in costs) + f" | {memory_mb} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
