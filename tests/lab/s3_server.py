# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server of S3 for a lab's hosts on the machine of the lab: versitygw, which keeps buckets as directories."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import socket
import subprocess
import time
import typing as t

from ansible_collections.sealer.cluster.tests.lab.lab import CACHE, HERE

ACCESS_KEY, SECRET_KEY = "lab-access", 's3-"$ecret`\\'
PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
PROGRAM = CACHE / "bin/versitygw"


@dataclasses.dataclass
class S3Server:
    """A running server with one bucket; its certificate is of an authority of its own.

    address: where it listens; directory: for its files.
    """

    address: str
    directory: pathlib.Path
    bucket: str = "images"
    port: int = 0
    process: t.Optional[subprocess.Popen[bytes]] = None

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def certificate(self) -> str:
        return (self.directory / "server.crt").read_text()

    @property
    def content(self) -> pathlib.Path:
        """The bucket's objects, as files."""
        return self.directory / "content" / self.bucket

    def start(self) -> None:
        """Build it where it is not built yet, and wait until it answers."""
        build = ["go", "-C", str(HERE / "s3"), "build", "-trimpath", "-o", str(PROGRAM), PACKAGE]
        subprocess.run(build, check=True, capture_output=True)
        self.content.mkdir(parents=True)
        certificate, key = self.directory / "server.crt", self.directory / "server.key"
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        make += ["-subj", "/CN=s3", "-addext", f"subjectAltName=IP:{self.address}"]
        subprocess.run([*make, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
        with socket.create_server((self.address, 0)) as free:
            self.port = free.getsockname()[1]
        listen = [f"--port={self.address}:{self.port}", f"--cert={certificate}", f"--key={key}", "--quiet"]
        keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, *listen, "posix", str(self.content.parent)],
                env={**os.environ, **keys},
                stdout=log,
                stderr=log,
            )
        self._wait()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)

    def _wait(self) -> None:
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection((self.address, self.port), 1).close()
                return
            except OSError as error:
                if time.monotonic() > end or self.process is None or self.process.poll() is not None:
                    raise RuntimeError((self.directory / "log").read_text()) from error
                time.sleep(0.05)
