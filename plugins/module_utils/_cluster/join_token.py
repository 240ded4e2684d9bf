# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a token with which a host is to join is still good, asked before anything is done on the host.

No runtime tells it soon: each asks again and again for as long as it may.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.parse

from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

_SECONDS = 10.0
_UNAUTHORIZED = 401


def answer_to(url: str, token: str, ca: str) -> int:
    """The status with which a server that the CA knows answers to this token; the rest of the answer is not read."""
    place = urllib.parse.urlsplit(url)
    context = ssl.create_default_context(cadata=ca)
    connection = http.client.HTTPSConnection(place.hostname or "", place.port, timeout=_SECONDS, context=context)
    try:
        connection.request("GET", place.path, headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


def refuse_dead(url: str, token: str, ca: str, setting: str) -> None:
    """Raise ClusterError when the server at this URL does not know the token.

    A server that cannot be asked is for the runtime to try, which knows more of them. setting: the variable that says
    how long tokens live.
    """
    try:
        status = answer_to(url, token, ca)
    except (OSError, http.client.HTTPException):
        return
    if status == _UNAUTHORIZED:
        raise ClusterError(
            "the join token has expired, or the cluster never had it",
            where=urllib.parse.urlsplit(url).netloc,
            why="the server does not know it",
            fix=f"Nothing was joined. Run this again for a new one, or let tokens live longer ({setting})",
        )
