# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""URLs as others give them: read once and strictly, so that whoever decides and whoever connects mean the same host.

Private to the collection: may change at any time.

Libraries read what RFC 3986 does not allow each in its own way. So that is refused: backslashes, blanks, control
characters, users and passwords, hosts that are not plain ASCII names, and IPv4 addresses in any other form than four
decimal numbers.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlencode

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import printable

__all__ = ["URL_LIMIT", "Url", "split_login"]

URL_LIMIT = 16 * 1024

_DEFAULT_PORTS = {"https": 443, "http": 80}
_HOST_LIMIT = 253
_ALLOWED = re.compile(r"[!-\[\]-~]*")
_ABSOLUTE = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_OCTET = re.compile(r"0|[1-9][0-9]{0,2}")


@dataclass(frozen=True)
class Url:
    """An https or http URL.

    ``host`` is in lower case, an IPv6 address without its brackets. ``target`` is the path and the query as they are
    sent. A fragment is left out.
    """

    scheme: str
    host: str
    port: int
    target: str = "/"

    @classmethod
    def parse(cls, text: str) -> Url:
        """The absolute URL in this text. Raises OciError."""
        _check_characters(text)
        found = _ABSOLUTE.fullmatch(text)
        if found is None:
            raise _invalid(text, "it has to begin with https:// or http://")
        scheme, authority, target = found.group(1).lower(), found.group(2), found.group(3)
        if "@" in authority:
            raise _invalid(text, "it names a user")
        host, port = _host_and_port(text, authority)
        return cls(scheme, host, port or _DEFAULT_PORTS[scheme], target if target.startswith("/") else f"/{target}")

    def join(self, text: str) -> Url:
        """What a reference in an answer of this URL means (RFC 3986, 5.2). Raises OciError."""
        if text.startswith("//"):
            return self.parse(f"{self.scheme}:{text}")
        if _SCHEME.match(text):
            return self.parse(text)
        _check_characters(text)
        path, mark, query = text.partition("#")[0].partition("?")
        if not path:
            return replace(self, target=f"{self.path}?{query}") if mark else self
        if not path.startswith("/"):
            path = self.path[: self.path.rfind("/") + 1] + path
        return replace(self, target=_without_dots(path) + mark + query)

    def with_query(self, pairs: t.Sequence[t.Tuple[str, str]]) -> Url:
        """The same with these fields after those of its query."""
        if not pairs:
            return self
        mark = "&" if "?" in self.target else "?"
        return replace(self, target=f"{self.target}{mark}{urlencode(pairs, safe=':/,')}")

    def has_origin_of(self, other: Url) -> bool:
        """Whether scheme, host and port are the same: what is told to one may be told to the other."""
        return (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)

    @property
    def netloc(self) -> str:
        """The host, with its port unless that is the scheme's own."""
        host = self.bracketed_host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def bracketed_host(self) -> str:
        """The host as it stands in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def path(self) -> str:
        """What stands before the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What stands behind the question mark."""
        return self.target.partition("?")[2]

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.target}"


def split_login(text: str) -> t.Tuple[Url, str]:
    """The URL of a proxy without the login that it may hold, and that as ``user:password``. Raises OciError."""
    scheme, mark, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    login, _at, host = authority.rpartition("@")
    return Url.parse(f"{scheme}{mark}{host}{slash}{path}"), ":".join(map(unquote, login.split(":", 1))) if login else ""


def _is_number(host: str) -> bool:
    """Whether some program may take the host for an IPv4 address: its last part is a number, be it hexadecimal."""
    return _NUMBER.fullmatch(host.rpartition(".")[2]) is not None


def _is_plain_ipv4(host: str) -> bool:
    """Whether the host is four decimal numbers, which all programs read alike."""
    octets = host.split(".")
    return len(octets) == 4 and all(_OCTET.fullmatch(octet) and int(octet) < 256 for octet in octets)


def _check_characters(text: str) -> None:
    if len(text) > URL_LIMIT:
        raise _invalid(text, f"it is longer than {URL_LIMIT} characters")
    if _ALLOWED.fullmatch(text) is None:
        raise _invalid(text, "it holds a backslash, a blank, a control character or one that is not ASCII")


def _host_and_port(text: str, authority: str) -> t.Tuple[str, int]:
    """The host, and the port or 0."""
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise _invalid(text, "what it names is not a host, or a host with a port")
    host, port = found.group(1).lower(), int(found.group(2) or 0)
    if port > 65535:
        raise _invalid(text, "its port is more than 65535")
    if host.startswith("["):
        try:
            return str(ipaddress.IPv6Address(host[1:-1])), port
        except ValueError as error:
            raise _invalid(text, "what stands in brackets is not an IPv6 address") from error
    if _is_number(host):
        if not _is_plain_ipv4(host):
            raise _invalid(text, "its host is a number, but not an IPv4 address of four decimal numbers")
    elif len(host) > _HOST_LIMIT or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise _invalid(text, "its host cannot be a name")
    return host, port


def _without_dots(path: str) -> str:
    """The path without the segments ``.`` and ``..`` (RFC 3986, 5.2.4)."""
    found: t.List[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del found[-1:]
        elif segment != ".":
            found.append(segment)
    ends_in_dots = path.endswith(("/.", "/.."))
    return "/".join(["", *found, *([""] if ends_in_dots else [])]) or "/"


def _invalid(text: str, why: str) -> OciError:
    head = text[:URL_LIMIT].partition("?")[0].partition("#")[0]
    shown = f"…@{head.rpartition('@')[2]}" if "@" in head else head
    return OciError(f"invalid URL {printable(shown, limit=200)!r}", why=why)
