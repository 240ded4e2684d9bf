# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster in memory, for modules that ask one by kubectl: a Runner that knows the commands that they use.

Manifests are JSON files, one object or a List each. Nothing happens by itself: a test sets what controllers would.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl

Json = dict[str, t.Any]
Key = tuple[str, str, str]
_APPLY = re.compile(r"kubectl apply -f (\S+)")
_PLURALS = {
    "nodes": "Node",
    "pods": "Pod",
    "replicasets.apps": "ReplicaSet",
    "controllerrevisions.apps": "ControllerRevision",
    "deployments.apps": "Deployment",
    "daemonsets.apps": "DaemonSet",
    "statefulsets.apps": "StatefulSet",
    "jobs.batch": "Job",
    "events": "Event",
    "secret": "Secret",
    "storageclasses.storage.k8s.io": "StorageClass",
}
CLUSTER_SCOPED = {"Namespace", "Node", "StorageClass", "CustomResourceDefinition"}
KNOWN = {*_PLURALS.values(), "Namespace", "ConfigMap", "Service", "PersistentVolumeClaim", "CustomResourceDefinition"}


class FakeCluster:
    """objects: what is in it; specs: what was applied; shell: what a command that is no plain apply does."""

    def __init__(self) -> None:
        self.objects: dict[Key, Json] = {}
        self.specs: dict[Key, Json] = {}
        self.kinds = set(KNOWN)
        self.shell: t.Callable[[str], str] = lambda _command: ""
        self.logs: dict[tuple[str, str, bool], str] = {}
        self.commands: list[str] = []
        self.applied: list[str] = []
        self.down = False
        self._uids = 0

    def kubectl(self) -> Kubectl:
        return Kubectl(self, "/etc/kubernetes/admin.conf")

    def key(self, item: Json) -> Key:
        namespace = "" if item["kind"] in CLUSTER_SCOPED else item["metadata"].get("namespace", "default")
        return item["kind"], namespace, item["metadata"]["name"]

    def put(self, item: Json) -> Json:
        """An object as it is, with an identity of its own."""
        _kind, namespace, _name = key = self.key(item)
        found: Json = json.loads(json.dumps(item))
        self._uids += 1
        found["metadata"] = {"uid": f"uid-{self._uids}", "generation": 1, **found["metadata"]}
        found["metadata"].pop("namespace", None)
        if namespace:
            found["metadata"]["namespace"] = namespace
        self.objects[key] = found
        return found

    @property
    def known(self) -> set[str]:
        """The kinds that the API server serves now."""
        definitions = [item for key, item in self.objects.items() if key[0] == "CustomResourceDefinition"]
        return self.kinds | {item["spec"]["names"]["kind"] for item in definitions if _is_established(item)}

    def remove(self, kind: str, namespace: str, name: str) -> None:
        self.objects.pop((kind, namespace, name))
        self.specs.pop((kind, namespace, name), None)

    def __call__(
        self,
        command: t.Sequence[str],
        *,
        data: t.Optional[str] = None,
        environ: t.Optional[t.Mapping[str, str]] = None,
        cwd: t.Optional[str] = None,
        descriptors: t.Sequence[int] = (),
    ) -> Completed:
        self.commands.append(" ".join(command))
        if command[0] == "timeout":
            return self._bash(command[-1], cwd or "")
        assert command[0] == "kubectl"
        if self.down:
            return Completed(1, "", "The connection to the server 10.0.0.11:6443 was refused")
        verbs = {"get": self._get, "diff": self._diff, "patch": self._parse, "apply": self._server_side}
        return self._log(command) if command[1] == "logs" else verbs[command[1]](command, data)

    def _bash(self, command: str, cwd: str) -> Completed:
        self.applied.append(command)
        plain = _APPLY.fullmatch(command)
        try:
            if plain is None:
                return Completed(0, self.shell(command), "")
            return self._apply(os.path.join(cwd, plain[1]))
        except RuntimeError as error:
            return Completed(1, "", str(error))

    def _apply(self, path: str) -> Completed:
        unknown, known = [], self.known
        for item in documents(path):
            kind, namespace, _name = key = self.key(item)
            if kind not in known:
                unknown.append(f'no matches for kind "{kind}" in version "{item["apiVersion"]}"')
            elif namespace not in ("", "default") and ("Namespace", "", namespace) not in self.objects:
                return Completed(1, "", f'Error from server (NotFound): namespaces "{namespace}" not found')
            elif self.specs.get(key) != item:
                generation = self.objects.get(key, {"metadata": {}})["metadata"].get("generation", 0) + 1
                earlier = self.objects.get(key, {})
                kept = {"uid": earlier["metadata"]["uid"]} if earlier else {}
                status = {"status": earlier["status"]} if "status" in earlier else {}
                metadata = {**item["metadata"], **kept, "generation": generation}
                self.put({**item, **status, "metadata": metadata})
                self.specs[key] = item
        return Completed(1 if unknown else 0, "", "\n".join(unknown))

    def _get(self, command: t.Sequence[str], data: t.Optional[str]) -> Completed:
        if "-f" in command:
            assert data is not None
            asked = json.loads(data)["items"]
            unknown = [item for item in asked if item["kind"] not in self.known]
            found = [self.objects[self.key(item)] for item in asked if self.key(item) in self.objects]
            told = "".join(f'unable to recognize no matches for kind "{item["kind"]}"\n' for item in unknown)
            return Completed(1 if unknown else 0, _text(found), told)
        words = [word for word in command[2:] if not word.startswith("--") and word not in ("-o", "json")]
        kinds = {_PLURALS[name] for name in words[0].split(",")}
        namespace = words[words.index("-n") + 1] if "-n" in words else None
        name = words[3] if len(words) > 3 else None
        found = [
            item
            for (kind, place, called), item in self.objects.items()
            if kind in kinds and namespace in (None, place) or kind in kinds and place == ""
            if name in (None, called)
        ]
        return Completed(0, json.dumps(found[0]) if name and found else "" if name else _text(found), "")

    def _diff(self, command: t.Sequence[str], data: t.Optional[str]) -> Completed:
        lines = []
        try:
            found = json.loads(data)["items"] if data else documents(command[-1])
        except (OSError, ValueError) as error:
            return Completed(2, "", f"error: error parsing {command[-1]}: {error}")
        for item in found:
            kind, namespace, name = key = self.key(item)
            if namespace not in ("", "default") and ("Namespace", "", namespace) not in self.objects:
                return Completed(2, "", f'Error from server (NotFound): namespaces "{namespace}" not found')
            if kind not in self.known:
                return Completed(2, "", f'error: no matches for kind "{kind}"')
            if self.specs.get(key) != item:
                lines += [f"diff -u -N /tmp/LIVE-1/{kind}.{name} /tmp/MERGED-2/{kind}.{name}", "@@ -1 +1 @@"]
                lines += [f"-{json.dumps(self.specs[key])}"] if key in self.specs else []
                lines += [f"+{json.dumps(item)}"]
        return Completed(1 if lines else 0, "\n".join(lines), "")

    def _parse(self, command: t.Sequence[str], data: t.Optional[str]) -> Completed:
        try:
            found = documents(command[command.index("-f") + 1])
        except (OSError, ValueError) as error:
            return Completed(1, "", f"error: error parsing: {error}")
        return Completed(0, "".join(json.dumps(item, indent=4) + "\n" for item in found), "")

    def _server_side(self, command: t.Sequence[str], data: t.Optional[str]) -> Completed:
        self.put(json.loads(data or ""))
        return Completed(0, "", "")

    def _log(self, command: t.Sequence[str]) -> Completed:
        container = next(word.partition("=")[2] for word in command if word.startswith("--container="))
        found = self.logs.get((command[2], container, "--previous" in command))
        return Completed(0, found, "") if found is not None else Completed(1, "", "Error from server: no such log")


def _is_established(definition: Json) -> bool:
    conditions = definition.get("status", {}).get("conditions", [])
    return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)


def documents(path: str) -> list[Json]:
    """The objects in a file of JSON, or in all of a directory."""
    place = pathlib.Path(path)
    files = sorted(place.glob("*.json")) if place.is_dir() else [place]
    found = [json.loads(file.read_text()) for file in files]
    return [item for one in found for item in (one["items"] if one["kind"] == "List" else [one])]


def _text(items: t.Sequence[Json]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})
