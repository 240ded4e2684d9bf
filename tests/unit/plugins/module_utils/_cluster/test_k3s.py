# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""k3s: what is decided, what is done with tokens, what is undone."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import stat
import types
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import (
    join_token,
    k3s,
    membership,
    record,
    service,
    state,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.certificates import expiry
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import read_json, write_json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import K3S
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.plugins.modules import k3s_token
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates

NODES = json.loads((pathlib.Path(__file__).parent / "fixtures/nodes.json").read_text())["items"]
HASH = "ab" * 32
TOKEN = f"K10{HASH}::abcdef.0123456789abcdef"
SERVERS = f"K10{HASH}::server:geheim"
WANTED = state.new_state(
    name="demo",
    image={"reference": "docker.io/library/demo:1", "digest": "sha256:1"},
    runtime="k3s",
    version="v1.35.4+k3s1",
    endpoint="apiserver.cluster.local:6443",
    control_planes=["cp1"],
    workers=["w1"],
    addresses={"cp1": "10.0.0.1", "w1": "10.0.0.21"},
    pod_subnet="10.244.0.0/16",
    service_subnet="10.96.0.0/12",
    inputs={"server": {"cluster-init": False}},
)
SERVER, AGENT = k3s.Node("cp1", server=True, timeout=0), k3s.Node("w1", server=False, timeout=0)


class Host:
    """The places of a node in a directory of their own, and programs that say what they are told to."""

    def __init__(self, root: pathlib.Path) -> None:
        self.node = root / "kubelet.kubeconfig"
        self.state = root / "cluster.json"
        self.handed = root / "handed"
        self.traces = dataclasses.replace(K3S, nodes=[str(self.node)], record_path=str(root / "k3s.json"), own=())
        self.answers: t.Dict[str, Completed] = {"systemctl is-active": Completed(0, "active\n", "")}
        self.commands: t.List[str] = []
        self.seen: t.Dict[str, t.Tuple[str, int]] = {}
        self.cleared = 0
        self.asked: t.List[t.Tuple[str, ...]] = []
        self.answer = 200

    def run(self, command: t.Sequence[str], **_options: t.Any) -> Completed:
        line = " ".join(command)
        self.commands.append(line)
        if line.startswith("systemctl restart") and self.handed.is_dir():
            self.seen = {
                path.name: (path.read_text(), stat.S_IMODE(path.stat().st_mode)) for path in self.handed.iterdir()
            }
        found = [answer for start, answer in self.answers.items() if line.startswith(start)]
        return found[0] if found else Completed(0, "", "")

    def answer_to(self, *given: str) -> int:
        self.asked.append(given)
        return self.answer

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.run, "k3s.yaml")

    @property
    def record(self) -> t.Dict[str, t.Any]:
        return read_json(self.traces.record_path) or {}

    def make_node(self) -> None:
        self.node.touch()
        write_json(self.traces.record_path, {"state": record.DONE, "before": {}})
        write_json(str(self.state), WANTED)
        self.answers["kubectl get"] = Completed(0, json.dumps(state.secret_of(WANTED)), "")


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)

    class Reset:
        def __init__(self, *_given: object) -> None:
            pass

        def clear(self) -> None:
            made.cleared += 1

    monkeypatch.setattr(k3s, "K3S", made.traces)
    monkeypatch.setattr(k3s, "RUN_DIRECTORY", str(made.handed))
    monkeypatch.setattr(k3s, "JOIN_FILE", str(made.handed / "join-token"))
    monkeypatch.setattr(k3s, "refuse_without_program", lambda: None)
    monkeypatch.setattr(service, "NodeReset", Reset)
    monkeypatch.setattr(record, "snapshot", lambda _run, _traces: {"links": []})
    monkeypatch.setattr(state, "read_state", lambda: read_json(str(made.state)))
    monkeypatch.setattr(state, "STATE_PATH", str(made.state))
    monkeypatch.setattr(join_token, "answer_to", made.answer_to)
    return made


def test_a_bare_host_becomes_a_server_once(host: Host) -> None:
    todo = membership.plan(WANTED, host.kubectl, host.traces)
    assert todo.start and todo.record and todo.before == {}
    k3s.initialise(host.run, "demo", SERVER, todo, host.kubectl)
    assert "systemctl restart --no-block k3s.service" in host.commands
    assert host.record["state"] == record.DONE and host.seen == {}
    assert read_json(str(host.state)) == WANTED


def test_a_cluster_may_be_made_from_no_image() -> None:
    asked: t.Dict[str, t.Any] = {
        "name": "demo",
        "runtime": "k3s",
        "version": "v1.35.4+k3s1",
        "endpoint": "api:6443",
        "inputs": {},
        "addresses": {},
        "pod_subnet": "",
        "service_subnet": "",
    }
    made = state.new_state(image=None, control_planes=["cp1"], workers=[], **asked)
    assert made["image"] == {"reference": "", "digest": ""}


def test_a_second_run_changes_nothing_and_what_changed_is_recorded(host: Host) -> None:
    host.make_node()
    assert not membership.plan(WANTED, host.kubectl, host.traces).changed
    todo = membership.plan({**WANTED, "inputs": {"server": {}}}, host.kubectl, host.traces)
    assert todo.record and not todo.start
    host.state.unlink()
    assert membership.plan(WANTED, host.kubectl, host.traces).record


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "other"}, "belongs to the cluster 'demo'"),
        ({"runtime": {"name": "k3s", "version": "v1.36.0+k3s1"}}, "the cluster runs k3s v1.35.4"),
    ],
)
def test_another_cluster_or_version_is_refused(host: Host, change: t.Dict[str, t.Any], told: str) -> None:
    host.make_node()
    with pytest.raises(ClusterError, match=told):
        membership.plan({**WANTED, **change}, host.kubectl, host.traces)


def test_a_node_of_others_is_refused(host: Host) -> None:
    host.node.touch()
    with pytest.raises(ClusterError, match="did not make"):
        k3s.needs_to_join(join_request())


def join_request(node: k3s.Node = AGENT, **changes: t.Any) -> k3s.JoinRequest:
    given: t.Dict[str, t.Any] = {"name": "demo", "endpoint": "api:6443", "ca": "", "token": TOKEN, "server_url": ""}
    return k3s.JoinRequest(node=node, **{**given, "refused": (), **changes})


def test_an_agent_keeps_its_token_for_root_alone(host: Host) -> None:
    assert k3s.needs_to_join(join_request())
    k3s.join(host.run, join_request())
    path = host.handed / "join-token"
    assert path.read_text() == f"{TOKEN}\n" and stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert "systemctl restart --no-block k3s-agent.service" in host.commands
    assert not [line for line in host.commands if "abcdef" in line]
    assert host.record["state"] == record.DONE


@pytest.mark.parametrize("url", ["https://10.0.0.2:6443", ""])
def test_a_server_is_told_what_it_joins_for_that_time_alone(host: Host, url: str) -> None:
    k3s.join(host.run, join_request(SERVER, token=SERVERS, server_url=url))
    environment, mode = host.seen["environment"]
    assert ("K3S_URL=https://10.0.0.2:6443\n" in environment) is bool(url)
    assert f"K3S_TOKEN_FILE={host.handed}/token\n" in environment and "geheim" not in environment
    assert host.seen["token"] == (f"{SERVERS}\n", 0o600) and mode == 0o600
    assert not host.handed.exists()


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("systemctl restart", Completed(5, "", f"no way with {TOKEN}")),
        ("systemctl is-active", Completed(3, "activating\n", "")),
        ("kubectl get node w1", Completed(1, "", "NotFound")),
    ],
    ids=["no unit", "not up", "not known"],
)
def test_a_failed_start_is_undone_and_told_without_tokens(host: Host, command: str, answer: Completed) -> None:
    host.answers[command] = answer
    host.answers["journalctl"] = Completed(0, f"msg={TOKEN}", "")
    with pytest.raises(ClusterError, match="k3s join failed") as caught:
        k3s.join(host.run, join_request())
    assert host.cleared == 1 and host.record["state"] == record.STARTED
    assert "abcdef" not in str(caught.value)


def test_a_service_that_ends_again_and_again_is_given_up(host: Host) -> None:
    host.answers["systemctl is-active"] = Completed(3, "activating", "")
    host.answers["systemctl show"] = Completed(0, "3\n", "")
    with pytest.raises(ClusterError, match="it ended 3 times"):
        k3s.join(host.run, join_request(dataclasses.replace(AGENT, timeout=60)))


def test_an_attempt_that_was_cut_off_is_undone_and_made_again(host: Host) -> None:
    host.node.touch()
    write_json(host.traces.record_path, {"state": record.STARTED, "before": {"links": ["old"]}})
    assert k3s.needs_to_join(join_request())
    k3s.join(host.run, join_request())
    assert host.cleared == 1 and host.record["before"] == {"links": ["old"]}


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"endpoint": "", "refused": ["cp1: down"]}, "gave credentials.*cp1: down"), ({"token": None}, "no token for it")],
)
def test_nobody_joins_without_credentials(host: Host, changes: t.Dict[str, t.Any], told: str) -> None:
    with pytest.raises(ClusterError, match=told):
        k3s.join(host.run, join_request(**changes))
    assert host.commands == []


def test_a_dead_token_of_an_agent_is_told_before_anything_is_done(host: Host) -> None:
    host.answer = 401
    with pytest.raises(ClusterError, match="has expired.*k3s_token_ttl") as caught:
        k3s.join(host.run, join_request(ca="pem"))
    assert host.asked == [("https://api:6443/version", "abcdef.0123456789abcdef", "pem")]
    assert host.commands == [] and host.record == {} and not host.handed.exists()
    assert "abcdef" not in str(caught.value)
    k3s.join(host.run, join_request(SERVER, token=SERVERS))
    assert len(host.asked) == 1


def test_a_node_of_another_cluster_is_refused(
    host: Host, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    host.make_node()
    pem = certificates.ca.read_text()
    assert k3s.known_authority(str(tmp_path / "none")) == ""
    monkeypatch.setattr(k3s, "known_authority", lambda: pem)
    assert not k3s.needs_to_join(join_request(ca=pem))
    with pytest.raises(ClusterError, match="another cluster, made with another CA"):
        k3s.needs_to_join(join_request(ca=certificates.server.read_text()))


def test_tokens_of_agents_expire_and_are_ended_by_their_names(host: Host, tmp_path: pathlib.Path) -> None:
    host.answers["k3s token create"] = Completed(0, f"{TOKEN}\n", "")
    assert k3s.make_token(host.run, membership.WORKER, "15m0s") == TOKEN
    assert host.commands == ["k3s token create --ttl 15m0s"]
    k3s.end_token(host.run, k3s.token_id(TOKEN))
    assert host.commands[-1] == "k3s token delete abcdef"
    host.answers["k3s token delete"] = Completed(1, "", 'secrets "bootstrap-token-abcdef" not found')
    k3s.end_token(host.run, "abcdef")
    host.answers["k3s token delete"] = Completed(1, "", "refused")
    with pytest.raises(ClusterError, match="cannot be taken back"):
        k3s.end_token(host.run, "abcdef")
    path = tmp_path / "token"
    path.write_text(f"{SERVERS}\n")
    assert k3s.make_token(host.run, membership.CONTROL_PLANE, "15m0s", str(path)) == SERVERS
    assert k3s.token_id(SERVERS) == ""


@pytest.mark.parametrize("role", [membership.CONTROL_PLANE, membership.WORKER])
def test_hosts_that_join_get_a_token_control_planes_one_at_a_time(
    host: Host, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.make_node()
    host.answers["k3s token create"] = Completed(0, f"{TOKEN}\n", "")
    host.answers["kubectl get"] = Completed(0, json.dumps({"kind": "List", "items": NODES}), "")
    monkeypatch.setattr(k3s_token, "certificate_authority", lambda _path: "pem")
    monkeypatch.setattr(k3s_token, "module_runner", lambda _module: host.run)
    monkeypatch.setattr(k3s, "make_token", lambda _run, role, _ttl: f"for {role}")
    params: t.Dict[str, t.Any] = {"role": role, "nodes": {"Newer": "10.0.0.8", "new": "10.0.0.9"}, "ttl": "15m0s"}
    module: t.Any = types.SimpleNamespace(params=params, check_mode=False)
    if role == membership.CONTROL_PLANE:
        with pytest.raises(ClusterError, match="one new member at a time"):
            k3s_token.credentials(module)
        params["nodes"] = {"new": "10.0.0.9"}
    told = k3s_token.credentials(module)
    assert told["missing"] == sorted(name.lower() for name in params["nodes"])
    assert told["token"] == f"for {role}" and told["endpoint"] == WANTED["endpoint"]
    assert "kubectl delete secret -n kube-system --ignore-not-found new.node-password.k3s" in "\n".join(host.commands)
    host.commands.clear()
    module.check_mode = True
    monkeypatch.setattr("os.path.exists", lambda _path: True)
    assert k3s_token.credentials(module)["token"] is None
    assert not [line for line in host.commands if "delete" in line]


def test_names_are_free_again(host: Host) -> None:
    k3s.free_names(host.kubectl, ["w1", "w2"])
    assert host.commands[0].endswith("w1.node-password.k3s w2.node-password.k3s")


@pytest.mark.parametrize("text", [TOKEN, SERVERS, "abcdef.0123456789abcdef", f"K10{HASH}"])
def test_tokens_are_not_told(text: str) -> None:
    assert k3s.redacted(f"a {text} b") == "a <redacted> b"


def test_a_host_without_the_program_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k3s, "SEARCH_PATH", "/nowhere")
    with pytest.raises(ClusterError, match="k3s is not on this host"):
        k3s.refuse_without_program()


@pytest.mark.parametrize(
    ("when", "expected"),
    [("Nov 21 10:00:00 2027 GMT", "2027-11-21T10:00:00Z"), ("Jan  1 00:00:09 2036 GMT", "2036-01-01T00:00:09Z")],
)
def test_expiry_is_told_as_everywhere(when: str, expected: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "etcd").mkdir()
    for name in ("a.crt", "etcd/b.crt"):
        (tmp_path / name).touch()
    told = expiry(
        lambda command, **_options: Completed(int("b.crt" in command[-1]), f"notAfter={when}\n", ""),
        str(tmp_path),
        ["*.crt", "etcd/*.crt"],
    )
    assert told == [{"name": "a", "expires": expected}]
