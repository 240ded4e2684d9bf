# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal: what each owner made on this host, and what had been there before.

Private to the collection: may change at any time.

It is written before anything is changed. So whatever is interrupted, the journal knows at least as much as was
done, and undoing a change that was never made finds the state before it and does nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Json
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

DEFAULT_DIRECTORY = "/var/lib/sealer"
DEFAULT_JOURNAL = DEFAULT_DIRECTORY + "/host.json"
SCHEMA_VERSION = 1

Key = t.Tuple[str, str]


@dataclass
class Record:
    """One thing an owner made: `before` is what undoing brings back, `written` tells every state of it that is ours."""

    kind: str
    name: str
    before: Json
    written: t.List[str] = field(default_factory=list)

    @property
    def key(self) -> Key:
        return self.kind, self.name

    def to_json(self) -> Json:
        return {"kind": self.kind, "name": self.name, "before": self.before, "written": self.written}

    @classmethod
    def from_json(cls, data: t.Any) -> Record:
        if not isinstance(data, dict):
            raise ValueError("a record is not an object")
        kind, name, before, written = (data.get(key) for key in ("kind", "name", "before", "written"))
        if not (
            isinstance(kind, str) and isinstance(name, str) and isinstance(before, dict) and isinstance(written, list)
        ):
            raise ValueError(f"a record lacks kind, name, before or written: {sorted(data)}")
        return cls(kind, name, before, [str(item) for item in written])


class Journal:
    """Owners and their records, in the order in which things were made."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._owners: t.Dict[str, t.List[Record]] = {}
        self._made: t.List[str] = []
        self._saved: t.Optional[str] = None

    @classmethod
    def read(cls, path: str) -> Journal:
        journal = cls(path)
        try:
            with open(path, encoding="utf-8") as stream:
                text = stream.read()
        except FileNotFoundError:
            return journal
        try:
            data = json.loads(text)
            if not isinstance(data, dict) or data.get("schemaVersion") != SCHEMA_VERSION:
                raise ValueError(f"not a journal of schema version {SCHEMA_VERSION}")
            journal._owners = {o: [Record.from_json(item) for item in items] for o, items in data["owners"].items()}
            journal._made = [str(item) for item in data["made"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ClusterError(
                "the journal of what was changed on this host cannot be read",
                where=path,
                why=str(error),
                fix="Restore it from a backup; or move it away, if it is acceptable that nothing can be undone",
            ) from error
        journal._saved = text
        return journal

    @property
    def owners(self) -> t.List[str]:
        return list(self._owners)

    def records(self, owner: str) -> t.List[Record]:
        return list(self._owners.get(owner, []))

    def find(self, owner: str, key: Key) -> t.Optional[Record]:
        return next((record for record in self._owners.get(owner, []) if record.key == key), None)

    def others(self, owner: str) -> t.Iterator[t.Tuple[str, Record]]:
        for other, records in self._owners.items():
            if other != owner:
                for record in records:
                    yield other, record

    def put(self, owner: str, record: Record) -> None:
        self._owners.setdefault(owner, []).append(record)

    def hand_over(self, owner: str, record: Record) -> None:
        """Give a record to another owner, as the first thing it made."""
        self._owners[owner].insert(0, record)

    def drop(self, owner: str, dropped: t.Iterable[Record]) -> None:
        away = {record.key for record in dropped}
        left = [record for record in self._owners.get(owner, []) if record.key not in away]
        if left:
            self._owners[owner] = left
        else:
            self._owners.pop(owner, None)

    def save(self) -> None:
        """Bring the journal to disk; an empty one is removed, with the directories that were made for it."""
        if not self._owners:
            self._vanish()
            return
        directory = os.path.dirname(self.path)
        self._make(directory)
        owners = {owner: [record.to_json() for record in records] for owner, records in self._owners.items()}
        text = json.dumps({"schemaVersion": SCHEMA_VERSION, "made": self._made, "owners": owners}, indent=1) + "\n"
        if text == self._saved:
            return
        fresh = self.path + ".new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(fresh, self.path)
        _sync(directory)
        self._saved = text

    def _make(self, directory: str) -> None:
        missing = []
        while not os.path.isdir(directory):
            missing.append(directory)
            directory = os.path.dirname(directory)
        for path in reversed(missing):
            os.mkdir(path, 0o755)
        self._made.extend(reversed(missing))

    def _vanish(self) -> None:
        for path in (self.path, self.path + ".new"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        self._saved = None
        own = [DEFAULT_DIRECTORY] if os.path.dirname(self.path) == DEFAULT_DIRECTORY else []
        for path in [*reversed(self._made), *own]:
            with contextlib.suppress(OSError):
                os.rmdir(path)
        self._made = []


@contextlib.contextmanager
def locked(path: str) -> t.Iterator[None]:
    """Keep other runs of our modules on this host waiting.

    The lock is on the directory above the journal's own, as that one comes and goes with the journal.
    """
    directory = os.path.dirname(os.path.dirname(path))
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def only_run(check: bool) -> t.ContextManager[None]:
    """Keep other runs waiting while a host becomes a node or a plain host; check mode waits for nobody.

    A run that was interrupted may have left a module at work, which ends by itself.
    """
    return contextlib.nullcontext() if check else locked(DEFAULT_JOURNAL)


def _sync(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
