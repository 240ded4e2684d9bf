# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One request and its answer: gunicorn's parser reads the head, WSGI's two halves are made and put together again.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
import time
import traceback
import types
import typing as t
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import unquote_to_bytes

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.app import AGAIN_KEY, REFERENCE_KEY
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.blocking import (
    ANYWHERE,
    BLOCKING_KEY,
    Blocking,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.intake import Input, Source

GUNICORN_IMPORT_ERROR: t.Optional[str] = None

try:
    from gunicorn.http.body import ChunkedReader
    from gunicorn.http.errors import (
        LimitRequestHeaders,
        LimitRequestLine,
        NoMoreData,
        ParseException,
        UnsupportedTransferCoding,
    )
    from gunicorn.http.message import Request
    from gunicorn.http.unreader import IterUnreader
except ImportError:
    GUNICORN_IMPORT_ERROR = traceback.format_exc()

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
_MOST_KNOWN = 512
_KNOWN_SIZE = 1024
_KEPT_SIZE = 32 * 1024
_NOBODY = ("", 0)
_BODILESS = frozenset({204, 304})
_PASSING = frozenset({"HTTP_AUTHORIZATION", "HTTP_X_REQUEST_ID"})
"""What makes a head a secret, or one that never comes again."""
_COMMON = {
    "SCRIPT_NAME": "",
    "SERVER_NAME": "",
    "SERVER_PORT": "",
    "wsgi.version": (1, 0),
    "wsgi.input_terminated": True,
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}

Environ = t.Dict[str, t.Any]
Headers = t.List[t.Tuple[str, str]]
Application = t.Callable[[Environ, t.Callable[[str, Headers], t.Any]], t.Iterable[bytes]]
Address = t.Tuple[str, int]


class BadRequest(MirrorError):
    """A request that cannot be read: what follows it on the connection cannot be either."""

    def __init__(self, status: str, what: str) -> None:
        super().__init__(what)
        self.status = status


@dataclass(frozen=True)
class Kept:
    """An answer that may be given again while ``again`` says so; ``headers`` are those that stay the same."""

    again: t.Callable[[], bool]
    status: str
    headers: str
    body: bytes
    reference: str


@dataclass
class Head:
    """What a request's head says; ``length`` is of its body, None for the chunked coding.

    Never changed, but for the answer that is kept with it.
    """

    method: str
    uri: str
    version: t.Tuple[int, int]
    closing: bool
    length: t.Optional[int]
    environ: Environ
    kept: t.Optional[Kept] = None

    @classmethod
    def parse(cls, data: bytes, settings: t.Any) -> Head:
        """Have gunicorn read it. Raises BadRequest."""
        request = _parsed(data, settings)
        reader = request.body.reader
        length = None if isinstance(reader, ChunkedReader) else reader.length
        return cls(request.method, request.uri, request.version, request.should_close(), length, _environ(request))


class Heads:
    """Reads heads; what is asked again and again, and is no secret, is read once."""

    def __init__(self, settings: t.Any) -> None:
        """``settings`` are gunicorn's."""
        names = [*settings.settings, "is_ssl"]
        # as plain attributes: gunicorn looks each one up anew, which takes longer than to read a header
        self._settings = types.SimpleNamespace(**{name: getattr(settings, name) for name in names})
        self._known: t.Dict[bytes, Head] = {}

    def read(self, data: bytes) -> Head:
        """What this head says. Raises BadRequest."""
        known = self._known.get(data)
        if known is not None:
            return known
        head = Head.parse(data, self._settings)
        if len(data) <= _KNOWN_SIZE and not _PASSING.intersection(head.environ):
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[data] = head
        return head


class Exchange:
    """A request whose head is complete, and the head of what answers it."""

    __slots__ = (
        "closing", "input", "length", "method", "path", "peer", "request_id", "started", "status", "_environ", "_head",
        "_headers",
    )  # fmt: skip

    def __init__(self, head: Head, rest: bytearray, peer: Address, source: Source) -> None:
        self.method = head.method
        self.path = head.uri.partition("?")[0]
        self.closing = head.closing
        self.started = time.monotonic()
        self.status = ""
        self.length: t.Optional[int] = None
        self.peer = peer
        self.input = Input(source, rest, head.length)
        given = head.environ.get("HTTP_X_REQUEST_ID", "")
        self.request_id: str = given if given and _REQUEST_ID.fullmatch(given) else _new_id()
        self._head = head
        self._headers: Headers = []
        self._environ: Environ = {}

    @property
    def waits_for_continue(self) -> bool:
        """Whether the client sends its body only when told so."""
        return self._head.version >= (1, 1) and self._head.environ.get("HTTP_EXPECT", "").lower() == "100-continue"

    @property
    def takes_input(self) -> bool:
        """Whether some of the request's body is still to come."""
        return not self.input.ended

    def answer(self, application: Application, blocking: Blocking = ANYWHERE) -> t.Iterable[bytes]:
        """The body of what the application answers. Raises WouldBlock."""
        environ = self._environ = self._head.environ.copy()
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = self.peer[0], str(self.peer[1])
        environ["wsgi.input"] = self.input
        environ[BLOCKING_KEY] = blocking
        return application(environ, self.start_response)

    def repeat(self) -> t.Optional[t.Tuple[bytes, bytes]]:
        """Head and body of the answer that the same request got before, where it is still right."""
        kept = self._head.kept
        if kept is None or self.closing or self.takes_input:
            return None
        if not kept.again():
            self._head.kept = None
            return None
        self.status = kept.status
        self._environ = {REFERENCE_KEY: kept.reference}
        return self._with_passing(kept.headers), kept.body

    @property
    def reference(self) -> str:
        """What the application says that was meant."""
        return t.cast(str, self._environ.get(REFERENCE_KEY, "-"))

    def start_response(self, status: str, headers: Headers, _error: t.Any = None) -> t.Callable[[bytes], None]:
        """WSGI's way to tell status and headers."""
        self.status, self._headers = status, headers
        return _refuse_to_write

    @property
    def status_code(self) -> int:
        """The status as a number."""
        return int(self.status[:3])

    @property
    def has_body(self) -> bool:
        """Whether the answer has one at all."""
        return self.method != "HEAD" and self.status_code not in _BODILESS

    def head(self, body: t.Any) -> bytes:
        """The answer's head; decides on the way how long the body is and whether the connection ends with it."""
        lines = []
        for name, value in self._headers:
            if name.lower() == "content-length":
                self.length = int(value)
            lines.append(f"{name}: {value}\r\n")
        if self.length is None and self.has_body:
            if isinstance(body, (tuple, list)):
                self.length = sum(map(len, body))
                lines.append(f"Content-Length: {self.length}\r\n")
            else:
                self.closing = True
        if self.closing:
            lines.append("Connection: close\r\n")
        elif self._head.version < (1, 1):
            lines.append("Connection: keep-alive\r\n")
        headers = "".join(lines)
        if headers.count("\n") != len(lines) or headers.count("\r") != len(lines):
            raise MirrorError("a header of an answer has a line break in it", where=self.path)
        if isinstance(body, (tuple, list)):
            self._keep(headers, b"".join(body) if self.has_body else b"")
        return self._with_passing(headers)

    def _keep(self, headers: str, body: bytes) -> None:
        again = self._environ.get(AGAIN_KEY)
        if again is not None and not self.closing and len(body) <= _KEPT_SIZE:
            self._head.kept = Kept(again, self.status, headers, body, self.reference)

    def _with_passing(self, headers: str) -> bytes:
        """An answer's head: what stays the same, and what never does."""
        head = f"HTTP/1.1 {self.status}\r\nServer: sealer-mirror\r\nDate: {_date()}\r\n{headers}"
        return f"{head}X-Request-Id: {self.request_id}\r\n\r\n".encode("latin-1")


def _parsed(data: bytes, settings: t.Any) -> t.Any:
    try:
        return Request(settings, IterUnreader([data]), _NOBODY)
    except UnsupportedTransferCoding as error:
        raise BadRequest("501 Not Implemented", f"the request cannot be read: {error}") from error
    except LimitRequestLine as error:
        raise BadRequest("414 URI Too Long", f"the request cannot be read: {error}") from error
    except LimitRequestHeaders as error:
        raise BadRequest("431 Request Header Fields Too Large", f"the request cannot be read: {error}") from error
    except (ParseException, NoMoreData, StopIteration, ValueError) as error:
        raise BadRequest("400 Bad Request", f"the request cannot be read: {error}") from error


def _environ(request: t.Any) -> Environ:
    environ: Environ = {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
        "QUERY_STRING": request.query,
        "RAW_URI": request.uri,
        "SERVER_PROTOCOL": f"HTTP/{request.version[0]}.{request.version[1]}",
        "wsgi.url_scheme": request.scheme,
        **_COMMON,
    }
    for name, value in request.headers:
        key = name.replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def _refuse_to_write(_data: bytes) -> None:
    raise MirrorError("this server takes an answer's body from the iterable alone")


class _Identities:
    """Request ids: unique over processes and restarts, and cheap."""

    def __init__(self) -> None:
        self.begin()
        os.register_at_fork(after_in_child=self.begin)

    def begin(self) -> None:
        """A process of its own."""
        self._prefix, self._count = os.urandom(6).hex(), itertools.count(1)

    def __call__(self) -> str:
        return f"{self._prefix}-{next(self._count):x}"


class _Clock:
    """The time as HTTP writes it, once a second."""

    def __init__(self) -> None:
        self._shown = (0, "")

    def __call__(self) -> str:
        now = int(time.time())
        second, text = self._shown
        if second != now:
            text = formatdate(now, usegmt=True)
            self._shown = (now, text)
        return text


_date = _Clock()
_new_id = _Identities()
