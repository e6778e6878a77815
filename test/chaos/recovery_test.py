"""The times of the table are those that stand in the logs."""

from recovery import Struck, measure, row, verdict

LINE = "time=1970-01-01T00:00:{:06.3f}Z level=info actor=supervisor pid=1 event={}\n"


def log(*lines):
    return "".join(LINE.format(at, what) for at, what in lines)


def test_of_a_kill_it_is_the_actors_own_ready_and_first_unit():
    struck = [Struck("kill -9 agent", 0, "agent", 1.0, 1.0)]
    measure(struck, [log((0.5, "ready name=agent child=1"), (0.6, "works name=agent child=1"), (1.02, "ready name=kb child=2"),
                         (1.03, "ready name=agent child=3"), (1.09, "works name=agent child=3")),
                     log((1.001, "ready name=agent child=9"))])
    assert round(struck[0].ready_ms) == 30 and round(struck[0].settled_ms) == 90 and struck[0].alone


def test_another_fault_before_its_first_unit_makes_it_not_alone():
    text = log((1.05, "ready name=agent child=3"), (1.2, "works name=agent child=3"), (1.14, "ready name=kb child=4"),
               (1.3, "works name=kb child=4"))
    agent, kb = Struck("kill -9 agent", 0, "agent", 1.0, 1.0), Struck("kill -9 kb", 0, "kb", 1.1, 1.1)
    measure([agent, kb], [text, ""])
    assert not agent.alone and not kb.alone
    elsewhere = Struck("kill -9 kb", 1, "kb", 1.1, 1.1)
    measure([agent, elsewhere], [text, ""])
    assert agent.alone
    shared = Struck("kill -9 PostgreSQL", None, None, 1.1, 1.1)
    measure([agent, shared], [text, ""])
    assert not agent.alone


def test_of_anything_else_it_is_the_node_that_is_ready_again_or_was_all_the_while():
    harmless, mended, broken = (Struck(kind, 0, None, begin, begin + 4) for kind, begin in (("a", 1.0), ("b", 10.0), ("c", 20.0)))
    measure([harmless, mended, broken], [log((11.0, "tree_not_ready"), (12.0, "tree_ready"), (21.0, "tree_not_ready"),
                                             (22.0, "tree_ready"), (23.0, "tree_not_ready"), (26.5, "tree_ready"))])
    assert [round(s.ready_ms) for s in (harmless, mended, broken)] == [0, 0, 2500]


def test_what_never_came_back_is_no_time():
    lost = Struck("kill -9 agent", 0, "agent", 1.0, 1.0)
    measure([lost], [""])
    assert lost.ready_ms is None and lost.settled_ms is None
    assert row("kill -9 agent", [lost]) == "| kill -9 agent | 1 |" + " – |" * 6


def test_the_verdict_names_what_is_over():
    def took(ms, actor):
        one = Struck(f"kill -9 {actor}", 0, actor, 0.0, 0.0, ms)
        one.alone = True
        return one

    said = verdict([took(50, "agent"), took(90, "router")])
    assert "an actor to the next settled envelope: p99 90 ms of 2" in said and "OVER" not in said
    said = verdict([took(250, "agent"), took(90, "router")]).splitlines()
    assert said[0].endswith(": OVER") and not said[1].endswith("OVER")
