"""docs/asyncapi.yaml against the table of topics (actors/edge/topics.c). That records are as it says is tested
where they are made (test/integration/edge_test.py), with schema()."""
import pathlib, re
import jsonschema, yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
API = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text())
TYPES = {"fte.message.incoming": "incoming", "fte.channel.inbound": "inbound", "fte.ticket.escalated": "escalated",
         "fte.metrics.minute": "minute", "fte.message.dead": "dead"}


def table():
    """{topic: (type, retention in ms)} of the code."""
    text = (ROOT / "actors/edge/topics.c").read_text()
    days = 24 * 3600 * 1000
    return {name: (type_, int(n) * days) for name, type_, n in re.findall(r'\{"(fte\.[a-z.]+)", "(fte\.[a-z.]+)", (\d+) \* DAYS', text)}


def validator(name):
    """Of a schema of the document."""
    return jsonschema.Draft202012Validator({"$ref": "#/components/schemas/" + name, "components": API["components"]})


def test_the_topics_of_the_document_are_those_of_the_code():
    described = {}
    for channel in API["channels"].values():
        [message] = channel["messages"].values()
        name = message["$ref"].rsplit("/", 1)[1]
        kafka = channel["bindings"]["kafka"]
        assert kafka["partitions"] == 12 and kafka["replicas"] == 3
        assert kafka["topicConfiguration"]["max.message.bytes"] == 1048588
        described[channel["address"]] = (API["components"]["messages"][name]["name"], kafka["topicConfiguration"]["retention.ms"])
    assert described == table() and len(described) == 7
    header = (ROOT / "actors/edge/topics.h").read_text()
    assert re.search(r"TOPICS_PARTITIONS 12\b", header) and re.search(r"TOPICS_MESSAGE 1048588\b", header)


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
