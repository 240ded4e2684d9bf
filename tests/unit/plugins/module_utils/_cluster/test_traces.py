# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runtimes leave: the data is whole, and reset goes by it."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import (
    host_accounts,
    leftovers,
    links,
    netfilter,
    record,
    traces,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import write_json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_reset import NodeReset, ResetSettings
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

RUNTIMES = sorted(traces.BY_RUNTIME)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_is_removed_was_looked_at_before(runtime: str) -> None:
    known = traces.BY_RUNTIME[runtime]
    assert set(known.own) <= set(known.directories)
    assert all(path.startswith("/") for path in (*known.own, *known.files, *known.nodes, *known.mounts))
    assert known.record_path == f"/var/lib/sealer/{runtime}.json"


@pytest.fixture
def quiet(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> traces.Traces:
    """A runtime that has left nothing but its record, on a host without network links and rules of ours."""
    for module, name in ((links, "left_links"), (leftovers, "left_cgroups"), (netfilter, "our_nft_tables")):
        monkeypatch.setattr(module, name, lambda *_arguments: [])
    monkeypatch.setattr(netfilter, "rulesets", lambda _run: {})
    monkeypatch.setattr(leftovers, "end_processes", lambda _units: None)
    monkeypatch.setattr(leftovers, "HUSKS", ())
    monkeypatch.setattr(leftovers, "SHARED", {})
    path = str(tmp_path / "record.json")
    before: t.Dict[str, t.Any] = {"sysctls": {}, "directories": {}, "files": [], "links": [], "nft_tables": []}
    write_json(path, {"state": record.DONE, "before": before})
    own = (str(tmp_path / "data"),)
    return dataclasses.replace(traces.K0S, record_path=path, own=own, files=(), mounts=("/nowhere/",), nodes=())


@pytest.mark.parametrize("stopped", [True, False])
def test_the_runtime_resets_itself_when_it_may(quiet: traces.Traces, stopped: bool) -> None:
    said: t.List[str] = []

    def run(command: t.Sequence[str], **_options: t.Any) -> Completed:
        said.append(" ".join(command))
        return Completed(3 if "is-active" in command else 0, "", "")

    pathlib.Path(quiet.own[0]).mkdir()
    node = NodeReset(run, ResetSettings(), dataclasses.replace(quiet, reset_stopped=stopped))
    assert f"path {quiet.own[0]}" in node.survey().lines()
    node.clear()
    stop = said.index("systemctl stop k0scontroller.service")
    assert (stop < said.index("k0s reset")) is stopped
    assert not pathlib.Path(quiet.own[0]).exists() and not pathlib.Path(quiet.record_path).exists()


@pytest.mark.parametrize("runtime", ["k0s", "k3s"])
def test_a_runtime_whose_reset_does_not_leave_etcd_leaves_it_before_it_is_stopped(
    runtime: str, quiet: traces.Traces, tmp_path: pathlib.Path
) -> None:
    real = traces.BY_RUNTIME[runtime]
    said: t.List[str] = []
    members = {"members": [{"ID": number, "name": f"cp{number}-0000000{number}"} for number in (1, 2)]}
    (tmp_path / "name").write_text("cp2-00000002")

    def run(command: t.Sequence[str], **_options: t.Any) -> Completed:
        said.append(" ".join(command))
        return Completed(3 if "is-active" in command else 0, json.dumps(members) if "list" in command else "", "")

    place = dataclasses.replace(real.etcd, sign=str(tmp_path), name=str(tmp_path / "name"))
    known = dataclasses.replace(
        quiet, units=real.units, ctr=real.ctr, reset=real.reset, etcd=place, socket=str(tmp_path / "no.sock")
    )
    NodeReset(run, ResetSettings(), known).clear()
    left = next(index for index, line in enumerate(said) if line.endswith("member remove 2"))
    assert left < said.index(f"systemctl stop {real.units[0]}")
    assert ("k0s reset" in said) is (runtime == "k0s")
    # Asking k3s would make it unpack itself again, and asking a containerd that is gone takes seconds.
    assert not [line for line in said if " ctr " in line]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_container_runtime_without_a_socket_is_known_to_be_gone(runtime: str) -> None:
    known = traces.BY_RUNTIME[runtime]
    assert known.socket or "{socket}" in known.ctr


def test_what_k3s_kept_goes_and_our_files_stay(tmp_path: pathlib.Path) -> None:
    data = tmp_path / "var/lib/rancher/k3s"
    ours = ("agent/etc/containerd/config-v3.toml.tmpl", "agent/etc/kubelet.conf.d/50-sealer.conf")
    theirs = ("agent/etc/containerd/config.toml", "agent/etc/kubelet.conf.d/00-k3s-defaults.conf", "server/token")
    for name in (*ours, *theirs):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).touch()
    before = {
        "/var/lib/rancher/k3s": ["agent"],
        "/var/lib/rancher/k3s/agent": ["etc"],
        "/var/lib/rancher/k3s/agent/etc": ["containerd", "kubelet.conf.d"],
        "/var/lib/rancher/k3s/agent/etc/containerd": ["config-v3.toml.tmpl"],
        "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d": ["50-sealer.conf"],
    }
    for path in leftovers.left_paths(before, mounted=(), own=traces.K3S.own, root=str(tmp_path)):
        leftovers.remove_path(str(tmp_path) + path)
    assert sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()) == list(ours)


def test_what_stays_is_told(quiet: traces.Traces) -> None:
    node = NodeReset(lambda *_command, **_options: Completed(0, "", ""), ResetSettings(), quiet)
    with pytest.raises(ClusterError, match=r"service k0scontroller.service.*k0s reset said"):
        node.clear()


def test_copies_of_the_users_files_are_as_before(
    quiet: traces.Traces, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = tmp_path / "passwd-"
    copies.write_text("as it was")
    monkeypatch.setattr(host_accounts, "_BACKUPS", (str(copies), str(tmp_path / "shadow-")))

    def run(command: t.Sequence[str], **_options: t.Any) -> Completed:
        if list(command) == list(quiet.reset):
            copies.write_text("users of k0s are gone")
        return Completed(3 if "is-active" in command else 0, "", "")

    NodeReset(run, ResetSettings(), quiet).clear()
    assert copies.read_text() == "as it was"


def test_an_address_that_pods_gave_goes_with_them(quiet: traces.Traces) -> None:
    said: t.List[str] = []
    held = [[("eth0", "10.0.0.50/32"), ("eth0", "10.0.0.11/24")]]

    def run(command: t.Sequence[str], **_options: t.Any) -> Completed:
        said.append(" ".join(command))
        if command[:3] == ["ip", "address", "delete"]:
            held[0] = [one for one in held[0] if one[1] != command[3]]
        found = [{"ifname": link, "addr_info": [_split(address)]} for link, address in held[0]]
        return Completed(3 if "is-active" in command else 0, json.dumps(found) if command[0] == "ip" else "", "")

    settings = ResetSettings(addresses=["10.0.0.50"])
    assert "address 10.0.0.50/32 of eth0" in NodeReset(run, settings, quiet).survey().lines()
    NodeReset(run, settings, quiet).clear()
    assert held == [[("eth0", "10.0.0.11/24")]]
    # Before that the pod could take it again.
    assert said.index("systemctl stop k0sworker.service") < said.index("ip address delete 10.0.0.50/32 dev eth0")


def _split(address: str) -> t.Dict[str, t.Any]:
    local, _slash, length = address.partition("/")
    return {"local": local, "prefixlen": int(length)}
