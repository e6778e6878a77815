"""docs/asyncapi.yaml against AsyncAPI's own schema and the table of topics (actors/edge/topics.c). That records are as it says is tested
where they are made (test/integration/edge_test.py), with schema()."""
import json, pathlib, re, shutil, subprocess
import jsonschema, yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
API = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text())
TYPES = {"fte.message.incoming": "incoming", "fte.channel.inbound": "inbound", "fte.ticket.escalated": "escalated",
         "fte.metrics.minute": "minute", "fte.message.dead": "dead"}


def table():
    """{topic: (type, retention in ms, bytes of a record)} of the code."""
    text = (ROOT / "actors/edge/topics.c").read_text()
    header = (ROOT / "actors/edge/topics.h").read_text()
    days = 24 * 3600 * 1000
    return {name: (type_, int(n) * days, int(re.search(r"#define %s (\d+)" % size, header)[1])) for name, type_, n, size in
            re.findall(r'\{"(fte\.[a-z.]+)", "(fte\.[a-z.]+)", (\d+) \* DAYS, (TOPICS_\w+)', text)}


def validator(name):
    """Of a schema of the document."""
    return jsonschema.Draft202012Validator({"$ref": "#/components/schemas/" + name, "components": API["components"]})


def published_schema():
    """What AsyncAPI's authors publish, pinned by asyncapi/package-lock.json; fetched once for each content of it."""
    place, source = ROOT / "build/asyncapi", ROOT / "test/docs/asyncapi"
    lock, stamp = source / "package-lock.json", place / "installed-lock.json"
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(source, place)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=place, check=True, capture_output=True,
                       text=True, timeout=300)
        shutil.copy(lock, stamp)
    return json.loads((place / "node_modules/@asyncapi/specs/schemas/3.0.0.json").read_text())


def test_the_document_is_valid_asyncapi():
    validator = jsonschema.Draft7Validator(published_schema())
    document = json.loads(json.dumps(API))  # without YAML's own kinds
    assert [(fault.json_path, fault.message) for fault in validator.iter_errors(document)] == []
    # And it is a judge: what isn't valid is seen.
    document["channels"]["dead"]["bindings"]["kafka"]["partitions"] = "many"
    assert [fault.json_path for fault in validator.iter_errors(document)]


def test_the_topics_of_the_document_are_those_of_the_code():
    described = {}
    for channel in API["channels"].values():
        [message] = channel["messages"].values()
        name = message["$ref"].rsplit("/", 1)[1]
        kafka = channel["bindings"]["kafka"]
        assert kafka["partitions"] == 12 and kafka["replicas"] == 3
        described[channel["address"]] = (API["components"]["messages"][name]["name"], kafka["topicConfiguration"]["retention.ms"],
                                         kafka["topicConfiguration"]["max.message.bytes"])
    assert described == table() and len(described) == 7
    header = (ROOT / "actors/edge/topics.h").read_text()
    assert re.search(r"TOPICS_PARTITIONS 12\b", header)


def test_each_reference_leads_somewhere():
    def walk(node):
        if isinstance(node, dict):
            if "$ref" in node:
                at = API
                for part in node["$ref"].removeprefix("#/").split("/"):
                    at = at[part]
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)
    walk(API)


def test_the_schemas_are_schemas():
    for schema in API["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
