"""Conversations per second from the form to the stored reply, and what they cost.

    make bench            (or: /usr/bin/python3 test/bench/bench.py [--conversations 12000] [--quick])

A system of its own with the product's settings, everything durable (fsync and synchronous_commit on);
only the rate limit per address is off, because all clients come from one. Closed loop: each client waits
for its reply before it asks again. The baseline is the same SQL alone (baseline.py), in the same run.
Writes docs/benchmarks.md; ends with one JSON line a row.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "integration")]

import baseline  # noqa: E402
from system import BIN, ROOT, System  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


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


def measure(system, n):
    """Rows of the table, CPU seconds per 1,000 conversations by clients and process, PSS in MB by process."""
    rows, costs, pss = [], {}, {}
    load(system, 10, max(200, n // 50))  # warm: plans, caches, connections, the broker's compiler
    for clients, share in ((1, 12), (10, 3), (100, 1)):
        result, cpu = load(system, clients, max(100, n // share))
        pss = {name: sum(map(proc_pss_mb, pids)) for name, pids in processes(system).items()
               if name not in ("postgresql", "kafka")}
        rows.append({"name": f"form_to_reply_{clients}", "clients": clients,
                     "conversations_per_s": round(result["conversations"] / result["seconds"], 1),
                     "p50_ms": result["p50_ms"], "p95_ms": result["p95_ms"], "p99_ms": result["p99_ms"],
                     "pss_mb": round(sum(pss.values()), 1), "baseline_ratio": None,
                     "answered": result["answered"], "escalated": result["escalated"],
                     "failed": result["failed"]})
        costs[clients] = {k: 1000 * v / result["conversations"] for k, v in cpu.items()}
    return rows, costs, pss


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--conversations", type=int, default=12000, help="at 100 clients")
    options.add_argument("--quick", action="store_true", help="a tenth of it, docs/benchmarks.md is left alone")
    args = options.parse_args()
    n = args.conversations // 10 if args.quick else args.conversations

    with System() as system:
        rows, costs, pss = measure(system, n)
        recording = baseline.Recording(system)
        recording.start()
        load(system, 100, 600)
        log = recording.stop()
        alone = baseline.run(system, log, 2 if args.quick else 12)
    with System(kafka=1) as system:
        kafka_rows, kafka_costs, kafka_pss = measure(system, n)
    for row, postgres in zip(kafka_rows, rows):
        row["name"] += "_kafka"
        row["of_postgres"] = round(row["conversations_per_s"] / postgres["conversations_per_s"], 3)
    rows += kafka_rows
    for row in rows:
        row["baseline_ratio"] = round(row["conversations_per_s"] / alone, 3)
    report = describe(rows, alone) + describe_cost("the log in PostgreSQL", costs, pss) + describe_cost(
        "the log in Kafka, one broker on the same cores", kafka_costs, kafka_pss)
    print(report)
    if not args.quick:
        with open(os.path.join(ROOT, "docs", "benchmarks.md"), "w") as f:
            f.write(report)
    for row in rows:
        print(json.dumps(row))
    return 1 if any(row["failed"] for row in rows) else 0


def describe(rows, alone):
    with open("/proc/cpuinfo") as f:
        cpu = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    lines = [
        "# Benchmarks", "",
        f"Made by `make bench` on {datetime.date.today()} at commit {head.stdout.strip() or 'unknown'}: "
        f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, Linux {platform.release()}. The load generator, every",
        "actor, PostgreSQL and Kafka share these cores. fsync and synchronous_commit are on; each client waits for its",
        "reply to be stored before it asks again. Latency is from the request to the stored reply.", "",
        "| log | clients | conversations/s | p50 ms | p95 ms | p99 ms | of the baseline | of the PostgreSQL log "
        "| PSS of all actors, MB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {'Kafka' if 'of_postgres' in r else 'PostgreSQL'} | {r['clients']} | {r['conversations_per_s']} "
              f"| {r['p50_ms']} | {r['p95_ms']} | {r['p99_ms']} | {r['baseline_ratio']} "
              f"| {r.get('of_postgres', '')} | {r['pss_mb']} |" for r in rows]
    lines += ["", f"Baseline: the same SQL alone, replayed by pgbench in the batches of the run at 100 clients "
              f"({baseline.CLIENTS} connections): {alone:.0f} conversations/s."]
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
