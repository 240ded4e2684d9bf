# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates for servers and clients of tests, made with openssl."""

from __future__ import annotations

import pathlib
import ssl
import subprocess
import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class Certificates:
    """An authority, and what it signed: for a server at 127.0.0.1 and localhost, a client, a server elsewhere."""

    ca: pathlib.Path
    server: pathlib.Path
    server_key: pathlib.Path
    client: pathlib.Path
    client_key: pathlib.Path
    other: pathlib.Path
    other_key: pathlib.Path

    @classmethod
    def make(cls, directory: pathlib.Path, names: t.Sequence[str] = ()) -> Certificates:
        """Make them all; ``names`` are names of the server besides."""
        authority, authority_key = directory / "ca.crt", directory / "ca.key"
        _openssl(
            directory,
            "req",
            "-x509",
            "-new",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-days",
            "2",
            "-subj",
            "/CN=test authority",
            "-keyout",
            str(authority_key),
            "-out",
            str(authority),
        )
        made = {}
        for name, extension in (
            ("server", ",".join(["subjectAltName=IP:127.0.0.1,DNS:localhost", *(f"DNS:{name}" for name in names)])),
            ("client", "extendedKeyUsage=clientAuth"),
            ("other", "subjectAltName=DNS:other.example"),
        ):
            request, key, certificate = (directory / f"{name}.{end}" for end in ("csr", "key", "crt"))
            _openssl(
                directory,
                "req",
                "-new",
                "-nodes",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-subj",
                f"/CN=test {name}",
                "-keyout",
                str(key),
                "-out",
                str(request),
            )
            extensions = directory / f"{name}.ext"
            extensions.write_text(extension)
            _openssl(
                directory,
                "x509",
                "-req",
                "-in",
                str(request),
                "-CA",
                str(authority),
                "-CAkey",
                str(authority_key),
                "-CAcreateserial",
                "-days",
                "2",
                "-extfile",
                str(extensions),
                "-out",
                str(certificate),
            )
            made[name] = (certificate, key)
        return cls(authority, *made["server"], *made["client"], *made["other"])

    def server_context(self, *, ask_client: bool = False, other: bool = False) -> ssl.SSLContext:
        """What a server shows, or the ``other`` one; with ``ask_client`` it wants the client's certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*((self.other, self.other_key) if other else (self.server, self.server_key)))
        if ask_client:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _openssl(directory: pathlib.Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=directory)
