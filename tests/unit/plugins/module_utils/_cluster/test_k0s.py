# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""k0s: what is decided, what is done with tokens, what is undone."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import gzip
import json
import os
import pathlib
import stat
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import (
    join_token,
    k0s,
    k0s_cluster,
    membership,
    record,
    state,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.documents import by_kind
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import read_json, write_json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import K0S
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates

NODES = json.loads((pathlib.Path(__file__).parent / "fixtures/nodes.json").read_text())["items"]
SECRET = "abcdef.0123456789abcdef"
TOKEN_IN = f"""kind: Config
clusters:
- cluster:
    server: https://10.0.0.1:9443
  name: k0s
users:
- user:
    token: {SECRET}
"""
TOKEN = base64.b64encode(gzip.compress(TOKEN_IN.encode())).decode()
NOW = datetime.datetime(2026, 11, 21, 12, 0, 0, tzinfo=datetime.timezone.utc)
STORAGE = {"kine": {"dataSource": "mysql://u:geheim@db/k"}}
CHARTS = {"repositories": [{"name": "site", "username": "u", "password": "geheim"}]}
WANTED = state.new_state(
    name="demo",
    image={"reference": "docker.io/library/demo:1", "digest": "sha256:1"},
    runtime=k0s.RUNTIME,
    version="v1.35.4",
    endpoint="10.0.0.1:6443",
    control_planes=["cp1"],
    workers=["w1"],
    addresses={"cp1": "10.0.0.1", "w1": "10.0.0.21"},
    pod_subnet="10.244.0.0/16",
    service_subnet="10.96.0.0/12",
    inputs=by_kind([{"kind": "ClusterConfig", "spec": {"storage": STORAGE, "extensions": {"helm": CHARTS}}}]),
)
CONTROLLER = k0s.Node("cp1", controller=True, workloads=True, timeout=0)
WORKER = k0s.Node("w1", controller=False, workloads=True, timeout=0)


class Host:
    """The places of a node in a directory of their own, and programs that say what they are told to."""

    def __init__(self, root: pathlib.Path) -> None:
        self.node = root / "admin.conf"
        self.state = root / "cluster.json"
        self.traces = dataclasses.replace(K0S, nodes=[str(self.node)], record_path=str(root / "k0s.json"))
        self.answers: t.Dict[str, Completed] = {}
        self.commands: t.List[str] = []

    def run(self, command: t.Sequence[str], **_options: t.Any) -> Completed:
        line = " ".join(command)
        self.commands.append(line)
        found = [answer for start, answer in self.answers.items() if line.startswith(start)]
        return found[0] if found else Completed(0, "", "")

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.run, "admin.conf")

    def make_node(self) -> None:
        self.node.touch()
        write_json(self.traces.record_path, {"state": record.DONE, "before": {}})
        write_json(str(self.state), WANTED)
        self.answers["kubectl get"] = Completed(0, json.dumps(state.secret_of(WANTED)), "")


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    monkeypatch.setattr(k0s_cluster, "K0S", made.traces)
    monkeypatch.setattr(state, "read_state", lambda: read_json(str(made.state)))
    return made


def test_a_bare_host_is_initialised(host: Host) -> None:
    todo = membership.plan(WANTED, host.kubectl, host.traces)
    assert todo.start and todo.record and todo.before == {}
    assert todo.after["runtime"] == {"name": "k0s", "version": "v1.35.4"}
    assert "geheim" not in json.dumps(todo.after)


def test_a_second_run_changes_nothing_and_another_image_is_recorded(host: Host) -> None:
    host.make_node()
    assert not membership.plan(WANTED, host.kubectl, host.traces).changed
    newer = {**WANTED, "image": {"reference": "docker.io/library/demo:2", "digest": "sha256:2"}}
    todo = membership.plan(newer, host.kubectl, host.traces)
    assert todo.record and not todo.start


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "other"}, "belongs to the cluster 'demo'"),
        ({"runtime": {"name": "k0s", "version": "v1.36.1"}}, "runs k0s v1.35.4"),
    ],
)
def test_another_cluster_is_refused(host: Host, changes: t.Dict[str, t.Any], told: str) -> None:
    host.make_node()
    with pytest.raises(ClusterError, match=told):
        membership.plan({**WANTED, **changes}, host.kubectl, host.traces)


def test_a_node_of_others_is_refused(host: Host) -> None:
    host.node.touch()
    with pytest.raises(ClusterError, match="did not make"):
        membership.plan(WANTED, host.kubectl, host.traces)


def test_an_attempt_that_was_cut_off_goes_on(host: Host) -> None:
    host.make_node()
    write_json(host.traces.record_path, {"state": record.STARTED, "before": {}})
    assert membership.plan(WANTED, host.kubectl, host.traces).start


def join_request(node: k0s.Node = WORKER, **changes: t.Any) -> k0s_cluster.JoinRequest:
    given: t.Dict[str, t.Any] = {"name": "demo", "endpoint": "10.0.0.1:6443", "ca": "", "token": None}
    return k0s_cluster.JoinRequest(node=node, **{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "told"), [({}, "no token"), ({"endpoint": "", "refused": ["cp1: away"]}, "cp1: away")]
)
def test_joining_needs_credentials(host: Host, changes: t.Dict[str, t.Any], told: str) -> None:
    assert k0s_cluster.needs_to_join(join_request(**changes))
    with pytest.raises(ClusterError, match=told):
        k0s_cluster.join(host.run, join_request(**changes), host.kubectl)


@pytest.mark.parametrize(("node", "path"), [(CONTROLLER, "v1beta1/ca"), (WORKER, "version")])
def test_a_dead_token_is_told_before_anything_is_done(
    host: Host, monkeypatch: pytest.MonkeyPatch, node: k0s.Node, path: str
) -> None:
    asked: t.List[t.Tuple[str, ...]] = []

    def answer_to(*given: str) -> int:
        asked.append(given)
        return 401

    monkeypatch.setattr(join_token, "answer_to", answer_to)
    with pytest.raises(ClusterError, match="has expired.*k0s_token_ttl") as caught:
        k0s_cluster.join(host.run, join_request(node, token=TOKEN, ca="pem"), host.kubectl)
    assert asked == [(f"https://10.0.0.1:9443/{path}", SECRET, "pem")]
    assert host.commands == [] and read_json(host.traces.record_path) is None
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", ["kind: Config\n", f"token: {SECRET}\n"])
def test_a_token_without_a_server_or_a_user_is_none(text: str) -> None:
    token = base64.b64encode(gzip.compress(text.encode())).decode()
    with pytest.raises(ClusterError, match="no bootstrap token|no server"):
        k0s.refuse_dead_token(token, False, "")


def test_a_control_plane_keeps_the_record(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "STATE_PATH", str(host.state))
    monkeypatch.setattr(membership, "write_json", lambda _path, content: write_json(str(host.state), content))
    host.make_node()
    assert not membership.joined(False, False, "", {}, "cp1", host.kubectl)["changed"]
    new = membership.joined(True, False, "10.0.0.1:6443", {"node": "cp2"}, "cp2", host.kubectl)
    assert new["changed"] and "cp2" in new["diff"]["after"]
    assert {"name": "cp2", "role": "control_plane"} in new["ansible_facts"]["sealer_cluster_state"]["members"]
    assert read_json(str(host.state)) == new["ansible_facts"]["sealer_cluster_state"]


def test_a_worker_of_another_cluster_is_refused(
    host: Host, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    host.make_node()
    pem = certificates.ca.read_text()
    kubeconfig = tmp_path / "kubelet.conf"
    monkeypatch.setattr(k0s, "KUBELET_KUBECONFIG", str(kubeconfig))
    kubeconfig.write_text(f"    certificate-authority-data: {base64.b64encode(pem.encode()).decode()}\n")
    assert not k0s_cluster.needs_to_join(join_request(ca=pem))
    with pytest.raises(ClusterError, match="another cluster"):
        k0s_cluster.needs_to_join(join_request(ca=pem.replace("MII", "MIJ", 1)))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Completed(1, "", "failed to get k0s status"), "made no join token"),
        (Completed(0, "\n", ""), "made no join token"),
    ],
)
def test_a_token_that_was_not_made_is_told(host: Host, answer: Completed, told: str) -> None:
    host.answers["k0s token create --role=controller --expiry=15m0s"] = answer
    with pytest.raises(ClusterError, match=told):
        k0s_cluster.create_token(host.run, "control_plane", "15m0s")


@pytest.mark.parametrize("token", ["", "nonsense!", base64.b64encode(b"plain").decode()])
def test_what_is_no_token_is_told(token: str) -> None:
    with pytest.raises(ClusterError):
        k0s.token_id(token)


def test_a_token_is_named_kept_secret_and_taken_away(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert k0s.token_id(TOKEN) == "abcdef"
    assert SECRET not in k0s.redacted(f"x {SECRET}") and TOKEN not in k0s.redacted(f"k0s worker {TOKEN}")
    place = tmp_path / "join"
    monkeypatch.setattr(k0s, "RUN_DIRECTORY", str(place))
    with k0s.handed(TOKEN):
        assert (place / "token").read_text() == TOKEN
        assert stat.S_IMODE(os.stat(place / "token").st_mode) == 0o600
        assert TOKEN not in (place / "environment").read_text()
    assert not place.exists()
    with k0s.handed(None):
        assert not place.exists()


STATUS = {"WorkerToAPIConnectionStatus": {"Success": False, "Message": "no route"}}
UP = {"WorkerToAPIConnectionStatus": {"Success": True, "Message": ""}}


@pytest.mark.parametrize(
    ("node", "answers", "told"),
    [
        (CONTROLLER, {"k0s status": Completed(1, "", "not running")}, "does not answer"),
        (CONTROLLER, {"k0s status": Completed(0, json.dumps(STATUS), "")}, "no route"),
        (
            dataclasses.replace(CONTROLLER, workloads=False),
            {"k0s status": Completed(0, json.dumps(STATUS), ""), "kubectl get": Completed(1, "", "refused")},
            "refused",
        ),
        (dataclasses.replace(CONTROLLER, workloads=False), {"k0s status": Completed(0, json.dumps(STATUS), "")}, None),
        (CONTROLLER, {"k0s status": Completed(0, json.dumps(UP), "")}, None),
    ],
)
def test_what_a_host_waits_for(
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    node: k0s.Node,
    answers: t.Dict[str, Completed],
    told: t.Optional[str],
) -> None:
    host.answers = answers
    monkeypatch.setattr(k0s, "url_answers", lambda *_arguments: lambda: None)
    found = node.waits_for(host.run, host.kubectl)
    assert found is None if told is None else told in str(found)


def test_a_connection_without_a_kubelet_is_not_enough(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.answers = {"k0s status": Completed(0, json.dumps(UP), "")}
    monkeypatch.setattr(k0s, "url_answers", lambda *_arguments: lambda: "refused")
    assert "kubelet" in str(CONTROLLER.waits_for(host.run, host.kubectl))


def test_no_control_plane_joins_a_sick_etcd(host: Host) -> None:
    host.answers["k0s status"] = Completed(0, "{}", "")
    k0s_cluster.refuse_sick_etcd(host.run, host.kubectl)
    host.answers["timeout 30 k0s etcd member-list"] = Completed(124, "", "")
    with pytest.raises(ClusterError, match="etcd is not healthy"):
        k0s_cluster.refuse_sick_etcd(host.run, host.kubectl)
    kine = {"ClusterConfig": {"spec": {"storage": {"type": "kine"}}}}
    host.answers["k0s status"] = Completed(0, json.dumps(kine), "")
    k0s_cluster.refuse_sick_etcd(host.run, host.kubectl)


def test_members_without_workloads_are_members() -> None:
    nodes = json.loads(json.dumps(NODES))
    nodes[0]["metadata"]["labels"] = {"node.k0sproject.io/role": "control-plane"}
    pure = {
        "metadata": {"name": "cp9"},
        "status": {"k0sVersion": "v1.35.4+k0s.0", "addresses": [{"type": "InternalIP", "address": "10.0.0.9"}]},
    }
    same = {"metadata": {"name": nodes[0]["metadata"]["name"]}}
    found = k0s_cluster.members_of(nodes, [pure, same])
    assert [(item["name"], item["role"]) for item in found] == [
        ("cp9", "control_plane"),
        ("kube-cp", "control_plane"),
        ("kube-w", "worker"),
    ]
    assert found[0]["address"] == "10.0.0.9"
