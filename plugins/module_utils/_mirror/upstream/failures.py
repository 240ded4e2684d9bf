# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What clients are told when an upstream does not give what they want.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import math
import typing as t
from http import HTTPStatus

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Headers, Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.addresses import ForbiddenAddress
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.limits import Busy, Resting
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.links import UPSTREAM, Link, timed_out
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

LONGEST_RETRY_AFTER = 3600

_UNAVAILABLE = "UNAVAILABLE"

Failures = t.Sequence[t.Tuple[Link, OciError]]


def word_for(error: OciError) -> str:
    """One word of a small set, for metrics."""
    if not isinstance(error, RegistryError):
        return "content"
    if isinstance(error, ForbiddenAddress):
        return "forbidden"
    if isinstance(error, Busy):
        return "busy"
    if isinstance(error, Resting):
        return "away"
    if error.status is not None:
        return f"status-{error.status}"
    return "timeout" if timed_out(error) else "unreachable"


def is_not_found(error: OciError) -> bool:
    """Whether the other side answered that there is no such thing."""
    return isinstance(error, RegistryError) and error.not_found


def is_denied(error: OciError) -> bool:
    """Whether the other side answered that we may not have it."""
    return isinstance(error, RegistryError) and error.status in (401, 403)


def decisive(failures: Failures) -> t.Optional[OciError]:
    """Of all that failed, what to tell: None when the content does not exist as far as anybody knows.

    Where the upstream itself was asked, its answers count and not those of other mirrors. That something does not exist
    is believed only when all say so.
    """
    counted = [error for link, error in failures if link.kind == UPSTREAM] or [error for _link, error in failures]
    return next((error for error in counted if not is_not_found(error)), None)


def again(error: Refused) -> Refused:
    """The same answer for another client: an exception that is raised often gathers what it passed through."""
    return Refused(error.status, error.code, error.what, headers=error.headers, detail=error.detail)


def refused(error: OciError, reference: Reference) -> Refused:
    """The answer to a client."""
    status, code, what = _meaning(error)
    wait = error.retry_after if isinstance(error, RegistryError) else None
    headers: Headers = []
    if wait is not None and status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers = [("Retry-After", str(min(LONGEST_RETRY_AFTER, max(1, math.ceil(wait)))))]
    detail = ": ".join(part for part in (str(reference), error.why or error.what) if part)
    return Refused(status, code, what, headers=headers, detail=detail)


def _meaning(error: OciError) -> t.Tuple[HTTPStatus, str, str]:
    if not isinstance(error, RegistryError):
        return HTTPStatus.BAD_GATEWAY, _UNAVAILABLE, "the upstream sent something else than was asked for"
    if isinstance(error, ForbiddenAddress):
        return HTTPStatus.FORBIDDEN, "DENIED", "the mirror may not connect to where this is"
    if isinstance(error, Busy):
        return HTTPStatus.TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "too much is asked of the upstream at once"
    if isinstance(error, Resting):
        return HTTPStatus.SERVICE_UNAVAILABLE, _UNAVAILABLE, "the upstream could not be reached lately"
    if error.status is None:
        status = HTTPStatus.GATEWAY_TIMEOUT if timed_out(error) else HTTPStatus.BAD_GATEWAY
        return status, _UNAVAILABLE, "the upstream cannot be reached"
    if error.status in (401, 403):
        return HTTPStatus.FORBIDDEN, "DENIED", "the upstream does not give this to the mirror"
    if error.status == 404:
        return HTTPStatus.NOT_FOUND, "NAME_UNKNOWN", "the upstream does not have this"
    if error.status == 429:
        return HTTPStatus.TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "the upstream limits how much it answers"
    passed_on = {503: HTTPStatus.SERVICE_UNAVAILABLE, 504: HTTPStatus.GATEWAY_TIMEOUT}
    return passed_on.get(error.status, HTTPStatus.BAD_GATEWAY), _UNAVAILABLE, f"the upstream answered {error.status}"
