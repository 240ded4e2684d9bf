# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of registries that the mirror may ask: upstreams, parents and peers.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config_fields import (
    Fields,
    is_host_pattern,
    is_proxy,
    is_registry,
    is_repository_pattern,
    is_url,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import Login
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import DOCKER_HUB

DOCKER_HUB_API = "registry-1.docker.io"

_LARGEST_SECRET = 64 * 1024
_LONGEST_TTL = 366 * 24 * 3600.0


@dataclass(frozen=True)
class Access:
    """How to be let in: a login out of files, authorities, a client certificate.

    ``token_file`` holds an identity token that the registry's token server changes into access tokens; with a username,
    its content is that user's password. ``insecure`` allows unverified TLS, and plain HTTP where the URL says so.
    """

    username: str = ""
    password_file: str = ""
    token_file: str = ""
    ca: str = ""
    client_certificate: str = ""
    client_key: str = ""
    insecure: bool = False

    @classmethod
    def read(cls, fields: Fields) -> Access:
        """These settings out of an upstream's, a parent's or a peer's."""
        access = cls(
            fields.text("username"),
            fields.path("password_file"),
            fields.path("token_file"),
            fields.path("ca"),
            fields.path("client_certificate"),
            fields.path("client_key"),
            fields.flag("insecure", False),
        )
        fields.together("client_certificate", "client_key", (access.client_certificate, access.client_key))
        secrets = [name for name in ("password_file", "token_file") if getattr(access, name)]
        if len(secrets) > 1:
            raise MirrorError(
                f"of the settings {fields.name('password_file')!r} and 'token_file' there can be one only"
            )
        if access.username and not secrets:
            raise MirrorError(f"the setting {fields.name('username')!r} needs a 'password_file' or a 'token_file'")
        if access.password_file and not access.username:
            raise MirrorError(f"the setting {fields.name('password_file')!r} needs a 'username'")
        return access

    def login(self) -> t.Optional[Login]:
        """The login, read from its file now; raises MirrorError."""
        path = self.password_file or self.token_file
        if not path:
            return None
        secret = _read_secret(path)
        return Login(self.username, secret) if self.username else Login("", identity_token=secret)


@dataclass(frozen=True)
class UpstreamSettings:
    """One registry that may be asked: under which name, where, as whom, how much, and for what.

    ``redirect_hosts`` (globs) names hosts at private addresses that this registry may send us to, for blobs or tokens.
    """

    name: str
    urls: t.Tuple[str, ...] = ()
    access: Access = Access()
    requests_per_second: float = 0.0
    concurrency: int = 16
    proxy: str = ""
    repositories: t.Tuple[str, ...] = ()
    redirect_hosts: t.Tuple[str, ...] = ()
    tag_ttl: t.Optional[float] = None

    @classmethod
    def read(cls, fields: Fields) -> UpstreamSettings:
        """One element of `upstreams`."""
        name = fields.text("name", required=True)
        fields.require("name", name, is_registry(name), "a registry's host, with its port if that is not 443")
        urls = fields.texts("urls", is_url, "URLs of registries") or default_urls(name)
        ttl = fields.number("tag_ttl", -1.0, _LONGEST_TTL) if fields.has("tag_ttl") else None
        upstream = cls(
            name,
            urls,
            Access.read(fields),
            fields.number("requests_per_second", 0.0, 100_000.0),
            fields.count("concurrency", 16, 1, 1024),
            fields.text("proxy"),
            fields.texts("repositories", is_repository_pattern, "repository patterns"),
            fields.texts("redirect_hosts", is_host_pattern, "host patterns"),
            ttl,
        )
        good = not upstream.proxy or is_proxy(upstream.proxy)
        fields.require("proxy", "…@…" if "@" in upstream.proxy else upstream.proxy, good, "the URL of a proxy")
        _check_plain(fields, "urls", urls, upstream.access)
        return upstream


@dataclass(frozen=True)
class Neighbour:
    """Another mirror: a parent further up, or a peer in the same cluster."""

    url: str
    access: Access = Access()

    @classmethod
    def read(cls, fields: Fields) -> Neighbour:
        """One element of `parents` or `peers`."""
        url = fields.text("url", required=True)
        fields.require("url", url, is_url(url), "the URL of a mirror")
        access = Access.read(fields)
        _check_plain(fields, "url", (url,), access)
        return cls(url.rstrip("/"), access)


def default_urls(name: str) -> t.Tuple[str, ...]:
    """Where a registry is when nothing else is said."""
    return (f"https://{DOCKER_HUB_API if name == DOCKER_HUB else name}",)


def _check_plain(fields: Fields, key: str, urls: t.Sequence[str], access: Access) -> None:
    if not access.insecure and any(url.startswith("http:") for url in urls):
        raise MirrorError(
            f"the setting {fields.name(key)!r} has an address without TLS",
            why="what comes over it could be changed on the way",
            fix="Use https, or set 'insecure' to true beside it.",
        )


def _read_secret(path: str) -> str:
    problem = ""
    try:
        with open(path, "rb") as stream:
            secret = stream.read(_LARGEST_SECRET + 1).decode("utf-8").strip("\r\n")
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        problem = "it is not UTF-8"
    else:
        if not secret or len(secret) > _LARGEST_SECRET or not secret.isprintable():
            problem = "it does not hold one line of text"
    if problem:
        raise MirrorError("the file of a secret cannot be used", where=os.path.abspath(path), why=problem)
    return secret
