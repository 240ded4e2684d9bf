# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster of kubeadm on hosts without internet: seen before and after it is made."""

from __future__ import annotations

import concurrent.futures
import json
import pathlib
import re
import signal
import threading
from functools import partial

import pytest
import yaml
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import join_token
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.tests.lab.canaries import Watch
from ansible_collections.sealer.cluster.tests.lab.cluster_state import (
    PUBLISHERS,
    demo_page,
    image_names,
    require_secrets_kept,
    started,
)
from ansible_collections.sealer.cluster.tests.lab.lab import HERE, Inventories, Lab, Run, wait_for
from ansible_collections.sealer.cluster.tests.lab.runtimes import KUBEADM


def test_check_mode_on_a_bare_host_changes_nothing(lab: Lab, before: Inventories) -> None:
    run = lab.play("site", "--check", "--diff")
    assert run.status == 0, run.text
    assert all(run.hosts[host].changed > 0 for host in lab.hosts)
    assert "/etc/containerd/config.toml" in run.text
    assert lab.changes_since(before) == {}


def _no_module_runs(lab: Lab, host: str) -> bool:
    return lab.ssh(host, "pgrep -fx /usr/bin/python3; true") == ""


def test_a_delivery_that_is_interrupted_leaves_nothing_on_either_side(lab: Lab, before: Inventories) -> None:
    arrived = "find /root/.ansible -type f -size +1M 2>/dev/null; true"
    run = lab.play("site", interrupted=lambda: lab.ssh(lab.control_plane, arrived) != "")
    assert run.status != 0
    wait_for(lambda: lab.ssh(lab.control_plane, arrived) == "", 60)
    wait_for(lambda: not list(pathlib.Path.home().glob(".ansible/tmp/sealer-parcel-*")), 60)


def test_a_run_that_is_interrupted_leaves_no_file_of_ansible(lab: Lab, before: Inventories) -> None:
    """The next run, which makes the cluster of the other tests, goes on from there."""
    worker = list(lab.hosts)[-1]
    installs = "ls /var/lib/sealer/rootfs 2>/dev/null; true"
    run = lab.play("site", interrupted=lambda: lab.ssh(worker, installs) != "")
    assert run.status != 0
    for host in lab.hosts:
        wait_for(partial(_no_module_runs, lab, host), 60)
        assert lab.ssh(host, "find /root/.ansible /tmp -iname '*ansible*' -type f 2>/dev/null; true") == ""


def test_site_needs_few_tasks(lab: Lab, site: Run) -> None:
    assert {host: site.hosts[host].tasks for host in lab.hosts if site.hosts[host].tasks > 25} == {}


def test_nodes_are_ready(lab: Lab, site: Run) -> None:
    assert lab.readiness() == dict.fromkeys(lab.hosts, "True")


def test_the_application_answers_from_every_host(lab: Lab, site: Run) -> None:
    for host in lab.hosts:
        assert "cluster image" in demo_page(lab, host)


def test_containerd_is_told_of_the_mirror_in_one_file(lab: Lab, site: Run) -> None:
    for host in lab.hosts:
        assert lab.ssh(host, "find /etc/containerd/certs.d -type f").split() == [
            "/etc/containerd/certs.d/_default/hosts.toml"
        ]


def test_no_name_of_a_container_image_was_rewritten(lab: Lab, site: Run) -> None:
    assert {name.split("/")[0] for name in image_names(lab)} <= PUBLISHERS
    pulled = set(lab.ssh(lab.control_plane, "ctr --namespace k8s.io images list --quiet").split())
    assert not [name for name in pulled if lab.subnet in name]


def test_no_packet_left_the_network(lab: Lab, site: Run) -> None:
    assert lab.air_gap.attempts() == {}


def test_a_second_run_changes_and_restarts_nothing(lab: Lab, site: Run) -> None:
    first = started(KUBEADM, lab)
    run = lab.play("site")
    assert run.status == 0, run.text
    assert run.unchanged, run.text
    assert started(KUBEADM, lab) == first


def test_check_mode_on_an_installed_host_sees_nothing_to_do(lab: Lab, site: Run) -> None:
    run = lab.play("site", "--check", "--diff")
    assert run.status == 0, run.text
    assert run.unchanged, run.text


def test_a_run_for_one_worker_knows_where_the_others_are(lab: Lab, site: Run) -> None:
    """Ansible reaches hosts over another network than nodes do, and gathers no facts of those that it leaves out."""
    worker = list(lab.hosts)[-1]
    run = lab.play("site", f"--limit={worker}")
    assert run.status == 0, run.text
    assert set(run.hosts) == {worker}
    assert run.unchanged, run.text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"sealer_image": "k3s:v1.35.4"},
            ["the cluster runs kubeadm v1.35.4, the image brings k3s", "is a node of kubeadm"],
        ),
        (
            {"sealer_cluster_name": "other", "sealer_api_name": "api.other", "sealer_pod_subnet": "10.1.0.0/16"},
            ["belongs to the cluster 'sealer', and not to 'other'", "names api.other:6443", "says 10.1.0.0/16"],
        ),
    ],
    ids=["another runtime", "another cluster"],
)
@pytest.mark.parametrize("limited", [False, True], ids=["all", "one worker"])
def test_what_does_not_fit_the_cluster_is_refused_before_any_host_is_changed(
    lab: Lab, site: Run, given: dict[str, object], told: list[str], limited: bool
) -> None:
    for host in lab.hosts:
        lab.ssh(host, "touch /run/refused")
    run = lab.play("site", *([f"--limit={list(lab.hosts)[-1]}"] if limited else []), variables=given)
    assert run.status != 0
    assert all(recap.changed == 0 for recap in run.hosts.values())
    text = " ".join(run.text.replace("\\n", " ").split())
    assert [line for line in told if line not in text] == [], run.text
    written = "find /etc /usr/local /var/lib/sealer -path /var/lib/sealer/store -prune -o -newer /run/refused -print"
    assert {host: lab.ssh(host, f"{written}; rm /run/refused") for host in lab.hosts} == dict.fromkeys(lab.hosts, "")


def test_a_node_under_the_name_of_another_host_is_left_alone(lab: Lab, site: Run, tmp_path: pathlib.Path) -> None:
    """As where the addresses of two hosts are swapped in the inventory."""
    worker = list(lab.hosts)[-1]
    extra = tmp_path / "hosts.yml"
    extra.write_text(json.dumps({"kube_node": {"hosts": {"renamed": {"ansible_host": lab.managed(worker)}}}}))
    lab.ssh(worker, "touch /run/refused")
    for name in ("site", "reset"):
        run = lab.play(name, f"--inventory={extra}", "--limit=renamed", variables={"sealer_reset": True})
        assert run.status != 0 and run.hosts["renamed"].changed == 0, run.text
        assert f"this host is the node {worker}, and" in run.text, run.text
    written = "find /etc /usr/local /var/lib/sealer -path /var/lib/sealer/store -prune -o -newer /run/refused -print"
    assert lab.ssh(worker, f"{written}; rm /run/refused") == ""
    assert lab.readiness() == dict.fromkeys(lab.hosts, "True")


def test_a_node_in_no_inventory_and_a_system_that_is_not_well_are_told(lab: Lab, site: Run) -> None:
    *others, stranger = lab.hosts
    run = lab.only(*others).play("info")
    assert run.status == 0, run.text
    assert f"Node {stranger} is in the cluster and not in the inventory" in " ".join(run.text.split()), run.text
    coredns = f"{lab.kubectl_command} --namespace=kube-system"
    nowhere = {"spec": {"template": {"spec": {"nodeSelector": {"example.com/nowhere": ""}}}}}
    lab.ssh(lab.control_plane, f"{coredns} patch deployment coredns --patch='{json.dumps(nowhere)}'")
    run = lab.play("site", f"--limit={lab.control_plane},localhost", "--extra-vars=apps_wait_timeout=10")
    lab.ssh(lab.control_plane, f"{coredns} rollout undo deployment coredns")
    assert run.status != 0 and "not ready after 10 seconds" in run.text, run.text
    assert "Deployment kube-system/coredns: " in run.text and "didn't match Pod's node affinity" in run.text, run.text
    lab.ssh(lab.control_plane, f"{coredns} rollout status deployment coredns --timeout=60s")


def test_one_run_at_a_time_changes_a_cluster(lab: Lab, site: Run) -> None:
    ended = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(lab.play, "site", interrupted=ended.is_set, interruption=signal.SIGKILL)
        wait_for(lambda: not lab.holds_no_lease(lab.control_plane), 60)
        try:
            looked = lab.play("site", "--check", f"--limit={lab.control_plane},localhost")
            second = lab.play("site")
            reset = lab.play("reset", f"--limit={list(lab.hosts)[-1]}", variables={"sealer_reset": True})
        finally:
            ended.set()
    assert first.result().status == -signal.SIGKILL
    assert looked.status == 0 and "changes this cluster since 20" in looked.text, looked.text
    for run in (second, reset):
        assert run.status != 0 and "another run changes this cluster: " in run.text, run.text
        assert all(host.changed == 0 for host in run.hosts.values())
    # A dead run holds nothing, and leaves nothing.
    again = lab.play("site")
    assert again.status == 0 and again.unchanged, again.text
    for host in lab.hosts:
        wait_for(partial(lab.holds_no_lease, host), 60)


def test_a_join_token_that_was_taken_back_is_known(lab: Lab, site: Run) -> None:
    """One that was asked about is not asked about again: for some seconds the API server keeps that it was good."""
    ca = lab.ssh(lab.control_plane, "cat /etc/kubernetes/pki/ca.crt")
    kubeadm = "KUBECONFIG=/etc/kubernetes/admin.conf kubeadm token"
    alive, dead = (lab.ssh(lab.control_plane, f"{kubeadm} create --ttl 1m").strip() for _name in ("alive", "dead"))
    lab.ssh(lab.control_plane, f"{kubeadm} delete {dead}")
    url = f"https://{lab.hosts[lab.control_plane]}:6443/version"
    assert join_token.answer_to(url, alive, ca) == 200
    with pytest.raises(ClusterError, match="has expired"):
        join_token.refuse_dead(url, dead, ca, "kubeadm_token_ttl")
    lab.ssh(lab.control_plane, f"{kubeadm} delete {alive}")


def test_secrets_are_where_they_belong(watched_site: tuple[Run, Watch]) -> None:
    run, watch = watched_site
    require_secrets_kept(KUBEADM, run, watch)


def test_the_mirror_is_confined(lab: Lab, site: Run) -> None:
    told = lab.ssh(lab.control_plane, "systemd-analyze security --no-pager sealer-mirror.service | tail -1")
    score = float(re.findall(r"(\d+\.\d+)", told)[0])
    assert score <= 2, told


def test_the_state_is_kept_without_secrets(lab: Lab, site: Run) -> None:
    state = json.loads(lab.ssh(lab.control_plane, "cat /etc/sealer/cluster.json"))
    assert state["name"] and state["image"]["digest"].startswith("sha256:")
    assert lab.kubectl("get secret sealer-cluster --namespace kube-system")["data"]
    assert "PRIVATE KEY" not in json.dumps(state)


def test_info_tells_of_the_cluster(lab: Lab, site: Run) -> None:
    run = lab.play("info")
    assert run.status == 0, run.text
    assert all(host in run.text for host in lab.hosts)
    assert len(re.findall(r'"expires": "20\d\d-', run.text)) > 1


def test_a_copy_of_the_kubeconfig_works_with_the_address_of_a_control_plane(lab: Lab, site: Run) -> None:
    elsewhere = list(lab.hosts)[-1]
    kubeconfig = lab.ssh(lab.control_plane, f"cat {lab.kubeconfig}")
    # An address that the certificate is not for.
    server = f"--server https://{lab.managed(lab.control_plane)}:6443 --tls-server-name apiserver.cluster.local"
    command = f"kubectl --kubeconfig /dev/stdin {server} get nodes --output name"
    told = lab.ssh(elsewhere, f"HOME=/tmp/kubectl {command}", given=kubeconfig)
    assert set(told.split()) == {f"node/{host}" for host in lab.hosts}


def test_what_guides_ask_a_host_is_answered(lab: Lab, site: Run) -> None:
    guides = yaml.safe_load((HERE.parent / "unit/docs/guides.yml").read_text())
    entries = [entry for guide in guides.values() for entry in guide.get("commands", ())]
    this = "lab/core/test_cluster.py::test_what_guides_ask_a_host_is_answered"
    commands = [command for entry in entries if this in entry.get("tests", ()) for command in entry["commands"]]
    assert commands
    for command in commands:
        lab.ssh(lab.control_plane, f"export HOME=/tmp/kubectl KUBECONFIG={lab.kubeconfig}; {command}")
