# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a host what an owner wants, and making it what it was before that owner came.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import host_accounts, host_files, host_units
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Change, Host, diff_of
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_items import DirectoryItem, Item
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import Journal, Record
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_undo import undo
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_units import Unit, UnitPlan
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

# Several owners may want the same of these; what they want there has to be equal.
_EXCLUSIVE = (host_files.FILE, host_files.LINK, host_files.STATE)
_DIRECTORIES = (host_files.DIRECTORY, host_files.STATE)
_REPLACED = (host_files.FILE, host_files.LINK)


def _apply_order(item: Item) -> t.Tuple[int, str]:
    """Modules and users first, as others need them; then directories, parents before children; then the rest."""
    if item.kind in ("module", host_accounts.USER):
        return 0, ""
    return (1, item.name) if item.kind in _DIRECTORIES else (2, "")


@dataclass
class Outcome:
    """What a run did, or would do."""

    changes: t.List[Change] = field(default_factory=list)
    restarted: t.List[str] = field(default_factory=list)
    reloaded: t.List[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.changes)

    @property
    def diff(self) -> t.Dict[str, str]:
        return diff_of(self.changes)


class Steward:
    """Acts for one owner on one host."""

    def __init__(self, host: Host, journal: Journal, owner: str) -> None:
        self._host = host
        self._journal = journal
        self._owner = owner

    def present(self, wanted: t.Sequence[Item], units: t.Sequence[Unit] = ()) -> Outcome:
        """Make everything as wanted; what this owner made earlier and wants no more is undone."""
        items = self._with_parents(wanted)
        self._refuse_disputes(items)
        pending = [item for item in items if not item.met(self._host)]
        changes = [item.change(self._host) for item in pending]
        stale = self._stale(items, units)
        if not self._host.check:
            self._remember(items, pending)
        before = [(unit.name, host_units.read(self._host, unit.name)) for unit in units]
        paths = [change.path for change in changes if change.path]
        paths += [record.name for record in stale if record.kind in _REPLACED]
        plans = [
            host_units.plan(unit, state, paths, self._due(unit.name)) for unit, (_name, state) in zip(units, before)
        ]
        if not self._host.check:
            self._write_units_ahead(plans)
        outcome = Outcome(changes + self._undo(stale) + [plan.change for plan in plans if plan.steps])
        outcome.restarted = [plan.unit.name for plan in plans if host_units.RESTART in plan.steps]
        outcome.reloaded = [plan.unit.name for plan in plans if host_units.RELOAD in plan.steps]
        if not self._host.check:
            for item in pending:
                self._apply(item)
            self._act(plans, reload=any(map(host_units.is_unit_file, paths)))
            self._settle(items, stale)
        return outcome

    def claim(self, wanted: t.Sequence[Item]) -> None:
        """Make and journal these ahead of the rest, which depends on what will be in them."""
        items = self._with_parents(wanted)
        self._refuse_disputes(items)
        pending = [item for item in items if not item.met(self._host)]
        self._remember(items, pending)
        for item in pending:
            self._apply(item)

    def absent(self, keep_state: bool = False) -> Outcome:
        """Bring back what was there before this owner came."""
        records = self._journal.records(self._owner)
        units = [record for record in records if record.kind == host_units.KIND]
        kept = [record for record in records if record.kind == host_files.STATE] if keep_state else []
        changes = host_units.silence(self._host, units)
        undone = self._undo([record for record in records if record not in units and record not in kept])
        paths = [change.path for change in undone if change.path]
        if not self._host.check and (any(map(host_units.is_unit_file, paths)) or units):
            host_units.reload_manager(self._host)
        revived = host_units.revive(self._host, units, paths)
        for record in kept:
            self._host.warn(f"directory {record.name} is left with its data, as asked")
        if not self._host.check:
            self._journal.drop(self._owner, records)
            self._journal.save()
        return Outcome(changes + undone + revived)

    def _with_parents(self, wanted: t.Sequence[Item]) -> t.List[Item]:
        _refuse_contradictions(wanted, self._owner)
        known = {item.name for item in wanted if item.kind in _DIRECTORIES}
        items: t.List[Item] = []
        for item in wanted:
            if item.kind in (*_REPLACED, *_DIRECTORIES):
                for parent in host_files.missing_parents(item.name, self._is_directory):
                    if parent not in known:
                        known.add(parent)
                        items.append(DirectoryItem(parent))
            items.append(item)
        return sorted(items, key=_apply_order)

    def _is_directory(self, path: str) -> bool:
        """Whether it is there, or will be: the journal makes and removes the directories above it by itself."""
        place = self._host.at(path)
        return os.path.isdir(place) or self._journal.path.startswith(place + "/")

    def _refuse_disputes(self, items: t.Sequence[Item]) -> None:
        held = {
            record.name: (o, record) for o, record in self._journal.others(self._owner) if record.kind in _EXCLUSIVE
        }
        for item in items:
            if item.kind in _EXCLUSIVE and item.name in held and self._record_of(item) is None:
                other, record = held[item.name]
                if item.kind != record.kind or item.mark() not in record.written:
                    raise ClusterError(
                        f"{item.name} was made by {other!r}, and {self._owner!r} wants another one there",
                        fix="Leave it to one of them",
                    )
            if not item.met(self._host):
                self._refuse_obstacle(item)

    def _refuse_obstacle(self, item: Item) -> None:
        if self._record_of(item) is None:
            item.before(self._host)
        elif item.kind in _REPLACED:
            host_files.keepable(item.name, host_files.look(self._host.at(item.name)))

    def _record_of(self, item: Item) -> t.Optional[Record]:
        """The record of a thing; a file that is to become a link, or a link a file, goes on with the one it has."""
        kinds = _REPLACED if item.kind in _REPLACED else (item.kind,)
        found = (self._journal.find(self._owner, (kind, item.name)) for kind in kinds)
        return next((record for record in found if record is not None), None)

    def _stale(self, items: t.Sequence[Item], units: t.Sequence[Unit]) -> t.List[Record]:
        wanted = {item.key for item in items} | {(host_units.KIND, unit.name) for unit in units}
        wanted |= {(kind, item.name) for item in items if item.kind in _REPLACED for kind in _REPLACED}
        names = [item.name for item in items]
        return [
            record
            for record in self._journal.records(self._owner)
            if record.key not in wanted
            and record.kind != host_units.KIND
            and not (record.kind == host_files.DIRECTORY and any(name.startswith(record.name + "/") for name in names))
        ]

    def _remember(self, items: t.Sequence[Item], pending: t.Sequence[Item]) -> None:
        """Write down what is about to be changed, before anything is."""
        shared = {record.key: record.before for _other, record in self._journal.others(self._owner)}
        # A directory that another owner made for its files is the collection's as one for data is.
        made = {(host_files.STATE, name): before for (kind, name), before in shared.items() if _is_made(kind, before)}
        shared = {**made, **shared}
        for item in items:
            record = self._record_of(item)
            if record is None:
                if item in pending or item.worth_a_record(self._host) or item.key in shared:
                    before = shared.get(item.key) or item.before(self._host)
                    self._journal.put(self._owner, Record(item.kind, item.name, before, [item.mark()]))
                continue
            record.kind = item.kind
            if item.mark() not in record.written:
                record.written.append(item.mark())
        self._journal.save()

    def _due(self, name: str) -> t.Sequence[str]:
        record = self._journal.find(self._owner, (host_units.KIND, name))
        return () if record is None else record.written

    def _write_units_ahead(self, plans: t.Sequence[UnitPlan]) -> None:
        for plan in plans:
            record = self._journal.find(self._owner, (host_units.KIND, plan.unit.name))
            if record is None:
                record = Record(host_units.KIND, plan.unit.name, plan.now.to_json())
                self._journal.put(self._owner, record)
            record.written += [step for step in (host_units.RESTART, host_units.RELOAD) if step in plan.steps]
        self._journal.save()

    def _apply(self, item: Item) -> None:
        record = self._record_of(item)
        if record is not None and record.kind == "sysctl" and record.before.get("value") is None:
            record.before = item.before(self._host)
            self._journal.save()
        item.apply(self._host)

    def _act(self, plans: t.Sequence[UnitPlan], reload: bool) -> None:
        if plans and (reload or any(plan.now.stale or plan.steps for plan in plans)):
            host_units.reload_manager(self._host)
        for plan in plans:
            if plan.now.failed and plan.steps:
                self._host.run(["systemctl", "reset-failed", "--", plan.unit.name])
            for step in plan.steps:
                host_units.act(self._host, plan.unit.name, step)

    def _undo(self, records: t.Sequence[Record]) -> t.List[Change]:
        found = (undo(self._host, self._journal, self._owner, record) for record in reversed(records))
        return [change for change in found if change is not None]

    def _settle(self, items: t.Sequence[Item], stale: t.Sequence[Record]) -> None:
        """All is done: forget what was undone, and earlier states of ours."""
        self._journal.drop(self._owner, stale)
        for item in items:
            record = self._record_of(item)
            if record is not None:
                record.written = [item.mark()]
        for record in self._journal.records(self._owner):
            if record.kind == host_units.KIND:
                record.written = []
        self._journal.save()


def _is_made(kind: str, before: Json) -> bool:
    return kind == host_files.DIRECTORY and host_files.Node.from_json(before).kind == host_files.ABSENT


def _refuse_contradictions(items: t.Sequence[Item], owner: str) -> None:
    """One thing a name, and nothing below what is not a directory."""
    paths = [item for item in items if item.kind in (*_REPLACED, *_DIRECTORIES)]
    names = [("", item.name) for item in paths] + [item.key for item in items if item not in paths]
    twice = next((name for _kind, name in names if names.count((_kind, name)) > 1), None)
    if twice is not None:
        raise ClusterError(f"{twice} is wanted twice", where=owner)
    plain = {item.name: item.kind for item in items if item.kind in _REPLACED}
    for item in paths:
        above = next((name for name in plain if item.name.startswith(name + "/")), None)
        if above is not None:
            raise ClusterError(
                f"{item.name} cannot be below {above}", where=owner, why=f"that is to be a {plain[above]}"
            )
