# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections that are made only to addresses that a guard lets through.

Private to the collection: may change at any time.

A name is looked up once: what is checked is what is connected to, so that a name service which answers differently the
second time changes nothing. TLS goes on checking the name.
"""

from __future__ import annotations

import socket
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import HAS_URLLIB3, RegistryError

if HAS_URLLIB3:
    import urllib3
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.exceptions import NameResolutionError

__all__ = ["Guard", "pool_classes"]


class Guard(t.Protocol):
    """Decides on addresses."""

    def check(self, host: str, port: int, address: str) -> None:
        """Raise RegistryError unless this address, which the host has, may be connected to."""

    def check_proxied(self, host: str, port: int) -> None:
        """Raise RegistryError unless a proxy may be asked to connect to this host."""


def pool_classes(guard: Guard) -> t.Dict[str, t.Any]:
    """Classes of pools, by scheme, for a PoolManager."""

    class _Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _dial(self, guard, super()._new_conn)

    class _Tls(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _dial(self, guard, super()._new_conn)

    class _PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = _Plain

    class _TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = _Tls

    return {"http": _PlainPool, "https": _TlsPool}


def _dial(
    connection: t.Union[HTTPConnection, HTTPSConnection], guard: Guard, connect: t.Callable[[], socket.socket]
) -> socket.socket:
    """A connection to the first address that is let through and answers."""
    name = connection.host
    failure: t.Optional[Exception] = None
    refused: t.Optional[RegistryError] = None
    try:
        for address in _addresses(connection):
            try:
                guard.check(name, int(connection.port or 0), address)
            except RegistryError as error:
                refused = refused or error
                continue
            connection.host = address
            try:
                return connect()
            except (urllib3.exceptions.HTTPError, OSError) as error:
                failure = error
    finally:
        connection.host = name
    raise failure or refused or OSError("the name has no address")


def _addresses(connection: t.Union[HTTPConnection, HTTPSConnection]) -> t.List[str]:
    host = connection.host.strip("[]")
    try:
        found = socket.getaddrinfo(host, connection.port, socket.AF_UNSPEC, socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    except UnicodeError as error:
        raise OSError("the name cannot be looked up") from error
    addresses = (str(entry[4][0]) for entry in found)
    return list(dict.fromkeys(addresses))
