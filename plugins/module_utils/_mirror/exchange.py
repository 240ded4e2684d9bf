# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One request and its answer: gunicorn's parser reads the head, WSGI's two halves are made and put together again.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import re
import sys
import time
import traceback
import typing as t
from email.utils import formatdate
from urllib.parse import unquote_to_bytes

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.intake import Input, Source

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

REQUEST_ID = "sealer.request_id"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
_BODILESS = frozenset({204, 304})

Environ = t.Dict[str, t.Any]
Headers = t.List[t.Tuple[str, str]]
Application = t.Callable[[Environ, t.Callable[[str, Headers], t.Any]], t.Iterable[bytes]]
Address = t.Tuple[str, int]


class BadRequest(MirrorError):
    """A request that cannot be read: what follows it on the connection cannot be either."""

    def __init__(self, status: str, what: str) -> None:
        super().__init__(what)
        self.status = status


class Exchange:
    """A request whose head is complete, and the head of what answers it."""

    __slots__ = ("closing", "environ", "input", "length", "method", "path", "started", "status", "_headers", "_version")

    def __init__(self, head: bytes, rest: bytearray, settings: t.Any, peer: Address, source: Source) -> None:
        """``settings`` are gunicorn's. Raises BadRequest."""
        request = _parsed(head, settings, peer)
        self.method: str = request.method
        self.path: str = request.uri.partition("?")[0]
        self.closing: bool = request.should_close()
        self.started = time.monotonic()
        self.status = ""
        self.length: t.Optional[int] = None
        self._version: t.Tuple[int, int] = request.version
        self._headers: Headers = []
        reader = request.body.reader
        self.input = Input(source, rest, None if isinstance(reader, ChunkedReader) else reader.length)
        self.environ = _environ(request, peer, self.input)

    @property
    def waits_for_continue(self) -> bool:
        """Whether the client sends its body only when told so."""
        return self._version >= (1, 1) and self.environ.get("HTTP_EXPECT", "").lower() == "100-continue"

    @property
    def takes_input(self) -> bool:
        """Whether some of the request's body is still to come."""
        return not self.input.ended

    def answer(self, application: Application) -> t.Iterable[bytes]:
        """The body of what the application answers."""
        return application(self.environ, self.start_response)

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
        lines = [f"HTTP/1.1 {self.status}", "Server: sealer-mirror", f"Date: {_date()}"]
        for name, value in self._headers:
            if name.lower() == "content-length":
                self.length = int(value)
            lines.append(f"{name}: {value}")
        if self.length is None and self.has_body:
            if isinstance(body, (tuple, list)):
                self.length = sum(map(len, body))
                lines.append(f"Content-Length: {self.length}")
            else:
                self.closing = True
        if self.closing:
            lines.append("Connection: close")
        elif self._version < (1, 1):
            lines.append("Connection: keep-alive")
        lines.append(f"X-Request-Id: {self.environ[REQUEST_ID]}\r\n\r\n")
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) + 1 or head.count("\r") != len(lines) + 1:
            raise MirrorError("a header of an answer has a line break in it", where=self.path)
        return head.encode("latin-1")


def _parsed(head: bytes, settings: t.Any, peer: Address) -> t.Any:
    try:
        return Request(settings, IterUnreader([head]), peer)
    except UnsupportedTransferCoding as error:
        raise BadRequest("501 Not Implemented", f"the request cannot be read: {error}") from error
    except LimitRequestLine as error:
        raise BadRequest("414 URI Too Long", f"the request cannot be read: {error}") from error
    except LimitRequestHeaders as error:
        raise BadRequest("431 Request Header Fields Too Large", f"the request cannot be read: {error}") from error
    except (ParseException, NoMoreData, StopIteration, ValueError) as error:
        raise BadRequest("400 Bad Request", f"the request cannot be read: {error}") from error


def _environ(request: t.Any, peer: Address, body: Input) -> Environ:
    environ: Environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
        "QUERY_STRING": request.query,
        "RAW_URI": request.uri,
        "REMOTE_ADDR": peer[0],
        "REMOTE_PORT": str(peer[1]),
        "SERVER_NAME": "",
        "SERVER_PORT": "",
        "SERVER_PROTOCOL": f"HTTP/{request.version[0]}.{request.version[1]}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in request.headers:
        key = name.replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    given = environ.get("HTTP_X_REQUEST_ID", "")
    environ[REQUEST_ID] = given if _REQUEST_ID.fullmatch(given) else os.urandom(8).hex()
    return environ


def _refuse_to_write(_data: bytes) -> None:
    raise MirrorError("this server takes an answer's body from the iterable alone")


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
