# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting until something answers: by looking again and again, not by sleeping and hoping.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import socket
import time
import typing as t

from ansible.module_utils.urls import open_url
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

Probe = t.Callable[[], t.Optional[str]]
_open: t.Callable[..., t.Any] = open_url
_PAUSE = 0.2
_TRY_SECONDS = 5


def wait_until(
    probe: Probe,
    what: str,
    timeout: float,
    hopeless: Probe,
    last_words: t.Callable[[], str],
    clock: t.Callable[[], float] = time.monotonic,
    pause: t.Callable[[float], None] = time.sleep,
) -> None:
    """Return when the probe finds nothing to complain about; give up after the timeout, or when it is hopeless."""
    end = clock() + timeout
    while True:
        why = probe()
        if why is None:
            return
        lost = hopeless()
        if lost is not None:
            raise ClusterError(f"{what} does not answer", why=f"{why}; {lost}{last_words()}")
        if clock() >= end:
            raise ClusterError(f"{what} does not answer within {timeout:g} seconds", why=why + last_words())
        pause(_PAUSE)


def url_answers(url: str, ca_path: t.Optional[str]) -> Probe:
    """A probe for a URL that has to give status 200."""

    def probe() -> t.Optional[str]:
        try:
            with _open(url, timeout=_TRY_SECONDS, ca_path=ca_path, use_proxy=False) as response:
                status = int(response.getcode())
        except (OSError, ValueError) as error:
            return str(error)
        return None if status == 200 else f"status {status}"

    return probe


def port_answers(port: int, address: str = "127.0.0.1") -> Probe:
    """A probe for a TCP port, of this host unless said otherwise."""

    def probe() -> t.Optional[str]:
        try:
            socket.create_connection((address, port), _TRY_SECONDS).close()
        except OSError as error:
            return str(error)
        return None

    return probe


def socket_answers(path: str) -> Probe:
    """A probe for a Unix socket of this host."""

    def probe() -> t.Optional[str]:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_TRY_SECONDS)
                connection.connect(path)
        except OSError as error:
            return str(error)
        return None

    return probe
