# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubectl with an administrator's kubeconfig.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import NOT_FOUND, Completed, Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.objects import ObjectRef, list_of
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

ADMIN_KUBECONFIG = "/etc/kubernetes/admin.conf"
FIELD_MANAGER = "sealer.cluster"
_TIMEOUT = "--request-timeout=30s"
_DELETE_SECONDS = 60
# What kubectl prints of an object that is marked as deleted and does not go.
_STILL_THERE = "timed out waiting for the condition"
# What kubectl prints of an object whose CustomResourceDefinition is not there, and of what is worse.
_UNKNOWN_KIND = "no matches for kind"
_REFUSAL = re.compile(r"^(error: You must be logged in|Error from server|The connection to|Unable to connect)", re.M)


# Nothing can be below a file, so kubectl goes without a cache. In a module's directory, which is the login user's, what
# root makes there cannot be removed.
_NO_CACHE = "/dev/null/kubectl"


class Kubectl:
    """Questions to an API server; no cache is left on the host."""

    def __init__(self, run: Runner, kubeconfig: str) -> None:
        self._run = run
        self.kubeconfig = kubeconfig
        self.environ = {"KUBECONFIG": kubeconfig, "KUBECACHEDIR": _NO_CACHE}

    def call(self, *arguments: str, data: t.Optional[str] = None, cwd: t.Optional[str] = None) -> Completed:
        return self._run(["kubectl", *arguments], data=data, environ=self.environ, cwd=cwd)

    def text(self, *arguments: str, data: t.Optional[str] = None) -> str:
        done = self.call(*arguments, data=data)
        if done.rc != 0:
            raise self._failure(arguments, done)
        return done.stdout

    def _failure(self, arguments: t.Sequence[str], done: Completed) -> ClusterError:
        if done.rc == NOT_FOUND:
            return ClusterError(
                "kubectl is not on this host", where=self.kubeconfig, fix="Run the rootfs role of a base image first"
            )
        return ClusterError(
            f"kubectl {' '.join(arguments)} failed",
            where=self.kubeconfig,
            why=done.output[-2000:],
            fix="See whether the API server of this cluster answers: kubectl get --raw /readyz?verbose",
        )

    def delete(self, kind: str, *names: str) -> None:
        """Delete objects that are in no namespace; those that are not there are gone already.

        Raises ClusterError for one that does not go in time, because of a finalizer that nobody handles any more.
        """
        arguments = ("delete", "--ignore-not-found", f"--timeout={_DELETE_SECONDS}s", kind, *names)
        done = self.call(*arguments)
        if done.rc != 0 and _STILL_THERE in done.stderr:
            raise ClusterError(
                f"{kind} {', '.join(names)} is not gone after {_DELETE_SECONDS} seconds",
                where=self.kubeconfig,
                why=done.stderr.strip()[-2000:],
                fix=f"See whose finalizers keep it by kubectl get -o yaml {kind} {' '.join(names)}, and run this again",
            )
        if done.rc != 0:
            raise self._failure(arguments, done)

    def get(self, *arguments: str) -> t.Optional[Json]:
        """One object or a List, or None where there is no such object."""
        text = self.text("get", _TIMEOUT, "--ignore-not-found", "-o", "json", *arguments)
        return t.cast("Json", json.loads(text)) if text.strip() else None

    def items(self, *arguments: str) -> t.List[Json]:
        """The objects of a question that may have many answers."""
        found = self.get(*arguments)
        if found is None:
            return []
        return list(found["items"]) if found.get("kind") == "List" else [found]

    def present(self, refs: t.Iterable[ObjectRef]) -> t.List[Json]:
        """Those of these objects that are there, in one question; there is none of a kind that is not known."""
        documents = [ref.document() for ref in refs]
        if not documents:
            return []
        arguments = ("get", _TIMEOUT, "--ignore-not-found", "-o", "json", "-f", "-")
        done = self.call(*arguments, data=json.dumps(list_of(documents)))
        if done.rc != 0 and (_UNKNOWN_KIND not in done.stderr or _REFUSAL.search(done.stderr)):
            raise self._failure(arguments, done)
        found = json.loads(done.stdout) if done.stdout.strip() else {}
        return list(found["items"]) if found.get("kind") == "List" else [found] if found else []

    def parse(self, path: str) -> t.List[Json]:
        """The objects in a manifest, or in all of a directory, as they stand there; no server is asked.

        Raises ClusterError where it is not valid.
        """
        # A patch that changes nothing: the one way in which kubectl reads YAML of any kind and asks nobody.
        done = self.call("patch", "--local", "-f", path, "--type=merge", "--patch={}", "-o", "json")
        if done.rc == NOT_FOUND:
            raise self._failure((), done)
        if done.rc != 0:
            raise ClusterError(
                "this manifest cannot be read", where=path, why=done.output[-2000:], fix="Correct it and build again"
            )
        decoder, found, text = json.JSONDecoder(), [], done.stdout.lstrip()
        while text:
            item, end = decoder.raw_decode(text)
            found.append(item)
            text = text[end:].lstrip()
        return found

    def put(self, document: Json) -> None:
        """Create objects, or what belongs to us in them; what did and is not in the document any more goes."""
        self.text(
            "apply",
            "--server-side",
            "--force-conflicts",
            f"--field-manager={FIELD_MANAGER}",
            "-f",
            "-",
            data=json.dumps(document),
        )
