# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ``sealer.cluster.site`` costs beside the playbooks of k3s-ansible, for the same k3s on the same kind of hosts.

Method. Two fresh hosts of the lab (server and agent) for each of the two, in turns; each round begins with the other
one. k3s is its double (``tests/doubles``); what a real k3s has inside itself lies on the hosts before. Each brings the
program and the images of pause and CoreDNS from the controller over SSH, without internet: ours with a cluster image,
k3s-ansible 1.2.2 (commit 281554e2522ab370014526ad734e0ec53b023e7c) by its ``airgap_dir``. Ours checks the hosts and
sets up the mirror besides.

- Tasks are those of the recap, of the host that has most: run, and reached at all, the skipped ones included.
- The seconds of a run are those of the whole ``ansible-playbook``; controller seconds are the processor time of it and
  of its children, SSH included.
- Ready is when both nodes and CoreDNS are, from the beginning of the first run.
- The second run has nothing to do. Counted are the tasks that say they changed something, over both hosts, and the
  hosts on which k3s was started anew.

Both run with pipelining, as k3s-ansible sets it. Its hosts are given Debian's python3-apt before, which it needs, and
the settings without which no kubelet runs in the lab; its install script is replaced by a double that writes units as
the documented variables say (``k3s_install.sh``).

Usage: python tests/benchmarks/k3s_ansible.py [ROUNDS] (2 by default); writes docs/benchmarks.md. SEALER_K3S_ANSIBLE is
a checkout, SEALER_K3S_ANSIBLE_COLLECTIONS a directory with ansible.posix, ansible.utils and community.general below
ansible_collections; Python has to find netaddr.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import resource
import secrets
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import typing as t

import yaml
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import ClusterImage
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Manifest, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.benchmarks import document
from ansible_collections.sealer.cluster.tests.lab.lab import HERE, STORE, Lab, Run, playbook

IMAGE, WITH_PROGRAMS, VERSION = "k3s-double:v1.35.4", "k3s:v1.35.4", "v1.35.4+k3s1"
SYSTEM_IMAGES = ("docker.io/rancher/mirrored-pause:3.6", "docker.io/rancher/mirrored-coredns-coredns:1.14.2")
PROGRAMS = "/opt/k3s-double"
SETTINGS = yaml.safe_load((HERE / "cluster.yml").read_text())
PACKAGES = ("python3-apt", "python-apt-common", "distro-info-data")
PATIENCE = 180.0
Figures = t.Dict[str, float]


@dataclasses.dataclass(frozen=True)
class Material:
    """What is brought to hosts: a directory with k3s/, what is behind its double, airgap/, and packages/."""

    directory: pathlib.Path

    def gather(self) -> None:
        unpack(WITH_PROGRAMS, "lib/k3s/", self.directory)
        airgap = self.directory / "airgap"
        airgap.mkdir()
        unpack(IMAGE, "bin/k3s", airgap)
        (airgap / "bin/k3s").rename(airgap / "k3s")
        (airgap / "k3s-install.sh").write_text((pathlib.Path(__file__).parent / "k3s_install.sh").read_text())
        for name in SYSTEM_IMAGES:
            archive = f"{airgap}/{name.rsplit('/', maxsplit=1)[-1].partition(':')[0]}.tar"
            place = f"docker-archive:{archive}:{name}"
            call("skopeo", "--insecure-policy", "copy", "--quiet", f"oci:{STORE}:{name}", place)
            call("gzip", archive)
        packages = self.directory / "packages"
        packages.mkdir()
        call("apt-get", "download", "--quiet", *PACKAGES, cwd=packages)

    def send(self, lab: Lab, part: str, place: str) -> None:
        """Lay a directory on all hosts."""
        for host in lab.hosts:
            packed = subprocess.Popen(
                ["tar", "--create", f"--directory={self.directory / part}", "."], stdout=subprocess.PIPE
            )
            command = ["podman", "exec", "--interactive", host, "sh", "-c"]
            command.append(f"mkdir -p {place} && tar --extract --no-same-owner --directory={place}")
            subprocess.run(command, stdin=packed.stdout, check=True)
            if packed.wait():
                raise RuntimeError(f"{part} could not be packed")


def call(*command: str, cwd: t.Optional[pathlib.Path] = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")


def unpack(image: str, start: str, directory: pathlib.Path) -> None:
    """Files of an image's root file system."""
    layout = Layout.open(str(STORE))
    found = ClusterImage.read(layout, layout.resolve(Reference.parse(image)))
    manifest = layout.read_document(found.rootfs[Platform.host()].digest)
    if not isinstance(manifest, Manifest):
        raise RuntimeError(f"{image} has no root file system")
    for layer in manifest.layers:
        with tarfile.open(layout.blob_path(layer.digest)) as archive:
            archive.extractall(directory, [one for one in archive if one.name.startswith(start)], filter="data")


class Ours:
    """site with the image."""

    def prepare(self, lab: Lab, material: Material) -> None:
        return

    def run(self, lab: Lab) -> Run:
        return lab.play("site", ANSIBLE_PIPELINING="1")


class Theirs:
    """The playbooks of k3s-ansible, in a home of their own, which they write to."""

    def __init__(self, material: Material) -> None:
        self._checkout = os.environ["SEALER_K3S_ANSIBLE"]
        self._home = material.directory / "home"
        self._home.mkdir()
        self._inventory = material.directory / "hosts.json"
        self._airgap = material.directory / "airgap"
        self._token = secrets.token_hex(16)

    def prepare(self, lab: Lab, material: Material) -> None:
        """What the role k3s is told by variables for the lab, as files; and a package."""
        data = "/var/lib/rancher/k3s/agent/etc"
        kubelet = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
        kubelet.update(SETTINGS["k3s_kubelet_configuration"])
        containerd = SETTINGS["k3s_containerd_config"].replace("{{ '", "").replace("' }}", "")
        unit = "[Service]\n" + "".join(f"{name}={value}\n" for name, value in SETTINGS["k3s_unit_options"].items())
        files = {
            f"{data}/kubelet.conf.d/lab.conf": json.dumps(kubelet),
            f"{data}/containerd/config-v3.toml.tmpl": containerd,
            "/etc/systemd/system/k3s.service.d/lab.conf": unit,
            "/etc/systemd/system/k3s-agent.service.d/lab.conf": unit,
        }
        material.send(lab, "packages", "/root/packages")
        for host in lab.hosts:
            for path, content in files.items():
                lab.ssh(host, f"mkdir -p $(dirname {path}) && cat >{path}", given=content)
            lab.ssh(host, "dpkg --install --force-depends /root/packages/*.deb")
        self._inventory.write_text(json.dumps(self._groups(lab)))

    def _groups(self, lab: Lab) -> t.Dict[str, t.Any]:
        address = "node-ip: '{{ ansible_host }}'\n"
        server = {
            **SETTINGS["k3s_server_config"],
            "disable": ["traefik", "servicelb", "metrics-server", "local-storage"],
        }
        variables = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": f"{lab.directory}/id_ed25519",
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.directory}/known_hosts",
            "ansible_python_interpreter": "/usr/bin/python3",
            "k3s_version": VERSION,
            "token": self._token,
            "api_endpoint": lab.hosts[lab.control_plane],
            "airgap_dir": str(self._airgap),
            "server_config_yaml": address + yaml.safe_dump(server),
            "agent_config_yaml": address + yaml.safe_dump(SETTINGS["k3s_agent_config"]),
        }
        groups = {
            group: {"hosts": {name: {"ansible_host": address} for name, address in lab.hosts.items() if sign in name}}
            for group, sign in (("server", "-cp"), ("agent", "-w"))
        }
        return {"k3s_cluster": {"children": groups, "vars": variables}}

    def run(self, lab: Lab) -> Run:
        collections = [os.environ["SEALER_K3S_ANSIBLE_COLLECTIONS"], os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")]
        return playbook(
            f"{self._checkout}/playbooks/site.yml",
            f"--inventory={self._inventory}",
            HOME=str(self._home),
            ANSIBLE_CONFIG=f"{self._checkout}/ansible.cfg",
            ANSIBLE_ROLES_PATH=f"{self._checkout}/roles",
            ANSIBLE_COLLECTIONS_PATH=":".join(filter(None, collections)),
            ANSIBLE_PIPELINING="1",
        )


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def until_ready(lab: Lab) -> None:
    """Wait for both nodes and for CoreDNS."""
    kubectl = f"KUBECONFIG={lab.kubeconfig} kubectl wait --timeout=1s"
    node, dns = "--for=condition=Ready node", "--namespace=kube-system --for=condition=Available deployment/coredns"
    commands = " && ".join([f"{kubectl} {node}/{name}" for name in lab.hosts] + [f"{kubectl} {dns}", "echo all there"])
    end, said = time.monotonic() + PATIENCE, ""
    while "all there" not in said:
        if time.monotonic() > end:
            raise RuntimeError(f"not ready after {PATIENCE:g} seconds: {said}")
        said = lab.ssh(lab.control_plane, f"({commands}) 2>&1", check=False)


def started(lab: Lab) -> t.Dict[str, str]:
    """When the service of k3s was started on each host."""
    show = "systemctl show --property=ActiveEnterTimestampMonotonic --value k3s k3s-agent"
    return {host: lab.ssh(host, show) for host in lab.hosts}


def figures_of(run: Run, seconds: float, used: float) -> Figures:
    hosts = {name: recap for name, recap in run.hosts.items() if name not in ("localhost", "127.0.0.1")}
    return {
        "tasks run": max(recap.ok for recap in hosts.values()),
        "tasks reached": max(recap.tasks for recap in hosts.values()),
        "seconds": seconds,
        "controller seconds": used,
        "changed": sum(recap.changed for recap in hosts.values()),
    }


def timed(tool: t.Union[Ours, Theirs], lab: Lab) -> Figures:
    begun, used = time.monotonic(), processor_seconds()
    run = tool.run(lab)
    if run.status:
        raise RuntimeError(run.text)
    return figures_of(run, time.monotonic() - begun, processor_seconds() - used)


def leg(tool: t.Union[Ours, Theirs], material: Material) -> Figures:
    """The figures of one of the two, on hosts of its own."""
    lab = Lab("peer", subnet="10.77.99", image=IMAGE, kubeconfig="/etc/rancher/k3s/k3s.yaml")
    lab.destroy()
    try:
        lab.create()
        material.send(lab, "lib/k3s", PROGRAMS)
        for host in lab.hosts:
            setting = f"K3S_DOUBLE_PROGRAMS={PROGRAMS}"
            lab.ssh(host, f"echo {setting} >>/etc/environment; systemctl set-environment {setting}")
        tool.prepare(lab, material)
        begun = time.monotonic()
        first = timed(tool, lab)
        until_ready(lab)
        ready, before = time.monotonic() - begun, started(lab)
        second = timed(tool, lab)
        after = started(lab)
        until_ready(lab)
    finally:
        lab.destroy()
    return {
        "first run: tasks run": first["tasks run"],
        "first run: tasks reached": first["tasks reached"],
        "first run: s": first["seconds"],
        "first run: controller s": first["controller seconds"],
        "ready s": ready,
        "second run: s": second["seconds"],
        "second run: controller s": second["controller seconds"],
        "second run: tasks that changed": second["changed"],
        "second run: k3s started anew": sum(before[host] != after[host] for host in lab.hosts),
    }


def table(ours: t.Sequence[Figures], theirs: t.Sequence[Figures]) -> t.List[str]:
    """Rows of min, median and max, and of the ratios within rounds."""
    lines = ["| min / median / max | ours | k3s-ansible | ours divided by theirs |", "|---|---|---|---|"]

    def told(values: t.Sequence[float], digits: int) -> str:
        return " / ".join(f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))

    for name in ours[0]:
        digits = 1 if name.endswith(" s") else 0
        mine, other = [one[name] for one in ours], [one[name] for one in theirs]
        ratios = [left / right for left, right in zip(mine, other, strict=True) if right]
        lines.append(f"| {name} | {told(mine, digits)} | {told(other, digits)} | {told(ratios, 2) if ratios else ''} |")
    return lines


def main() -> int:
    """Run the rounds and write the document."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    taken: t.Dict[type, t.List[Figures]] = {Ours: [], Theirs: []}
    with tempfile.TemporaryDirectory() as directory:
        material = Material(pathlib.Path(directory))
        material.gather()
        tools: t.List[t.Union[Ours, Theirs]] = [Ours(), Theirs(material)]
        for number in range(rounds):
            for tool in tools[:: -1 if number % 2 else 1]:
                taken[type(tool)].append(leg(tool, material))
                print(f"round {number + 1}: {type(tool).__name__}: {taken[type(tool)][-1]}", flush=True)
    ours, theirs = taken[Ours], taken[Theirs]
    whole, again = (
        statistics.median(left[name] / right[name] for left, right in zip(ours, theirs, strict=True))
        for name in ("ready s", "second run: s")
    )
    result = (
        f"until all is ready, `site` takes {whole:.2f} times as long as k3s-ansible; the second time,"
        f" {again:.2f} times as long"
    )
    method = (__doc__ or "").split("Usage:", maxsplit=1)[0].strip()
    lines = [method, "", f"**Result**: {result} (median of {rounds} rounds).", "", *table(ours, theirs)]
    document.write("site beside k3s-ansible", lines)
    print(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
