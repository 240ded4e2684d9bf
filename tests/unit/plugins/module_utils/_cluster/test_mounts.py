# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which mounts are the node's. The fixture is recorded from a control plane."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import mounts
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import K0S, K3S, KUBEADM, Traces
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.tests.unit.namespaces import in_own_namespaces, mount

RECORDED = mounts.parse((pathlib.Path(__file__).parent / "fixtures/mountinfo.txt").read_text())
POD = "6a1f1c3e-8f0e-4a53-9d0c-0123456789ab"
STATIC = "0123456789abcdef0123456789abcdef"


def test_mounts_of_pods_deepest_first() -> None:
    found = [one.point for one in mounts.of_node(RECORDED, KUBEADM)]
    assert f"/var/lib/kubelet/pods/{POD}/volumes/kubernetes.io~empty-dir/with space" in found
    assert "/" not in found
    assert "/var/lib/kubelet" not in found
    assert any(point.startswith("/run/netns/cni-") for point in found)
    assert len([point for point in found if point.startswith("/run/containerd/")]) == 9
    assert [point.count("/") for point in found] == sorted((point.count("/") for point in found), reverse=True)


@pytest.mark.parametrize(
    ("runtime", "point", "ours"),
    [
        (KUBEADM, f"/var/lib/kubelet/pods/{POD}/volumes/kubernetes.io~nfs/share", True),
        (KUBEADM, f"/var/lib/kubelet/pods/{STATIC}/volume-subpaths/conf/etcd/0", True),
        (KUBEADM, "/var/lib/kubelet/plugins/kubernetes.io/csi/nfs.csi.k8s.io/0a/globalmount", True),
        (KUBEADM, "/var/lib/kubelet/pods/nas", False),
        (KUBEADM, "/var/lib/kubelet/pods/nas/volumes/x/y", False),
        (KUBEADM, f"/var/lib/kubelet/pods/{POD}", False),
        (KUBEADM, f"/var/lib/kubelet/pods/{POD}/volumes", False),
        (KUBEADM, "/var/lib/kubelet/nas", False),
        (KUBEADM, f"/mnt/var/lib/kubelet/pods/{POD}/volumes/x/y", False),
        (KUBEADM, "/run/containerd/io.containerd.runtime.v2.task/k8s.io/c0ffee/rootfs", True),
        (KUBEADM, "/run/containerd/io.containerd.grpc.v1.cri/sandboxes/c0ffee/shm", True),
        (KUBEADM, "/run/containerd/io.containerd.runtime.v2.task/moby/c0ffee/rootfs", False),
        (K3S, "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/c0ffee/rootfs", True),
        (K3S, "/run/containerd/io.containerd.runtime.v2.task/k8s.io/c0ffee/rootfs", False),
        (K3S, "/run/k3s/nas", False),
        (K3S, "/var/lib/rancher/k3s/agent/containerd/tmpmounts/containerd-mount12", True),
        (
            K3S,
            "/var/lib/rancher/k3s/agent/containerd/io.containerd.snapshotter.v1.stargz/snapshotter/snapshots/1/fs",
            True,
        ),
        (K3S, "/var/lib/rancher/k3s/agent/containerd/io.containerd.snapshotter.v1.zfs", False),
        (K3S, "/var/lib/containerd/tmpmounts/containerd-mount12", False),
        (K0S, f"/var/lib/k0s/kubelet/pods/{POD}/volumes/kubernetes.io~nfs/share", True),
        (K0S, "/var/lib/k0s/nas", False),
        (K0S, f"/run/netns/cni-{POD}", True),
        (K0S, "/run/netns/cni-mine", False),
        (K0S, f"/run/netns/netns-{POD}", False),
    ],
)
def test_what_the_kubelet_and_containerd_mount(runtime: Traces, point: str, ours: bool) -> None:
    one = mounts.Mount("/", point, "tmpfs", "tmpfs")
    assert mounts.of_node([one], runtime) == ([one] if ours else [])
    assert mounts.of_node([one], runtime, before=[point]) == []


def test_a_kubelet_that_is_elsewhere_by_a_link_mounts_there(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.path.realpath", lambda path: str(path).replace("/var/lib/", "/data/"))
    one = mounts.Mount("/", f"/data/kubelet/pods/{POD}/volumes/kubernetes.io~nfs/share", "nfs4", "nas:/x")
    assert mounts.of_node([one], KUBEADM) == [one]


def test_lines_that_are_none_are_left_out() -> None:
    text = "36 35 98:0 /sub\\040dir /mnt/a\\040b rw,noatime master:1 - nfs4 nas:/x rw\n36 35\n\n1 2 3 4 5 6\n"
    assert mounts.parse(text) == [mounts.Mount("/sub dir", "/mnt/a b", "nfs4", "nas:/x")]
    assert mounts.parse(text)[0].described == "nfs4 of nas:/x"


@in_own_namespaces
def test_a_command_sees_empty_directories_and_can_harm_none(tmp_path: pathlib.Path) -> None:
    own, link = tmp_path / "own dir", tmp_path / "link"
    for name in ("nas", "deep/bind"):
        (own / name).mkdir(parents=True)
        mount("tmpfs", own / name)
        (own / name / "data").write_text("precious")
    (own / "file").write_text("precious")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").write_text("precious")
    link.symlink_to("elsewhere")
    directories = [str(own), str(link), str(tmp_path / "none")]
    before = sorted(tmp_path.rglob("*"))
    remove = (
        f"grep -c '{tmp_path}.*/' /proc/self/mounts; find '{own}' {link}/ -mindepth 1; find '{own}' {link}/ -delete"
    )
    program, script = mounts.without_directories(["sh", "-c", remove], directories, mounts.read())
    done = subprocess.run(program, input=script, capture_output=True, text=True, check=False)
    # Two mounts, and nothing below them.
    assert done.stdout == "2\n"
    assert sorted(tmp_path.rglob("*")) == before
    assert [(own / name / "data").read_text() for name in ("nas", "deep/bind")] == ["precious"] * 2


@in_own_namespaces
def test_a_command_is_not_run_where_something_cannot_be_hidden(tmp_path: pathlib.Path) -> None:
    gone = mounts.Mount("/", f"{tmp_path}/own/gone", "nfs", "nas:/x")
    program, script = mounts.without_directories(["touch", f"{tmp_path}/run"], [f"{tmp_path}/own"], [gone])
    assert subprocess.run(program, input=script, text=True, check=False, stderr=subprocess.DEVNULL).returncode != 0
    assert not (tmp_path / "run").exists()


def real(command: t.Sequence[str], **_options: t.Any) -> Completed:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Completed(done.returncode, done.stdout, done.stderr)


@in_own_namespaces
def test_what_is_in_use_is_let_go(tmp_path: pathlib.Path) -> None:
    mount("tmpfs", tmp_path)
    (tmp_path / "file").write_text("x")
    with (tmp_path / "file").open() as used:
        mounts.unmount(real, str(tmp_path))
        assert used.read() == "x"
    assert list(tmp_path.iterdir()) == []
    # Somebody else may have been faster.
    mounts.unmount(real, str(tmp_path))


@in_own_namespaces
def test_what_cannot_be_unmounted_is_told(tmp_path: pathlib.Path) -> None:
    mount("tmpfs", tmp_path)
    with pytest.raises(ClusterError, match=f"{tmp_path} cannot be unmounted: no"):
        mounts.unmount(lambda *_command, **_options: Completed(1, "", "no"), str(tmp_path))
