"""More of provoke.py: what brings out the safeguards of the log in Kafka, and those against edges that hang."""

import os
import signal

from lab import REFUND
from provoke import burst
from system import wait_for


# --- the log in Kafka ---------------------------------------------------------------------------------------

def delivery_report(lab):
    """The broker hangs, and dies with what it has not read; so does the edge."""
    a = lab.new()
    with lab.broker_dying(dies=lab.without):
        status = a.post().status_code
        assert status == (202 if lab.without else 503)
        lab.kill("edge", wait=False)
    if status == 202:
        lab.accepted[a.id] = a.text
    else:
        a.send().outcome()  # the client tries again
    lab.quiet()
    return {(check, a.id) for check in ("nothing_lost", "in_the_log", "raw_in_the_log")}


def repeat_of_a_part(lab):
    """A record stands in Kafka twice that was composed with another one."""
    a, b, _ = burst(lab, hold=False)
    b.outcome()
    lab.quiet()
    lab.copy(b)
    d = lab.send("And now?", after=a)
    lab.neighbour(a, REFUND).send().outcome()  # the edge has read up to here
    if not lab.without:
        d.outcome()
        lab.quiet()
    return {("nothing_lost", d.id)}


def repeat_while_under_way(lab):
    """A record stands in Kafka twice, and then comes something else: the two wait for the first."""
    a = lab.send_held("agent_runs")
    lab.copy(a)
    b = lab.send("And then?", after=a)
    lab.neighbour(a, REFUND).send().outcome()  # the edge has read up to here
    lab.release("agent_runs", a.id)
    a.outcome()
    lab.quiet()
    return {("nothing_lost", b.id)}


def letter_on_its_way(lab):
    """The broker hangs when a letter's record is handed on, and dies with it."""
    a = lab.new()
    lab.refuse(a.id)
    lab.hold("dead_letters", a.id)
    a.send()
    lab.wait_held("dead_letters", a.id)
    failed = lab.system.logs().count("event=produce_failed topic=fte.dlq")
    with lab.broker_dying():
        lab.release("dead_letters", a.id)
        wait_for(lambda: lab.system.logs().count("event=produce_failed topic=fte.dlq") > failed, what="a record that Kafka has not")
    wait_for(lambda: lab.sql("select count(*) from log_records") == [(0,)], what="all handed on")
    lab.quiet()
    return {("dead_letter_on_topic", a.id)}


# --- zombies --------------------------------------------------------------------------------------------------------

def zombie_composes(lab):
    """An edge hangs while it composes a burst. Another one takes over, delivers the burst's first message alone, and
    dies. What the first one does when it wakes must not count."""
    a = lab.send_held("agent_runs")
    lab.arm("edge.before_commit.composed:stop")
    b, c = lab.send("Where is my data kept?", after=a), lab.send("How do I replay a dead letter?", after=a)
    lab.hold("agent_runs", b.id)
    lab.release("agent_runs", a.id)
    a.outcome()
    zombie = lab.stopped("edge")
    lab.scale_edges(2)
    lab.wait_held("agent_runs", b.id)
    second = lab.other_edge(zombie)
    os.kill(second, signal.SIGSTOP)
    lab.release("agent_runs", b.id)
    b.outcome()
    os.kill(zombie, signal.SIGCONT)
    if lab.without:
        wait_for(lambda: lab.sql("select count(*) from log_records where unit = %s", b.id) == [(2,)], what="the zombie's composition")
    else:
        lab.wait_awake()
    os.kill(second, signal.SIGKILL)
    if not lab.without:
        c.outcome()
    lab.quiet()
    lab.scale_edges(1)
    return {("nothing_lost", c.id)}


def zombie_buries(lab):
    """An edge hangs while it buries a unit. The cause is mended, and another one takes over and delivers it again."""
    a = lab.new()
    lab.refuse(a.id)
    lab.poison.discard(a.id)
    lab.arm("edge.before_commit.buried:stop")
    a.send()
    zombie = lab.stopped("edge")
    lab.sql("delete from refused")
    lab.hold("agent_runs", a.id)
    lab.scale_edges(2)
    lab.wait_held("agent_runs", a.id)
    os.kill(zombie, signal.SIGCONT)
    if lab.without:
        a.wait("dead_letters")
    else:
        lab.wait_awake()
    lab.release("agent_runs", a.id)
    a.outcome()
    lab.quiet()
    lab.scale_edges(1)
    return {("died", a.id)}
