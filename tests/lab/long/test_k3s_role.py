# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role k3s in a playbook of somebody else: no cluster image, no mirror, no other role, own groups, an own registry.

It is tried here and not in an integration target, because those have the machine alone, on which no kubelet can run.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import tarfile
import typing as t
from functools import partial

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import join_token
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import ClusterImage
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Manifest, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.lab.canaries import Secret, Watch
from ansible_collections.sealer.cluster.tests.lab.cluster_state import watched
from ansible_collections.sealer.cluster.tests.lab.lab import HERE, STORE, Inventories, Lab, Run, playbook
from ansible_collections.sealer.cluster.tests.lab.private_registry import PASSWORD, USER, PrivateRegistry
from ansible_collections.sealer.cluster.tests.lab.runtimes import K3S
from ansible_collections.sealer.cluster.tests.lab.secret_options import MIRROR_PASSWORD

IMAGE, VERSION = "k3s:v1.35.4", "v1.35.4+k3s1"
SYSTEM_IMAGES = ("rancher/mirrored-pause:3.6", "rancher/mirrored-coredns-coredns:1.14.2")
DNS = "kubectl --cache-dir /tmp/kubectl wait -n kube-system --for=condition=Available --timeout=90s deploy/coredns"
OURS = "/etc/sealer/pki /var/lib/sealer/store /var/lib/sealer/rootfs /usr/local/lib/sealer"


@dataclasses.dataclass
class Theirs:
    """Hosts, and what the owner of the playbook has: an inventory, variables, programs, a registry."""

    lab: Lab
    inventory: pathlib.Path
    variables: pathlib.Path
    before: Inventories

    def play(self, name: str, *arguments: str) -> Run:
        given = [f"--extra-vars=@{HERE}/cluster.yml", f"--extra-vars=@{self.variables}"]
        return playbook(str(HERE / name), f"--inventory={self.inventory}", *given, *arguments)


def inventory_of(lab: Lab) -> dict[str, t.Any]:
    """The lab's hosts in groups of other names."""
    login = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": f"{lab.directory}/id_ed25519",
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.directory}/known_hosts -o StrictHostKeyChecking=yes",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    groups = {
        group: {"hosts": {name: {"ansible_host": address} for name, address in lab.hosts.items() if sign in name}}
        for group, sign in (("heads", "-cp"), ("boxes", "-w"))
    }
    return {"all": {"vars": login}, **groups}


def pack_programs(path: pathlib.Path) -> None:
    """k3s, and what is behind its double, out of the root file system of the base image."""
    layout = Layout.open(str(STORE))
    image = ClusterImage.read(layout, layout.resolve(Reference.parse(IMAGE)))
    manifest = layout.read_document(image.rootfs[Platform.host()].digest)
    assert isinstance(manifest, Manifest)
    with tarfile.open(path, "w") as packed:
        for layer in manifest.layers:
            with tarfile.open(layout.blob_path(layer.digest)) as archive:
                for one in archive:
                    if one.name == "bin/k3s" or one.name.startswith("lib/k3s/"):
                        packed.addfile(one, archive.extractfile(one))


def push_images(registry: PrivateRegistry) -> None:
    """Put the images that k3s needs into the registry."""
    trust = [f"--dest-cert-dir={registry.directory}/trust", f"--dest-creds={USER}:{PASSWORD}"]
    for name in SYSTEM_IMAGES:
        place = f"docker://{registry.url.partition('://')[2]}/{name}"
        command = ["skopeo", "--insecure-policy", "copy", "--quiet", *trust, f"oci:{STORE}:docker.io/{name}", place]
        subprocess.run(command, check=True, timeout=120)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Theirs]:
    directory = tmp_path_factory.mktemp("theirs")
    lab = Lab("alone", subnet="10.77.98", kubeconfig="/etc/rancher/k3s/k3s.yaml")
    registry = PrivateRegistry(lab, directory)
    with lab.running(), registry.running():
        push_images(registry)
        programs = directory / "programs.tar"
        pack_programs(programs)
        variables = {
            "k3s_role_programs": str(programs),
            "k3s_version": VERSION,
            "k3s_control_plane_group": "heads",
            "k3s_worker_group": "boxes",
            "k3s_registries": {"docker.io": registry.url},
            "k3s_registry_ca_certificate": registry.ca_certificate,
            "k3s_registry_username": USER,
            "k3s_registry_password": PASSWORD,
        }
        (directory / "hosts.json").write_text(json.dumps(inventory_of(lab)))
        (directory / "variables.json").write_text(json.dumps(variables))
        yield Theirs(lab, directory / "hosts.json", directory / "variables.json", lab.inventories())


@pytest.fixture(scope="module")
def watched_run(theirs: Theirs) -> tuple[Run, Watch]:
    return watched(K3S, theirs.lab, partial(theirs.play, "k3s_role.yml"))


@pytest.fixture(scope="module")
def made(watched_run: tuple[Run, Watch]) -> Run:
    return watched_run[0]


def test_the_cluster_runs_by_its_own_registry_alone(theirs: Theirs, made: Run) -> None:
    lab = theirs.lab
    assert f"sealer {VERSION} at apiserver.cluster.local:6443" in made.text
    assert lab.readiness() == dict.fromkeys(lab.hosts, "True")
    lab.ssh(lab.control_plane, f"KUBECONFIG={lab.kubeconfig} {DNS}")
    names: set[str] = set()
    for host in lab.hosts:
        names.update(lab.ssh(host, "ctr --namespace k8s.io images list --quiet").split())
        assert lab.ssh(host, f"ls -d {OURS} 2>/dev/null || true") == ""
        assert "sealer-mirror" not in lab.ssh(host, "systemctl list-unit-files --no-pager")
    assert names >= {f"docker.io/{one}" for one in SYSTEM_IMAGES}
    assert lab.air_gap.attempts() == {}


def test_secrets_are_where_they_belong(watched_run: tuple[Run, Watch]) -> None:
    run, watch = watched_run
    assert watch.findings([*watch.secrets(), Secret(MIRROR_PASSWORD, PASSWORD)], run.text) == []


def test_its_record_names_no_image(theirs: Theirs, made: Run) -> None:
    state = json.loads(theirs.lab.ssh(theirs.lab.control_plane, "cat /etc/sealer/cluster.json"))
    assert state["image"] == {"reference": "", "digest": ""}
    assert [member["name"] for member in state["members"]] == list(theirs.lab.hosts)


def test_a_second_run_changes_nothing(theirs: Theirs, made: Run) -> None:
    for arguments in ([], ["--check", "--diff"]):
        run = theirs.play("k3s_role.yml", *arguments)
        assert run.status == 0, run.text
        assert run.unchanged, run.text


def test_a_join_token_that_was_taken_back_is_known(theirs: Theirs, made: Run) -> None:
    """One that was asked about is not asked about again: for some seconds the API server keeps that it was good."""
    lab = theirs.lab
    ca = lab.ssh(lab.control_plane, "cat /var/lib/rancher/k3s/agent/server-ca.crt")
    alive, dead = (
        lab.ssh(lab.control_plane, "k3s token create --ttl 1m").strip().rpartition("::")[2]
        for _name in ("alive", "dead")
    )
    lab.ssh(lab.control_plane, f"k3s token delete {dead.partition('.')[0]}")
    url = f"https://{lab.hosts[lab.control_plane]}:6443/version"
    assert join_token.answer_to(url, alive, ca) == 200
    with pytest.raises(ClusterError, match="has expired"):
        join_token.refuse_dead(url, dead, ca, "k3s_token_ttl")


def test_without_a_version_it_is_told_what_to_set(theirs: Theirs, made: Run) -> None:
    run = theirs.play("k3s_role.yml", "--extra-vars=k3s_version=")
    assert run.status != 0
    assert "or set k3s_version" in " ".join(run.text.split())
    assert all(run.hosts[host].changed == 0 for host in theirs.lab.hosts)


def test_reset_leaves_the_hosts_as_they_were(theirs: Theirs, made: Run) -> None:
    run = theirs.play("k3s_role_reset.yml")
    assert run.status == 0, run.text
    assert theirs.lab.changes_since(theirs.before) == {}
