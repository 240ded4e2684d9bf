# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps an object from being ready: the last events of it and its pods, and the last lines of their logs.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import pod_state
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl

_MAX_EVENTS = 4
_MAX_LOGS = 4
_LOG_LINES = 10
_LOG_LINE = 300
_LOG_BYTES = 64 * 1024


class Diagnosis:
    """Asks for events once a namespace, and for few logs in all."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._events: t.Dict[str, t.List[Json]] = {}
        self._logs_left = _MAX_LOGS

    def events_of(self, namespace: str, uids: t.Container[t.Optional[str]]) -> t.List[str]:
        """The last warnings about these objects of one namespace."""
        if namespace not in self._events:
            found = self._kubectl.items("events", "-n", namespace or "default", "--field-selector=type=Warning")
            self._events[namespace] = sorted(found, key=_moment)
        about = [item for item in self._events[namespace] if item.get("involvedObject", {}).get("uid") in uids]
        texts = (pod_state.told(item.get("reason"), item.get("message")) for item in about)
        return list(dict.fromkeys(texts))[-_MAX_EVENTS:]

    def logs_of(self, pod: Json) -> t.List[Json]:
        """The last lines of each log that may say why a pod is not ready."""
        told = []
        for log in pod_state.telling_logs(pod):
            if self._logs_left > 0:
                self._logs_left -= 1
                told.append({"container": log.container, "lines": self._lines(pod, log)})
        return told

    def _lines(self, pod: Json, log: pod_state.Log) -> t.List[str]:
        metadata = pod["metadata"]
        done = self._kubectl.call(
            "logs",
            metadata["name"],
            f"--namespace={metadata['namespace']}",
            f"--container={log.container}",
            f"--tail={_LOG_LINES}",
            f"--limit-bytes={_LOG_BYTES}",
            "--request-timeout=10s",
            *(["--previous"] if log.previous else []),
        )
        text = done.stdout if done.rc == 0 else f"(kubectl logs: {pod_state.told(done.output)})"
        return [line[:_LOG_LINE] for line in text.splitlines()[-_LOG_LINES:]]


def _moment(event: Json) -> str:
    """When it happened last, in a form that can be sorted."""
    times = (event.get("lastTimestamp"), event.get("eventTime"), event["metadata"].get("creationTimestamp"))
    return str(next((time for time in times if time), ""))
