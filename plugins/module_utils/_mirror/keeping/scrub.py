# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hashing all blobs again, slowly: what a disk has damaged is found before a client does.

Private to the collection: may change at any time.

A broken blob that was pulled through is dropped, and fetched again on demand. Any other is put aside, so that it is not
served; where an upstream, a parent or a peer has it, it is fetched on demand as well.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import Counts
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import (
    make_directories,
    open_partial,
    os_errors,
    partial_path,
    replace_file,
    stands_at,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PULLED, PulledRecords
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_check import files, pinned

_CHUNK = 1024 * 1024
_LEAST_COST = 64 * 1024
_SAVE_SECONDS = 10.0
_DAY = 86400.0


class Scrub:
    """Goes through the blobs of a store in the order of their digests, every so many days."""

    def __init__(
        self, layout: Layout, records: PulledRecords, metrics: Counts, log: logging.Logger, days: float
    ) -> None:
        self._layout = layout
        self._records = records
        self._metrics = metrics
        self._log = log
        self._period = days * _DAY
        self._path = os.path.join(layout.path, PULLED, "scrub.json")

    def is_due(self) -> bool:
        """Whether a pass was broken off, or the last began long enough ago; the first does so long after the start.

        One that began in the future, before the clock was set right, does not count.
        """
        state = self._state()
        if not state:
            self._save({"began": time.time()})
            return False
        began = state["began"]
        return bool(self._period) and ("after" in state or not 0.0 <= time.time() - began < self._period)

    def go_on(self) -> t.Iterator[int]:
        """Hash what this pass has not hashed yet; gives what it costs, in bytes, after each piece."""
        state = self._state()
        began, after = (state["began"], state["after"]) if "after" in state else (time.time(), "")
        saved = time.monotonic()
        for digest, path in files(self._layout):
            if os.path.basename(path) != digest.hex or str(digest) <= after:
                continue
            yield from self._blob(digest, path)
            if time.monotonic() - saved >= _SAVE_SECONDS:
                self._save({"began": began, "after": str(digest)})
                saved = time.monotonic()
        self._save({"began": began})

    def _blob(self, digest: Digest, path: str) -> t.Iterator[int]:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        try:
            hasher, why = digest.hasher(), "its content is not what its digest says"
            while True:
                try:
                    data = os.read(handle, _CHUNK)
                except OSError as error:
                    why = error.strerror or str(error)
                    break
                hasher.update(data)
                yield max(len(data), _LEAST_COST)
                if not data:
                    break
            bad = hasher.hexdigest() != digest.hex
            self._metrics.scrubbed(bad)
            if bad:
                self._take_away(digest, path, handle, why)
        finally:
            os.close(handle)

    def _take_away(self, digest: Digest, path: str, handle: int, why: str) -> None:
        directory, name = os.path.split(path)
        with os_errors(f"cannot take away blob {digest}", path):
            try:
                held = open_partial(partial_path(path), wait=False)
            except BlockingIOError:
                return
            try:
                if not stands_at(handle, path):
                    return
                if self._records.has(digest) and digest not in pinned(self._layout):
                    os.unlink(path)
                    self._records.forget(digest)
                    self._log.warning("dropped blob %s, which was pulled through: %s", digest, why)
                else:
                    os.replace(path, os.path.join(directory, f".{name}.broken"))
                    self._log.error("blob %s is broken, and put aside: %s", digest, why)
            finally:
                os.unlink(partial_path(path))
                os.close(held)

    def _state(self) -> t.Dict[str, t.Any]:
        """Where the pass is; empty before the first."""
        try:
            with open(self._path, "rb") as stream:
                state = json.load(stream)
        except (OSError, ValueError):
            return {}
        good = isinstance(state, dict) and isinstance(state.get("began"), (int, float))
        return state if good and isinstance(state.get("after", ""), str) else {}

    def _save(self, state: t.Mapping[str, t.Any]) -> None:
        with contextlib.suppress(OciError), os_errors("cannot note how far the scrub is", self._path):
            make_directories(os.path.dirname(self._path))
            replace_file(self._path, json.dumps(state).encode("ascii"), durable=False)
