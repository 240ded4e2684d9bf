# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting until applications are ready: what is shown meanwhile, when it is in vain, and what is said then.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.sealer.cluster.plugins.plugin_utils._progress import Announcer, Snapshot

Result = t.Dict[str, t.Any]
PAUSE_SECONDS = 2.0
# Without a readiness probe, a container is ready as soon as it runs, also when it dies a second later.
STEADY_SECONDS = 10.0
# From here on a container rests for five minutes between two tries.
MAX_RESTARTS = 6
_CURRENT, _FAILED = "current", "failed"
_SHOWN = 3
_FORCED = "A StatefulSet does not replace a pod that never became ready: after the image is corrected, delete that pod"
_PULL = (
    "An image that cannot be pulled has to be in the cluster image, or the mirror has to be allowed to fetch it"
    " (sealer_registry_pull_through)"
)
_PULL_REASONS = ("ErrImagePull", "ImagePullBackOff")


class NotReady(Exception):
    """Waiting came to nothing. look: what there was to see in the end."""

    def __init__(self, message: str, look: Result) -> None:
        super().__init__(message)
        self.look = look


class AppsWait:
    """Asks again and again how things are.

    ask: looks at the cluster and counts restarts, with or without a diagnosis; a look that fails has `failed` and
    `msg`.
    """

    def __init__(
        self,
        ask: t.Callable[[bool], Result],
        announcer: Announcer,
        timeout: float,
        *,
        clock: t.Callable[[], float] = time.monotonic,
        pause: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._ask = ask
        self._announcer = announcer
        self._timeout = timeout
        self._clock = clock
        self._pause = pause
        self._failures: t.Set[str] = set()
        self._restarts: t.Dict[t.Tuple[str, str, str], int] = {}
        self._steady: t.Dict[str, t.Tuple[int, float]] = {}

    def until_ready(self, look: Result, *, launched: bool) -> Result:
        """The look in which everything is ready. Raises NotReady.

        look: what was seen first; launched: whether something was changed before it, and restarts are counted in it.
        Where something was changed, or was not ready, everything has to stay ready for a while.
        """
        end = self._clock() + self._timeout
        doubtful = launched
        while True:
            unready, steady, late = bool(unready_in(look)), self._is_steady(look), self._clock() >= end
            doubtful = doubtful or unready
            if not unready and (steady or late or not doubtful):
                self._announcer.finish()
                return look
            if unready and self._is_in_vain(look):
                return self._last("the applications will not become ready", "", look)
            if late:
                head = f"not ready after {self._timeout:g} seconds"
                return self._last(head, ", or allow more time (apps_wait_timeout)", look)
            self._announcer.update(_snapshot(look))
            self._pause(PAUSE_SECONDS)
            look = self._ask(False)

    def _is_steady(self, look: Result) -> bool:
        """Whether all workloads have been ready for a while, and nothing of them was started again meanwhile."""
        now = self._clock()
        ready = {_name(item): item["restarts"] for item in _objects(look) if item["state"] == _CURRENT}
        steady = {}
        for name, count in ready.items():
            if count is not None:
                earlier = self._steady.get(name)
                steady[name] = earlier if earlier is not None and earlier[0] == count else (count, now)
        self._steady = steady
        return all(now - since >= STEADY_SECONDS for _count, since in steady.values())

    def _is_in_vain(self, look: Result) -> bool:
        """Whether something has failed for certain.

        Failures count when they are seen twice: the condition of an object may be older than its change. Crashes count
        when one more was seen: what was wrong may have been mended a moment ago, and the next try shows it.
        """
        failures = {item["what"] for item in unready_in(look) if item["state"] == _FAILED}
        certain = bool(failures & self._failures)
        self._failures = failures
        for item in _objects(look):
            for pod in item["pods"]:
                for container, count in pod["crash_loops"].items() if pod["is_new"] else ():
                    first = self._restarts.setdefault((item["namespace"], pod["name"], container), count)
                    certain = certain or (count >= MAX_RESTARTS and count > first)
        return certain

    def _last(self, head: str, more_time: str, look: Result) -> Result:
        """One more look, with a diagnosis: what became ready in the last moment is ready."""
        last = self._ask(True)
        if not unready_in(last):
            return last
        told = look if last.get("failed") else last
        raise NotReady(f"{head}:\n{_told(told)}\n{_advice(told, more_time)}", told)


def unready_in(look: Result) -> t.List[Result]:
    """What is not ready, each with `what`, `why`, `state`, `pods` and `events`; a look that failed counts as one."""
    if look.get("failed"):
        return [_plain("the API server", str(look.get("msg", "")))]
    found = [_plain(f"node {item['name']}", item["why"]) for item in look.get("nodes", [])]
    objects = [*look.get("system", []), *_objects(look)]
    return found + [{**item, "what": _name(item)} for item in objects if item["state"] != _CURRENT]


def notes_in(look: Result) -> t.List[str]:
    """What nobody waits for and that is worth knowing, on one line."""
    told = [f"{_name(item)} {item['why']}" for item in _objects(look) if item["state"] == _CURRENT and item["why"]]
    return [f"Not waited for: {'; '.join(told)}"] if told else []


def _objects(look: Result) -> t.List[Result]:
    return [item for application in look.get("applications", []) for item in application["objects"]]


def _plain(what: str, why: str) -> Result:
    return {"what": what, "why": why, "state": "", "pods": [], "events": []}


def _name(item: Result) -> str:
    where = f"{item['namespace']}/{item['name']}" if item["namespace"] else item["name"]
    return f"{item['kind']} {where}"


def _snapshot(look: Result) -> Snapshot:
    unready = unready_in(look)
    total = len(look.get("nodes", [])) + len(look.get("system", [])) + len(_objects(look))
    shown = [f"{item['what']}: {item['why']}" for item in unready[:_SHOWN]] or ["whether all stays ready"]
    more = [f"and {len(unready) - _SHOWN} more"] if len(unready) > _SHOWN else []
    return Snapshot(
        phase="waiting", items_done=max(0, total - len(unready)), items_total=total, text="; ".join(shown + more)
    )


def _told(look: Result) -> str:
    return "\n".join(line for item in unready_in(look) for line in _lines(item))


def _lines(item: Result) -> t.Iterator[str]:
    """What is known of one thing that is not ready; the first line is not indented."""
    source = f" ({item['source']})" if item.get("source") else ""
    yield f"{item['what']}{source}: {item['why']}"
    for pod in item["pods"]:
        where = f" on {pod['node']}" if pod["node"] else ""
        old = "" if pod["is_new"] else ", of an earlier version"
        yield f"  pod {pod['name']}{where}{old}: {'; '.join(pod['why'])}"
        for log in pod["logs"]:
            yield from (f"    log of {log['container']}: {line}" for line in log["lines"])
    yield from (f"  event: {event}" for event in item["events"])


def _advice(look: Result, more_time: str) -> str:
    """What to do, as sentences."""
    unready = unready_in(look)
    pods = [(item, pod) for item in unready for pod in item["pods"]]
    told = [f"Correct the cause and run this again{more_time}"]
    if any(reason in why for _item, pod in pods for why in pod["why"] for reason in _PULL_REASONS):
        told.append(_PULL)
    if any(item.get("kind") == "StatefulSet" and not pod["is_new"] for item, pod in pods):
        told.append(_FORCED)
    first = next((item for item in unready if item.get("kind")), None)
    if first is not None:
        where = f" --namespace={first['namespace']}" if first["namespace"] else ""
        told.append(f"More is shown by: kubectl{where} describe {first['kind'].lower()} {first['name']}")
    return ". ".join(told)
