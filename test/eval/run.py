#!/usr/bin/python3
"""run - how good the decisions are, measured on labelled data: triage, sentiment, identity, knowledge base.

DATA is a folder with intents.jsonl, sentiment.jsonl, identity.jsonl and kb/NAME/{kb,questions,no_answer}.jsonl; what isn't
there is not measured. Everything is asked of the programs themselves (`fte triage`, `fte identify`, `fte kb search --jsonl`),
so an operator can measure data of their own in the same way. Prints a table for each set, with --json one JSON line a set;
ends with 1 if a figure is under its floor (DATA/floors.json, else test/eval/floors.json: what was reached, less what chance
may take away).

  test/eval/run.py DATA [--json] [--only triage,sentiment,identity,kb] [--errors]"""
import argparse, collections, json, math, os, subprocess, sys

import kb

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("FTE_BIN", os.path.join(ROOT, "build/bin"))
REASONS = ("pricing_inquiry", "refund_request", "legal_issue", "cancellation_request", "customer_requested")


def read(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def ask(rows, *command):
    """What the program answers to these rows, by id."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    out = subprocess.run([os.path.join(BIN, "fte"), *command], input=lines, check=True, stdout=subprocess.PIPE, text=True,
                         env=dict(os.environ, FTE_TRIAGE_RULES="")).stdout
    return {row["id"]: row for row in map(json.loads, out.splitlines())}


def share(part, whole):
    return round(part / whole, 4) if whole else None


def precision_recall(pairs):
    """Of (expected, found) pairs of booleans."""
    hit = sum(e and f for e, f in pairs)
    return {"items": sum(e for e, _ in pairs), "precision": share(hit, sum(f for _, f in pairs)),
            "recall": share(hit, sum(e for e, _ in pairs))}


def triage(rows):
    """For each reason; a row with several labels is right with any of them. Then all together, whatever the reason, and how
    many of the messages that hold a word of a rule in another sense ("trap") are left alone."""
    found = ask([{"id": r["id"], "text": r["text"], "channel": "webform"} for r in rows], "triage")
    reason = {r["id"]: found[r["id"]]["reason"] for r in rows}
    wants = lambda r: set(r["labels"]) & set(REASONS)
    any_reason = lambda of: precision_recall([(bool(wants(r)), reason[r["id"]] is not None) for r in of])
    # Of several labels, the one that was found is the right one.
    right = lambda r: reason[r["id"]] if reason[r["id"]] in wants(r) else next(iter(sorted(wants(r))), None)
    sets = []
    for name in REASONS:
        pairs = [(right(r) == name, reason[r["id"]] == name) for r in rows]
        if any(e for e, _ in pairs):
            sets.append({"name": "triage/" + name, **precision_recall(pairs)})
    sets.append({"name": "triage/any reason", **any_reason(rows)})
    sets.append({"name": "triage/any reason, unambiguous", **any_reason([r for r in rows if not r.get("ambiguous")])})
    traps = [r for r in rows if r.get("trap")]
    if traps:
        sets.append({"name": "triage/traps", "items": len(traps),
                     "right": share(sum((reason[r["id"]] in wants(r)) if wants(r) else reason[r["id"]] is None for r in traps),
                                    len(traps))})
    wrong = [(r["text"], sorted(wants(r)), reason[r["id"]]) for r in rows
             if (reason[r["id"]] not in wants(r) if wants(r) else reason[r["id"]] is not None)]
    return sets, wrong


def pearson(a, b):
    ma, mb = sum(a) / len(a), sum(b) / len(b)
    over = sum((x - ma) * (y - mb) for x, y in zip(a, b))
    under = math.sqrt(sum((x - ma) ** 2 for x in a) * sum((y - mb) ** 2 for y in b))
    return round(over / under, 4) if under else None


def sentiment(rows):
    """Correlation with people's ratings, and how well "clearly unhappy" (below -0.3) is told from the rest."""
    found = ask([{"id": r["source"] + r["id"], "text": r["text"]} for r in rows], "triage")
    score = lambda r: found[r["source"] + r["id"]]["sentiment"]
    sets = []
    for source in ["all"] + sorted({r["source"] for r in rows}):
        of = [r for r in rows if source in ("all", r["source"])]
        unhappy = precision_recall([(r["score_human"] < -0.3, score(r) < -0.3) for r in of])
        sets.append({"name": "sentiment/" + source, "items": len(of),
                     "pearson": pearson([r["score_human"] for r in of], [score(r) for r in of]),
                     "unhappy_precision": unhappy["precision"], "unhappy_recall": unhappy["recall"]})
    wrong = [(r["text"], r["score_human"], round(score(r), 3)) for r in rows if abs(r["score_human"] - score(r)) > 0.8]
    return sets, wrong


def identity(rows):
    """By kind of pair. merged: pairs of two customers that were taken for one, which is the worse mistake."""
    found = ask(rows, "identify")
    right = lambda r: found[r["id"]]["same"] == r["same"]
    kinds = collections.defaultdict(list)
    for r in rows:
        kinds[r["rule"]].append(r)
    sets = [{"name": "identity/" + kind, "items": len(of), "right": share(sum(map(right, of)), len(of))}
            for kind, of in sorted(kinds.items(), key=lambda item: -len(item[1]))]
    apart = [r for r in rows if not r["same"]]
    sets.append({"name": "identity", "items": len(rows), "right": share(sum(map(right, rows)), len(rows)),
                 "merged": share(sum(not right(r) for r in apart), len(apart))})
    return sets, [(r["rule"], r["a"], r["b"], r.get("region"), r["same"]) for r in rows if not right(r)]


def knowledge(folder):
    result = []
    for name in sorted(os.listdir(folder)):
        if os.path.exists(os.path.join(folder, name, "kb.jsonl")):
            result.append({"name": "kb/" + name, **kb.measure_alone(os.path.join(folder, name))})
    return result, []


PARTS = {"triage": ("intents.jsonl", triage), "sentiment": ("sentiment.jsonl", sentiment),
         "identity": ("identity.jsonl", identity), "kb": ("kb", knowledge)}


def read_floors(data):
    own = os.path.join(data, "floors.json")
    with open(own if os.path.exists(own) else os.path.join(os.path.dirname(os.path.abspath(__file__)), "floors.json")) as f:
        return json.load(f)


def below(row, floors):
    """The figures of a set that miss their floor. "merged" is the one that must not be larger."""
    for figure, floor in floors.get(row["name"], {}).items():
        value = row.get(figure)
        if value is None or (value > floor if figure == "merged" else value < floor):
            yield "%s: %s is %s, its floor is %g" % (row["name"], figure, value, floor)


def show(row):
    figures = "  ".join("%s %s" % (k, "%.3f" % v if isinstance(v, float) else v) for k, v in row.items() if k != "name")
    print("%-62s %s" % (row["name"], figures), flush=True)


def main():
    options = argparse.ArgumentParser(prog="run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data")
    options.add_argument("--json", action="store_true", help="one JSON line a set")
    options.add_argument("--only", default=",".join(PARTS), help="parts, with commas between them")
    options.add_argument("--errors", action="store_true", help="the rows that were decided wrongly, too")
    o = options.parse_args()
    floors, missed, measured = read_floors(o.data), [], 0
    for part in o.only.split(","):
        file, measure = PARTS[part]
        path = os.path.join(o.data, file)
        if not os.path.exists(path):
            continue
        sets, wrong = measure(path if os.path.isdir(path) else read(path))
        measured += len(sets)
        for row in sets:
            print(json.dumps(row), flush=True) if o.json else show(row)
            missed += below(row, floors)
        for row in wrong if o.errors else []:
            print("  ", *row, sep=" | ")
    for line in missed:
        print("eval: " + line, file=sys.stderr)
    if not measured:
        print("eval: %s: has none of %s" % (o.data, ", ".join(file for file, _ in PARTS.values())), file=sys.stderr)
    return 1 if missed or not measured else 0


if __name__ == "__main__":
    sys.exit(main())
