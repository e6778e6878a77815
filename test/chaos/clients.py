"""A hundred conversations that are always open, and the journal of who has them.

Each client has one conversation after the other: it asks, waits for the outcome, thinks, writes again over its
status page, some messages in a burst, and starts anew when a person has taken over. It repeats a submission under
the same submission_id until it gets a 202, as a browser or a provider would, at another node where one doesn't
answer. The journal is all that the checker is told: {"at", "id", "status"} for each try.
"""

import base64
import contextlib
import json
import random
import threading
import time
import uuid

import requests

from checker import NAMESPACE, message_id

QUESTIONS = ["How do I write my own actor?", "How do I replay a dead letter?", "Where is my data kept?",
             "What happens when PostgreSQL is down?"]
HANDED_OVER = ["I want a refund", "I will call my lawyer", "Please cancel my subscription",
               "What is the best colour for a bicycle?", "I want to talk to a human being"]
HANDED_OVER_SHARE = 0.3  # so often that the escalator, too, always has something to do
BURST_SHARE, FAREWELL_SHARE = 0.1, 0.15
THINK_S = (0.1, 1.0)
OUTCOME_S = 180  # a client waits so long, then it counts as unanswered
TOLD = (400, 413, 422)  # refused for good, and told so: nothing was promised
AGAIN = (0, 429, 500, 502, 503, 504)


class Clients:
    """`fronts` are the addresses of the nodes."""

    def __init__(self, fronts, journal, seed):
        self.fronts, self.journal, self.rng = fronts, journal, random.Random(seed)
        self.lock, self.over = threading.Lock(), threading.Event()
        self.tries = self.accepted = self.refused = self.late = 0
        self.waits = []  # seconds from a 202 to its outcome, as the client sees it
        self.threads = []

    def asked(self, method, rng, path, **more):
        """An answer of any node, or None."""
        for front in rng.sample(self.fronts, len(self.fronts)):
            with contextlib.suppress(requests.RequestException):
                return requests.request(method, front + path, timeout=6, **more)
        return None

    def post(self, rng, path, body, id):
        """Until a 202; its answer. None where it was refused, or the time is over before."""
        while True:
            answer = self.asked("POST", rng, path, json=body)
            status = answer.status_code if answer is not None else 0
            with self.lock:
                self.tries += 1
                self.accepted += status == 202
                self.refused += status in TOLD
                self.journal.write(json.dumps({"at": time.time(), "id": id, "status": status}) + "\n")
            if status == 202:
                with contextlib.suppress(ValueError):
                    return answer.json()
            elif status in TOLD:
                return None
            elif status not in AGAIN:
                raise AssertionError(f"{status}: {answer.text}")
            if self.over.wait(0.1):
                return None

    def outcome(self, rng, url):
        """What the status page says once it isn't open any more; None when it stays so."""
        began = time.monotonic()
        while time.monotonic() - began < OUTCOME_S:
            got = self.asked("GET", rng, url, headers={"Accept": "application/json"})
            with contextlib.suppress(ValueError, KeyError):
                status = got.json()["status"] if got is not None and got.status_code == 200 else None
                if status in ("answered", "escalated"):
                    with self.lock:
                        self.waits.append(time.monotonic() - began)
                    return status
            time.sleep(0.1)
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

    def start(self, n):
        self.threads = [threading.Thread(target=self.client, args=(self.rng.random(),), daemon=True) for _ in range(n)]
        for t in self.threads:
            t.start()

    def finish(self):
        """Nothing new is begun; everybody waits for what they have asked."""
        self.over.set()
        for t in self.threads:
            t.join(OUTCOME_S + 30)
