# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which addresses the mirror may connect to when others, clients or upstreams, choose the name.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.globs import matches_any
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url

_Address = t.Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

# ipaddress.is_global differs between the versions of Python that hosts have.
_NOT_PUBLIC_V4 = [
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
]
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = [ipaddress.IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
# RFC 6761, 6762 (with its appendix G) and 8375
_LOCAL_DOMAINS = (
    ".localhost",
    ".localdomain",
    ".local",
    ".internal",
    ".intranet",
    ".private",
    ".corp",
    ".home",
    ".home.arpa",
    ".lan",
)
_TRANSLATED_V4 = ipaddress.IPv6Network("64:ff9b::/96")


class ForbiddenAddress(RegistryError):
    """A connection that is not made because of where it leads."""


def is_public(address: str) -> bool:
    """Whether this address is one of the Internet's: not private, local, multicast, reserved or a way to such."""
    try:
        found: _Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if found in _TRANSLATED_V4:
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
        return found in _PUBLIC_V6 and not any(found in network for network in _NOT_PUBLIC_V6)
    return not any(found in network for network in _NOT_PUBLIC_V4)


def host_matches(host: str, port: int, patterns: t.Iterable[str]) -> bool:
    """Whether a pattern is meant for the host, written alone or with its port; case does not count."""
    bare = host.lower().strip("[]").rstrip(".")
    names = (bare, f"[{bare}]" if ":" in bare else bare)
    lowered = [pattern.lower() for pattern in patterns]
    return any(matches_any(candidate, lowered) for name in names for candidate in (name, f"{name}:{port}"))


class AddressGuard:
    """Lets public addresses through, and others only for hosts that the configuration names."""

    def __init__(self, named: t.Iterable[t.Tuple[str, int]] = (), patterns: t.Sequence[str] = ()) -> None:
        self._named = frozenset((_bare(host), port) for host, port in named)
        self._patterns = tuple(patterns)

    def check(self, host: str, port: int, address: str) -> None:
        """Raise ForbiddenAddress unless this address of the host may be connected to."""
        if not is_public(address) and not self._is_named(host, port):
            raise _forbidden(host, port, f"its address {address} is not a public one")

    def check_proxied(self, host: str, port: int) -> None:
        """Raise ForbiddenAddress for an address that is not public, and for a name that is known to be a local one.

        All other names are looked up by the proxy, which alone knows what it will connect to. What a proxy might take
        for another host than we do is refused whatever the configuration says.
        """
        bare = _bare(host)
        try:
            read = Url.parse(f"https://[{bare}]" if ":" in bare else f"https://{bare}")
        except OciError as error:
            raise _forbidden(host, port, error.why) from error
        if ":" not in bare and read.host != bare:
            raise _forbidden(host, port, "it is more than a host")
        if not _may_be_public(read.host) and not self._is_named(host, port):
            raise _forbidden(host, port, "it is not a public address, or a local name")

    def _is_named(self, host: str, port: int) -> bool:
        return (_bare(host), port) in self._named or host_matches(host, port, self._patterns)


def _may_be_public(host: str) -> bool:
    """Whether the host is a public address, or a name that the Internet can have."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." in host and not f".{host}".endswith(_LOCAL_DOMAINS)
    return is_public(host)


def _bare(host: str) -> str:
    return host.lower().strip("[]").rstrip(".")


def _forbidden(host: str, port: int, why: str) -> ForbiddenAddress:
    return ForbiddenAddress(
        "will not connect",
        where=f"{host}:{port}",
        why=why,
        fix="Name the host in the mirror's settings, as an upstream's URL or in its 'redirect_hosts', if it is wanted.",
    )
