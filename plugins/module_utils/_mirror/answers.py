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

CHUNK = 256 * 1024

Headers = t.List[t.Tuple[str, str]]

_RANGE = re.compile(r"bytes[ ]*=[ ]*([0-9]{0,19})[ ]*-[ ]*([0-9]{0,19})", re.ASCII)


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


class FileChunks:
    """A part of an open file, in pieces; it owns the file."""

    def __init__(self, stream: t.BinaryIO, start: int, length: int) -> None:
        self._stream = stream
        self._start = start
        self._left = length

    def __iter__(self) -> t.Iterator[bytes]:
        self._stream.seek(self._start)
        while self._left:
            data = self._stream.read(min(CHUNK, self._left))
            if not data:
                raise MirrorError("a blob became shorter while it was read", why=f"{self._left} bytes are missing")
            self._left -= len(data)
            yield data

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def json_reply(status: HTTPStatus, value: t.Any, headers: t.Optional[Headers] = None) -> Reply:
    """An answer with a JSON body."""
    body = json.dumps(value, sort_keys=True).encode("ascii")
    common = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
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
    found = _RANGE.fullmatch(header.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
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
