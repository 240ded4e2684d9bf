# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A private registry as one more host of a lab's network, and images for it that nobody else has."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import secrets
import subprocess
import typing as t

from ansible_collections.sealer.cluster.tests.lab.lab import Lab
from ansible_collections.sealer.cluster.tests.unit.real_registry import PROGRAM

USER, PASSWORD = "lab-user", "f0r-the-mirror-only"
_HTPASSWD = f"{USER}:$2b$04$xdD9qcJlrwT.lypCCSDsPOY5gFwAjwTwAQ/aM16e8aTnDinL/tKq2\n"
_PORT = 5443
_CONFIG = """
version: 0.1
storage: {filesystem: {rootdirectory: /tmp/registry}}
http: {addr: "0.0.0.0:%d", tls: {certificate: /etc/registry/server.crt, key: /etc/registry/server.key}}
auth: {htpasswd: {realm: lab, path: /etc/registry/htpasswd}}
"""
# Something to run: static, as there is nothing else in its image.
_PROGRAM = '#include <unistd.h>\nint main(void) { write(1, "here\\n", 5); for (;;) pause(); }\n'


def run(*command: str) -> str:
    """What a command prints; what it printed is in the error where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


@dataclasses.dataclass(frozen=True)
class Pushed:
    """The full names of an image: by tag, and by its digest."""

    tagged: str
    pinned: str


@dataclasses.dataclass(frozen=True)
class PrivateRegistry:
    """Debian's docker-registry in a container, with a login, and a certificate of an authority of its own.

    name: what its images' names begin with; nobody resolves it. lab: whose network it is in; directory: for its files.
    """

    lab: Lab
    directory: pathlib.Path
    name: str = "registry.private.example"

    @property
    def url(self) -> str:
        return f"https://{self._address}:{_PORT}"

    @property
    def ca_certificate(self) -> str:
        return (self.directory / "ca.crt").read_text()

    @property
    def _address(self) -> str:
        return f"{self.lab.subnet}.50"

    @property
    def _container(self) -> str:
        return f"{self.lab.name}-private"

    @contextlib.contextmanager
    def running(self) -> t.Iterator[PrivateRegistry]:
        """Made anew, and removed at the end."""
        self._remove()
        try:
            self._create()
            yield self
        finally:
            self._remove()

    def _create(self) -> None:
        (self.directory / "config.yml").write_text(_CONFIG % _PORT)
        (self.directory / "htpasswd").write_text(_HTPASSWD)
        self._make_certificates()
        image = run("podman", "inspect", "--format", "{{.ImageName}}", self.lab.control_plane)
        limits = ["--pids-limit=-1", "--ulimit=nofile=1024:20000", "--ulimit=nproc=1024:32768"]
        place = [f"--name={self._container}", f"--network=sealer-lab-{self.lab.name}", f"--ip={self._address}"]
        # The same when it comes back: a host keeps its network card.
        place.append("--mac-address=02:5e:a1:e4:00:50")
        mounts = [f"--volume={PROGRAM}:/usr/bin/docker-registry:ro", f"--volume={self.directory}:/etc/registry:ro"]
        command = ["docker-registry", "serve", "/etc/registry/config.yml"]
        run("podman", "run", "--detach", *limits, *place, *mounts, image, *command)
        patience = ["--retry", "20", "--retry-delay", "1", "--retry-connrefused"]
        run("curl", "--silent", "--show-error", *patience, "--cacert", f"{self.directory}/ca.crt", f"{self.url}/v2/")

    def start(self) -> None:
        """Bring it back, with all it had."""
        run("podman", "start", self._container)

    def stop(self) -> None:
        """Let its host go from the network."""
        run("podman", "stop", "--time=1", self._container)

    def _remove(self) -> None:
        run("podman", "rm", "--force", "--ignore", "--volumes", "--time=1", self._container)

    def push(self, name: str) -> Pushed:
        """Put a new image for two platforms under this name, of bytes that were nowhere before."""
        context = self.directory / "context"
        context.mkdir(exist_ok=True)
        (context / "program.c").write_text(f"{_PROGRAM}/* {secrets.token_hex()} */\n")
        (context / "unique").write_text(secrets.token_hex(1 << 16))
        (context / "Containerfile").write_text('FROM scratch\nCOPY here unique /\nENTRYPOINT ["/here"]\n')
        run("gcc", "-static", "-O1", "-s", "-o", str(context / "here"), str(context / "program.c"))
        storage, digest = f"{self.directory}/storage", self.directory / "digest"
        buildah = ["buildah", f"--root={storage}", f"--runroot={storage}-run", "--storage-driver=vfs"]
        platforms = ["--platform=linux/amd64,linux/arm64", f"--manifest=localhost/{name}"]
        run(*buildah, "build", "--quiet", *platforms, str(context))
        trust = [f"--cert-dir={self.directory / 'trust'}", f"--creds={USER}:{PASSWORD}"]
        place = [f"localhost/{name}", f"docker://{self._address}:{_PORT}/{name}"]
        run(*buildah, "manifest", "push", "--all", "--quiet", f"--digestfile={digest}", *trust, *place)
        return Pushed(f"{self.name}/{name}", f"{self.name}/{name.partition(':')[0]}@{digest.read_text()}")

    def _make_certificates(self) -> None:
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        path = self.directory
        authority = ["-subj", "/CN=private authority", "-keyout", f"{path}/ca.key", "-out", f"{path}/ca.crt"]
        run(*make, *authority)
        server = ["-subj", "/CN=private", "-addext", f"subjectAltName=IP:{self._address}"]
        server += ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", f"{path}/ca.crt", "-CAkey", f"{path}/ca.key"]
        run(*make, *server, "-keyout", f"{path}/server.key", "-out", f"{path}/server.crt")
        (path / "trust").mkdir()
        (path / "trust/ca.crt").write_text(self.ca_certificate)
