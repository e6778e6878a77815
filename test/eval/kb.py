#!/usr/bin/python3
"""kb - how well the knowledge base finds, and how well it refuses, on ../shared/eval/kb where that is there.

Each knowledge base is imported into a database of its own and asked by `fte kb search --jsonl`; nothing is fitted here.
Prints one JSON line a set and ends with 1 if a figure is under its floor. kept: right answers that are called answerable;
refused: questions without an answer that are not; refused_at_90: the same where the score is cut so that 90 % of the right
answers are kept, which is independent of the calibration. test/eval/kb.py [FOLDER with kb.jsonl, questions.jsonl, ...]"""
import json, os, subprocess, sys, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("FTE_BIN", os.path.join(ROOT, "build/bin"))
DATA = os.path.join(ROOT, "../shared/eval/kb")
# What was reached, less what chance may take away. Baselines: BM25 0.68/0.90 and 0.54/0.73, n-grams 0.72/0.92 and 0.55/0.82.
FLOORS = {
    "banking77": {"top1": 0.73, "top5": 0.925, "kept": 0.93, "refused_near": 0.50, "refused_far": 0.93,
                  "refused_near_at_90": 0.78, "refused_far_at_90": 0.96},
    "curekart": {"top1": 0.64, "top5": 0.91, "kept": 0.83, "refused_human_oos": 0.58, "refused_human_oos_at_90": 0.56},
}


def read(folder, name):
    with open(os.path.join(folder, name)) as f:
        return [json.loads(line) for line in f if line.strip()]


def search(env, questions):
    lines = "".join(json.dumps({"id": q["id"], "text": q["text"]}) + "\n" for q in questions)
    out = subprocess.run([os.path.join(BIN, "fte"), "kb", "search", "--jsonl"], input=lines, env=env, check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    return {a["id"]: a for a in map(json.loads, out.splitlines())}


def measure(folder, env):
    subprocess.run([os.path.join(BIN, "fte"), "kb", "import", os.path.join(folder, "kb.jsonl")], env=env, check=True,
                   stdout=subprocess.DEVNULL)
    questions, without = read(folder, "questions.jsonl"), read(folder, "no_answer.jsonl")
    answers = search(env, questions + without)
    hits = {q["id"]: [h["id"] for h in answers[q["id"]]["hits"]] for q in questions}
    right = [q for q in questions if hits[q["id"]][:1] and hits[q["id"]][0] in q["gold_ids"]]
    score = lambda q: (answers[q["id"]]["hits"] or [{"score": 0}])[0]["score"]
    cut = sorted(map(score, right))[len(right) // 10]
    result = {"questions": len(questions), "top1": len(right) / len(questions),
              "top5": sum(any(g in hits[q["id"]] for g in q["gold_ids"]) for q in questions) / len(questions),
              "kept": sum(answers[q["id"]]["answerable"] for q in right) / len(right)}
    for kind in sorted({q["kind"] for q in without}):
        of = [q for q in without if q["kind"] == kind]
        result["refused_" + kind] = sum(not answers[q["id"]]["answerable"] for q in of) / len(of)
        result["refused_%s_at_90" % kind] = sum(score(q) < cut for q in of) / len(of)
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in result.items()}


def main(folders):
    below = 0
    for folder in folders:
        name = os.path.basename(folder.rstrip("/"))
        with tempfile.TemporaryDirectory(prefix="fte-kb-") as state:
            os.chmod(state, 0o755)
            cluster = os.path.join(ROOT, "db/cluster.sh")
            url = subprocess.run([cluster, "start", state], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
            try:
                env = dict(os.environ, DATABASE_URL=url, FTE_STATE_DIR=state)
                subprocess.run([os.path.join(BIN, "fte"), "migrate"], env=env, check=True, stdout=subprocess.DEVNULL)
                result = measure(folder, env)
            finally:
                subprocess.run([cluster, "stop", state])
        print(json.dumps({"name": "kb/" + name, **result}), flush=True)
        for figure, floor in FLOORS.get(name, {}).items():
            if result.get(figure, 0) < floor:
                print("kb/%s: %s is %.3f, below its floor %.3f" % (name, figure, result.get(figure, 0), floor), file=sys.stderr)
                below += 1
    return 1 if below else 0


if __name__ == "__main__":
    given = sys.argv[1:] or sorted(os.path.join(DATA, d) for d in (os.listdir(DATA) if os.path.isdir(DATA) else []))
    if not given:
        print("kb: no data in %s: nothing measured" % DATA)
    sys.exit(main(given))
