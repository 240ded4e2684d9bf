# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units of systemd: what they are now, what has to be done to them, and doing it.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Change, Host, Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import Record
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

KIND = "unit"
RESTART, RELOAD = "restart", "reload"
UNIT_PLACES = (
    "/etc/systemd/system/",
    "/run/systemd/system/",
    "/usr/lib/systemd/system/",
    "/usr/local/lib/systemd/system/",
)

_RUNNING = ("active", "activating", "reloading", "deactivating")
_ENABLED = ("enabled", "enabled-runtime", "linked", "linked-runtime")


@dataclass(frozen=True)
class Unit:
    """A unit as it is wanted."""

    name: str
    enabled: bool = True
    running: bool = True
    restart_on: t.Sequence[str] = ()
    reload_on: t.Sequence[str] = ()


@dataclass(frozen=True)
class UnitState:
    """A unit as it is."""

    found: bool
    running: bool
    enabled: bool
    stale: bool = False
    failed: bool = False

    def to_json(self) -> Json:
        return {"found": self.found, "running": self.running, "enabled": self.enabled}

    def told(self, name: str) -> str:
        if not self.found:
            return ""
        return f"unit {name} {'enabled' if self.enabled else 'disabled'} {'running' if self.running else 'stopped'}"


@dataclass
class UnitPlan:
    """What is to be done to one unit."""

    unit: Unit
    now: UnitState
    steps: t.List[str] = field(default_factory=list)

    @property
    def change(self) -> Change:
        after = UnitState(True, self.unit.running, self.unit.enabled).told(self.unit.name)
        again = next((f" ({step}ed)" for step in (RESTART, RELOAD) if step in self.steps), "")
        return Change(self.now.told(self.unit.name), after + again)


def read(host: Host, name: str) -> UnitState:
    """The state of a unit, which may not exist."""
    wanted = "LoadState,ActiveState,UnitFileState,NeedDaemonReload"
    done = host.run(["systemctl", "show", "--property", wanted, "--", name])
    if done.rc != 0:
        raise ClusterError(
            f"systemd does not tell the state of {name}",
            where="systemctl show",
            why=done.output,
            fix="Hosts have to run systemd as process 1",
        )
    found = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    active = found.get("ActiveState", "")
    return UnitState(
        found=found.get("LoadState") != "not-found" or active in _RUNNING,
        running=active in _RUNNING,
        enabled=found.get("UnitFileState") in _ENABLED,
        stale=found.get("NeedDaemonReload") == "yes",
        failed=active == "failed",
    )


def plan(unit: Unit, now: UnitState, changed: t.Collection[str], due: t.Collection[str]) -> UnitPlan:
    """What has to be done when these paths change; `due` are the steps that an earlier run did not come to."""
    steps = []
    if unit.enabled != now.enabled:
        steps.append("enable" if unit.enabled else "disable")
    if unit.running and not now.running:
        steps.append("start")
    elif unit.running and (RESTART in due or any(path in changed for path in unit.restart_on)):
        steps.append(RESTART)
    elif unit.running and (RELOAD in due or any(path in changed for path in unit.reload_on)):
        steps.append(RELOAD)
    elif now.running and not unit.running:
        steps.append("stop")
    return UnitPlan(unit, now, steps)


def is_unit_file(path: str) -> bool:
    return path.startswith(UNIT_PLACES)


def reload_manager(host: Host) -> None:
    host.must(["systemctl", "daemon-reload"], "systemd cannot read its unit files again")


def act(host: Host, name: str, step: str) -> None:
    """One systemctl step; the unit's last words are in the error."""
    done = host.run(["systemctl", step, "--", name])
    if done.rc != 0:
        raise ClusterError(
            f"systemctl {step} {name} failed",
            why=done.output + last_words(host, name),
            fix=f"Look at journalctl -u {name}",
        )


def failure(host: Host, names: t.Iterable[str]) -> t.Optional[str]:
    """Tells the first of these units that has failed."""
    failed = next((name for name in names if read(host, name).failed), None)
    return None if failed is None else f"{failed} has failed"


def last_words(host: Host, name: str, lines: int = 15) -> str:
    """The end of a unit's journal, to stand in an error."""
    done = host.run(["journalctl", "--no-pager", "--quiet", "--output", "cat", "--lines", str(lines), "--unit", name])
    return (
        f"\nlast lines of journalctl -u {name}:\n{done.stdout.strip()}\n"
        if done.rc == 0 and done.stdout.strip()
        else ""
    )


def silence(host: Host, records: t.Sequence[Record]) -> t.List[Change]:
    """First half of undoing: stop and disable what was not running or enabled before."""
    changes = []
    for record in reversed(records):
        now = read(host, record.name)
        steps = ["stop"] if now.running and not record.before["running"] else []
        steps += ["disable"] if now.enabled and not record.before["enabled"] else []
        if steps:
            after = UnitState(bool(record.before["found"]), record.before["running"], record.before["enabled"])
            changes.append(Change(now.told(record.name), after.told(record.name)))
        for step in [] if host.check else steps:
            act(host, record.name, step)
    return changes


def revive(host: Host, records: t.Sequence[Record], changed: t.Collection[str]) -> t.List[Change]:
    """Second half, when the files are as before: enable and run again what was; forget failures of what is gone."""
    changes = []
    for record in records:
        if not record.before["found"]:
            if not host.check:
                host.run(["systemctl", "reset-failed", "--", record.name])
            continue
        now = read(host, record.name)
        steps = ["enable"] if record.before["enabled"] and not now.enabled else []
        if record.before["running"] and (not now.running or any(is_unit_file(path) for path in changed)):
            steps.append("restart")
        if steps:
            after = UnitState(True, record.before["running"], record.before["enabled"])
            changes.append(Change(now.told(record.name), after.told(record.name) + f" ({', '.join(steps)})"))
        for step in [] if host.check else steps:
            act(host, record.name, step)
    return changes
