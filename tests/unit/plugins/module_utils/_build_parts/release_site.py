# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A publisher's release site on this machine, with the faults that such sites have."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import tarfile
import threading
import typing as t

PUBLIC = "https://releases.example.com/"


class ReleaseSite:
    """Files by path; ``requests`` holds (method, path, Range) of what was asked, ``logins`` what was shown for it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, list[int]] = {}
        self.break_after: dict[str, list[int]] = {}
        self.ignores_range = False
        self.requests: list[tuple[str, str, str]] = []
        self.redirects: dict[str, str] = {}
        self.logins: list[str] = []
        self.url = ""

    @property
    def mirrors(self) -> list[tuple[str, str]]:
        return [(PUBLIC, self.url)]

    def gets(self, path: str) -> list[str]:
        """The Range headers of all GETs of a path."""
        return [found for method, asked, found in self.requests if (method, asked) == ("GET", path)]

    def publish(self, path: str, data: bytes, sums: str = "") -> str:
        """Put a file and, at ``sums``, its line in a checksum file. Answers its sum."""
        digest = hashlib.sha256(data).hexdigest()
        self.files[path] = data
        if sums:
            line = f"{digest}  {path.rpartition('/')[2]}\n".encode()
            self.files[sums] = self.files.get(sums, b"") + line
        return digest


def archive(members: t.Mapping[str, bytes], prefix: str = "") -> bytes:
    """A .tar.gz of executable files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(prefix + name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@contextlib.contextmanager
def running_site() -> t.Iterator[ReleaseSite]:
    site = ReleaseSite()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: t.Any) -> None:
            """Quiet."""

        def do_HEAD(self) -> None:
            site.requests.append(("HEAD", self.path, ""))
            planned = site.answers.get(self.path, [])
            self.send_response(planned.pop(0) if planned else 200 if self.path in site.files else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            site.requests.append(("GET", self.path, asked))
            site.logins.append(self.headers.get("Authorization", ""))
            if self.path in site.redirects:
                return self._answer(302, b"", location=site.redirects[self.path])
            planned = site.answers.get(self.path, [])
            data = site.files.get(self.path)
            status = planned.pop(0) if planned else 200 if data is not None else 404
            if status != 200 or data is None:
                return self._answer(status, b"")
            start = int(asked[len("bytes=") : -1]) if asked and not site.ignores_range else 0
            if start and start >= len(data):
                return self._answer(416, b"")
            return self._answer(206 if start else 200, data[start:], start, len(data))

        def _answer(self, status: int, body: bytes, start: int = 0, size: int = 0, location: str = "") -> None:
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body)))
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.end_headers()
            breaks = site.break_after.get(self.path, [])
            if breaks and status in (200, 206):
                self.wfile.write(body[: breaks.pop(0)])
                self.close_connection = True
            else:
                self.wfile.write(body)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
