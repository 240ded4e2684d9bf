# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A double of a token server: whoever knows the password gets a token that docker-registry takes.

As a program, ``token_server.py DIRECTORY USER PASSWORD`` signs with ``key.pem`` there, which is that of ``cert.pem``,
writes its port into ``port``, and counts in ``granted`` what it gave out.
"""

from __future__ import annotations

import base64
import http.server
import json
import pathlib
import ssl
import subprocess
import sys
import time
from urllib.parse import parse_qsl, urlsplit


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(directory: pathlib.Path, user: str, scopes: list[str]) -> str:
    """A signed token that allows all of this."""
    certificate = ssl.PEM_cert_to_DER_cert((directory / "cert.pem").read_text())
    header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(certificate).decode()]}
    parts = [scope.split(":") for scope in scopes]
    now = int(time.time())
    claims = {
        "iss": "double",
        "aud": "test",
        "sub": user,
        "nbf": now - 60,
        "iat": now,
        "exp": now + 300,
        "jti": str(time.time_ns()),
        "access": [{"type": part[0], "name": ":".join(part[1:-1]), "actions": part[-1].split(",")} for part in parts],
    }
    signed = ".".join(_text(json.dumps(part).encode()) for part in (header, claims))
    sign = ["openssl", "dgst", "-sha256", "-sign", str(directory / "key.pem")]
    signature = subprocess.run(sign, input=signed.encode(), check=True, capture_output=True).stdout
    return f"{signed}.{_text(signature)}"


def main() -> None:
    directory, user, password = pathlib.Path(sys.argv[1]), *sys.argv[2:]
    login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scopes = [value for name, value in parse_qsl(urlsplit(self.path).query) if name == "scope"]
            known = self.headers.get("Authorization") == login
            if known:
                with (directory / "granted").open("a") as granted:
                    granted.write(f"{' '.join(scopes)}\n")
            answer = {"token": token(directory, user, scopes)} if known else {"details": "wrong password"}
            self.send_response(200 if known else 401)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    (directory / "port").write_text(f"port {server.server_address[1]}\n")
    server.serve_forever()


if __name__ == "__main__":
    main()
