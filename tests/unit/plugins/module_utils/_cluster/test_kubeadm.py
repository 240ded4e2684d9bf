# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubeadm: what is decided, what is written, what is told and what is kept secret."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import typing as t

import pytest
import yaml
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import (
    documents,
    join_token,
    kubeadm,
    kubeadm_info,
    kubeadm_init,
    kubeadm_join,
    kubeadm_token,
    membership,
    record,
    state,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import read_json, write_json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_survey import ResetSettings
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates

NODES = json.loads((pathlib.Path(__file__).parent / "fixtures/nodes.json").read_text())["items"]
TOKEN = "abcdef.0123456789abcdef"
REQUEST = kubeadm_init.InitRequest(
    name="demo",
    image={"reference": "docker.io/library/demo:1", "digest": "sha256:1"},
    version="v1.35.4",
    endpoint="10.0.0.1:6443",
    control_planes=["cp1"],
    workers=["w1"],
    addresses={"cp1": "10.0.0.1", "w1": "10.0.0.21"},
    pod_subnet="10.244.0.0/16",
    service_subnet="10.96.0.0/12",
    documents=[
        {"kind": "InitConfiguration", "bootstrapTokens": [{"token": TOKEN}], "certificateKey": "ff"},
        {"kind": "ClusterConfiguration", "networking": {"podSubnet": "10.244.0.0/16"}},
    ],
    settings=ResetSettings(),
)


class Host:
    """The places of a node, in a directory of their own."""

    def __init__(self, root: pathlib.Path) -> None:
        self.kubelet = root / "kubelet.conf"
        self.state = root / "cluster.json"
        self.record = root / "kubeadm.json"
        self.secret: t.Optional[t.Dict[str, t.Any]] = None

    def make_node(self, request: kubeadm_init.InitRequest) -> None:
        self.kubelet.touch()
        write_json(str(self.record), {"state": record.DONE, "cluster": request.name, "before": {}})
        write_json(str(self.state), request.state())
        self.secret = state.secret_of(request.state())

    def run(self, command: t.Sequence[str], **_options: t.Any) -> Completed:
        assert command[:2] == ["kubectl", "get"]
        return Completed(0, json.dumps(self.secret) if self.secret else "", "")

    def plan(self, request: kubeadm_init.InitRequest) -> kubeadm_init.InitPlan:
        return kubeadm_init.plan(request, Kubectl(self.run, "admin.conf"))


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    monkeypatch.setattr(kubeadm, "KUBELET_CONF", str(made.kubelet))
    monkeypatch.setattr(state, "read_state", lambda: read_json(str(made.state)))
    monkeypatch.setattr(record, "read_record", lambda: read_json(str(made.record)))
    return made


def test_a_bare_host_is_initialised(host: Host) -> None:
    todo = host.plan(REQUEST)
    assert todo.initialise and todo.changed
    assert todo.before == {}
    assert todo.after["members"] == [{"name": "cp1", "role": "control_plane"}, {"name": "w1", "role": "worker"}]
    assert TOKEN not in json.dumps(todo.after)


def test_an_attempt_that_was_cut_off_is_made_again(host: Host) -> None:
    host.kubelet.touch()
    write_json(str(host.record), {"state": record.STARTED, "before": {}})
    assert host.plan(REQUEST).initialise


def test_a_second_run_changes_nothing(host: Host) -> None:
    host.make_node(REQUEST)
    todo = host.plan(REQUEST)
    assert not todo.changed
    assert todo.before == todo.after


def test_a_lost_secret_or_another_image_is_recorded(host: Host) -> None:
    host.make_node(REQUEST)
    newer = dataclasses.replace(REQUEST, image={"reference": "docker.io/library/demo:2", "digest": "sha256:2"})
    todo = host.plan(newer)
    assert todo.record and not todo.initialise
    assert todo.after["image"]["digest"] == "sha256:2"
    host.secret = None
    assert host.plan(REQUEST).record


def test_documents_that_cannot_be_applied_are_named(host: Host) -> None:
    host.make_node(REQUEST)
    other = [REQUEST.documents[0], {"kind": "ClusterConfiguration", "networking": {"podSubnet": "10.1.0.0/16"}}]
    todo = host.plan(dataclasses.replace(REQUEST, documents=other))
    assert not todo.changed
    assert todo.pending == ["ClusterConfiguration.networking.podSubnet"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "other"}, "belongs to the cluster 'demo'"),
        ({"version": "v1.36.1"}, "runs kubeadm v1.35.4"),
        ({"endpoint": "apiserver.cluster.local:6443"}, "API of the cluster is at 10.0.0.1:6443"),
        ({"pod_subnet": "10.1.0.0/16"}, "pods of the cluster are in 10.244.0.0/16"),
        ({"service_subnet": "10.1.0.0/16"}, "services of the cluster are in 10.96.0.0/12"),
    ],
)
def test_another_cluster_is_refused(host: Host, changes: t.Dict[str, str], told: str) -> None:
    host.make_node(REQUEST)
    with pytest.raises(ClusterError, match=told):
        host.plan(dataclasses.replace(REQUEST, **t.cast("t.Any", changes)))


def test_a_foreign_node_is_refused(host: Host) -> None:
    host.kubelet.touch()
    with pytest.raises(ClusterError, match="did not make"):
        host.plan(REQUEST)


def test_a_recorded_address_stays_until_another_is_known(host: Host) -> None:
    host.make_node(REQUEST)
    assert not host.plan(dataclasses.replace(REQUEST, addresses={"cp1": "10.0.0.1"})).changed
    todo = host.plan(dataclasses.replace(REQUEST, addresses={"cp1": "10.0.0.9"}))
    assert todo.record and todo.after["addresses"] == {"cp1": "10.0.0.9", "w1": "10.0.0.21"}


def test_what_is_another_hosts_own_is_not_compared(host: Host) -> None:
    init, cluster = REQUEST.documents
    first = dataclasses.replace(REQUEST, documents=[{**init, "nodeRegistration": {"name": "cp1"}, "x": 1}, cluster])
    second = dataclasses.replace(REQUEST, documents=[{**init, "nodeRegistration": {"name": "cp2"}, "x": 2}, cluster])
    host.make_node(first)
    assert host.plan(second).pending == []
    changed = [{**init, "nodeRegistration": {"name": "cp1"}, "x": 3}, cluster]
    assert host.plan(dataclasses.replace(first, documents=changed)).pending == ["InitConfiguration.x"]


def test_a_worker_of_another_cluster_is_refused(
    host: Host, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificates.ca.read_text()
    other = pem.replace("MII", "MIJ", 1)
    request = kubeadm_join.JoinRequest("demo", "10.0.0.1:6443", pem, None, {}, ResetSettings())
    assert kubeadm_join.needs_to_join(request)
    host.kubelet.touch()
    write_json(str(host.record), {"state": record.DONE, "cluster": "demo", "before": {}})
    monkeypatch.setattr(kubeadm_join, "certificate_authority", lambda: pem)
    assert not kubeadm_join.needs_to_join(request)
    monkeypatch.setattr(kubeadm_join, "certificate_authority", lambda: other)
    with pytest.raises(ClusterError, match="another cluster"):
        kubeadm_join.needs_to_join(request)
    with pytest.raises(ClusterError, match="no token"):
        kubeadm_join.join(host.run, request)


class Cluster:
    """What a control plane answers: its Secrets, and the configurations that kubeadm was given."""

    def __init__(self) -> None:
        self.secrets: t.Dict[str, t.Any] = {}
        self.given: t.List[t.Dict[str, t.Any]] = []
        self.commands: t.List[t.Sequence[str]] = []
        self.rc = 0

    def run(self, command: t.Sequence[str], *, data: t.Optional[str] = None, **_options: t.Any) -> Completed:
        self.commands.append(command)
        if command[0] == "kubeadm":
            self.given = list(yaml.safe_load_all(pathlib.Path(command[command.index("--config") + 1]).read_text()))
            return Completed(self.rc, "", f"key {'cd' * 32}")
        if command[1] == "get":
            found = self.secrets.get(command[-1])
            return Completed(0, json.dumps(found) if found else "", "")
        if command[1] == "delete":
            for name in command:
                self.secrets.pop(name, None)
        if command[1] == "apply":
            document = json.loads(data or "")
            self.secrets[document["metadata"]["name"]] = document
        return Completed(0, "", "")

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.run, "admin.conf")


def test_certificates_are_handed_over_with_a_key_that_is_in_no_command() -> None:
    cluster = Cluster()
    inputs = {
        "InitConfiguration": {
            "apiVersion": "v1beta4",
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": "10.0.0.1"},
            "nodeRegistration": {"name": "cp1", "criSocket": "unix:///x"},
        },
        "ClusterConfiguration": {"kind": "ClusterConfiguration", "kubernetesVersion": "v1.35.4"},
    }
    key = kubeadm_token.upload_certificates(cluster.run, inputs)
    assert len(key) == 64 and key != kubeadm_token.upload_certificates(cluster.run, inputs)
    init, configuration = cluster.given
    assert set(init) == {"apiVersion", "kind", "localAPIEndpoint", "nodeRegistration", "certificateKey"}
    assert init["nodeRegistration"] == {"criSocket": "unix:///x"}
    assert configuration == inputs["ClusterConfiguration"]
    assert key not in json.dumps(cluster.commands)
    cluster.rc = 1
    with pytest.raises(ClusterError) as caught:
        kubeadm_token.upload_certificates(cluster.run, inputs)
    assert "cdcd" not in str(caught.value)


def test_credentials_are_taken_back() -> None:
    cluster = Cluster()
    owner = {"kind": "Secret", "name": "bootstrap-token-zzzzzz"}
    names = ["bootstrap-token-abcdef", "bootstrap-token-zzzzzz", "bootstrap-token-others", "sealer-cluster"]
    cluster.secrets = {name: {} for name in names}
    cluster.secrets["kubeadm-certs"] = {"metadata": {"ownerReferences": [owner]}}
    assert len(kubeadm_token.revoke(cluster.kubectl, TOKEN)) == 3
    assert set(cluster.secrets) == {"bootstrap-token-others", "sealer-cluster"}
    assert TOKEN not in json.dumps(cluster.commands)


CONTROL_PLANE = kubeadm_join.JoinRequest(
    "demo",
    "10.0.0.1:6443",
    "",
    TOKEN,
    {"nodeRegistration": {"name": "cp2"}, "controlPlane": {}},
    ResetSettings(),
    certificate_key="ab" * 32,
)


def test_the_record_of_the_cluster_is_kept_on_each_control_plane(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    monkeypatch.setattr(state, "STATE_PATH", str(host.state))
    with pytest.raises(ClusterError, match="no record of itself"):
        membership.recorded_with(CONTROL_PLANE.node, cluster.kubectl)
    cluster.secrets[state.OBJECT_NAME] = state.secret_of(REQUEST.state())
    todo = membership.recorded_with(CONTROL_PLANE.node, cluster.kubectl)
    assert todo.stale and todo.before is None
    membership.keep(todo.after, cluster.kubectl)
    members = [{"name": name, "role": role} for name, role in [("cp1", "control_plane"), ("w1", "worker")]]
    assert todo.after["members"] == [*members, {"name": "cp2", "role": "control_plane"}]
    assert read_json(str(host.state)) == state.state_in(cluster.secrets[state.OBJECT_NAME]) == todo.after
    assert not membership.recorded_with(CONTROL_PLANE.node, cluster.kubectl).stale


def test_why_nobody_let_the_host_join(host: Host) -> None:
    request = dataclasses.replace(CONTROL_PLANE, endpoint="", refused=["cp1: etcd is not whole"])
    with pytest.raises(ClusterError, match="cp1: etcd is not whole"):
        kubeadm_join.join(host.run, request)


class SilentMember:
    """An etcd that runs here and becomes whole after all, or does not."""

    stacked = True
    waits: t.ClassVar[t.List[float]] = []

    def __init__(self, _run: t.Any) -> None:
        return

    def wait(self, patience: float) -> None:
        self.waits.append(patience)


def test_a_control_plane_joins_and_waits_for_etcd(
    host: Host, monkeypatch: pytest.MonkeyPatch, certificates: Certificates
) -> None:
    cluster, steps = Cluster(), []
    monkeypatch.setattr(kubeadm_join, "Etcd", SilentMember)
    monkeypatch.setattr(record, "start", lambda _run, action: steps.append(action))
    monkeypatch.setattr(record, "finish", lambda *given: steps.append(given))
    monkeypatch.setattr(join_token, "refuse_dead", lambda url, *_given: steps.append(url))
    request = dataclasses.replace(CONTROL_PLANE, ca=certificates.ca.read_text())
    said = kubeadm_join.join(cluster.run, request)
    (document,) = cluster.given
    assert document["controlPlane"] == {"certificateKey": "ab" * 32}
    assert document["discovery"]["tlsBootstrapToken"] == TOKEN
    assert "ab" * 32 not in json.dumps([list(command) for command in cluster.commands]) and "cdcd" not in said
    assert steps == ["https://10.0.0.1:6443/version", "join", ("demo", "cp2", "control_plane")]
    assert SilentMember.waits == [180.0]
    assert request.document["controlPlane"] == {}


@pytest.mark.parametrize(
    ("kubelet", "found", "member"),
    [
        (False, None, False),
        (True, None, False),
        (True, {"state": record.STARTED}, False),
        (False, {"state": record.DONE}, False),
        (True, {"state": record.DONE}, True),
    ],
)
def test_who_is_a_member(host: Host, kubelet: bool, found: t.Optional[t.Dict[str, t.Any]], member: bool) -> None:
    if kubelet:
        host.kubelet.touch()
    if found:
        write_json(str(host.record), found)
    assert kubeadm.is_member() is member


def test_the_configuration_is_in_memory_alone() -> None:
    given: t.List[t.Dict[str, t.Any]] = [
        {"kind": "A", "text": "yes: no # \u00e4"},
        {"kind": "B", "off": False, "none": None},
    ]
    with documents.ConfigFile(given) as config:
        assert os.readlink(config.path).startswith("/memfd:")
        for _program in ("one", "another that reads it as well"):
            command = ["cat", config.path]
            done = subprocess.run(command, pass_fds=[config.descriptor], capture_output=True, text=True, check=True)
            assert list(yaml.safe_load_all(done.stdout)) == given
    assert not os.path.exists(config.path)


def test_no_secret_in_what_is_told() -> None:
    check = "\x1b[0;37mCONFIG_NET_NS\x1b[0m: \x1b[0;32menabled\x1b[0m"
    said = f"kubeadm join --token {TOKEN} --certificate-key {'ab' * 32}\n{check}\nerror: no"
    told = kubeadm.tail(said)
    assert TOKEN not in told and "abab" not in told and "CONFIG_NET_NS" not in told
    assert told.endswith("error: no")


def test_a_node_that_an_interrupted_attempt_left_makes_room() -> None:
    cluster = Cluster()
    joining = membership.joining({"Kube-W": "10.89.77.12", "new": "10.89.77.13"})
    left = membership.refuse_taken_names(NODES, joining)
    assert left == ["kube-w"]
    kubeadm_token.free_names(cluster.kubectl, left)
    assert cluster.commands == [["kubectl", "delete", "--ignore-not-found", "--timeout=60s", "node", "kube-w"]]
    kubeadm_token.free_names(cluster.kubectl, [])
    assert len(cluster.commands) == 1


def test_another_host_of_the_same_name_is_left_alone() -> None:
    with pytest.raises(ClusterError, match="a node kube-w at 10.89.77.12 already, and this host is at 10.89.77.99"):
        membership.refuse_taken_names(NODES, {"kube-w": "10.89.77.99"})
    down = json.loads(json.dumps(NODES))
    for item in down[1]["status"]["conditions"]:
        item["status"] = "Unknown"
    assert membership.refuse_taken_names(down, {"kube-w": "10.89.77.99"}) == []


@pytest.mark.parametrize(("held", "given"), [("fd00::1", "FD00::1"), ("fd00::1", "fd00:0:0::0001"), ("w.lan", "w.lan")])
def test_one_address_may_be_written_in_several_ways(held: str, given: str) -> None:
    node = json.loads(json.dumps(NODES[1]))
    node["status"]["addresses"] = [{"type": "InternalIP", "address": held}]
    assert membership.refuse_taken_names([node], {"kube-w": given}) == ["kube-w"]
    with pytest.raises(ClusterError, match="at fd00::2"):
        membership.refuse_taken_names([node], {"kube-w": "fd00::2"})


def test_members_control_planes_first() -> None:
    found = kubeadm_info.members_of(reversed(NODES))
    assert [(item["name"], item["role"], item["ready"]) for item in found] == [
        ("kube-cp", "control_plane", True),
        ("kube-w", "worker", True),
    ]
    assert found[0]["address"] == "10.89.77.11"


def test_differences_name_the_fields() -> None:
    assert documents.differences({"a": {"b": 1, "c": [1]}}, {"a": {"b": 2, "c": [1]}, "d": 0}) == ["a.b", "d"]
