"""Requests that two programs could read in two ways: each is refused and its connection ends, so that what hides
behind it is never taken for a request. The vectors are those of public knowledge (RFC 9112, the advisories of the
last twenty years, and the gadgets of well-known probes); hidden is always a whole submission, and the log tells
whether anybody took it for one.
"""

import json
import re
import socket
import uuid

import pytest

START = b"POST /support/submit HTTP/1.1\r\n"
TYPE = b"Content-Type: application/json\r\n"
POST = START + b"Host: x\r\n" + TYPE
GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


def hidden():
    """A submission as bytes, and the address in it."""
    email = f"{uuid.uuid4().hex[:16]}@smuggled.example"
    body = json.dumps({"name": "Eve", "email": email, "message": "Smuggled"}).encode()
    return POST + b"Content-Length: %d\r\n\r\n" % len(body) + body, email


def exchange(system, request, seconds=10):
    """All answers up to the end of the connection: [(status, headers as bytes)]."""
    data = b""
    with socket.create_connection(("127.0.0.1", system.port), timeout=seconds) as s:
        s.sendall(request)
        while True:
            try:
                more = s.recv(65536)
            except ConnectionResetError:
                break
            if not more:
                break
            data += more
    answers = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        answers.append((int(head.split()[1]), head))
        length = re.search(rb"Content-Length: (\d+)", head)
        data = data[int(length.group(1)) if length else 0:]
    return answers


def is_in_log(system, email):
    return system.sql("select count(*) from log_records where body like %s", b"%" + email.encode() + b"%") != [(0,)]


def te(line, end=b"\r\n"):
    """A length that covers everything, and a coding by which the hidden request would stand alone."""
    return lambda s: POST + line + end + b"Content-Length: %d\r\n\r\n" % (5 + len(s)) + b"0\r\n\r\n" + s


def te_only(line, chunks=b"0\r\n\r\n"):
    return lambda s: POST + line + b"\r\n\r\n" + chunks + s


def cl(lines):
    """Lengths; by one of them the hidden request would stand alone."""
    return lambda s: POST + lines.replace(b"LONG", b"%d" % (2 + len(s))) + b"\r\n\r\n{}" + s


def raw(before, after=b""):
    return lambda s: before + s + after


def lines(end):
    """A request whose lines end so."""
    return lambda s: (POST + b"Content-Length: 2\r\n\r\n").replace(b"\r\n", end) + b"{}" + s


# name: (bytes with the hidden request in them, statuses)
REFUSED = {
    # a length and a coding, and the ways to hide the coding from one of two readers
    "te and cl": (te(b"Transfer-Encoding: chunked"), {400}),
    "te lower case": (te(b"transfer-encoding: chunked"), {400}),
    "te shouted": (te(b"TRANSFER-ENCODING: CHUNKED"), {400}),
    "te space before colon": (te(b"Transfer-Encoding : chunked"), {400}),
    "te tab before colon": (te(b"Transfer-Encoding\t: chunked"), {400}),
    "te tab after colon": (te(b"Transfer-Encoding:\tchunked"), {400}),
    "te no space": (te(b"Transfer-Encoding:chunked"), {400}),
    "te spaces": (te(b"Transfer-Encoding:   chunked   "), {400}),
    "te vertical tab": (te(b"Transfer-Encoding:\x0bchunked"), {400}),
    "te form feed": (te(b"Transfer-Encoding:\x0cchunked"), {400}),
    "te xchunked": (te(b"Transfer-Encoding: xchunked"), {400}),
    "te chunkedx": (te(b"Transfer-Encoding: chunkedx"), {400}),
    "te quoted": (te(b'Transfer-Encoding: "chunked"'), {400}),
    "te single quotes": (te(b"Transfer-Encoding: 'chunked'"), {400}),
    "te parameter": (te(b"Transfer-Encoding: chunked;q=1"), {400}),
    "te empty": (te(b"Transfer-Encoding:"), {400}),
    "te comma": (te(b"Transfer-Encoding: ,chunked"), {400}),
    "te list": (te(b"Transfer-Encoding: identity, chunked"), {400}),
    "te list turned": (te(b"Transfer-Encoding: chunked, identity"), {400}),
    "te gzip": (te(b"Transfer-Encoding: gzip, chunked"), {400}),
    "te identity": (te(b"Transfer-Encoding: identity"), {400}),
    "te twice": (te(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), {400}),
    "te twice, one unknown": (te(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow"), {400}),
    "te folded": (te(b"Transfer-Encoding:\r\n chunked"), {400}),
    "te folded by tab": (te(b"Transfer-Encoding:\r\n\tchunked"), {400}),
    "te behind a folded line": (te(b"X: y\r\n Transfer-Encoding: chunked"), {400}),
    "te with a space in front": (te(b" Transfer-Encoding: chunked"), {400}),
    "te as first line with a space": (raw(START + b" Transfer-Encoding: chunked\r\nHost: x\r\n\r\n0\r\n\r\n"), {400}),
    "te behind bare lf": (te(b"X: y\nTransfer-Encoding: chunked"), {400}),
    "te behind bare cr": (te(b"X: y\rTransfer-Encoding: chunked"), {400}),
    "te ended by lf": (te(b"Transfer-Encoding: chunked", b"\n"), {400}),
    "te ended by cr": (te(b"Transfer-Encoding: chunked", b"\r"), {400}),
    "te ended by cr cr lf": (te(b"Transfer-Encoding: chunked\r"), {400}),
    "te nul in name": (te(b"Transfer-Encoding\x00: chunked"), {400}),
    "te nul in value": (te(b"Transfer-Encoding: chunked\x00"), {400}),
    "te no colon": (te(b"Transfer-Encoding chunked"), {400}),
    "te utf-8 blank": (te("Transfer-Encoding:\u00a0chunked".encode()), {400}),
    "te long s": (te("Transfer-Encoding\u017f: chunked".encode()), {400}),
    # a coding alone: not spoken here, and never guessed at
    "chunked": (te_only(b"Transfer-Encoding: chunked"), {501}),
    "chunked with extensions": (te_only(b"Transfer-Encoding: chunked", b"0;a=b;c\r\n\r\n"), {501}),
    "chunked with a line feed in an extension": (te_only(b"Transfer-Encoding: chunked", b"2;\nxx\r\n{}\r\n0\r\n\r\n"), {501}),
    "chunked with trailers": (te_only(b"Transfer-Encoding: chunked", b"0\r\nContent-Length: 5\r\nHost: y\r\n\r\n"), {501}),
    "chunked with a size of 0x0": (te_only(b"Transfer-Encoding: chunked", b"0x0\r\n\r\n"), {501}),
    "chunked in a get": (raw(GET + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), {501}),
    "chunked with 100-continue": (te_only(b"Expect: 100-continue\r\nTransfer-Encoding: chunked"), {501}),
    "xchunked": (te_only(b"Transfer-Encoding: xchunked"), {400}),
    "chunked in http/1.0": (lambda s: te_only(b"Transfer-Encoding: chunked")(s).replace(b"HTTP/1.1", b"HTTP/1.0", 1), {400}),
    # lengths
    "cl twice": (cl(b"Content-Length: 2\r\nContent-Length: LONG"), {400}),
    "cl twice, the longer first": (cl(b"Content-Length: LONG\r\nContent-Length: 2"), {400}),
    "cl twice the same": (cl(b"Content-Length: 2\r\nContent-Length: 2"), {400}),
    "cl twice, other case": (cl(b"Content-Length: 2\r\ncontent-length: LONG"), {400}),
    "cl list": (cl(b"Content-Length: 2, LONG"), {400}),
    "cl list of the same": (cl(b"Content-Length: 2, 2"), {400}),
    "cl plus": (cl(b"Content-Length: +2"), {400}),
    "cl minus": (cl(b"Content-Length: -2"), {400}),
    "cl minus zero": (cl(b"Content-Length: -0"), {400}),
    "cl hex": (cl(b"Content-Length: 0x2"), {400}),
    "cl fraction": (cl(b"Content-Length: 2.0"), {400}),
    "cl exponent": (cl(b"Content-Length: 2e0"), {400}),
    "cl inner space": (cl(b"Content-Length: 2 2"), {400}),
    "cl underscore": (cl(b"Content-Length: 0_2"), {400}),
    "cl semicolon": (cl(b"Content-Length: 2;"), {400}),
    "cl quoted": (cl(b'Content-Length: "2"'), {400}),
    "cl empty": (cl(b"Content-Length:"), {400}),
    "cl letters": (cl(b"Content-Length: two"), {400}),
    "cl wide digit": (cl("Content-Length: \uff12".encode()), {400}),
    "cl beyond 64 bits": (cl(b"Content-Length: 18446744073709551618"), {400}),
    "cl beyond 32 bits": (cl(b"Content-Length: 4294967298"), {413}),
    "cl space before colon": (cl(b"Content-Length : 2"), {400}),
    "cl tab before colon": (cl(b"Content-Length\t: 2"), {400}),
    "cl folded": (cl(b"Content-Length:\r\n 2"), {400}),
    "cl folded away": (cl(b"X: y\r\n Content-Length: LONG"), {400}),
    "cl vertical tab": (cl(b"Content-Length: \x0b2"), {400}),
    "cl nul": (cl(b"Content-Length: 2\x00"), {400}),
    "cl behind 63 headers": (cl(b"X: y\r\n" * 63 + b"Content-Length: LONG"), {431}),
    "cl between 80 headers": (cl(b"X: y\r\n" * 40 + b"Content-Length: LONG\r\n" + b"X: y\r\n" * 39 + b"X: y"), {431}),
    "cl and 100-continue and te": (te(b"Expect: 100-continue\r\nTransfer-Encoding: chunked"), {400}),
    # ends of lines
    "lf everywhere": (lines(b"\n"), {400}),
    "cr everywhere": (lines(b"\r"), {400}),
    "lf cr everywhere": (lines(b"\n\r"), {400}),
    "cr cr lf everywhere": (lines(b"\r\r\n"), {400}),
    "lf after the first line": (lambda s: (POST + b"Content-Length: 2\r\n\r\n").replace(b"\r\n", b"\n", 1) + b"{}" + s, {400}),
    "empty line of lf": (raw(POST + b"Content-Length: 2\r\n\n{}"), {400}),
    "empty line of cr": (raw(POST + b"Content-Length: 2\r\n\r{}"), {400}),
    "two empty lines in front": (raw(b"\r\n\r\n" + POST + b"Content-Length: 2\r\n\r\n{}"), {400}),
    "a lf in front": (raw(b"\n" + POST + b"Content-Length: 2\r\n\r\n{}"), {400}),
    # controls
    "nul in the target": (raw(b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    "nul in the method": (raw(b"G\x00ET / HTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    "nul in a name": (raw(GET + b"X\x00Y: z\r\n\r\n"), {400}),
    "nul in a value": (raw(GET + b"X: y\x00z\r\n\r\n"), {400}),
    "escape in a value": (raw(GET + b"X: \x1b[2J\r\n\r\n"), {400}),
    "del in a value": (raw(GET + b"X: \x7f\r\n\r\n"), {400}),
    "backspace in a name": (raw(GET + b"Ho\x08st: y\r\n\r\n"), {400}),
    # names
    "space before colon": (raw(GET + b"X : y\r\n\r\n"), {400}),
    "space in a name": (raw(GET + b"X Y: z\r\n\r\n"), {400}),
    "no name": (raw(GET + b": y\r\n\r\n"), {400}),
    "no colon": (raw(GET + b"X\r\n\r\n"), {400}),
    "a name in brackets": (raw(GET + b"(X): y\r\n\r\n"), {400}),
    "a name beyond ascii": (raw(GET + "Hést: y\r\n\r\n".encode()), {400}),
    "folded": (raw(GET + b"X: y\r\n z\r\n\r\n"), {400}),
    "a line of blanks": (raw(GET + b"X: y\r\n \r\n\r\n"), {400}),
    # whom it is for
    "no host": (raw(b"GET / HTTP/1.1\r\n\r\n"), {400}),
    "two hosts": (raw(GET + b"Host: y\r\n\r\n"), {400}),
    "two equal hosts": (raw(GET + b"Host: x\r\n\r\n"), {400}),
    "empty host": (raw(b"GET / HTTP/1.1\r\nHost:\r\n\r\n"), {400}),
    "host with a space": (raw(b"GET / HTTP/1.1\r\nHost: x y\r\n\r\n"), {400}),
    "host list": (raw(b"GET / HTTP/1.1\r\nHost: x, y\r\n\r\n"), {400}),
    "host with a path": (raw(b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n"), {400}),
    "host with a user": (raw(b"GET / HTTP/1.1\r\nHost: y@x\r\n\r\n"), {400}),
    "folded host": (raw(b"GET / HTTP/1.1\r\nHost:\r\n x\r\n\r\n"), {400}),
    "host with a space before the colon": (raw(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"), {400}),
    "absolute form, another host": (raw(b"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    "absolute form, a user": (raw(b"GET http://a@x/ HTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    "absolute form without host": (raw(b"GET http://x/ HTTP/1.1\r\n\r\n"), {400}),
    "absolute form of something else": (raw(b"GET file:///etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    "authority form": (raw(b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n"), {400}),
    "asterisk form": (raw(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    "no slash": (raw(b"GET index HTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    "fragment": (raw(b"GET /#a HTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    "bytes beyond ascii in the target": (raw(b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    # the first line
    "http/0.9": (raw(b"GET /\r\n\r\n"), {400, 505}),
    "http/0.9 with a space": (raw(b"GET / \r\n\r\n"), {400, 505}),
    "http/0.9 in full": (raw(b"GET / HTTP/0.9\r\nHost: x\r\n\r\n"), {505}),
    "http/1.2": (raw(b"GET / HTTP/1.2\r\nHost: x\r\n\r\n"), {505}),
    "http/2.0": (raw(b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"), {505}),
    "http/2 in plain": (raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), {400, 505}),
    "http in lower case": (raw(b"GET / http/1.1\r\nHost: x\r\n\r\n"), {400}),
    "http/01.1": (raw(b"GET / HTTP/01.1\r\nHost: x\r\n\r\n"), {400, 505}),
    "http/1.10": (raw(b"GET / HTTP/1.10\r\nHost: x\r\n\r\n"), {400, 505}),
    "http /1.1": (raw(b"GET / HTTP /1.1\r\nHost: x\r\n\r\n"), {400}),
    "another protocol": (raw(b"GET / HTTQ/1.1\r\nHost: x\r\n\r\n"), {400}),
    "space at its end": (raw(b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n"), {400, 505}),
    "two spaces": (raw(b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    "tabs": (raw(b"GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    "a space in front": (raw(b" GET / HTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    "a space in the target": (raw(b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    "two requests in the target": (raw(b"GET / HTTP/1.1\rGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    "a method that is no word": (raw(b"GE(T / HTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    "no method": (raw(b"/ HTTP/1.1\r\nHost: x\r\n\r\n"), {400}),
    "tls": (raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), {400}),
    "a proxy's preface": (raw(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + GET + b"\r\n"), {400, 405}),
    # sizes
    "16 KB of one header": (raw(GET + b"X: " + b"y" * 17000 + b"\r\n\r\n"), {431}),
    "16 KB of target": (raw(b"GET /" + b"y" * 17000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"), {431}),
    "16 KB of nothing": (raw(b"y" * 17000), {431}),
    "64 headers": (raw(GET + b"X: y\r\n" * 63 + b"\r\n"), {431}),
    "cl too large": (lambda s: POST + b"Content-Length: 262145\r\n\r\n" + s, {413}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_can_be_read_in_two_ways_is_refused_and_nothing_behind_it_served(system, name):
    make, statuses = REFUSED[name]
    request, email = hidden()
    answers = exchange(system, make(request))
    assert [status for status, _ in answers] in [[status] for status in statuses], answers
    assert b"\r\nConnection: close" in answers[0][1] and b"application/problem+json" in answers[0][1]
    assert not is_in_log(system, email)


# By its length the hidden request is a body: it is read as such, whatever else is said.
SWALLOWED = {
    "get with a body": lambda s: GET + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(s) + s,
    "head with a body": lambda s: b"HEAD" + GET[3:] + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(s) + s,
    "delete with a body": lambda s: b"DELETE" + GET[3:] + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(s) + s,
    "a path that isn't": lambda s: POST.replace(b"submit", b"nothing") + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(s)
    + s,
    "a type that isn't": lambda s: START + b"Host: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(s) + s,
    "cl beyond the body": lambda s: POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n{}" % (2 + len(s)) + s,
    "cl with zeros": lambda s: POST + b"Connection: close\r\nContent-Length: 000%d\r\n\r\n{}" % (2 + len(s)) + s,
    "cl as a connection's own": lambda s: POST + b"Connection: close, Content-Length\r\nContent-Length: %d\r\n\r\n{}" % (2 + len(s))
    + s,
    "another name": lambda s: POST + b"Connection: close\r\nTransfer_Encoding: chunked\r\nContent-Length: %d\r\n\r\n{}" % (2 + len(s))
    + s,
    "upgrade": lambda s: POST + b"Connection: close, Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n{}" % (2 + len(s)) + s,
    "override": lambda s: POST + b"Connection: close\r\nX-HTTP-Method-Override: GET\r\nContent-Length: %d\r\n\r\n{}" % (2 + len(s)) + s,
}


@pytest.mark.parametrize("name", SWALLOWED)
def test_a_body_is_never_taken_for_a_request(system, name):
    request, email = hidden()
    answers = exchange(system, SWALLOWED[name](request))
    assert len(answers) == 1 and answers[0][0] in (200, 400, 404, 405, 415, 422), answers
    assert not is_in_log(system, email)


def test_a_length_that_is_too_short_ends_the_connection_at_what_is_no_request(system):
    request, email = hidden()
    answers = exchange(system, POST + b"Content-Length: 2\r\n\r\n{}}}" + request)
    assert [status for status, _ in answers] == [422, 400] and b"Connection: close" in answers[1][1]
    assert not is_in_log(system, email)


def test_a_body_that_ends_early_is_no_request(system):
    """Half-closed in the middle of a body: what came of it is thrown away."""
    request, email = hidden()
    with socket.create_connection(("127.0.0.1", system.port), timeout=10) as s:
        s.sendall(request[:-1])
        s.shutdown(socket.SHUT_WR)
        assert s.recv(1000) == b""
    assert not is_in_log(system, email)


@pytest.mark.parametrize("place", ["before the name", "before the colon", "after the colon", "after the value", "in the name"])
def test_no_byte_hides_a_coding_from_us(system, place):
    """Every byte, at every place where some reader has once forgiven one. Whether it is refused or is another header's
    name: the hidden request, which the length covers, is not served."""
    emails = []
    for byte in range(256):
        b = bytes([byte])
        line = {"before the name": b + b"Transfer-Encoding: chunked", "before the colon": b"Transfer-Encoding" + b + b": chunked",
                "after the colon": b"Transfer-Encoding:" + b + b"chunked", "after the value": b"Transfer-Encoding: chunked" + b,
                "in the name": b"Transfer" + b + b"Encoding: chunked"}[place]
        request, email = hidden()
        emails.append(email)
        answers = exchange(system, te(b"Connection: close\r\n" + line)(request))
        assert len(answers) == 1 and answers[0][0] == 400, (byte, answers)
    assert not any(is_in_log(system, email) for email in emails)


def test_what_is_sound_is_served(system):
    """The strict reader's other side: forms that are rare and right."""
    cases = {
        b"GET http://x/healthz HTTP/1.1\r\nHost: X\r\nConnection: close\r\n\r\n": 200,
        b"\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n": 200,
        b"GET /healthz HTTP/1.0\r\n\r\n": 200,
        b"GET /healthz HTTP/1.1\r\nhOST:x:8080\r\nX:\r\nConnection:close\r\n\r\n": 200,
        b"GET /healthz HTTP/1.1\r\nHost: [::1]:80 \t\r\nX: \t a\tb \xc3\xa4\xff\r\nConnection: x, Close\r\n\r\n": 200,
        b"GET /healthz?a=/../b&%00=? HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n": 200,
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 61 + b"Connection: close\r\n\r\n": 200,
    }
    for request, status in cases.items():
        assert [s for s, _ in exchange(system, request)] == [status], request
    body = json.dumps({"name": "Ann", "email": "ann@example.org", "message": "Hello"}).encode()
    request = POST + b"Connection: close\r\nContent-Length: 000%d\r\n\r\n" % len(body) + body
    with socket.create_connection(("127.0.0.1", system.port), timeout=10) as s:
        for i in range(len(request)):  # a byte at a time is slow, not wrong
            s.sendall(request[i:i + 1])
        assert s.recv(100).startswith(b"HTTP/1.1 202 ")
