# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the mirror answers: ranges, conditions, errors in the distribution spec's form, bodies.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field
from http import HTTPStatus

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Content

CHUNK = 256 * 1024
WAIT_SECONDS = 30.0

Headers = t.List[t.Tuple[str, str]]

_LONGEST_RANGE = 100
_RANGE = re.compile(r"[ ]*bytes[ ]*=[ ]*(?:([0-9]{1,19})[ ]*)?-[ ]*([0-9]{0,19})[ ]*", re.ASCII)


class Refused(MirrorError):
    """A request that gets an answer of the spec's error form."""

    def __init__(
        self, status: HTTPStatus, code: str, what: str, *, headers: t.Optional[Headers] = None, detail: str = ""
    ) -> None:
        super().__init__(what, where=detail)
        self.status = status
        self.code = code
        self.headers = headers or []
        self.detail = detail


@dataclass
class Reply:
    """Status, headers and body of an answer; the body's length is always known."""

    status: HTTPStatus
    headers: Headers = field(default_factory=list)
    body: t.Iterable[bytes] = ()

    @property
    def status_line(self) -> str:
        """The status as WSGI wants it."""
        return f"{self.status.value} {self.status.phrase}"

    def close(self) -> None:
        """Let go of what the body holds open; for an answer whose body is not sent."""
        close = getattr(self.body, "close", None)
        if close is not None:
            close()


class BlobBody:
    """A part of a blob, in pieces; it owns the content.

    Any WSGI server may iterate it, which blocks while bytes are still coming. A server that holds no thread for that
    asks ``next_piece`` whenever ``ready``, and may send from ``content.fileno()`` itself: ``start`` and ``length`` say
    which bytes.
    """

    def __init__(self, content: Content, start: int, length: int) -> None:
        self.content = content
        self.start = start
        self.length = length
        self._position = start
        self._end = start + length

    def __iter__(self) -> t.Iterator[bytes]:
        while self._position < self._end:
            piece = self.next_piece(CHUNK)
            if piece is None:
                self.content.wait(self._position, WAIT_SECONDS)
            elif piece:
                yield piece

    def next_piece(self, limit: int) -> t.Optional[bytes]:
        """Up to that many of the bytes that come next; None: not there yet, empty: that was all."""
        wanted = min(limit, self._end - self._position)
        if not wanted:
            return b""
        piece = self.content.read_at(self._position, wanted)
        if piece is not None:
            if not piece:
                raise MirrorError("a blob ended before its end", why=f"{self._end - self._position} bytes are missing")
            self._position += len(piece)
        return piece

    def ready(self) -> bool:
        """Whether ``next_piece`` would tell something now."""
        return self._position >= self._end or self.content.ready(self._position)

    def close(self) -> None:
        """Let go of the content."""
        self.content.close()


def json_reply(
    status: HTTPStatus, value: t.Any, headers: t.Optional[Headers] = None, media_type: str = "application/json"
) -> Reply:
    """An answer with a JSON body."""
    body = json.dumps(value, sort_keys=True).encode("ascii")
    common = [("Content-Type", media_type), ("Content-Length", str(len(body)))]
    return Reply(status, common + (headers or []), (body,))


def refusal(refused: Refused) -> Reply:
    """The spec's error body."""
    error = {"code": refused.code, "message": refused.what, "detail": refused.detail}
    return json_reply(refused.status, {"errors": [error]}, refused.headers)


def etag(digest: object) -> str:
    """The entity tag of content that has this digest."""
    return f'"{digest}"'


def matches(condition: str, tag: str) -> bool:
    """Whether an If-None-Match header names this entity tag (compared weakly, as the RFC wants it)."""
    if condition.strip() == "*":
        return True
    candidates = (part.strip() for part in condition.split(","))
    return any(candidate[2:] == tag if candidate.startswith("W/") else candidate == tag for candidate in candidates)


def byte_range(header: str, size: int) -> t.Optional[t.Tuple[int, int]]:
    """Start and length of the one range asked for.

    None when the header is to be ignored: several ranges, another unit, or not understood. Refused (416) when no byte
    of the content is in the range.
    """
    found = _RANGE.fullmatch(header) if len(header) <= _LONGEST_RANGE else None
    first, last = found.groups("") if found is not None else ("", "")
    if not first and not last:
        return None
    if not first:
        start, end = max(0, size - int(last)), size
    elif last and int(last) < int(first):
        return None
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    if start >= end:
        raise Refused(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "SIZE_INVALID",
            f"the range lies outside of {size} bytes",
            headers=[("Content-Range", f"bytes */{size}")],
        )
    return start, end - start
