# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which failures of a registry are worth another try, and how long to wait before it.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import datetime
import email.utils
import random
import threading
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import Cancelled, RegistryError

__all__ = ["RetryPolicy", "retry_after_seconds", "retrying"]

_LONGEST_DATE = 64
_Result = t.TypeVar("_Result")


def _sleep(seconds: float, cancel: t.Optional[threading.Event]) -> None:
    (cancel or threading.Event()).wait(seconds)


@dataclass(frozen=True)
class RetryPolicy:
    """How often to try, and the waits in between in seconds."""

    attempts: int = 5
    first_wait: float = 0.5
    longest_wait: float = 20.0
    longest_retry_after: float = 60.0
    jitter: t.Callable[[], float] = random.random
    sleep: t.Callable[[float, t.Optional[threading.Event]], None] = field(default=_sleep)

    def wait_before(self, attempt: int, retry_after: t.Optional[float]) -> float:
        """Seconds before the attempt after number ``attempt`` (from 1): half fixed, half random, doubling.

        What the registry asked for in Retry-After is a lower bound, but never longer than ``longest_retry_after``.
        """
        backoff = min(self.longest_wait, self.first_wait * 2.0 ** (attempt - 1))
        jittered = backoff * (0.5 + 0.5 * self.jitter())
        if retry_after is None:
            return jittered
        return max(jittered, min(retry_after, self.longest_retry_after))


def retry_after_seconds(header: t.Optional[str], now: datetime.datetime) -> t.Optional[float]:
    """Seconds out of a Retry-After header, which is a number or a date; None when it is neither."""
    text = (header or "").strip()[:_LONGEST_DATE]
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.timezone.utc)
    return max(0.0, (when - now).total_seconds())


def retrying(
    action: t.Callable[[], _Result],
    policy: RetryPolicy,
    *,
    cancel: t.Optional[threading.Event] = None,
    progressed: t.Callable[[], bool] = lambda: False,
) -> _Result:
    """The result of ``action``, tried again while it fails with a temporary RegistryError.

    An attempt of which ``progressed`` says that it brought the work on does not count against the attempts.
    Raises Cancelled when ``cancel`` is set before the next attempt.
    """
    failed = 0
    while True:
        if cancel is not None and cancel.is_set():
            raise Cancelled("stopped because another transfer failed")
        try:
            return action()
        except RegistryError as error:
            failed = 1 if progressed() else failed + 1
            if not error.temporary or failed >= policy.attempts:
                raise
            policy.sleep(policy.wait_before(failed, error.retry_after), cancel)
