"""What brings each safeguard out: a provocation sends messages into the lab (lab.py), has them meet faults, and gives
back the violations that must be found where the safeguard is taken away: {(check, id)}. With the safeguard in its
place the same provocation must find nothing.
"""

import os
import signal

from checker import derived
from lab import GAP, QUESTION, REFUND
from system import wait_for


# --- what is answered is committed, what is passed on, too ----------------------------------------------

def one_message(lab, text, *checks):
    """It goes its way; the stage's commit is answered and doesn't happen where that is armed."""
    a = lab.send(text)
    if lab.without:
        lab.struck(lab.safeguard.away[0].split(":")[0])
    if lab.without and "nothing_lost" in checks:
        lab.send(text).outcome()
    elif "one_outcome" not in checks or not lab.without:
        a.outcome()
    lab.quiet()
    return {(check, derived("escalation", a.id) if check == "told_only" else a.id) for check in checks}


def append(lab):
    """The edge answers, and its commit doesn't happen, as in a crash between the two."""
    return one_message(lab, QUESTION, "nothing_lost", "in_the_log", "raw_in_the_log")


def identity(lab):
    """The message goes on, and the commit of its customer doesn't happen."""
    return one_message(lab, QUESTION, "died")


def ticketer(lab):
    """The message goes on, and the commit of its conversation, ticket and message doesn't happen."""
    return one_message(lab, QUESTION, "died")


def triage(lab):
    """The message goes on, and the commit of its score doesn't happen."""
    return one_message(lab, QUESTION, "sentiment")


def agent(lab):
    """The message goes on, and the commit of its evidence doesn't happen."""
    return one_message(lab, QUESTION, "evidence")


def sender(lab):
    """The message is done, and the commit of its reply doesn't happen."""
    return one_message(lab, QUESTION, "one_outcome")


def escalator(lab):
    """The message is done, and the commit of its escalation doesn't happen."""
    return one_message(lab, REFUND, "one_outcome", "told_only")


def told(lab):
    """The log does not take the escalation's record at first: its second commit, after that of the message."""
    lab.arm("edge.before_commit.appended:error@2")
    a = lab.send(REFUND)
    lab.struck("edge.before_commit.appended")
    a.outcome()
    lab.quiet()
    return {("escalation_on_topic", a.id)}


# --- once under its id ------------------------------------------------------------------------------------

def derived_id(lab):
    """The client has no answer and sends again."""
    a = lab.send().send()
    if not lab.without:
        a.outcome()
    lab.quiet()
    return {(check, a.id) for check in ("nothing_lost", "in_the_log", "raw_in_the_log")}


def digest(lab):
    """Another text under the same submission_id."""
    a = lab.send().outcome()
    a.text = "Where is my data kept?"
    status = a.post().status_code
    assert status == (202 if lab.without else 409)
    if status == 202:
        lab.accepted[a.id] = a.text
    return {("as_it_was_said", a.id)}


def repeat_in_a_burst(lab):
    """While the first is under way its client sends it again, and then something else: the two wait, and go together."""
    a = lab.send_held("agent_runs")
    a.send()
    b = lab.send("And then?", after=a)
    lab.release("agent_runs", a.id)
    a.outcome()
    lab.quiet()
    return {("nothing_lost", b.id)}


# --- delivered again ----------------------------------------------------------------------------------------

def lost_on_the_way(lab):
    """identity's word is cut off with the connection that it went by: only time tells."""
    a = lab.new()
    lab.arm(f"identity.before_settle.{a.id}:error")
    a.send()
    lab.missed("edge.deadline") if lab.without else a.outcome()
    return {("nothing_lost", a.id)}


def worker_dies(lab):
    """triage has committed, and is killed before it passes on."""
    a = lab.new()
    lab.arm(f"triage.before_settle.{a.id}:kill")
    a.send()
    lab.missed("edge.lost") if lab.without else a.outcome()
    return {("one_outcome", a.id)}


def router_dies(lab):
    """It has the first WORK in its hands."""
    lab.arm("router.after_receive.WORK:kill")
    a = lab.send()
    lab.missed("edge.generation") if lab.without else a.outcome()
    return {("nothing_lost", a.id)}


def overtaken_position(lab):
    """A message is stuck in an agent that hangs, and a later one of its partition is done. Then edge and agent die,
    before the message's time is over."""
    x = lab.new()
    lab.arm(f"agent.before_work.{x.id}:stop", "edge.deadline:off")
    x.send()
    agent = lab.stopped("agent")
    y = lab.neighbour(x, REFUND).send().outcome()
    if lab.without:
        wait_for(lambda: lab.position(x) >= lab.offset(y), what="a position that overtakes")
    lab.kill("edge")
    os.kill(agent, signal.SIGKILL)
    if not lab.without:
        x.outcome()
    lab.quiet()
    return {("one_outcome", x.id)}


# --- order, and bursts --------------------------------------------------------------------------------------

def overtaking(lab):
    """The first message's agent takes its time."""
    a = lab.send_held("agent_runs")
    b = lab.send("Where is my data kept?", after=a)
    if lab.without:
        b.wait("replies")
    lab.release("agent_runs", a.id)
    a.outcome(), b.outcome()
    lab.quiet()
    return {("order", a.id)}


def burst(lab, hold=True):
    """Three messages over one link: the first under way, the others wait and are composed."""
    a = lab.send_held("agent_runs")
    b, c = lab.send("And there?", after=a), lab.send("And how?", after=a)
    if hold:
        lab.hold("agent_runs", b.id)
    lab.release("agent_runs", a.id)
    a.outcome()
    return a, b, c


def composition_that_is_forgotten(lab):
    """The edge dies while a burst is under way: it must be the same burst again."""
    a, b, c = burst(lab)
    lab.wait_held("agent_runs", b.id)
    lab.kill("edge")
    lab.release("agent_runs", b.id)
    b.outcome()
    lab.quiet()
    return {("one_outcome", c.id), ("died", c.id)}


def recovered_records(lab):
    """Two messages are done, no position is stored, and a third is under way when the edge and its delivery die. What
    one of them was sent alone must not be put together with another now."""
    lab.arm("edge.before_commit.positions_stored:error@*")
    a = lab.send().outcome()
    lab.send("And there?", after=a).outcome()
    c = lab.new("And how?", after=a)
    lab.hold("messages", c.id)
    c.send()
    backend = lab.wait_held("messages", c.id)[0]
    lab.kill("edge")
    lab.sql("select pg_terminate_backend(%s)", backend)
    lab.release("messages", c.id)
    if not lab.without:
        c.outcome()
    lab.arm()
    lab.quiet()
    return {("nothing_lost", c.id)}


def rest_of_a_burst(lab):
    """A burst is settled, but between its records lies one that isn't: the position stays within the burst. Then the
    edge dies."""
    a = lab.send_held("agent_runs")
    x = lab.neighbour(a, QUESTION)
    b = lab.send("And there?", after=a)
    lab.hold("agent_runs", x.id)
    x.send()
    lab.send("And how?", after=a)
    lab.wait_held("agent_runs", x.id)
    lab.release("agent_runs", a.id)
    b.outcome()
    wait_for(lambda: lab.position(a) == lab.offset(b), what="a position within the burst")
    lab.kill("edge")
    lab.release("agent_runs", x.id)
    d = lab.send("And now?", after=a)
    lab.neighbour(a, REFUND).send().outcome()  # the edge has read up to here
    if not lab.without:
        d.outcome()
        lab.quiet()
    return {("nothing_lost", d.id)}


# --- deciding once --------------------------------------------------------------------------------------------

def decides_anew(lab):
    """An agent has committed its decision and hangs; meanwhile the documentation loses what it rests on."""
    lab.system.fte("kb", "import", lab.knowledge("Zebras are counted with the zebra counter of the savanna."), check=True)
    lab.arm("agent.after_commit.runs:stop")
    a = lab.send("How are zebras counted in the savanna?")
    agent = lab.stopped("agent")
    lab.system.fte("kb", "import", lab.knowledge("Nothing of the kind."), check=True)
    os.kill(agent, signal.SIGKILL)
    a.outcome()
    lab.quiet()
    return {("evidence", a.id)}


def person_takes_over(lab):
    """While the agent is at work on it."""
    a = lab.send_held("agent_runs")
    lab.sql("update conversations set state = 'human' where id = %s", a.id)
    lab.release("agent_runs", a.id)
    a.outcome()
    lab.quiet()
    return {("owned_by_somebody", a.id)}


def buried_meanwhile(lab, text):
    a = lab.send_held("agent_runs", text)
    lab.refuse(a.id)
    lab.again()
    a.wait("dead_letters")
    lab.release("agent_runs", a.id)
    if lab.without:
        a.wait("replies", "escalations")
    lab.quiet()
    return {("one_outcome", a.id)}


def reply_after_the_letter(lab):
    """A delivery is under way; another one of the same message fails for good, and the edge buries it."""
    return buried_meanwhile(lab, QUESTION)


def escalation_after_the_letter(lab):
    """The same, of a message that is to be escalated."""
    return buried_meanwhile(lab, GAP)


def letter_after_the_reply(lab):
    """Its DONE is lost on the way; when it comes again it fails for good."""
    a = lab.new()
    lab.arm(f"sender.webform.before_settle.{a.id}:error")
    a.send().outcome()
    lab.struck(f"sender.webform.before_settle.{a.id}")
    lab.refuse(a.id)
    lab.again()
    lab.quiet()
    return {("one_outcome", a.id)}


def race_with_the_letter(lab):
    """The edge is in the middle of burying it when its reply comes."""
    a = lab.send_held("agent_runs")
    lab.hold("dead_letters", a.id)
    lab.refuse(a.id)
    lab.again()
    lab.wait_held("dead_letters", a.id)
    lab.release("agent_runs", a.id)
    lab.wait_blocked(2)
    lab.release("dead_letters", a.id)
    a.wait("dead_letters")
    if lab.without:
        a.wait("replies")
    lab.quiet()
    return {("one_outcome", a.id)}


def letter_in_pieces(lab):
    """Something is refused for good: a person is told on the ticket and on the topic."""
    a = lab.new()
    lab.refuse(a.id)
    a.send().wait("dead_letters")
    lab.quiet()
    return {(check, a.id) for check in lab.safeguard.finds}


# --- two at once ------------------------------------------------------------------------------------------------

def twice_at_once(lab, text, table, checks):
    """Two workers of the same stage have the same unit, and both are in the middle of storing it."""
    a = lab.new(text)
    lab.hold(table, a.id)
    a.send()
    lab.wait_held(table, a.id)
    lab.again()
    if lab.without and table != "outbox":
        lab.wait_held(table, a.id, 2)
    else:
        lab.wait_blocked(2)  # at the customer's lock, or at the conversation's row
    lab.release(table, a.id)
    a.outcome()
    lab.quiet()
    names = {"one_conversation": lab.sql("select customer_id::text from messages where id = %s", a.id)[0][0]}
    if table == "outbox":
        names["stored_once"] = derived("reply", a.id)
    return {(check, names.get(check, a.id)) for check in checks}


def two_ticketers(lab):
    """The router dies, and two workers store the same message at once: a key refuses the second, for good."""
    a = lab.new()
    lab.hold("messages", a.id), lab.hold("agent_runs", a.id)
    a.send()
    first = lab.wait_held("messages", a.id)[0]
    lab.again()
    if lab.without:
        second = next(pid for pid in lab.wait_held("messages", a.id, 2) if pid != first)
        with lab.backend_stopped(second):
            lab.release("messages", a.id)
            a.wait("messages")
        a.wait("dead_letters")
    else:
        lab.wait_blocked(2)
        lab.release("messages", a.id)
    lab.release("agent_runs", a.id)
    a.outcome()
    lab.quiet()
    return {("died", a.id)}


def keys_of_tickets(lab):
    """The router dies, and two workers of the stage are in the middle of storing the same message."""
    return twice_at_once(lab, QUESTION, "messages", lab.safeguard.finds)


def keys_of_runs(lab):
    """The router dies, and two workers of the stage are in the middle of storing the same decision."""
    return twice_at_once(lab, QUESTION, "agent_runs", lab.safeguard.finds)


def keys_of_replies(lab):
    """The router dies, and two workers of the stage are in the middle of storing the same reply."""
    return twice_at_once(lab, QUESTION, "outbox", lab.safeguard.finds)


def keys_of_escalations(lab):
    """The router dies, and two workers of the stage are in the middle of storing the same escalation."""
    return twice_at_once(lab, REFUND, "escalations", lab.safeguard.finds)


# --- poison -----------------------------------------------------------------------------------------------------------

def kills_its_worker(lab):
    """A message kills whoever takes it in hand, five times. Others wait in the same worker, before it and behind it."""
    lab.system.fte("scale", "ticketer", "1", check=True)
    wait_for(lambda: "ticketer" in lab.system.actors(), what="a single ticketer")
    first, a = lab.new(), lab.new()
    lab.arm(f"ticketer.before_work.{a.id}:kill@*")
    lab.poison.add(a.id)
    lab.hold("messages", first.id)
    first.send()
    lab.wait_held("messages", first.id)
    others = [lab.send() for _ in range(3)] + [a.send()] + [lab.send() for _ in range(8)]
    lab.release("messages", first.id)
    for message in others:
        message.outcome()
    lab.arm()
    lab.system.fte("scale", "ticketer", "2", check=True)
    lab.quiet()
    innocent = {message.id for message in others} - {a.id}
    return {("died", id) for id in innocent if any(m.id == id and m.count("dead_letters") for m in others)} or {("died", "one of them")}
