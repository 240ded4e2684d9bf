# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long ``sealer.cluster.site`` takes beside bare kubeadm, on the same two hosts, turn by turn.

Method. Two hosts of the lab (control plane and worker) on one machine. A round is:

1. ours: ``site`` on bare hosts, the image in the controller's store: delivery of everything over SSH, mirror, programs,
   container runtime, cluster, worker, applications, until nodes are Ready and the applications available.
2. bare: the node's state is reset, while programs, container runtime and container images stay where they are. Then by
   hand over SSH: ``kubeadm init``, ``kubeadm join``, ``kubectl apply`` of the same network and application, until
   nodes are Ready and the applications available.
3. everything is reset.

Wall-clock seconds of whole commands; min/median/max over the rounds. The bar: ours takes no more than bare plus 30 s.

Usage: python tests/benchmarks/site.py [ROUNDS] (3 by default); writes docs/benchmarks.md.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import typing as t

from ansible_collections.sealer.cluster.tests.benchmarks import document
from ansible_collections.sealer.cluster.tests.lab.lab import DEMO_IMAGE, HERE, STORE, Lab

ALLOWED = 30.0
KUBECTL = "KUBECONFIG=/etc/kubernetes/admin.conf kubectl"
APPLICATIONS = "/var/lib/sealer/rootfs/current/application/apps"
Phases = t.Dict[str, float]


def site(lab: Lab) -> Phases:
    """Seconds of each play of a site run, and of all of it."""
    given = json.dumps({"sealer_image": DEMO_IMAGE, "sealer_store": str(STORE)})
    command = ["ansible-playbook", "sealer.cluster.site", f"--inventory={lab.inventory}"]
    command += [f"--extra-vars=@{HERE}/cluster.yml", f"--extra-vars={given}"]
    begun = last = time.monotonic()
    phases: Phases = {}
    current = "Start Ansible"
    environment = {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as running:
        shown = []
        for line in running.stdout or ():
            shown.append(line)
            if line.startswith("PLAY [") or line.startswith("PLAY RECAP"):
                phases[current] = time.monotonic() - last
                last, current = time.monotonic(), line[line.find("[") + 1 : line.find("]")]
    if running.returncode:
        raise RuntimeError("".join(shown))
    phases["all"] = time.monotonic() - begun
    return phases


def documents(lab: Lab, kind: str, **more: object) -> str:
    """kubeadm's configuration for a bare start in the lab, as JSON documents in one YAML stream."""
    address = lab.hosts[lab.control_plane]
    registration = {
        "criSocket": "unix:///run/containerd/containerd.sock",
        "ignorePreflightErrors": ["SystemVerification"],
    }
    kubeadm = "kubeadm.k8s.io/v1beta4"
    listed: list[dict[str, object]] = [{"apiVersion": kubeadm, "kind": kind, "nodeRegistration": registration, **more}]
    if kind == "InitConfiguration":
        listed[0]["localAPIEndpoint"] = {"advertiseAddress": address}
        listed += [
            {
                "apiVersion": kubeadm,
                "kind": "ClusterConfiguration",
                "kubernetesVersion": "v1.35.4",
                "networking": {"podSubnet": "10.244.0.0/16"},
            },
            {
                "apiVersion": "kubelet.config.k8s.io/v1beta1",
                "kind": "KubeletConfiguration",
                "failCgroupV1": False,
                "failSwapOn": False,
            },
            {
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                "kind": "KubeProxyConfiguration",
                "mode": "iptables",
                "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            },
        ]
    return "\n---\n".join(map(json.dumps, listed))


def bare(lab: Lab) -> Phases:
    """Seconds of each step of a cluster made by hand on hosts that have everything."""
    first, worker = lab.control_plane, f"{lab.name}-w1"
    begun = last = time.monotonic()
    phases: Phases = {}

    def done(phase: str) -> None:
        nonlocal last
        phases[phase] = time.monotonic() - last
        last = time.monotonic()

    lab.ssh(
        first, "cat > /root/init.yaml; kubeadm init --config /root/init.yaml", given=documents(lab, "InitConfiguration")
    )
    done("kubeadm init")
    token = lab.ssh(first, f"{KUBECTL.split()[0]} kubeadm token create --ttl 15m --print-join-command").split()
    discovery = {"bootstrapToken": {"token": token[4], "apiServerEndpoint": token[2], "caCertHashes": [token[6]]}}
    join = documents(lab, "JoinConfiguration", discovery=discovery)
    lab.ssh(worker, "cat > /root/join.yaml; kubeadm join --config /root/join.yaml", given=join)
    done("kubeadm join")
    lab.ssh(first, f"for name in flannel demo; do {KUBECTL} apply --filename {APPLICATIONS}/$name/; done")
    lab.ssh(first, f"{KUBECTL} wait --timeout 90s --for condition=Ready node --all")
    lab.ssh(first, f"{KUBECTL} wait --timeout 90s --for condition=Available deployment --all --all-namespaces")
    lab.ssh(first, f"{KUBECTL} rollout status --timeout 90s --namespace kube-flannel daemonset flannel")
    done("network, applications, Ready")
    phases["all"] = time.monotonic() - begun
    for host in lab.hosts:
        lab.ssh(host, "rm -f /root/init.yaml /root/join.yaml")
    return phases


def reset_nodes(lab: Lab) -> None:
    """Take Kubernetes off the hosts, but leave programs, container runtime and container images."""
    command = [
        "ansible",
        "all",
        f"--inventory={lab.inventory}",
        "--module-name=sealer.cluster.node_reset",
        "--args=force=true",
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def one_round(lab: Lab) -> tuple[Phases, Phases]:
    ours = site(lab)
    reset_nodes(lab)
    by_hand = bare(lab)
    reset_nodes(lab)
    reset = lab.play("reset", variables={"sealer_reset": True})
    if reset.status:
        raise RuntimeError(reset.text)
    return ours, by_hand


def table(name: str, rounds: list[Phases]) -> list[str]:
    """A table of phases with min, median and max."""
    lines = [f"### {name}", "", "| phase | min s | median s | max s |", "|---|---|---|---|"]
    for phase in rounds[0]:
        taken = [one[phase] for one in rounds]
        lines.append(f"| {phase} | {min(taken):.1f} | {statistics.median(taken):.1f} | {max(taken):.1f} |")
    return [*lines, ""]


def main() -> int:
    """Run the rounds, write the document; 1 when the bar is missed."""
    lab = Lab("bench", subnet="10.77.91")
    rounds = []
    lab.destroy()
    lab.create()
    try:
        for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
            rounds.append(one_round(lab))
            print(
                f"round {number + 1}: site {rounds[-1][0]['all']:.1f} s, bare {rounds[-1][1]['all']:.1f} s", flush=True
            )
    finally:
        lab.destroy()
    ours, by_hand = [one for one, _other in rounds], [other for _one, other in rounds]
    more = statistics.median(one["all"] - other["all"] for one, other in rounds)
    ratio = statistics.median(one["all"] / other["all"] for one, other in rounds)
    method = (__doc__ or "").split("Usage:", maxsplit=1)[0].strip()
    told = (
        f"`site` takes {more:.1f} s more than bare kubeadm ({ratio:.1f} times as long; median of {len(rounds)} rounds)"
    )
    lines = [method, "", f"**Result**: {told}.", ""]
    document.write("site beside bare kubeadm", [*lines, *table("site", ours), *table("bare kubeadm", by_hand)])
    print(told)
    return 0 if more <= ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
