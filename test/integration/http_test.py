"""What an HTTP client sees: the real processes, spoken to as people, programs and attackers do."""

import concurrent.futures
import html
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import uuid

import pytest
import requests
from system import BIN, free_port, wait_for

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def raw(system, request, seconds=10):
    """Sends bytes and reads until the server closes or one whole answer is there: (status, headers, body)."""
    with socket.create_connection(("127.0.0.1", system.port), timeout=seconds) as s:
        s.sendall(request)
        return read_answer(s)


def read_answer(s):
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(65536)
        if not more:
            raise AssertionError(f"closed after {data!r}")
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
    while len(body) < int(headers.get("content-length", 0)):
        body += s.recv(65536)
    return int(lines[0].split()[1]), headers, body


def post_bytes(body, path="/support/submit", more="", length=None):
    return (f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body) if length is None else length}\r\n{more}\r\n").encode() + body


def message(**fields):
    body = {"name": "Ann", "email": f"{uuid.uuid4().hex[:12]}@example.org", "message": "Hello"}
    body.update(fields)
    return body


# --- submitting ----------------------------------------------------------------------------------


def test_json_is_accepted_with_202_and_is_in_the_log(system):
    body = message(submission_id=uuid.uuid4().hex)
    answer = system.post("/support/submit", json=body)
    assert answer.status_code == 202
    assert answer.json()["submission_id"] == body["submission_id"]
    assert answer.headers["Location"] == answer.json()["status_url"]
    assert answer.headers["Cache-Control"] == "no-store"
    rows = system.sql("select count(*) from log_records where topic = 'fte.tickets.incoming' and body like %s",
                      b"%" + body["email"].encode() + b"%")
    assert rows == [(1,)]


def test_a_form_is_accepted_like_json(system):
    answer = system.post("/support/submit", data=message())
    assert answer.status_code == 202 and answer.json()["status_url"].startswith("/support/status/")


def test_a_browser_is_sent_to_the_status_page(system):
    answer = system.post("/support/submit", data=message(), headers=HTML, allow_redirects=False)
    assert answer.status_code == 303 and answer.content == b""
    page = system.get(answer.headers["Location"], headers=HTML)
    assert page.status_code == 200 and "text/html" in page.headers["Content-Type"]


def test_a_repeat_gets_the_first_answer_and_another_content_409(system):
    body = message(submission_id=uuid.uuid4().hex)
    first = system.post("/support/submit", json=body).json()
    assert system.post("/support/submit", json=body).json() == first
    # The same content in another spelling, sent by a browser
    again = system.post("/support/submit", data=body)
    assert again.status_code == 202 and again.json() == first
    other = system.post("/support/submit", json=dict(body, message="Something else"))
    assert other.status_code == 409 and other.headers["Content-Type"] == "application/problem+json"
    page = system.post("/support/submit", data=dict(body, message="Something <else>"), headers=HTML)
    assert page.status_code == 409
    assert "Something &lt;else&gt;" in page.text and body["submission_id"] not in page.text


def test_a_double_click_is_one_submission(system):
    body = message(submission_id=uuid.uuid4().hex)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: requests.post(system.base + "/support/submit", json=body, timeout=20), range(8)))
    assert {a.status_code for a in answers} == {202}
    assert len({a.json()["status_url"] for a in answers}) == 1
    rows = system.sql("select count(*) from log_records where topic = 'fte.tickets.incoming' and body like %s",
                      b"%" + body["email"].encode() + b"%")
    assert rows == [(1,)]


def test_faults_are_named_with_field_and_range(system):
    answer = system.post("/support/submit", json={"name": "x" * 101, "email": "nobody", "message": " ", "phone": "1"})
    assert answer.status_code == 422 and answer.headers["Content-Type"] == "application/problem+json"
    errors = {e["field"]: e for e in answer.json()["errors"]}
    assert set(errors) == {"name", "email", "message", "phone"}
    assert errors["name"]["detail"] == "is too long" and "100" in errors["name"]["allowed"]
    assert errors["message"]["pointer"] == "#/message"


def test_a_page_keeps_what_was_typed_beside_the_faults(system):
    answer = system.post("/support/submit", data={"name": "Ann <b>", "email": "nobody", "message": "Kept\ntext"},
                         headers=HTML)
    assert answer.status_code == 422
    assert "Ann &lt;b&gt;" in answer.text and "Kept\ntext</textarea>" in answer.text
    assert 'id="email-fault"' in answer.text and 'href="#email"' in answer.text


HOSTILE = {
    "sql": "'; drop table messages; -- \\' or 1=1",
    "html": "<script>alert(1)</script><img src=x onerror=alert(2)>&lt;b&gt;",
    "rtl": "\u202eabc\u202c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "emoji": "\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f",
    "format": "%s%n%x {{name}} ${x} \\u0000 \\x00",
    "combining": "Z\u0351\u036b\u0343\u036a" * 50,
    "controls": "bell \u0007 escape \u001b[31mred",
    "long": "\u00e9" * 10000,
    "line ends": "a\r\nb\rc\n\nd",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_is_stored_and_shown_back_safely(system, kind):
    text = HOSTILE[kind]
    link = system.submit(message=text, name="Robert'); drop table tickets;--"[:60])
    status = wait_for(lambda: (s := system.status(link))["messages"] and s, what="the message on its page")
    shown = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    assert status["messages"][0] == {"direction": "inbound", "body": shown, "at": status["messages"][0]["at"]}
    page = system.get(link, headers=HTML).text
    assert "<script" not in page and "<img src=x" not in page
    visible = "".join(c if c in "\n\t" or c >= " " else "\ufffd" for c in shown)
    assert html.escape(visible, quote=False) in html.unescape(page).replace("&", "&amp;").replace("<", "&lt;").replace(
        ">", "&gt;")


@pytest.mark.parametrize("body, field", [
    (b'{"name":"a","email":"a@b.org","message":"x\\u0000y"}', "message"),
    (b'{"name":"a\xff","email":"a@b.org","message":"x"}', "name"),
    (b'{"name":"a","email":"a@b.org","message":"\xc3\x28"}', "message"),
    (b'{"name":"a","email":"a@b.org","message":"' + b"x" * 10001 + b'"}', "message"),
])
def test_text_that_is_none_is_refused_with_its_field(system, body, field):
    status, headers, answer = raw(system, post_bytes(body))
    assert status in (400, 422) and headers["content-type"] == "application/problem+json"
    assert [e["field"] for e in json.loads(answer)["errors"]] == [field]


def test_a_megabyte_is_refused_and_the_answer_arrives(system):
    answer = requests.post(system.base + "/support/submit", json=message(message="x" * 1_000_000), timeout=20)
    assert answer.status_code == 413 and answer.json()["status"] == 413


# --- the head (what two programs could read in two ways is in smuggling_test.py) ------------------


@pytest.mark.parametrize("request_, statuses", [
    (b"POST /support/submit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n", [411]),
    (post_bytes(b"", length=300000), [413]),
    (post_bytes(b"{}", more="Expect: tea\r\n"), [417]),
    (b"GET /" + b"a" * 600 + b" HTTP/1.1\r\nHost: x\r\n\r\n", [414]),
    (b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", [405]),
    (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", [405]),
    (b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", [404]),
    (b"GET /assets/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", [404]),
    (b"GET /support/status/ HTTP/1.1\r\nHost: x\r\n\r\n", [404]),
    (b"GET //////// HTTP/1.1\r\nHost: x\r\n\r\n", [404]),
], ids=lambda v: v[:40].decode("latin-1").replace("\r\n", "|") if isinstance(v, bytes) else "-".join(map(str, v)))
def test_unsound_requests_are_refused(system, request_, statuses):
    status, headers, body = raw(system, request_)
    assert status in statuses, body
    assert headers["content-type"] == "application/problem+json" and json.loads(body)["status"] == status
    assert status != 405 or headers["allow"]


def test_wrong_types_are_refused(system):
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/json; charset=latin1", None):
        answer = system.post("/support/submit", data=b"{}", headers={"Content-Type": kind} if kind else {})
        assert answer.status_code == 415
    gzip = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert system.post("/support/submit", data=b"{}", headers=gzip).status_code == 415


def test_100_continue_is_said_before_the_body(system):
    body = json.dumps(message()).encode()
    with socket.create_connection(("127.0.0.1", system.port), timeout=10) as s:
        s.sendall(post_bytes(b"", length=len(body), more="Expect: 100-continue\r\n"))
        assert s.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        s.sendall(body)
        assert read_answer(s)[0] == 202
    # and a body that won't be wanted is refused at once
    assert raw(system, post_bytes(b"", length=10**6, more="Expect: 100-continue\r\n"))[0] == 413


def test_one_connection_serves_many_requests(system):
    with socket.create_connection(("127.0.0.1", system.port), timeout=10) as s:
        for i in range(5):
            s.sendall(post_bytes(json.dumps(message()).encode()))
            assert read_answer(s)[0] == 202
        # two at once, and a refusal that leaves nothing unread keeps it open
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + post_bytes(b"{}"))
        assert read_answer_from(s, 2) == [200, 422]


def read_answer_from(s, n):
    data, statuses = b"", []
    while len(statuses) < n:
        head, _, rest = data.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        if length and len(rest) >= int(length.group(1)):
            statuses.append(int(head.split()[1]))
            data = rest[int(length.group(1)):]
            continue
        data += s.recv(65536)
    return statuses


@pytest.mark.parametrize("path", ["/", "/nothing", "/support/status/x", "/assets/fte.css", "/healthz"])
def test_every_answer_has_the_headers_of_the_house(system, path):
    h = system.get(path, headers=HTML).headers
    policy = h["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert h["X-Content-Type-Options"] == "nosniff" and h["Referrer-Policy"] == "no-referrer"
    assert "Server" not in h


def test_pages_have_no_script_and_no_inline_style(system):
    for path in ("/", "/nothing", system.submit()):
        page = system.get(path, headers=HTML).text
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:|http-equiv", page)


# --- slow and many -------------------------------------------------------------------------------


def test_a_slow_body_gets_408_after_five_seconds(system):
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", system.port), timeout=15) as s:
        s.sendall(post_bytes(b"", length=1000))
        s.settimeout(0.2)
        answer = b""
        while b"\r\n\r\n" not in answer and time.monotonic() - start < 12:
            try:
                s.sendall(b"x")
                answer += s.recv(65536)
            except socket.timeout:
                pass
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert 4 < time.monotonic() - start < 8


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nX-Slow: ", post_bytes(b"{", length=5000)],
                         ids=["silent", "slow head", "slow body"])
def test_slow_clients_do_not_hold_others_up(system, first):
    """Far more hostile connections than threads; a person is still served soon."""
    held = []
    stop = threading.Event()

    def trickle():
        while not stop.wait(0.3):
            for s in held if first else []:
                try:
                    s.send(b"a")
                except OSError:
                    pass

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        for _ in range(200):
            s = socket.create_connection(("127.0.0.1", system.port), timeout=5)
            s.sendall(first)
            held.append(s)
        worst = 0.0
        for _ in range(5):
            start = time.monotonic()
            assert requests.get(system.base + "/healthz", timeout=15).status_code == 200
            worst = max(worst, time.monotonic() - start)
        print(f"worst of 5 behind 200 hostile connections: {worst:.2f} s")
        assert worst < 4.5
    finally:
        stop.set()
        thread.join()
        for s in held:
            s.close()
    assert system.get("/healthz").status_code == 200


def test_150_keep_alive_clients_are_all_served(system):
    """More connections than threads: none starves."""
    def client(_):
        with requests.Session() as s:
            times = []
            for _ in range(4):
                start = time.monotonic()
                assert s.get(system.base + "/healthz", timeout=20).status_code == 200
                times.append(time.monotonic() - start)
            return max(times)

    with concurrent.futures.ThreadPoolExecutor(150) as pool:
        worst = max(pool.map(client, range(150)))
    assert worst < 5, worst


# --- the status page -----------------------------------------------------------------------------


def test_a_status_address_can_not_be_made_up(system):
    link = system.submit()
    assert system.get(link[:-1] + ("A" if link[-1] != "A" else "B")).status_code == 404
    assert system.get("/support/status/" + "A" * 48).status_code == 404
    assert system.post("/support/status/" + "A" * 48 + "/reply", json={"message": "x"}).status_code == 404
    assert system.get(link).headers["Cache-Control"] == "no-store"


def test_a_page_shows_only_what_came_over_its_own_link(system):
    """Two forms with one address: whoever typed the second must not read the first."""
    email = f"{uuid.uuid4().hex[:12]}@example.org"
    first = system.submit(email=email, message="My secret is 4711")
    wait_for(lambda: system.status(first)["messages"], what="the first message")
    second = system.submit(email=email, message="Tell me all")
    status = wait_for(lambda: (s := system.status(second))["messages"] and s, what="the second message")
    assert "4711" not in json.dumps(status) and "4711" not in system.get(second, headers=HTML).text
    assert [m["body"] for m in status["messages"] if m["direction"] == "inbound"] == ["Tell me all"]
    assert "Tell me all" not in json.dumps(system.status(first))


def test_a_waiting_page_refreshes_itself_and_can_be_told_not_to(system):
    link = system.submit()
    answer = system.get(link, headers=HTML)
    if "Refresh" in answer.headers:  # else it was answered already
        assert int(answer.headers["Refresh"]) >= 1
        quiet = system.get(link + "?refresh=off", headers=HTML)
        assert "Refresh" not in quiet.headers
    assert wait_for(lambda: "Refresh" not in system.get(link, headers=HTML).headers, what="a page that stands still")


# --- health and metrics --------------------------------------------------------------------------


def test_metrics_count_what_happened(system):
    def counted(outcome):
        found = re.search(r'fte_messages_total\{outcome="%s"\} (\d+)' % outcome, system.get("/metrics").text)
        return int(found.group(1)) if found else 0

    accepted, invalid = counted("accepted"), counted("invalid")
    system.submit()
    system.post("/support/submit", json={})
    assert counted("accepted") == accepted + 1 and counted("invalid") == invalid + 1
    wait_for(lambda: 'fte_total{channel="webform",name="received"}' in system.get("/metrics").text,
             what="the totals of the metrics actor")
    wait_for(lambda: re.search(r'fte_router\{what="routed"\} [1-9]', system.get("/metrics").text), what="the router's counters")
    assert 'fte_router{what="refused"} 0' in system.get("/metrics").text


def test_health_tells_alive_from_ready(system):
    assert system.get("/healthz").json() == {"status": "alive"}
    assert system.get("/readyz").json() == {"status": "ready"}
    assert system.http.head(system.base + "/healthz", timeout=5).status_code == 200


# --- settings, on systems of their own -----------------------------------------------------------


def test_the_rate_limit_says_when_to_come_back(fresh_system):
    s = fresh_system(FTE_RATE_LIMIT=3)
    answers = [s.post("/support/submit", json=message()) for _ in range(5)]
    assert [a.status_code for a in answers[:3]] == [202] * 3 and answers[4].status_code == 429
    assert answers[4].json()["status"] == 429 and 1 <= int(answers[4].headers["Retry-After"]) <= 20
    assert s.get("/healthz").status_code == 200, "health is never limited"


def test_the_death_of_the_edge_is_not_seen_by_clients_or_is_a_clean_503(system):
    """Killed while messages come in: each is 202 or 503 with Retry-After, and none of the 202 is lost."""
    accepted, refused = [], []

    def client(i):
        body = message(submission_id=f"edge-{uuid.uuid4().hex}")
        answer = requests.post(system.base + "/support/submit", json=body, timeout=20)
        if answer.status_code == 202:
            accepted.append(body)
        else:
            assert answer.status_code == 503 and answer.headers["Retry-After"], answer.text
            refused.append(body)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(client, i) for i in range(100)]
        old = system.kill("edge")
        for job in jobs:
            job.result()
    system.wait_restarted("edge", old)
    assert len(accepted) + len(refused) == 100 and len(accepted) > 50
    for body in accepted:
        rows = system.sql("select count(*) from log_records where topic = 'fte.tickets.incoming' and body like %s",
                          b"%" + body["email"].encode() + b"%")
        assert rows == [(1,)], "accepted and in the log, once"
    wait_for(lambda: system.get("/readyz").status_code == 200, what="readiness")


def test_an_ingress_that_was_killed_is_back_with_the_same_links(system):
    link = system.submit()
    old = system.kill("ingress")
    system.wait_restarted("ingress", old)
    wait_for(lambda: requests.get(system.base + link, timeout=5).status_code == 200, what="the page")


def test_without_the_log_nothing_is_accepted(fresh_system):
    s = fresh_system()
    row = s.actors()["edge"]
    os.kill(row["pid"], signal.SIGSTOP)
    try:
        answer = s.post("/support/submit", json=message())
        assert answer.status_code == 503 and answer.headers["Retry-After"]
        page = s.post("/support/submit", data=message(message="Keep this"), headers=HTML)
        assert page.status_code == 503 and "Keep this" in page.text
    finally:
        try:
            os.kill(row["pid"], signal.SIGCONT)
        except ProcessLookupError:
            pass  # the supervisor took it for hung, rightly


def test_an_occupied_port_is_one_clear_line_and_exit_78(system):
    env = dict(system.env, FTE_HTTP_PORT=str(system.port))
    run = subprocess.run([os.path.join(BIN, "fte-ingress")], env=env, text=True, capture_output=True, timeout=20)
    assert run.returncode == 78
    lines = [line for line in run.stderr.splitlines() if "level=error" in line]
    assert len(lines) == 1 and "FTE_HTTP_PORT" in lines[0] and "Address already in use" in lines[0]


@pytest.mark.parametrize("setting, value", [
    ("FTE_HTTP_PORT", "http"), ("FTE_HTTP_PORT", "70000"), ("FTE_HTTP_BIND", "localhost"), ("FTE_HTTP_BIND", "::1"),
    ("FTE_HTTP_THREADS", "2"), ("FTE_HTTP_CONNECTIONS", "10"), ("FTE_HTTP_PER_ADDRESS", "-1"), ("FTE_PUBLIC_URL", "ftp://x.org"), ("FTE_LINK_SECRET", "short"),
    ("FTE_RATE_LIMIT", "-1"), ("FTE_TRUSTED_PROXIES", "9"), ("DATABASE_URL", "mysql://x"),
])
def test_a_wrong_setting_is_one_line_with_its_name_and_exit_78(system, setting, value):
    env = {**system.env, "FTE_HTTP_PORT": str(free_port()), setting: value}
    run = subprocess.run([os.path.join(BIN, "fte-ingress")], env=env, text=True, capture_output=True, timeout=20)
    assert run.returncode == 78, run.stderr
    assert len([line for line in run.stderr.splitlines() if setting in line]) == 1, run.stderr
