"""What the documentation names exists: files, links, headings, commands of fte, targets of make, codes, topics, tables."""
import glob, os, re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGES = sorted(os.path.relpath(path, ROOT) for pattern in ("*.md", "docs/**/*.md", "actors/*.md", "proto/*.md")
               for path in glob.glob(os.path.join(ROOT, pattern), recursive=True))


def read(path):
    with open(os.path.join(ROOT, path)) as f:
        return f.read()


def anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", read(page)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, section = target.partition("#")
            full = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            assert os.path.exists(os.path.join(ROOT, full)), "%s: %s" % (page, target)
            if section:
                assert section in [anchor(h) for h in re.findall(r"(?m)^#+ (.*)$", read(full))], "%s: %s" % (page, target)


def test_files_that_are_named_exist():
    folders = "actors|proto|db|docs|supervisor|test"
    for page in PAGES:
        for name in set(re.findall(r"(?<![\w/.])((?:%s)/[\w./-]*\w)" % folders, read(page))):
            if "NNNN" in name or page == "docs/adr/template.md":
                continue
            assert glob.glob(os.path.join(ROOT, name) + "*") or name in EXAMPLES, "%s: %s" % (page, name)


EXAMPLES = {"actors/counter/counter.c", "docs/benchmarks.md"}  # what a reader is told to make


def test_commands_of_fte_that_are_named_exist():
    commands = set(re.findall(r'(?m)^    \{"(\w+)", cmd_', read("supervisor/cli/fte.c")))
    for page in PAGES:
        for name in re.findall(r"(?:build/bin/fte|`fte) ([a-z]+)\b", read(page)):
            assert name in commands, "%s: fte %s" % (page, name)
        for names in re.findall(r"`fte ([a-z]+(?:\|[a-z]+)+)`", read(page)):
            assert set(names.split("|")) <= commands, "%s: fte %s" % (page, names)


def test_targets_of_make_that_are_named_exist():
    targets = set(re.findall(r"(?m)^([a-z-]+):", read("Makefile")))
    for page in PAGES:
        for name in re.findall(r"(?:`|^)make ([a-z]+)\b", read(page), re.M):
            assert name in targets, "%s: make %s" % (page, name)


def test_actors_have_their_line():
    actors = {os.path.basename(os.path.dirname(p)) for p in glob.glob(os.path.join(ROOT, "actors/*/*.c"))}
    page = read("actors/README.md")
    for actor in actors:
        assert re.search(r"(?m)^\| \[?%s\b" % actor, page), "actors/README.md has no line for %s" % actor


def test_the_codes_of_the_grammar_are_those_of_the_code():
    names = set(re.findall(r'"(\w+)"', read("proto/err.c"))) - {"none"}
    section = read("proto/README.md").split("## 10. Error codes")[1].split("## 11.")[0]
    assert set(re.findall(r"(?m)^\| `(\w+)`", section)) == names


def test_the_types_of_the_grammar_are_those_of_the_code():
    types = re.findall(r"HEAD_(\w+) = (\d+)", read("proto/head.h"))
    section = read("proto/README.md").split("## 4. Types")[1].split("## 5.")[0]
    assert re.findall(r"(?m)^\| (\d+) \| (\w+) ", section) == [(number, name) for name, number in types]


def test_the_escalation_reasons_are_those_of_the_table():
    sql = read("db/migrations/0001_crm.sql")
    reasons = set(re.findall(r"'(\w+)'", re.search(r"domain escalation_reason as text check \(value in \((.*?)\)\)", sql, re.S).group(1)))
    page = read("docs/guide/escalation-rules.md")
    assert reasons and {r for r in reasons if r not in page} == set()


def test_tables_that_the_architecture_names_exist():
    sql = "".join(read(os.path.relpath(p, ROOT)) for p in glob.glob(os.path.join(ROOT, "db/migrations/*.sql")))
    tables = set(re.findall(r"create table (\w+)", sql))
    section = read("docs/architecture.md").split("## Crash table")[1].split("## Exactly")[0]
    for name in set(re.findall(r"`(\w+) \(", section)) | {"log_records", "outbox", "agent_runs", "escalations", "dead_letters"}:
        assert name in tables, name


def test_the_limits_of_the_grammar_are_those_of_the_code():
    limits = dict(re.findall(r"#define (PROTO_MAX_\w+)\s+\(?([\d* ]+)", read("proto/head.h")))
    page = read("proto/README.md").split("## 12. Limits")[1]
    want = {"PROTO_MAX_HEAD": ("head frame", 1), "PROTO_MAX_DEPTH": ("nesting of a body", 1),
            "PROTO_MAX_SERVICE": ("name of a service", 1), "PROTO_MAX_ROUTE": ("routing id", 1),
            "PROTO_MAX_BODY": ("envelope, question, answer", 1024), "PROTO_MAX_MESSAGE": ("body frame", 1024 * 1024)}
    for name, (row, unit) in want.items():
        shown = re.search(r"(?m)^\| %s \| (\d+)" % row, page).group(1)
        assert int(shown) * unit == eval(limits[name]), name
