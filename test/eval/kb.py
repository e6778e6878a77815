"""kb - how well the knowledge base finds, and how well it refuses: the part of run.py that needs a database.

Each knowledge base is imported into a database of its own and asked by `fte kb search --jsonl`; nothing is fitted here.
kept: right answers that are called answerable; refused: questions without an answer that are not; told_apart: all questions
whose `answerable` says whether there is an answer; refused_at_90: the same as refused where the score is cut so that 90 % of
the right answers are kept, which is independent of the calibration."""
import json, os, subprocess, tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("FTE_BIN", os.path.join(ROOT, "build/bin"))


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
              "kept": sum(answers[q["id"]]["answerable"] for q in right) / len(right),
              "told_apart": (sum(answers[q["id"]]["answerable"] for q in questions) +
                             sum(not answers[q["id"]]["answerable"] for q in without)) / (len(questions) + len(without))}
    for kind in sorted({q["kind"] for q in without}):
        of = [q for q in without if q["kind"] == kind]
        result["refused_" + kind] = sum(not answers[q["id"]]["answerable"] for q in of) / len(of)
        result["refused_%s_at_90" % kind] = sum(score(q) < cut for q in of) / len(of)
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in result.items()}


def measure_alone(folder):
    with tempfile.TemporaryDirectory(prefix="fte-kb-") as state:
        os.chmod(state, 0o755)
        cluster = os.path.join(ROOT, "db/cluster.sh")
        url = subprocess.run([cluster, "start", state], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        try:
            env = dict(os.environ, DATABASE_URL=url, FTE_STATE_DIR=state)
            subprocess.run([os.path.join(BIN, "fte"), "migrate"], env=env, check=True, stdout=subprocess.DEVNULL)
            return measure(folder, env)
        finally:
            subprocess.run([cluster, "stop", state])
