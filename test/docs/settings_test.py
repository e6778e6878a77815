#!/usr/bin/python3
"""docs/guide/settings.md against the option tables, the scripts and the child table.

`settings_test.py --write` writes the part of the guide below "All settings" from the option tables."""
import glob, os, re, sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GUIDE = os.path.join(ROOT, "docs/guide/settings.md")
BEGIN = "## All settings, one by one\n"

# Read by something that has no option table: where, default, allowed, one sentence.
OTHERS = {
    "FTE_CONFIG": ("every program", "none", "a file that can be read",
                   "A file of settings, one KEY=VALUE a line; what is set in the environment wins."),
    "FTE_CHILD_TABLE": ("fte up, fte check", "supervisor/supervisor.conf of the checkout", "a child table that can be read",
                        "The child table: which processes there are."),
    "FTE_DRAIN_BUDGET": ("supervisor", "45s", "a time from 0s to 24h",
                         "How long everything together may take to finish its work when the system is stopped."),
}
# Of the build and of tests only, or set by the supervisor: not for operators.
NOT_SETTINGS = {"FTE_CHILD", "FTE_FAULT", "FTE_FAULTS", "FTE_VERSION", "FTE_BIN", "FTE_X", "FTE_RULES", "FTE_TEST", "FTE_INFO", "FTE_ABORT"}


def sources(*patterns):
    for pattern in patterns:
        for path in sorted(glob.glob(os.path.join(ROOT, pattern), recursive=True)):
            with open(path) as f:
                yield os.path.relpath(path, ROOT), f.read()


CODE = [(path, text) for path, text in sources("actors/**/*.[ch]*", "proto/**/*.[ch]", "db/**/*.[ch]", "supervisor/**/*.[ch]")]


def number(text):
    """A C constant expression of numbers and named limits."""
    names = {name for name in re.findall(r"[A-Z][A-Z_0-9]+", text)}
    for name in names:
        for _, code in CODE:
            found = re.search(r"#define %s\s+([^/\n]+)" % name, code)
            if found:
                text = text.replace(name, "(%s)" % found.group(1).strip())
    text = re.sub(r"(?<=[0-9.])[eE](?=[0-9])", "e", text)
    return eval(text, {"__builtins__": {}})


# The macro of db/actor_pg.h.
DATABASE_ROW = '{.name = "DATABASE_URL", ' + re.sub(r"\s*\\\n\s*", " ", next(
    text for path, text in CODE if path == "db/actor_pg.h").split('.name = "DATABASE_URL",')[1].split("    }")[0])

# The macro of actors/edge/options.h: several rows.
LOG_ROWS = re.sub(r"\s*\\\n\s*", " ", re.search(r"#define LOG_OPTIONS((?:.*\\\n)+.*)", next(
    text for path, text in CODE if path == "actors/edge/options.h"))[1].strip("\\\n "))


def literal(text):
    """The text of C string literals; a name among them is that of a macro."""
    for name in re.findall(r"\b[A-Z][A-Z_]+\b", re.sub(r'"(?:[^"\\]|\\.)*"', "", text)):
        for _, code in CODE:
            found = re.search(r"#define %s\s+(\".*\")" % name, code)
            if found:
                text = text.replace(name, found.group(1))
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text)).replace('\\"', '"')


def tables():
    """{name: (where, row)} of every row of an option table; the same row in two actors counts for both."""
    rows = {}
    for path, text in CODE:
        if path.startswith("actors/"):
            text = re.sub(r"\bDATABASE_OPTION,", lambda _: DATABASE_ROW + "},", text)
            text = re.sub(r"\bLOG_OPTIONS,", lambda _: LOG_ROWS + ",", text)
        for row in re.findall(r"\{\s*(\.name = \"[A-Z_]+\",.*?)\},?\s*(?=\{|OPTION_END|\};)", text, re.S):
            fields = dict(re.findall(r"\.(\w+) =\s*((?:\"(?:[^\"\\]|\\.)*\"\s*|[^,\"])+)", row))
            if "type" not in fields:
                continue
            name = literal(fields["name"])
            where = path.split("/")[1] if path.startswith("actors/") else "every actor" if "runtime" in path else "make run"
            known = rows.setdefault(name, ([], fields))
            if where not in known[0]:
                known[0].append(where)
    return rows


def duration(ms):
    for unit, size in (("d", 86400e3), ("h", 3600e3), ("m", 60e3), ("s", 1e3)):
        if ms >= size and ms % size == 0:
            return "%d%s" % (ms / size, unit)
    return "%dms" % ms


def allowed(fields):
    """What docs/guide/settings.md says, and the program itself (describe() in proto/runtime/option.c)."""
    kind = fields["type"].strip()
    if "allowed" in fields:
        return literal(fields["allowed"])
    low, high = (number(fields.get(side, "0")) for side in ("min", "max"))
    if kind == "OPTION_CHOICE":
        return "one of " + ", ".join(literal(fields["choices"]).split("|"))
    if kind == "OPTION_DURATION":
        return "a time from %s to %s" % (duration(low), duration(high))
    if kind == "OPTION_BOOL":
        return "on or off"
    if kind == "OPTION_PATH":
        return "a file that can be read"
    if kind == "OPTION_URL":
        return "an address that begins with " + " or ".join(s + "://" for s in literal(fields["choices"]).split("|"))
    if kind == "OPTION_PORT":
        return "a port from %d to %d" % (low, high)
    if kind == "OPTION_TEXT":
        return "text of %d to %d bytes" % (low, high)
    if kind == "OPTION_INT":
        return "a whole number from %d to %d" % (low, high)
    return "a number from %g to %g" % (low, high)


def sentence(name, where, default, what, help_):
    default = {None: "It must be set", "": "By default it is not set", "none": "By default it is not set"}.get(
        default, "By default it is %s" % default)
    help_ = help_[0].lower() + help_[1:] if help_[1:2].islower() or help_[1] == " " else help_
    return "### %s\n\n%s: %s %s; allowed is %s. It is read by: %s.\n" % (name, name, help_, default, what, where)


def generated():
    parts = {}
    for name, (where, fields) in tables().items():
        default = literal(fields["value_default"]) if "value_default" in fields else None
        if name == "DATABASE_URL":
            default = "the private cluster of make run"
        where = ["every actor"] if "every actor" in where else where
        parts[name] = sentence(name, ", ".join(sorted(where)), default, allowed(fields), literal(fields["help"]))
    for name, (where, default, what, help_) in OTHERS.items():
        parts[name] = sentence(name, where, default, what, help_)
    return "\n".join(parts[name] for name in sorted(parts))


def guide():
    with open(GUIDE) as f:
        return f.read()


def test_the_guide_says_what_the_option_tables_say():
    assert guide().split(BEGIN)[1].strip().endswith(generated().strip()), "run: python3 test/docs/settings_test.py --write"


def test_every_setting_of_the_code_is_in_the_guide():
    used = set()
    for path, text in CODE + list(sources("supervisor/*.sh", "db/*.sh", "proto/python/*.py", "supervisor/supervisor.conf")):
        used |= set(re.findall(r"\bFTE_[A-Z][A-Z_]*[A-Z]\b", text))
    missing = {n for n in used - NOT_SETTINGS if "### %s\n" % n not in guide()}
    assert not missing, "not in docs/guide/settings.md: %s" % sorted(missing)


def test_the_documentation_names_no_setting_that_does_not_exist():
    exist = set(tables()) | set(OTHERS) | NOT_SETTINGS
    for path, text in sources("docs/**/*.md", "README.md", "proto/README.md", "actors/README.md", "CONTRIBUTING.md"):
        wrong = set(re.findall(r"\bFTE_[A-Z][A-Z_]*[A-Z]\b", text)) - exist
        assert not wrong, "%s: %s" % (path, sorted(wrong))


def test_every_actor_is_given_the_settings_that_it_reads():
    """A setting in the environment of the supervisor has no effect where the child table doesn't hand it on."""
    with open(os.path.join(ROOT, "supervisor/supervisor.conf")) as f:
        rows = [[cell.strip() for cell in line.split("|")] for line in f if line.count("|") >= 6 and not line.startswith("#")]
    given = {}
    for row in rows[1:]:
        program = row[2].split()[0].replace("fte-", "")
        given.setdefault(program, set()).update(word.split("=")[0] for word in row[6].split())
    for name, (where, _) in tables().items():
        for actor in where:
            if actor in given:
                assert name in given[actor], "supervisor.conf doesn't give %s to %s" % (name, actor)


if __name__ == "__main__" and "--write" in sys.argv:
    text = guide().split(BEGIN)[0]
    with open(GUIDE, "w") as f:
        f.write(text + BEGIN + "\n" + generated())
