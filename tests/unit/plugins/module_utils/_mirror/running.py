# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mirror's program, running."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import threading
import typing as t

from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates

_LISTENS = re.compile(r"Listening at: https?://127\.0\.0\.1:([0-9]+)")


class RunningMirror:
    """Starts the program on a free port of the loopback and reads its log."""

    def __init__(
        self,
        program: pathlib.Path,
        directory: pathlib.Path,
        *,
        python: str = sys.executable,
        certificates: t.Optional[Certificates] = None,
        **settings: t.Any,
    ) -> None:
        config = {"listen": ["127.0.0.1:0"], "workers": 1, **settings}
        if certificates is not None:
            config.update(certificate=str(certificates.server), key=str(certificates.server_key))
        path = directory / "mirror.json"
        path.write_text(json.dumps(config))
        command = [python, "-I", "-S", str(program), "--config", str(path)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.lines: t.List[str] = []
        self._told = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        listens = self.wait_for(_LISTENS)
        if listens is None:
            self.close()
            raise RuntimeError(f"the mirror does not listen: {self.log}")
        self.port = listens.group(1)

    @property
    def log(self) -> str:
        """What it has told so far."""
        return "".join(self.lines)

    def wait_for(self, pattern: t.Pattern[str]) -> t.Optional[t.Match[str]]:
        """The first match in its log, now or when it comes; None when it ends without."""
        with self._told:
            self._told.wait_for(lambda: self._ended or pattern.search(self.log), 60)
            return pattern.search(self.log)

    def close(self) -> int:
        """End it as systemd does; its return code."""
        self.process.terminate()
        code = self.process.wait(60)
        self._reader.join(60)
        return code

    def _read_log(self) -> None:
        stream = self.process.stderr
        if stream is None:
            raise RuntimeError("there is no log to read")
        with stream:
            for line in stream:
                with self._told:
                    self.lines.append(line)
                    self._told.notify_all()
        with self._told:
            self._ended = True
            self._told.notify_all()
