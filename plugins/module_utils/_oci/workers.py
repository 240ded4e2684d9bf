# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many small jobs on a bounded number of threads, given up together when one fails.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import concurrent.futures
import threading
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import Cancelled

__all__ = ["in_parallel"]

_Item = t.TypeVar("_Item")
_Result = t.TypeVar("_Result")


def in_parallel(
    action: t.Callable[[_Item], _Result],
    items: t.Sequence[_Item],
    parallel: int,
    cancel: threading.Event,
) -> t.List[_Result]:
    """The results in the order of the items, never more than ``parallel`` at work at once.

    When one fails, ``cancel`` is set, nothing more begins, and its error is raised once all threads have ended.
    """
    if not items:
        return []
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, min(parallel, len(items)))) as pool:
        futures = [pool.submit(action, item) for item in items]
        try:
            concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_EXCEPTION)
        finally:
            if not all(_succeeded(future) for future in futures):
                cancel.set()
                for future in futures:
                    future.cancel()
    _raise_first(futures)
    return [future.result() for future in futures]


def _succeeded(future: concurrent.futures.Future[_Result]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _raise_first(futures: t.Sequence[concurrent.futures.Future[_Result]]) -> None:
    """Raise what went wrong, rather than what was given up because of it."""
    errors = [future.exception() for future in futures if not future.cancelled()]
    found = [error for error in errors if error is not None]
    real = [error for error in found if not isinstance(error, Cancelled)]
    for error in real or found:
        raise error
