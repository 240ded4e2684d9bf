# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest book: GET / shows the lines that POST / wrote into the database."""

from __future__ import annotations

import html
import http
import http.server
import os
import pathlib
import typing as t
import urllib.parse

import pymysql

PORT = 8080
LONGEST = 500
TABLE = (
    "CREATE TABLE IF NOT EXISTS guests (id BIGINT AUTO_INCREMENT PRIMARY KEY, line VARCHAR(500) NOT NULL)"
    " CHARACTER SET utf8mb4"
)
PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Guest book</title>
<h1>Guest book</h1>
<form method="post" action="/"><input name="line" maxlength="500" required autofocus> <button>Sign</button></form>
<ul>
{lines}
</ul>
<p>Written by {host}, out of {count} lines.</p>
"""


def connection() -> t.Any:
    """To the database; a new one for each request, so that one that is away harms one request only."""
    return pymysql.connect(
        host=os.environ["DATABASE_HOST"],
        user="app",
        password=pathlib.Path(os.environ["DATABASE_PASSWORD_FILE"]).read_text(encoding="utf-8"),
        database="app",
        charset="utf8mb4",
        connect_timeout=3,
        read_timeout=5,
        autocommit=True,
    )


def lines() -> tuple[list[str], int]:
    """The last lines, and how many there are."""
    with connection() as database, database.cursor() as cursor:
        cursor.execute(TABLE)
        cursor.execute("SELECT line FROM guests ORDER BY id DESC LIMIT 100")
        last = [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT COUNT(*) FROM guests")
        return last, cursor.fetchone()[0]


def add(line: str) -> None:
    with connection() as database, database.cursor() as cursor:
        cursor.execute(TABLE)
        cursor.execute("INSERT INTO guests (line) VALUES (%s)", (line,))


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers are small, so each is one write."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        if self.path not in ("/", "/healthz", "/readyz"):
            return self.answer(http.HTTPStatus.NOT_FOUND, "There is nothing here.\n")
        if self.path == "/healthz":
            return self.answer(http.HTTPStatus.OK, "ok\n")
        try:
            last, count = lines()
        except pymysql.MySQLError as error:
            self.log_error("%s", error)
            return self.answer(http.HTTPStatus.SERVICE_UNAVAILABLE, "The database does not answer.\n")
        items = "\n".join(f"<li>{html.escape(line)}</li>" for line in last)
        page = PAGE.format(lines=items, host=html.escape(os.uname().nodename), count=count)
        return self.answer(http.HTTPStatus.OK, page, "text/html")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= 16 * LONGEST:
            self.close_connection = True
            return self.answer(http.HTTPStatus.BAD_REQUEST, "Send one line.\n")
        form = urllib.parse.parse_qs(self.rfile.read(length).decode("utf-8", "replace"))
        line = form.get("line", [""])[0].strip()
        if not 0 < len(line) <= LONGEST:
            return self.answer(http.HTTPStatus.BAD_REQUEST, f"A line has 1 to {LONGEST} characters.\n")
        try:
            add(line)
        except pymysql.MySQLError as error:
            self.log_error("%s", error)
            return self.answer(http.HTTPStatus.SERVICE_UNAVAILABLE, "The database does not answer.\n")
        return self.answer(http.HTTPStatus.SEE_OTHER, "", location="/")

    def answer(self, status: http.HTTPStatus, text: str, kind: str = "text/plain", location: str = "") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("", PORT), Handler).serve_forever()
