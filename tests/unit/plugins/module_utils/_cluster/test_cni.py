# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which networks are the node's, by its configuration and what libcni keeps."""

from __future__ import annotations

import json
import pathlib
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import cni


def keep(state: pathlib.Path, network: str, container: str, *host: str) -> None:
    interfaces: t.List[t.Dict[str, str]] = [{"name": name} for name in host]
    interfaces.append({"name": "eth0", "sandbox": "/var/run/netns/x"})
    result = {"networkName": network, "containerId": container, "result": {"interfaces": interfaces}}
    (state / "results").mkdir(exist_ok=True)
    (state / f"results/{network}-{container}-eth0").write_text(json.dumps(result))


def test_networks_are_known_by_their_configuration(tmp_path: pathlib.Path) -> None:
    (tmp_path / "10-pods.conflist").write_text('{"name": "pods", "plugins": []}')
    (tmp_path / "20-broken.conflist").write_text("{")
    files = [str(tmp_path / name) for name in ("10-pods.conflist", "20-broken.conflist", "30-none.conflist")]
    assert cni.read(files, state=str(tmp_path)).names == {"cbr0", "pods"}
    assert cni.read(files, ["pods"], str(tmp_path)).names == {"cbr0"}


def test_what_is_the_pods_and_what_others(tmp_path: pathlib.Path) -> None:
    keep(tmp_path, "cbr0", "c0ffee", "cni0", "veth1")
    # The same pod has a second network, and each has the loopback interface.
    keep(tmp_path, "multus", "c0ffee", "cni0", "veth1", "net1")
    keep(tmp_path, "cni-loopback", "abad1dea", "lo")
    keep(tmp_path, "podman", "d00d", "cni-podman0", "veth2")
    (tmp_path / "results/broken").write_text("{")
    (tmp_path / "results/list").write_text("[]")
    (tmp_path / "networks/cbr0").mkdir(parents=True)
    for name in ("10.244.0.2", "fd00::2", "last_reserved_ip.0", "lock"):
        (tmp_path / "networks/cbr0" / name).touch()
    found = cni.read([], state=str(tmp_path))
    assert found.containers == {"c0ffee"}
    assert found.addresses == {"10.244.0.2", "fd00::2"}
    assert found.links == {"net1", "cni-podman0", "veth2"}


def test_a_result_without_interfaces_tells_nothing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "results").mkdir()
    for name, result in (("a", '{"networkName": "x"}'), ("b", '{"networkName": "y", "result": {"interfaces": null}}')):
        (tmp_path / "results" / name).write_text(result)
    assert cni.read([], state=str(tmp_path)).links == frozenset()
