"""A hundred conversations that are always open, and the journal of who has them.

Each client has one conversation after the other: it asks, waits for the outcome, thinks, writes again over its
status page, some messages in a burst, and starts anew when a person has taken over. It repeats a submission under
the same submission_id until it gets a 202, as a browser or a provider would, at another node where one doesn't
answer. The journal is all that the checker is told: {"at", "id", "status"} for each try.

A process of its own, and a polite one: customers don't take the processor away from what serves them.
"""

import base64
import contextlib
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
import uuid

from checker import NAMESPACE, message_id

QUESTIONS = ["How do I write my own actor?", "How do I replay a dead letter?", "Where is my data kept?",
             "What happens when PostgreSQL is down?"]
HANDED_OVER = ["I want a refund", "I will call my lawyer", "Please cancel my subscription",
               "What is the best colour for a bicycle?", "I want to talk to a human being"]
HANDED_OVER_SHARE = 0.3  # so often that the escalator, too, always has something to do
BURST_SHARE, FAREWELL_SHARE = 0.1, 0.15
THINK_S = (0.5, 3.0)
LOOK_S = 0.2  # between two looks at a status page
OUTCOME_S = 180  # a client waits so long, then it counts as unanswered
TOLD = (400, 413, 422)  # refused for good, and told so: nothing was promised
AGAIN = (0, 429, 500, 502, 503, 504)


class Crowd:
    """All of them; `fronts` are host:port of the nodes."""

    def __init__(self, fronts, journal, seed):
        self.fronts, self.journal, self.rng = fronts, journal, random.Random(seed)
        self.lock, self.over = threading.Lock(), threading.Event()
        self.tries = self.refused = self.late = 0
        self.waits = []  # seconds from a 202 to its outcome, as the client sees it
        self.broken = []  # answers that nobody should get

    def asked(self, method, rng, path, body=None):
        """(status, decoded JSON) of any node; (0, None) where none answers."""
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {})
        for front in rng.sample(self.fronts, len(self.fronts)):
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                with contextlib.closing(http.client.HTTPConnection(front, timeout=6)) as wire:
                    wire.request(method, path, json.dumps(body) if body else None, headers)
                    answer = wire.getresponse()
                    return answer.status, json.loads(answer.read() or b"null")
        return 0, None

    def post(self, rng, path, body, id):
        """Until a 202; its answer. None where it was refused, or the time is over before."""
        while True:
            status, answer = self.asked("POST", rng, path, body)
            with self.lock:
                self.tries += 1
                self.refused += status in TOLD
                self.journal.write(json.dumps({"at": time.time(), "id": id, "status": status}) + "\n")
            if status == 202:
                return answer
            if status in TOLD:
                return None
            if status not in AGAIN:
                self.broken.append(f"{status}: {answer}")
                return None
            if self.over.wait(0.1):
                return None

    def outcome(self, rng, url):
        """What the status page says once it isn't open any more; None when it stays so."""
        began = time.monotonic()
        while time.monotonic() - began < OUTCOME_S:
            code, page = self.asked("GET", rng, url)
            if code == 200 and page["status"] in ("answered", "escalated"):
                with self.lock:
                    self.waits.append(time.monotonic() - began)
                return page["status"]
            time.sleep(LOOK_S)
        with self.lock:
            self.late += 1
        return None

    def converse(self, rng):
        def fresh():
            return uuid.UUID(int=rng.getrandbits(128), version=4).hex

        def words():
            return rng.choice(HANDED_OVER if rng.random() < HANDED_OVER_SHARE else QUESTIONS)

        email, sid = f"s.{fresh()[:12]}@example.org", fresh()
        body = {"name": "S", "email": email, "message": words(), "submission_id": sid}
        answer = self.post(rng, "/support/submit", body, message_id(email, sid))
        while answer:
            url = answer["status_url"]
            token = url.split("?")[0].rsplit("/", 1)[1]
            link = uuid.UUID(bytes=base64.urlsafe_b64decode(token)[:16])
            if self.outcome(rng, url) != "answered" or self.over.is_set() or rng.random() < FAREWELL_SHARE:
                return
            self.over.wait(rng.uniform(*THINK_S))
            for _ in range(3 if rng.random() < BURST_SHARE else 1):
                sid = fresh()
                answer = self.post(rng, url.split("?")[0] + "/reply", {"message": words(), "submission_id": sid},
                                   str(uuid.uuid5(NAMESPACE, f"envelope:webform\x1f{link}\x1f{sid}")))
                if not answer:
                    return

    def client(self, seed):
        rng = random.Random(seed)
        while not self.over.is_set():
            self.converse(rng)

    def run(self, n):
        """Until nobody writes to us any more; then everybody waits for what they have asked."""
        threads = [threading.Thread(target=self.client, args=(self.rng.random(),), daemon=True) for _ in range(n)]
        for t in threads:
            t.start()
        sys.stdin.read()
        self.over.set()
        for t in threads:
            t.join(OUTCOME_S + 30)
        self.journal.flush()
        return {"tries": self.tries, "refused": self.refused, "late": self.late, "waits": self.waits, "broken": self.broken}


class Clients:
    """The process, from outside."""

    def __init__(self, fronts, journal, seed, n):
        told = json.dumps([fronts, journal, seed, n])
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), told], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def finish(self):
        """Nothing new is begun; what there is to know of them when all have their outcomes."""
        said, _ = self.process.communicate()
        return json.loads(said)


if __name__ == "__main__":
    os.nice(10)
    of_fronts, path, of_seed, number = json.loads(sys.argv[1])
    with open(path, "w") as lines:
        print(json.dumps(Crowd(of_fronts, lines, of_seed).run(number)))
