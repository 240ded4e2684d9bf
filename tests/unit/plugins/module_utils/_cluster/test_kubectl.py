# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions to kubectl: which of its answers count as nothing, which as errors; manifests that it reads."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import NOT_FOUND, Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.objects import ObjectRef
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

PAGE = ObjectRef("v1", "ConfigMap", "shop", "page")
WIDGET = ObjectRef("example.com/v1", "Widget", "shop", "w")
FOUND = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page", "namespace": "shop"}}
LIST = json.dumps({"apiVersion": "v1", "kind": "List", "items": [FOUND]})
# As kubectl 1.27 and 1.33 print it.
UNKNOWN = 'unable to recognize no matches for kind "Widget" in version "example.com/v1"\n'
DISCOVERY = 'E1201 11:30:11.267822    4714 memcache.go:265] "Unhandled Error" err="couldn\'t get resource list"\n'
REFUSED = "The connection to the server 10.0.0.11:6443 was refused - did you specify the right host or port?\n"
FORBIDDEN = 'Error from server (Forbidden): configmaps "page" is forbidden\n'


class Answer:
    """A Runner that answers all questions alike, and remembers them."""

    def __init__(self, rc: int, stdout: str = "", stderr: str = "") -> None:
        self.answer = Completed(rc, stdout, stderr)
        self.data: list[t.Optional[str]] = []

    def __call__(self, command: t.Sequence[str], *, data: t.Optional[str] = None, **_options: t.Any) -> Completed:
        self.data.append(data)
        return self.answer

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self, "/etc/kubernetes/admin.conf")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (Answer(0, LIST), [FOUND]),
        (Answer(0, json.dumps(FOUND)), [FOUND]),
        (Answer(0), []),
        (Answer(1, LIST, UNKNOWN), [FOUND]),
        (Answer(1, LIST, DISCOVERY + UNKNOWN), [FOUND]),
        (Answer(1, "", f"error: {UNKNOWN}"), []),
    ],
)
def test_what_is_there_of_many_objects(answer: Answer, found: list[t.Any]) -> None:
    assert answer.kubectl.present([PAGE, WIDGET]) == found
    assert [item["metadata"]["name"] for item in json.loads(answer.data[0] or "")["items"]] == ["page", "w"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(1, "", REFUSED), "was refused"),
        (Answer(1, "", DISCOVERY * 5 + REFUSED), "was refused"),
        (Answer(1, LIST, UNKNOWN + FORBIDDEN), "Forbidden"),
        (Answer(1), "failed"),
        (Answer(NOT_FOUND), "kubectl is not on this host"),
    ],
)
def test_an_api_server_that_does_not_tell_is_an_error(answer: Answer, why: str) -> None:
    with pytest.raises(ClusterError, match=why):
        answer.kubectl.present([PAGE, WIDGET])


def test_nobody_is_asked_for_nothing() -> None:
    answer = Answer(0)
    assert answer.kubectl.present([]) == []
    assert answer.data == []


def test_the_objects_of_a_manifest() -> None:
    text = json.dumps(FOUND, indent=4) + "\n" + json.dumps({"kind": "Other"}) + "\n"
    assert Answer(0, text).kubectl.parse("a.yaml") == [FOUND, {"kind": "Other"}]
    assert Answer(0, "\n").kubectl.parse("a.yaml") == []
    with pytest.raises(
        ClusterError, match="a.yaml: this manifest cannot be read: error: no YAML. Correct it and build"
    ):
        Answer(1, "", "error: no YAML").kubectl.parse("a.yaml")


def test_an_object_with_a_finalizer_is_not_waited_for_without_end() -> None:
    # As kubectl 1.35 prints it.
    waited = Answer(1, 'node "w1" deleted\n', "error: timed out waiting for the condition on nodes/w1\n")
    with pytest.raises(
        ClusterError,
        match="node w1 is not gone after 60 seconds: .*timed out.* finalizers keep it by kubectl get -o yaml node w1",
    ):
        waited.kubectl.delete("node", "w1")
    with pytest.raises(ClusterError, match="was refused.*See whether the API server"):
        Answer(1, "", REFUSED).kubectl.delete("node", "w1")
    Answer(0).kubectl.delete("node", "w1", "w2")


def test_a_cluster_scoped_object_has_no_namespace() -> None:
    assert ObjectRef("v1", "Namespace", "", "shop").document()["metadata"] == {"name": "shop"}
    assert str(ObjectRef("v1", "Namespace", "", "shop")) == "Namespace shop"
    assert str(PAGE) == "ConfigMap shop/page"
    assert WIDGET.id == WIDGET._replace(api_version="example.com/v2").id != PAGE.id
