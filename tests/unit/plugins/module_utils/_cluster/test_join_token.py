# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dead join tokens: asked of a real server over TLS, told only where the server says so."""

from __future__ import annotations

import contextlib
import http.server
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import join_token
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates

ALIVE = "abcdef.0123456789abcdef"


class Server:
    """An API server that knows one token, and answers others with a status."""

    def __init__(self, certificates: Certificates, status: int, *, other: bool = False) -> None:
        self.asked: t.List[t.Tuple[str, str]] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append((self.path, self.headers["Authorization"]))
                self.send_response(200 if server.asked[-1][1] == f"Bearer {ALIVE}" else status)
                self.end_headers()

            def log_message(self, *_given: object) -> None:
                return

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        context = certificates.server_context(other=other)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/version"

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_caught: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.mark.parametrize(
    ("token", "status", "dead"),
    [(ALIVE, 401, False), ("fedcba.0123456789abcdef", 401, True), ("fedcba.0123456789abcdef", 503, False)],
    ids=["known", "unknown", "a server that cannot tell"],
)
def test_a_token_is_dead_when_the_server_says_so(
    certificates: Certificates, token: str, status: int, dead: bool
) -> None:
    raises = pytest.raises(ClusterError, match="k3s_token_ttl") if dead else contextlib.nullcontext()
    with Server(certificates, status) as server, raises as caught:
        join_token.refuse_dead(server.url, token, certificates.ca.read_text(), "k3s_token_ttl")
    assert server.asked == [("/version", f"Bearer {token}")]
    assert token not in str(caught)


def test_nobody_but_the_right_server_is_told_the_token(certificates: Certificates) -> None:
    with Server(certificates, 401, other=True) as server:
        join_token.refuse_dead(server.url, ALIVE, certificates.ca.read_text(), "k3s_token_ttl")
    assert server.asked == []


def test_a_server_that_is_away_is_left_to_the_runtime(certificates: Certificates) -> None:
    with Server(certificates, 401) as server:
        url = server.url
    join_token.refuse_dead(url, ALIVE, certificates.ca.read_text(), "k3s_token_ttl")
