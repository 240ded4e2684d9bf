# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's docker-registry as a process of a test, on a free loopback port."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import threading
import typing as t

from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.fake_registry import USER

PROGRAM = shutil.which("docker-registry")

# bcrypt of fake_registry.PASSWORD
_HASH = "$2b$04$7D7xNtQb48qQjhNVY5AG0OyYGxUgsP3mo9g7WEIcgVyKYSQmfBQ0a"
_LISTENS = re.compile(r"listening on (?:127\.0\.0\.1|\[::1\]):(\d+)")


class RealRegistry:
    """One running registry."""

    def __init__(
        self, directory: pathlib.Path, *, login: bool = False, certificates: t.Optional[Certificates] = None
    ) -> None:
        if PROGRAM is None:
            raise RuntimeError("docker-registry is not installed")
        self.storage = directory / "storage"
        self.log = directory / "log"
        config = directory / "config.yml"
        config.write_text(self._config(directory, login, certificates))
        self._process = subprocess.Popen(
            [PROGRAM, "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._ready = threading.Event()
        self._port = ""
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        if not self._ready.wait(30) or not self._port:
            self.close()
            raise RuntimeError(f"docker-registry does not listen: {self.log.read_text()}")
        self.host = f"127.0.0.1:{self._port}"

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)
        self._reader.join(20)

    def _config(self, directory: pathlib.Path, login: bool, certificates: t.Optional[Certificates]) -> str:
        lines = [
            "version: 0.1",
            f"storage: {{filesystem: {{rootdirectory: '{self.storage}'}}, delete: {{enabled: true}}}}",
            "http:",
            "  addr: 127.0.0.1:0",
        ]
        if certificates is not None:
            lines.append(f"  tls: {{certificate: '{certificates.server}', key: '{certificates.server_key}'}}")
        if login:
            (directory / "htpasswd").write_text(f"{USER}:{_HASH}\n")
            lines.append(f"auth: {{htpasswd: {{realm: test, path: '{directory / 'htpasswd'}'}}}}")
        return "\n".join([*lines, ""])

    def _read_log(self) -> None:
        stream = self._process.stderr
        if stream is None:
            raise RuntimeError("there is no log to read")
        with stream, self.log.open("w") as log:
            for line in stream:
                log.write(line)
                log.flush()
                found = _LISTENS.search(line)
                if found:
                    self._port = found.group(1)
                    self._ready.set()
        self._ready.set()
