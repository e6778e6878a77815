#!/usr/bin/python3
"""An actor for tests, made with the Python SDK: what a unit's `do` says is what becomes of it."""
import os, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../proto/python"))
import fte

SERVICE = sys.argv.pop(1)

def do(what, answer):
    if what.get("sleep"):
        time.sleep(what["sleep"])
    if what.get("fault"):
        raise fte.Fault(what["fault"], "asked for")
    if what.get("die"):
        os.kill(os.getpid(), 9)
    if what.get("bug"):
        raise KeyError("bug")
    return answer


def call(question):
    return do(question, {"echo": question, "pid": os.getpid()})


def work(units):
    verdicts = []
    for unit in units:
        what = unit.body["body"]["incoming"]
        try:
            verdict = fte.Pass(what["pass"], "echo", {"batch": len(units)}) if what.get("pass", SERVICE) != SERVICE else fte.DONE
            verdicts.append(do(what, verdict))
        except fte.Fault as fault:
            verdicts.append(fault)
    return verdicts


fte.Actor("echo", SERVICE, work=work, call=call, slots=int(os.environ.get("ECHO_SLOTS", "64"))).run()
