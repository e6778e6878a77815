"""Two whole nodes, each with a supervisor, a router and actors of its own, on one database and one log."""
import time
import uuid

import pytest
from system import System, wait_for

MOVED_S = 10.0  # from the death of a node until the other does its work
QUESTION, REFUND = "How do I write my own actor?", "I want a refund"


@pytest.fixture(params=[0, 1], ids=["postgres", "kafka"])
def nodes(request):
    with System(kafka=request.param, FTE_LINK_SECRET=uuid.uuid4().hex) as one, System(beside=one) as two:
        wait_for(lambda: sorted(shares(one)) == [6, 6], 30, "half of the partitions for each")
        yield one, two


def shares(node):
    """How many partitions each edge holds."""
    return [row[0] for row in node.sql("select count(*) from log_partitions where owner is not null group by owner")]


def outcome(node, link):
    return node.wait_outcome(link)["status"]


def test_both_take_messages_and_share_the_work(nodes):
    links = [(nodes[i % 2], nodes[i % 2].submit(message=QUESTION)) for i in range(40)]
    for node, link in links:
        assert outcome(node, link) == "answered"
    # Whichever node took a message, its page is at the other, too.
    assert nodes[1].status(links[0][1])["status"] == "answered"
    wait_for(lambda: all(node.actors()["edge"]["settled"] > 0 for node in nodes), what="work for the edge of each node")


def test_the_work_of_a_node_that_is_killed_is_done_by_the_other(nodes):
    one, two = nodes
    links = [node.submit(message=question) for _ in range(30) for node in nodes for question in (QUESTION, REFUND)]
    one.supervisor.kill()
    one.supervisor.wait()
    began = time.monotonic()
    wait_for(lambda: shares(two) == [12], MOVED_S, "all partitions for the one that lives", 0.05)
    moved = time.monotonic() - began
    for link in links:
        assert outcome(two, link) in ("answered", "escalated")
    assert two.sql("select count(*) from messages where direction = 'outbound'")[0][0] == len(links) / 2
    assert two.sql("select count(*) from escalations")[0][0] == len(links) / 2
    assert moved < MOVED_S
    one.start_supervisor()
    one.wait_ready()
    wait_for(lambda: sorted(shares(two)) == [6, 6], 30, "half of the partitions for each again")
    assert outcome(one, one.submit(message=QUESTION)) == "answered"
