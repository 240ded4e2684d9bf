# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failures of registries: what they said, and whether another try may help.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import socket
import ssl
import traceback
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.jsontext import load_json
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import printable, redact_url

try:
    import urllib3

    _version = str(vars(urllib3).get("__version__", ""))
    if not _version.startswith("2."):
        raise ImportError(f"urllib3 2 is needed, and {_version} is installed")
except ImportError:
    HAS_URLLIB3 = False
    URLLIB3_IMPORT_ERROR: t.Optional[str] = traceback.format_exc()
else:
    HAS_URLLIB3 = True
    URLLIB3_IMPORT_ERROR = None

__all__ = [
    "HAS_URLLIB3",
    "TEMPORARY_CODES",
    "TEMPORARY_STATUS",
    "URLLIB3_IMPORT_ERROR",
    "Cancelled",
    "RegistryError",
    "broken_connection",
    "refusal",
    "registry_codes",
]

_UNKNOWN_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_TIMEOUTS: t.Tuple[t.Type[BaseException], ...] = (socket.timeout, TimeoutError)
_UNMADE: t.Tuple[t.Type[BaseException], ...] = ()
if HAS_URLLIB3:
    _TIMEOUTS += (urllib3.exceptions.TimeoutError,)
    _UNMADE = (urllib3.exceptions.NewConnectionError,)

TEMPORARY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
TEMPORARY_CODES = frozenset({"TOOMANYREQUESTS", "UNAVAILABLE"})

_FIXES = {
    400: "Check that the address is that of a registry.",
    401: "Give a username and password for it in `registries`, or log in with `podman login` or `docker login`.",
    403: "Ask the owner of the repository for access, or log in as a user who has it.",
    404: "Check the name, the tag and the registry.",
    405: "Check that the registry allows this; it may be a read-only cache.",
    413: "Raise the limit on request bodies at the registry or at the proxy before it.",
    429: "Try later, log in, or use a mirror: the registry limits how much it answers.",
}


class Cancelled(OciError):
    """Work given up because other work, that it belongs to, failed."""


class RegistryError(OciError):
    """A registry that refused, broke off or could not be reached."""

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        why: str = "",
        fix: str = "",
        status: t.Optional[int] = None,
        codes: t.Sequence[str] = (),
        temporary: bool = False,
        retry_after: t.Optional[float] = None,
    ) -> None:
        super().__init__(what, where=where, why=why, fix=fix)
        self.status = status
        self.codes = tuple(codes)
        self.temporary = temporary
        self.retry_after = retry_after

    @property
    def not_found(self) -> bool:
        """Whether the registry answered that it has no such thing."""
        return self.status == 404


def registry_codes(body: bytes) -> t.List[t.Tuple[str, str]]:
    """Codes and messages of an error body in the form of the distribution specification; empty for any other body."""
    try:
        document = load_json(body, "the answer")
    except OciError:
        return []
    errors = document.get("errors") if isinstance(document, dict) else None
    found = [entry for entry in errors if isinstance(entry, dict)] if isinstance(errors, list) else []
    return [(printable(entry.get("code", ""), limit=60), printable(entry.get("message", ""))) for entry in found[:5]]


def refusal(
    what: str, where: str, method: str, url: str, status: int, body: bytes, retry_after: t.Optional[float] = None
) -> RegistryError:
    """The error for an answer that was not one of those hoped for."""
    codes = registry_codes(body)
    told = "; ".join(": ".join(part for part in pair if part) for pair in codes)
    why = f"{method} {redact_url(url)} answered {status}" + (f" ({told})" if told else "")
    names = [code for code, message in codes]
    return RegistryError(
        what,
        where=where,
        why=why,
        fix=_FIXES.get(status, ""),
        status=status,
        codes=names,
        temporary=status in TEMPORARY_STATUS or any(name in TEMPORARY_CODES for name in names),
        retry_after=retry_after,
    )


def broken_connection(what: str, where: str, method: str, url: str, error: Exception) -> RegistryError:
    """The error for a connection that could not be made or that broke."""
    causes = list(_causes(error))
    reason, fix, final = _reason(error, causes)
    if HAS_URLLIB3 and any(isinstance(cause, urllib3.exceptions.ProxyError) for cause in causes):
        reason, fix = f"the proxy cannot be used: {reason}", "Check the address of the proxy, and what it lets through."
    return RegistryError(what, where=where, why=f"{method} {redact_url(url)}: {reason}", fix=fix, temporary=not final)


def _reason(error: Exception, causes: t.Sequence[BaseException]) -> t.Tuple[str, str, bool]:
    """What happened, what to do about it, and whether another try would come to the same."""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            fix = "Give the authority that signed it as `ca_path` for this registry, under a name in the certificate."
            return f"its certificate is not trusted ({printable(cause.verify_message)})", fix, True
        if isinstance(cause, ssl.SSLError):
            fix = "If the registry speaks plain HTTP only and that is wanted, set `insecure` for it."
            return "a TLS connection cannot be made", fix, cause.reason == "WRONG_VERSION_NUMBER"
        if isinstance(cause, socket.gaierror):
            fix = "Check the name of the registry and the name service of this host."
            if cause.errno in _UNKNOWN_NAME:
                return "the host name is not known here", fix, True
            return f"the name service does not answer ({printable(cause.strerror)})", fix, False
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused", "Check the address, and that the registry runs.", False
    return _kind(error, causes), "", False


def _kind(error: Exception, causes: t.Sequence[BaseException]) -> str:
    # urllib3 derives NewConnectionError, which is no timeout, from its timeouts
    if any(isinstance(cause, _TIMEOUTS) and not isinstance(cause, _UNMADE) for cause in causes):
        return "no answer in time"
    system = next((cause for cause in causes if isinstance(cause, OSError)), None)
    told = system.strerror or (str(system) if system.__class__ is OSError else "") if system is not None else ""
    return printable(told) or f"the connection broke ({type(system or error).__name__})"


def _causes(error: BaseException) -> t.Iterator[BaseException]:
    """The error and everything that it was raised from, or that it carries; each once."""
    seen: t.List[BaseException] = []
    waiting: t.List[t.Any] = [error]
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or any(cause is other for other in seen):
            continue
        seen.append(cause)
        yield cause
        waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
