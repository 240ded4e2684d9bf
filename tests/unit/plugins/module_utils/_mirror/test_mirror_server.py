# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server's loop: what clients see of it, and what slow, broken and hostile ones cannot do."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import ssl
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import BlobBody
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.blocking import WRITE
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import StoredContent
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving import connection, loop
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.server import tls_context
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.looping import (
    BIG,
    LIMIT,
    Growing,
    Host,
    Served,
    read_all,
    read_answer,
    wait_until,
)

END = b"\r\n\r\n"
CLOSE = b"Host: x\r\nConnection: close" + END


def contexts(certificates: Certificates) -> t.Tuple[ssl.SSLContext, ssl.SSLContext]:
    config = Config("/s", ["127.0.0.1:0"], str(certificates.server), str(certificates.server_key))
    return tls_context(config), ssl.create_default_context(cafile=str(certificates.ca))


@pytest.fixture(params=["plain", "tls"])
def host(request: pytest.FixtureRequest, certificates: Certificates) -> t.Iterator[Host]:
    made = Host(*contexts(certificates)) if request.param == "tls" else Host()
    yield made
    made.close()


@pytest.fixture
def served(host: Host) -> Served:
    return host.served


@pytest.fixture
def plain() -> t.Iterator[Served]:
    made = Host()
    yield made.served
    made.close()


def test_a_connection_is_kept(served: Served) -> None:
    with served.connect() as client:
        for path in (b"/a", b"/b"):
            client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x" + END)
            head, body = read_answer(client)
            assert (head.split(b"\r\n")[0], body) == (b"HTTP/1.1 200 OK", path)
            assert b"Connection" not in head
    assert served.wait_for("/b") == ("/b", "200 OK", 2, True)


@pytest.mark.parametrize(
    ("request_head", "kept"),
    [
        (b"GET /a HTTP/1.1\r\nHost: x", True),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close", False),
        (b"GET /a HTTP/1.0", False),
        (b"GET /a HTTP/1.0\r\nConnection: keep-alive", True),
    ],
)
def test_who_ends_the_connection(plain: Served, request_head: bytes, kept: bool) -> None:
    with plain.connect() as client:
        client.sendall(request_head + END)
        head, _body = read_answer(client)
        assert (b"Connection: close" not in head) is kept
        if not kept:
            assert client.recv(1) == b""


def test_requests_in_one_packet_and_byte_by_byte(served: Served) -> None:
    asked = b"GET /a HTTP/1.1\r\nHost: x" + END + b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3" + END + b"abc"
    asked += b"\r\n\r\nGET /c HTTP/1.1\r\n" + CLOSE
    assert re.findall(rb"\r\n\r\n(/a|abc|/c)", served.ask(asked)) == [b"/a", b"abc", b"/c"]
    with served.connect() as client:
        for place in range(len(asked)):
            client.sendall(asked[place : place + 1])
        assert re.findall(rb"\r\n\r\n(/a|abc|/c)", read_all(client)) == [b"/a", b"abc", b"/c"]


def test_request_ids(plain: Served) -> None:
    def answered(given: bytes) -> bytes:
        found = re.search(rb"X-Request-Id: (.*)\r\n", plain.ask(b"GET /a HTTP/1.1\r\n" + given + CLOSE))
        assert found is not None
        return found.group(1)

    assert answered(b"X-Request-Id: abc-1.2:3\r\n") == b"abc-1.2:3"
    made = {answered(b"X-Request-Id: " + bad + b"\r\n") for bad in (b"", b"a b", b"x" * 129, b'"')} | {answered(b"")}
    assert len(made) == 5
    assert all(re.fullmatch(rb"[0-9a-f]{12}-[0-9a-f]+", one) for one in made)


def test_head_requests_have_no_body(plain: Served) -> None:
    answered = plain.ask(b"HEAD /abc HTTP/1.1\r\n" + CLOSE)
    assert b"Content-Length: 4\r\n" in answered
    assert answered.endswith(END)


def test_a_failing_application(served: Served) -> None:
    assert served.ask(b"GET /fail HTTP/1.1\r\nHost: x" + END).startswith(b"HTTP/1.1 500 ")
    assert served.get("/a") == b"/a"


def test_a_header_with_a_line_break_is_not_sent(plain: Served) -> None:
    plain.headers.append(("Location", "/a\r\nSet-Cookie: b"))
    assert plain.ask(b"GET /a HTTP/1.1\r\nHost: x" + END).startswith(b"HTTP/1.1 500 ")


def test_a_big_file(served: Served, tmp_path: t.Any) -> None:
    path = tmp_path / "blob"
    path.write_bytes(BIG)
    content = StoredContent.open(Digest.of(BIG), str(path))
    assert content is not None
    served.bodies["/blob"] = BlobBody(content, 1000, len(BIG) - 3000)
    assert served.get("/blob") == BIG[1000:-2000]
    assert served.wait_for("/blob") == ("/blob", "200 OK", len(BIG) - 3000, True)
    with pytest.raises(OSError, match="Bad file descriptor"):
        content.read_at(0, 1)


def test_a_file_that_becomes_shorter_breaks_the_answer_off(plain: Served, tmp_path: t.Any) -> None:
    path = tmp_path / "blob"
    path.write_bytes(BIG)
    content = StoredContent.open(Digest.of(BIG), str(path))
    assert content is not None
    path.write_bytes(BIG[:100000])
    plain.bodies["/blob"] = BlobBody(content, 0, len(BIG))
    assert len(plain.get("/blob")) < len(BIG)
    assert plain.wait_for("/blob")[3] is False


def test_content_that_is_still_coming_holds_no_thread(served: Served) -> None:
    """Many more clients than threads follow blobs that grow; others are served meanwhile, and all get all."""
    blobs = [Growing(300_000) for _number in range(40)]
    clients = []
    for number, blob in enumerate(blobs):
        served.bodies[f"/{number}"] = blob
        client = served.connect()
        client.sendall(f"GET /{number} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        clients.append(client)
    assert all(blob.waited_for.wait(LIMIT) for blob in blobs)
    assert served.get("/other") == b"/other"
    for blob in blobs:
        blob.data += b"a" * 100_000
    for blob in blobs:
        blob.data += b"b" * 200_000
    for client in clients:
        assert read_all(client).partition(END)[2] == b"a" * 100_000 + b"b" * 200_000
        client.close()
    assert all(blob.closed.wait(LIMIT) for blob in blobs)


def test_content_that_never_comes_breaks_the_answer_off(served: Served) -> None:
    blob = served.bodies["/blob"] = Growing(1000)
    with served.connect() as client:
        client.sendall(b"GET /blob HTTP/1.1\r\nHost: x" + END)
        blob.data += b"abc"
        assert blob.waited_for.wait(LIMIT)
        blob.failure = MirrorError("the upstream is gone")
        assert read_all(client).partition(END)[2] in (b"abc", b"")
    assert blob.closed.wait(LIMIT)
    assert served.wait_for("/blob")[3] is False


def test_clients_that_take_nothing_hold_up_nobody(served: Served) -> None:
    """Far more than there are threads; each gets the whole when it takes it."""
    slow = []
    for number in range(30):
        served.bodies[f"/{number}"] = (BIG,)
        client = served.connect(receive_buffer=4096)
        client.sendall(f"GET /{number} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        slow.append(client)
    for _turn in range(20):
        assert served.get("/other") == b"/other"
    assert read_all(slow[0]).partition(END)[2] == BIG
    for client in slow:
        client.close()
    assert served.wait_for("/29")[3] is False


def test_applications_that_wait_hold_up_nobody(host: Host) -> None:
    """As many as there are threads but one; with more, the rest waits for its turn and connections are still served."""
    served = host.served
    waiting = []
    for _number in range(12):
        client = served.connect()
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: x" + END)
        waiting.append(client)
    for _number in range(7):
        assert served.entered.acquire(timeout=LIMIT)
    with served.connect() as client:
        client.sendall(b"nonsense" + END)
        assert read_all(client).startswith(b"HTTP/1.1 400 ")
    served.release.set()
    for client in waiting:
        assert read_answer(client)[1] == b"/wait"
        client.close()


@pytest.mark.parametrize(("stage", "sent"), [("HEAD", b"GET / HT"), ("IDLE", b"")])
def test_who_is_late_is_closed(monkeypatch: pytest.MonkeyPatch, plain: Served, stage: str, sent: bytes) -> None:
    monkeypatch.setattr(connection, f"{stage}_SECONDS", 0.1)
    with plain.connect() as client:
        if sent:
            client.sendall(sent)
        else:
            client.sendall(b"GET /a HTTP/1.1\r\nHost: x" + END)
            read_answer(client)
        assert client.recv(1) == b""


def test_a_slow_handshake_is_closed(monkeypatch: pytest.MonkeyPatch, certificates: Certificates) -> None:
    monkeypatch.setattr(connection, "HANDSHAKE_SECONDS", 0.1)
    made = Host(*contexts(certificates))
    try:
        with socket.create_connection(("127.0.0.1", made.served.port), timeout=LIMIT) as client:
            client.sendall(b"\x16\x03\x01")
            assert read_all(client) == b""
    finally:
        made.close()


def test_who_takes_nothing_for_long_is_closed(monkeypatch: pytest.MonkeyPatch, plain: Served) -> None:
    monkeypatch.setattr(connection, "STALLED_SECONDS", 0.2)
    plain.bodies["/big"] = (BIG,)
    with plain.connect(receive_buffer=4096) as client:
        client.sendall(b"GET /big HTTP/1.1\r\nHost: x" + END)
        assert plain.wait_for("/big")[3] is False


def test_who_takes_slowly_is_not_closed(plain: Served) -> None:
    """What counts is whether the client has taken anything since it was last looked at."""
    plain.bodies["/big"] = (BIG,)
    with socket.create_server(("127.0.0.1", 0)) as listener, plain.connect_to(listener.getsockname()[1]) as client:
        accepted, peer = listener.accept()
        client.sendall(b"GET /big HTTP/1.1\r\nHost: x" + END)
        serving = connection.Connection(accepted, peer, plain.service())
        want = serving.advance()
        while want is not connection.Want.WORK:
            want = serving.advance()
        want = serving.work()
        assert (want, serving.expire()) == (connection.Want.WRITE, True)
        while serving.expire():
            assert client.recv(65536)
        assert serving.expire()
        serving.close()


def test_uploads(served: Served) -> None:
    body = BIG[:3_000_000]
    with served.connect() as client:
        client.sendall(b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d" % len(body) + END)
        client.sendall(body)
        assert read_answer(client)[1] == body
        client.sendall(b"PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked" + END + b"3\r\nabc\r\n0\r\n\r\n")
        assert read_answer(client)[1] == b"abc"


def test_expect_continue(served: Served) -> None:
    with served.connect() as client:
        client.sendall(b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue" + END)
        assert client.recv(100) == b"HTTP/1.1 100 Continue" + END
        client.sendall(b"abc")
        assert read_answer(client)[1] == b"abc"
        client.sendall(b"PUT /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue" + END)
        head, body = read_answer(client)
        assert (head.split(b"\r\n")[0], body) == (b"HTTP/1.1 200 OK", b"/unread")
        assert b"Connection: close" in head


def test_an_answer_reaches_who_still_sends(served: Served) -> None:
    """The application does not want the body: the answer arrives all the same."""
    with served.connect() as client:
        client.sendall(b"PUT /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 900000" + END + BIG[:500_000])
        assert read_answer(client)[1] == b"/unread"


def begin_upload(served: Served) -> socket.socket:
    """A client that sends its body only when it is asked for it."""
    client = served.connect()
    client.sendall(b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue" + END)
    return client


def finish_upload(client: socket.socket, asked_for: bool = False) -> None:
    if not asked_for:
        assert client.recv(25) == b"HTTP/1.1 100 Continue" + END
    client.sendall(b"abc")
    assert read_answer(client)[1] == b"abc"
    client.close()


def test_too_many_uploads(host: Host) -> None:
    """A quarter of the threads read the bodies of one client; its next uploads wait, then more are sent away."""
    served = host.served
    sending = [begin_upload(served) for _number in range(2)]
    for client in sending:
        assert client.recv(25) == b"HTTP/1.1 100 Continue" + END
    waiting = [begin_upload(served) for _number in range(8)]
    bulkhead = host.loop._bulkheads.of(WRITE)
    assert wait_until(lambda: not bulkhead.admits("127.0.0.1"))
    refused = served.ask(b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3" + END + b"abc")
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: " in refused
    assert served.get("/a") == b"/a"
    for client in sending:
        finish_upload(client, asked_for=True)
    for client in waiting:
        finish_upload(client)


def test_a_body_that_ends_early(plain: Served) -> None:
    with plain.connect() as client:
        client.sendall(b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10" + END + b"abc")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).startswith(b"HTTP/1.1 500 ")
    assert plain.get("/a") == b"/a"


def test_smuggling(plain: Served) -> None:
    """What two readers could take for different requests is refused, and what stands behind it is no request."""
    behind = b"GET /smuggled HTTP/1.1\r\nHost: x" + END
    for head in (
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +4",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: \xb2",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked",
        b"POST /echo HTTP/1.1\r\nHost: x\r\n Transfer-Encoding: chunked",
        b"POST /echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked",
        b"GET /a\tHTTP/1.1\r\nHost: x",
        b"GET /a HTTP/1.1\nHost: x",
        b"GET  /a HTTP/1.1\r\nHost: x",
        b"GET /a HTTP/2.0\r\nHost: x",
        b"get /a HTTP/1.1\r\nHost: x",
        b"GET /a HTTP/1.1\r\nA\0: b",
        b"GET /a HTTP/1.1\r\n: b",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1",
        b"GET /a HTTP/1.1\r\nA: " + b"b" * 40000,
        b"GET /a HTTP/1.1" + b"\r\nA: b" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM",
    ):
        answered = plain.ask(head + END + b"0\r\n\r\n" + behind)
        assert re.match(rb"HTTP/1\.1 (400|414|431|501) ", answered), (head, answered)
        assert answered.count(b"HTTP/1.1 ") == 1, head
    assert not any(path == "/smuggled" for path, *_rest in plain.told)


def test_a_head_without_an_end(plain: Served) -> None:
    answered = plain.ask(b"GET /a HTTP/1.1\r\nA: " + b"b" * 200_000)
    assert answered.startswith(b"HTTP/1.1 431 ") or answered == b""


def garbage(source: random.Random) -> bytes:
    """Something like a request, broken somewhere; or nothing like one."""
    kind = source.randrange(4)
    if kind == 0:
        return source.randbytes(source.randrange(1, 600))
    text = bytearray(b"POST /echo?a=b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked" + END + b"3\r\nabc\r\n0" + END)
    if kind == 1:
        text = bytearray(b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nRange: bytes=0-" + END + b"abc")
    for _change in range(source.randrange(1, 6)):
        place = source.randrange(len(text))
        change = source.randrange(3)
        if change == 0:
            text[place] = source.randrange(256)
        elif change == 1:
            del text[place : place + source.randrange(1, 9)]
        else:
            text[place:place] = source.choice(
                [b"\r\n", b"\0", b" ", b":", b"\xff", b"Content-Length: 9\r\n", b"A" * 999]
            )
        if not text:
            break
    return bytes(text) * source.choice([1, 1, 1, 3])


@pytest.mark.parametrize("seed", range(4))
def test_garbage(host: Host, caplog: pytest.LogCaptureFixture, seed: int) -> None:
    """Hundreds of broken clients, on the bare port and inside TLS: it lives, logs no failure, loses no thread."""
    served, source = host.served, random.Random(seed)
    for number in range(60):
        bare = number % 3 == 0
        connected = socket.create_connection(("127.0.0.1", served.port), LIMIT) if bare else served.connect()
        with connected as client, contextlib.suppress(OSError):
            client.sendall(garbage(source))
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_WR) if bare or served.tls is None else None
            client.settimeout(0.02)
            client.recv(1 << 20)
    assert served.get("/a") == b"/a"
    failures = [record.exc_text or "" for record in caplog.records if record.exc_info]
    broken = [text for text in failures if "the request's body" not in text]
    assert not broken


def test_when_descriptors_are_used_up_the_longest_idle_goes() -> None:
    made = Host(most=5)
    clients = []
    try:
        for number in range(8):
            client = made.served.connect()
            client.sendall(f"GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert read_answer(client)[1] == f"/{number}".encode()
            clients.append(client)
        assert clients[0].recv(1) == b""
        clients[-1].sendall(b"GET /again HTTP/1.1\r\nHost: x" + END)
        assert read_answer(clients[-1])[1] == b"/again"
    finally:
        for client in clients:
            client.close()
        made.close()


def test_accept_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    failures = iter([OSError(24, "Too many open files"), OSError(23, "Too many open files in system")])
    accept = loop.accept

    def failing(listener: t.Any) -> t.Any:
        for error in failures:
            raise error
        return accept(listener)

    monkeypatch.setattr(loop, "accept", failing)
    made = Host()
    try:
        assert made.served.get("/a") == b"/a"
        assert "cannot take more clients" in caplog.text
    finally:
        made.close()


def test_the_end_waits_for_what_runs(host: Host) -> None:
    served = host.served
    blob = served.bodies["/blob"] = Growing(6)
    with served.connect() as idle, served.connect() as busy:
        idle.sendall(b"GET /a HTTP/1.1\r\nHost: x" + END)
        read_answer(idle)
        busy.sendall(b"GET /blob HTTP/1.1\r\nHost: x" + END)
        assert blob.waited_for.wait(LIMIT)
        host.stop_watching()
        served.alive = False
        ending = threading.Thread(target=host.loop.drain, args=(LIMIT, lambda: None))
        ending.start()
        idle.sendall(b"GET /b HTTP/1.1\r\nHost: x" + END)
        assert b"Connection: close" in read_answer(idle)[0]
        blob.data += b"abcdef"
        assert read_answer(busy)[1] == b"abcdef"
        ending.join(LIMIT)
        assert not ending.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", served.port), 5)


class SlowPoll:
    """An epoll that listens only after somebody has tried to stop that, if anybody can meanwhile."""

    def __init__(self, poll: t.Any) -> None:
        self._poll = poll
        self.begun, self.stopped = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._poll, name)

    def register(self, descriptor: int, mask: int) -> None:
        self.begun.set()
        self.stopped.wait(0.5)
        self._poll.register(descriptor, mask)

    def unregister(self, descriptor: int) -> None:
        self.stopped.set()
        self._poll.unregister(descriptor)


def test_the_end_comes_while_it_begins_to_listen_again() -> None:
    made = Host()
    ending, poll = made.loop, SlowPoll(made.loop._poll)
    ending._pause(LIMIT)
    ending._poll = t.cast(t.Any, poll)
    again = threading.Thread(target=ending._listen)
    again.start()
    assert poll.begun.wait(LIMIT)
    made.close()
    again.join(LIMIT)
    ending._listen()
    assert not ending._accepting
