# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Launching the applications of an image.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import object_status
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_diff import before_and_after, manifest_text
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_plan import Step, manifest_files
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_record import AppObject, AppsRecord, expires
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import SEARCH_PATH, Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_wait import wait_until
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.object_status import CURRENT, FAILED
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.objects import ObjectRef, list_of, ref_of
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError, SealerError

_SAME, _DIFFERS = 0, 1
_WORKLOADS = "deployments.apps,daemonsets.apps,statefulsets.apps,jobs.batch"
_DEFINITION = "CustomResourceDefinition"
_NO_KIND = "no matches for kind"


@dataclasses.dataclass
class Outcome:
    """What was done, or would be."""

    launched: t.List[str] = dataclasses.field(default_factory=list)
    before: t.List[str] = dataclasses.field(default_factory=list)
    after: t.List[str] = dataclasses.field(default_factory=list)


class Launcher:
    """Runs steps on a control plane, and keeps the record of them.

    roots: where the files of the steps are, each like the root of the image; programs: where the image's programs are
    on this host.
    """

    def __init__(
        self,
        run: Runner,
        kubectl: Kubectl,
        record: AppsRecord,
        *,
        roots: t.Sequence[str],
        programs: str,
        image_digest: str,
        timeout: int,
        check: bool,
    ) -> None:
        self._run = run
        self._kubectl = kubectl
        self._record = record
        self._roots = roots
        self._programs = programs
        self._image_digest = image_digest
        self._timeout = timeout
        self._check = check
        self._parsed: t.Dict[str, t.List[Json]] = {}

    def launch(self, steps: t.Sequence[Step]) -> Outcome:
        """Run what is not done yet, in order. The first failure ends it; what came before stays recorded."""
        outcome = Outcome()
        self._record.forget_changed()
        try:
            for step in steps:
                if step.manifest:
                    self._apply(step, outcome)
                elif not self._record.is_done(step):
                    self._shell(step, outcome)
        except SealerError:
            with contextlib.suppress(SealerError):
                self._save()
            raise
        return outcome

    def _save(self) -> None:
        if not self._check:
            self._record.save(self._kubectl)

    def _apply(self, step: Step, outcome: Outcome) -> None:
        same, before, after = self._difference(step)
        if not same:
            outcome.launched.append(str(step))
            outcome.before.append(before)
            outcome.after.append(after)
            if not self._check:
                self._run_apply(step)
        if os.path.exists(step.manifest) and not (same and self._record.is_done(step)):
            self._record.put(step, self._image_digest, self._objects_in(step.manifest))

    def _difference(self, step: Step) -> t.Tuple[bool, str, str]:
        """Whether the cluster has what a manifest says, and both sides."""
        if not os.path.exists(step.manifest):
            # An earlier command may make it.
            return False, "", f"{step}\n"
        done = self._kubectl.call("diff", "-f", step.manifest)
        if done.rc in (_SAME, _DIFFERS):
            return (done.rc == _SAME, *before_and_after(done.stdout))
        documents = [document for _path, document in self._documents(step.manifest)]
        return (False, *self._shown(documents, done.stderr))

    def _shown(self, documents: t.Sequence[Json], why: str) -> t.Tuple[str, str]:
        """Both sides of a manifest that cannot be compared as a whole: what is there is compared, the rest is shown."""
        there = {ref_of(item) for item in self._kubectl.present(filter(None, map(_ref, documents)))}
        known = [document for document in documents if _is_among(_ref(document), there)]
        done = self._kubectl.call("diff", "-f", "-", data=json.dumps(list_of(known))) if known else None
        if done is None or len(known) == len(documents) or done.rc not in (_SAME, _DIFFERS):
            return "", manifest_text(documents, why)
        before, after = before_and_after(done.stdout)
        return before, after + manifest_text([item for item in documents if item not in known], why)

    def _run_apply(self, step: Step) -> None:
        """Apply a file; where it defines kinds, these are known afterwards, also to the rest of the same file."""
        try:
            self._command(step)
        except ClusterError as error:
            if _NO_KIND not in error.why or not self._establish(step):
                raise
            self._command(step)
        self._establish(step)

    def _establish(self, step: Step) -> bool:
        """Wait until the API server serves the kinds that a file defines. Returns whether it defines any."""
        refs = [_ref(document) for _path, document in self._documents(step.manifest)]
        kinds = [ref for ref in refs if ref is not None and ref.kind == _DEFINITION]
        if not kinds:
            return False

        def look(state: str) -> t.Optional[str]:
            found = {item["metadata"]["name"]: object_status.status_of(item) for item in self._kubectl.present(kinds)}
            for ref in kinds:
                status = found.get(ref.name, object_status.Status(object_status.IN_PROGRESS, "is not there"))
                if (status.state == FAILED) if state == FAILED else (status.state != CURRENT):
                    return f"{ref}: {status.why}"
            return None

        what = f"the API of the kinds that come with {step}"
        wait_until(lambda: look(CURRENT), what, self._timeout, lambda: look(FAILED), lambda: "")
        return True

    def _objects_in(self, manifest: str) -> t.List[AppObject]:
        """What is in the cluster of the objects in a manifest, each with its file."""
        sources: t.Dict[ObjectRef, str] = {}
        for path, document in self._documents(manifest):
            asked = _ref(document)
            if asked is not None:
                sources[asked] = self._in_image(path)
        found = []
        for item in self._kubectl.present(sources):
            ref = ref_of(item)
            source = next((path for asked, path in sources.items() if _is_among(asked, {ref})), "")
            found.append(AppObject(ref, source, expires=expires(item)))
        return found

    def _in_image(self, path: str) -> str:
        """The path that a file has in the image; of one that is none of the image's, its own."""
        return next((os.path.relpath(path, root) for root in self._roots if path.startswith(f"{root}/")), path)

    def _documents(self, manifest: str) -> t.List[t.Tuple[str, Json]]:
        """The objects in a manifest, each with its file, which is read once."""
        for path in manifest_files(manifest):
            if path not in self._parsed:
                self._parsed[path] = self._kubectl.parse(path)
        return [(path, document) for path in manifest_files(manifest) for document in self._parsed[path]]

    def _shell(self, step: Step, outcome: Outcome) -> None:
        outcome.launched.append(str(step))
        outcome.after.append(f"{step}\n")
        earlier = self._record.made_by_commands(step.owner)
        if self._check:
            self._record.put(step, self._image_digest, earlier)
            return
        before = self._workloads()
        self._command(step)
        # It may have written manifests.
        self._parsed.clear()
        touched = [
            AppObject(ref, step.command, by_command=True, made=ref not in before, expires=expires(item))
            for ref, item in self._workloads().items()
            if ref not in before or _version(item) != _version(before[ref])
        ]
        known = {found.ref for found in earlier}
        self._record.put(step, self._image_digest, [*earlier, *(found for found in touched if found.ref not in known)])
        self._save()

    def _workloads(self) -> t.Dict[ObjectRef, Json]:
        """All workloads that nothing else has made."""
        found = self._kubectl.items(_WORKLOADS, "--all-namespaces")
        return {ref_of(item): item for item in found if not item["metadata"].get("ownerReferences")}

    def _command(self, step: Step) -> None:
        environ = {**step.environ, **self._kubectl.environ, "PATH": f"{self._programs}/bin:{SEARCH_PATH}"}
        limit = ["timeout", "--kill-after=10", str(self._timeout)]
        done = self._run([*limit, "/bin/bash", "-c", step.command], environ=environ, cwd=step.directory)
        if done.rc != 0:
            late = f"it was stopped after {self._timeout} seconds" if done.rc == 124 else f"return code {done.rc}"
            raise ClusterError(
                f"a launch command failed: {step.command}",
                where=f"{step.owner}, in {step.directory}",
                why=f"{late}: {done.output[-3000:]}",
                fix="Correct the application or its environment; the next run goes on with this command",
            )


def planned(steps: t.Iterable[Step]) -> Outcome:
    """All steps, as they would be run where there is no cluster yet."""
    told = [str(step) for step in steps]
    return Outcome(launched=told, before=[], after=[f"{line}\n" for line in told])


def _ref(document: Json) -> t.Optional[ObjectRef]:
    """Where a document's object will be found; nothing for one that gets its name from the API server."""
    return ref_of(document) if (document.get("metadata") or {}).get("name") else None


def _is_among(asked: t.Optional[ObjectRef], refs: t.Collection[ObjectRef]) -> bool:
    """Whether what a manifest names is one of these.

    It need not say which namespace is the default one, and may say one for an object that has none.
    """
    if asked is None or asked in refs:
        return asked is not None
    plain = asked._replace(namespace="")
    return plain in refs or not asked.namespace and any(ref._replace(namespace="") == plain for ref in refs)


def _version(item: Json) -> t.Tuple[str, int]:
    """What changes when somebody changes an object's specification, or makes it anew."""
    return item["metadata"]["uid"], item["metadata"].get("generation", 0)
