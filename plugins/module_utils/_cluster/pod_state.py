# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps pods from running: their containers' states, as a person reads them.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json

CRASH_LOOP = "CrashLoopBackOff"
_MAX_TEXT = 300
# What every container goes through at first says nothing as long as there is something else to say.
_ORDINARY = frozenset({"ContainerCreating", "PodInitializing"})


def status_part(item: Json) -> Json:
    """The status of an object; custom resources may call anything so, and that says nothing here."""
    found = item.get("status")
    return found if isinstance(found, dict) else {}


def condition(item: Json, name: str) -> Json:
    """One of an object's conditions; empty where it has none of that type."""
    conditions = status_part(item).get("conditions")
    for found in conditions if isinstance(conditions, list) else []:
        if isinstance(found, dict) and found.get("type") == name:
            return found
    return {}


def is_true(item: Json, name: str) -> bool:
    return condition(item, name).get("status") == "True"


def told(*parts: t.Optional[str]) -> str:
    """A reason and its message on one line, cut where it is endless."""
    text = ": ".join(" ".join(part.split()) for part in parts if part)
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


def is_well(pod: Json) -> bool:
    """Whether a pod is ready, or has done its work."""
    return status_part(pod).get("phase") == "Succeeded" or is_true(pod, "Ready")


def crash_loops(pod: Json) -> t.Dict[str, int]:
    """The containers that crash all the time, with how often each was started again."""
    return {
        item["name"]: int(item.get("restartCount", 0))
        for _what, item in _containers(pod)
        if ((item.get("state") or {}).get("waiting") or {}).get("reason") == CRASH_LOOP
    }


def restarts(pod: Json) -> int:
    """How often the containers of a pod were started again, all together."""
    return sum(int(item.get("restartCount", 0)) for _what, item in _containers(pod))


class Log(t.NamedTuple):
    """A log that may say why a container is not ready. previous: of the one before it was started again."""

    container: str
    previous: bool


def telling_logs(pod: Json) -> t.List[Log]:
    """The logs of containers that ended in an error, then of those that run and are not ready."""
    ended = [
        Log(item["name"], previous=not (item.get("state") or {}).get("terminated"))
        for _what, item in _containers(pod)
        if _last_end(item).get("exitCode", 0) != 0 and not item.get("ready")
    ]
    known = {log.container for log in ended}
    return ended + [
        Log(item["name"], previous=False)
        for _what, item in _containers(pod)
        if (item.get("state") or {}).get("running") and not item.get("ready") and item["name"] not in known
    ]


def complaints(pod: Json) -> t.List[str]:
    """Why a pod is not ready, each reason once; nothing of its specification."""
    status = status_part(pod)
    found = [told(status.get("reason"), status.get("message"))]
    scheduled = condition(pod, "PodScheduled")
    if scheduled and scheduled.get("status") != "True":
        found.append(told(scheduled.get("reason"), scheduled.get("message")))
    states = [(f"{what} {item['name']}", _state(item)) for what, item in _containers(pod)]
    unusual = [(name, state) for name, state in states if state and state not in _ORDINARY]
    found += [f"{name}: {state}" for name, state in unusual or states if state]
    if pod.get("metadata", {}).get("deletionTimestamp"):
        found.append("is being deleted")
    return [text for text in found if text] or [f"is {status.get('phase', 'not started')}"]


def _containers(pod: Json) -> t.List[t.Tuple[str, Json]]:
    """What each container is and the status of it, in the order in which they start."""
    status = status_part(pod)
    kinds = (("init container", "initContainerStatuses"), ("container", "containerStatuses"))
    return [(what, item) for what, field in kinds for item in status.get(field) or []]


def _state(item: Json) -> str:
    """What is wrong with a container; nothing where it runs and is ready, or ended well."""
    state = item.get("state") or {}
    waiting, ended = state.get("waiting"), state.get("terminated")
    if waiting is not None:
        reason = waiting.get("reason", "waiting")
        # The message of a crash loop says when the next try is, not why there has to be one.
        text = told(reason, None if reason == CRASH_LOOP else waiting.get("message"))
    elif ended is not None:
        text = "" if ended.get("exitCode") == 0 else "ended"
    else:
        text = "" if item.get("ready") else "runs and is not ready"
    return text + _history(item) if text else ""


def _history(item: Json) -> str:
    last, count = _last_end(item), int(item.get("restartCount", 0))
    parts = [f"{count} restart{'s' if count > 1 else ''}"] if count else []
    if last:
        reason = last.get("reason", "")
        parts.append(f"last exit code {last.get('exitCode')}" + (f" ({reason})" if reason not in ("", "Error") else ""))
        parts += [told(last["message"])] if last.get("message") else []
    return "".join(f", {part}" for part in parts)


def _last_end(item: Json) -> Json:
    """How a container ended most recently; empty where it never did."""
    for state in ("state", "lastState"):
        ended = (item.get(state) or {}).get("terminated")
        if ended:
            return t.cast("Json", ended)
    return {}
