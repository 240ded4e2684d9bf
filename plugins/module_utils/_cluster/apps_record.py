# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was launched in a cluster: which commands are done, and which objects each application brought.

Kept in the Secret kube-system/sealer-applications, where every control plane finds it.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import base64
import copy
import json
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_plan import IMAGE_COMMANDS, Step
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.objects import ObjectId, ObjectRef
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.state import NAMESPACE
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

SECRET_NAME = "sealer-applications"  # noqa: S105 - the name of an object
SCHEMA_VERSION = 1
NOT_IN_IMAGE = "the image does not have it any more"
NOT_LAUNCHED = "the image does not launch it"
NOT_IN_MANIFESTS = "none of its manifests has it any more"
_WHERE = f"Secret {NAMESPACE}/{SECRET_NAME}"
_FIELD = "applications.json"
_NOTHING: Json = {"schemaVersion": SCHEMA_VERSION, "applications": {}}
_EMPTY: Json = {"image": "", "stays": "", "steps": {}, "left": []}


class AppObject(t.NamedTuple):
    """An object that an application brought.

    source: its file in the image, or the command; by_command: whether a command did it that is no plain apply;
    made: whether the object was not there before; expires: whether it is a Job that is removed when it has ended.
    """

    ref: ObjectRef
    source: str
    by_command: bool = False
    made: bool = True
    expires: bool = False

    @classmethod
    def read(cls, item: Json) -> AppObject:
        ref = ObjectRef(item["apiVersion"], item["kind"], item["namespace"], item["name"])
        return cls(ref, item["source"], item["byCommand"], item["made"], item["expires"])

    def to_json(self) -> Json:
        ref = self.ref
        return {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            "source": self.source,
            "byCommand": self.by_command,
            "made": self.made,
            "expires": self.expires,
        }


def expires(item: Json) -> bool:
    """Whether the cluster removes an object by itself when it has ended."""
    return item["kind"] == "Job" and (item.get("spec") or {}).get("ttlSecondsAfterFinished") is not None


class AppsRecord:
    """The record, changed in memory until it is saved.

    Its document: {"schemaVersion": 1, "applications": {NAME: {"image": DIGEST, "stays": WHY or "",
    "steps": {NUMBER: {"fingerprint": SUM, "objects": [OBJECT]}}, "left": [OBJECT]}}}.
    """

    def __init__(self, document: t.Optional[Json] = None) -> None:
        self._saved = document
        self._document: Json = copy.deepcopy(document or _NOTHING)
        if self._document["schemaVersion"] != SCHEMA_VERSION:
            raise ClusterError(
                f"the record of the applications has version {self._document['schemaVersion']!r},"
                f" this collection reads {SCHEMA_VERSION}",
                where=_WHERE,
                fix="Use the release of the collection that launched them last, or a newer one",
            )

    @classmethod
    def load(cls, kubectl: Kubectl) -> AppsRecord:
        """The record as the cluster has it, an empty one where nothing was launched yet."""
        secret = kubectl.get("secret", "-n", NAMESPACE, SECRET_NAME)
        try:
            return cls(json.loads(base64.b64decode(secret["data"][_FIELD])) if secret else None)
        except (KeyError, TypeError, ValueError) as error:
            raise ClusterError(
                "the record of the applications cannot be read",
                where=_WHERE,
                why=repr(error),
                fix="Restore it, or delete it: the next run writes it anew, and runs all commands again",
            ) from error

    def save(self, kubectl: Kubectl) -> None:
        """Write it where it differs from what the cluster has."""
        if self._document == (self._saved or _NOTHING):
            return
        kubectl.put(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "io.sealer/applications",
                "metadata": {"name": SECRET_NAME, "namespace": NAMESPACE},
                "data": {_FIELD: base64.b64encode(json.dumps(self._document, sort_keys=True).encode()).decode()},
            }
        )
        self._saved = copy.deepcopy(self._document)

    @property
    def applications(self) -> t.Dict[str, Json]:
        return t.cast("t.Dict[str, Json]", self._document["applications"])

    def is_done(self, step: Step) -> bool:
        """Whether a step was run as it is now."""
        return bool(self._step(step).get("fingerprint") == step.fingerprint)

    def objects_of(self, step: Step) -> t.List[AppObject]:
        """What a step brought when it was run last."""
        return [AppObject.read(item) for item in self._step(step).get("objects", [])]

    def objects(self, owner: str) -> t.List[AppObject]:
        """What an application has, each object once."""
        found = {item.ref.id: item for item in _objects(self.applications.get(owner, _EMPTY))}
        return sorted(found.values())

    def made_by_commands(self, owner: str) -> t.List[AppObject]:
        """What an application's commands made; one that runs again may find it done and leave no trace."""
        return [item for item in self.objects(owner) if item.by_command and item.made]

    def _step(self, step: Step) -> Json:
        return t.cast("Json", self.applications.get(step.owner, _EMPTY)["steps"].get(str(step.number), {}))

    def put(self, step: Step, image_digest: str, objects: t.Iterable[AppObject]) -> None:
        """A step was run, and these are its objects; what is not among them any more is left over."""
        entry = self.applications.setdefault(step.owner, copy.deepcopy(_EMPTY))
        before = self._made(entry)
        entry["image"], entry["stays"] = image_digest, ""
        entry["steps"][str(step.number)] = {
            "fingerprint": step.fingerprint,
            "objects": [found.to_json() for found in sorted(set(objects))],
        }
        self._leave(entry, before)

    def forget_changed(self) -> None:
        """What commands of an earlier run changed and did not make is no matter of this one."""
        for entry in self.applications.values():
            for step in entry["steps"].values():
                step["objects"] = [item for item in step["objects"] if item["made"]]

    def finish(self, description: Json, image_digest: str, steps: t.Sequence[Step], *, chosen: bool) -> None:
        """All steps of an image are done. chosen: whether somebody chose among its applications."""
        known = {item["name"] for item in description["applications"]} | {IMAGE_COMMANDS}
        numbers: t.Dict[str, t.Set[str]] = {IMAGE_COMMANDS: set()}
        for step in steps:
            numbers.setdefault(step.owner, set()).add(str(step.number))
        for name, entry in list(self.applications.items()):
            if name in numbers:
                before = self._made(entry)
                entry["image"], entry["stays"] = image_digest, ""
                entry["steps"] = {number: step for number, step in entry["steps"].items() if number in numbers[name]}
                self._leave(entry, before)
            elif entry["stays"] and not self._made(entry) and not entry["left"]:
                # Its objects are not known, so nobody could ever see that they are gone: that it stays is told once.
                del self.applications[name]
            elif name not in known:
                entry["stays"] = NOT_IN_IMAGE
            elif not chosen:
                entry["stays"] = NOT_LAUNCHED

    def drop_absent(self, present: t.Container[ObjectId]) -> None:
        """Forget what was left over and is not in the cluster any more, or belongs to another application now."""
        for name, entry in list(self.applications.items()):
            known = bool(entry["left"] or self._made(entry))
            remaining = [item for item in self.left_of(name) if item.ref.id in present]
            if entry["stays"] and known and not remaining:
                del self.applications[name]
            left = {item.ref.id for item in remaining}
            entry["left"] = [item for item in entry["left"] if AppObject.read(item).ref.id in left]

    def in_use(self) -> t.Set[ObjectId]:
        """What applications have that are as the image has them."""
        current = (entry for entry in self.applications.values() if not entry["stays"])
        return {found.ref.id for entry in current for found in _objects(entry)}

    def left_of(self, name: str) -> t.List[AppObject]:
        """What stays of an application and no application has: all of it where it is not in the image any more."""
        entry = self.applications[name]
        found = {AppObject.read(item).ref.id: AppObject.read(item) for item in entry["left"]}
        if entry["stays"]:
            found.update({item.ref.id: item for item in self._made(entry)})
        used = self.in_use()
        return sorted(item for item in found.values() if item.ref.id not in used)

    @staticmethod
    def _made(entry: Json) -> t.List[AppObject]:
        return [item for item in _objects(entry) if item.made]

    @staticmethod
    def _leave(entry: Json, before: t.Iterable[AppObject]) -> None:
        """Keep in mind what an application had and has no more."""
        now = {found.ref.id for found in _objects(entry)}
        left = {found.ref.id: found for found in [*map(AppObject.read, entry["left"]), *before]}
        entry["left"] = [found.to_json() for key, found in sorted(left.items()) if key not in now]


def _objects(entry: Json) -> t.List[AppObject]:
    return [AppObject.read(item) for step in entry["steps"].values() for item in step["objects"]]
