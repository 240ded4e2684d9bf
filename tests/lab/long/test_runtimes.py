# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One inventory, one command, whatever Kubernetes the image brings.

The same four hosts are three control planes and a worker, one of which is lost and brought back, and then one of each,
with kubeadm, with k3s and with k0s; nothing but the image's name changes. k3s and k0s are their doubles, unless
SEALER_K3S_BINARY and SEALER_K0S_BINARY name the real ones.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t
from functools import partial

import pytest
from ansible_collections.sealer.cluster.tests.lab import mysql
from ansible_collections.sealer.cluster.tests.lab.canaries import Watch
from ansible_collections.sealer.cluster.tests.lab.cluster_state import (
    API_SERVER,
    PUBLISHERS,
    containers,
    control_planes,
    etcd,
    image_names,
    lost,
    members,
    reached,
    require_secrets_kept,
    started,
    watched,
    worker,
)
from ansible_collections.sealer.cluster.tests.lab.lab import Inventories, Lab, Run, wait_for
from ansible_collections.sealer.cluster.tests.lab.runtimes import K0S, K3S, KUBEADM, Runtime

LABELS: dict[str, object] = {
    "sealer_node_labels": {"example.com/rack": "r1"},
    "sealer_node_roles": ["ingress"],
    "sealer_node_taints": [{"key": "a", "effect": "PreferNoSchedule"}],
    "sealer_host_aliases": [{"ip": "192.0.2.5", "hostnames": ["db.example.com", "db"]}],
}
OTHER_LABELS: dict[str, object] = {
    **LABELS,
    "sealer_node_labels": {"example.com/row": 7},
    "sealer_node_roles": [],
    "sealer_host_aliases": [{"ip": "192.0.2.6", "hostnames": ["db"]}],
}
ROLE = "node-role.kubernetes.io/ingress"


@pytest.fixture(scope="module")
def machines() -> t.Iterator[Lab]:
    """The hosts, for all runtimes one after the other."""
    with Lab("planes", control_planes=3, subnet="10.77.93").running() as made:
        yield made


@pytest.fixture(scope="module")
def bare(machines: Lab) -> Inventories:
    return machines.inventories()


@pytest.fixture(scope="module", params=[KUBEADM, K3S, K0S], ids=lambda runtime: runtime.name)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return t.cast(Runtime, request.param)


@pytest.fixture(scope="module")
def hosts(machines: Lab, runtime: Runtime) -> Lab:
    return dataclasses.replace(machines, image=runtime.image, kubeconfig=runtime.kubeconfig)


@pytest.fixture(scope="module")
def watched_site(runtime: Runtime, hosts: Lab, bare: Inventories) -> tuple[Run, Watch]:
    return watched(runtime, hosts, partial(hosts.play, "site", variables=LABELS))


@pytest.fixture(scope="module")
def site(watched_site: tuple[Run, Watch]) -> Run:
    return watched_site[0]


@pytest.fixture(scope="module")
def pair(hosts: Lab, site: Run) -> Lab:
    """Two of the hosts, once they are bare again."""
    return hosts.only(hosts.control_plane, worker(hosts))


@pytest.fixture(scope="module")
def pair_site(pair: Lab) -> Run:
    run = pair.play("site", variables=LABELS)
    assert run.status == 0, run.text
    return run


def require_bare(hosts: Lab, bare: Inventories, *names: str) -> None:
    """Hosts are as they were; the data of a database is its owner's and was left to them."""
    for host in names or hosts.hosts:
        hosts.ssh(host, f"rm -rf {mysql.DATA}")
    assert hosts.changes_since(bare, *names) == {}


def labels_of(hosts: Lab) -> dict[str, dict[str, str]]:
    return {node["metadata"]["name"]: node["metadata"]["labels"] for node in hosts.kubectl("get nodes")["items"]}


def test_all_are_ready_and_know_of_each_other(runtime: Runtime, hosts: Lab, site: Run) -> None:
    assert {host: site.hosts[host].tasks for host in hosts.hosts if site.hosts[host].tasks > 25} == {}
    for host in control_planes(hosts):
        assert hosts.readiness(host) == dict.fromkeys(hosts.hosts, "True")
        assert members(runtime, hosts, host) == set(control_planes(hosts))
        state = json.loads(hosts.ssh(host, "cat /etc/sealer/cluster.json"))
        assert state["runtime"]["name"] == runtime.name
        assert {member["name"]: member["role"] for member in state["members"]} == {
            name: "control_plane" if "-cp" in name else "worker" for name in hosts.hosts
        }


def test_nodes_have_their_addresses_labels_and_taints(hosts: Lab, site: Run) -> None:
    for node in hosts.kubectl("get nodes")["items"]:
        name = node["metadata"]["name"]
        addresses = {entry["type"]: entry["address"] for entry in node["status"]["addresses"]}
        assert addresses["InternalIP"] == hosts.hosts[name]
        assert node["metadata"]["labels"]["example.com/rack"] == "r1"
        assert node["metadata"]["labels"][ROLE] == ""
        taints = {(taint["key"], taint["effect"]) for taint in node["spec"]["taints"]}
        dedicated = {("node-role.kubernetes.io/control-plane", "NoSchedule")} if "-cp" in name else set()
        assert taints == {("a", "PreferNoSchedule")} | dedicated


def test_hosts_know_their_aliases(hosts: Lab, site: Run) -> None:
    for host in hosts.hosts:
        assert hosts.ssh(host, "getent --service=files hosts db").split() == ["192.0.2.5", "db.example.com", "db"]


def test_control_planes_joined_one_at_a_time(site: Run) -> None:
    joins = site.text.partition("PLAY [Join the other control planes]")[2].partition("PLAY [Join the workers]")[0]
    assert joins.count("PLAY [Join the other control planes]") == 1
    first_batch = joins.partition("PLAY [Join the other control planes]")[0]
    assert not re.search(r"^\w+: \[planes-cp3", first_batch, re.MULTILINE)


def test_the_database_answers_through_its_service(hosts: Lab, site: Run) -> None:
    assert mysql.client(hosts, worker(hosts), "SELECT 6 * 7") == "42"


def test_images_came_through_the_mirror_under_their_names(runtime: Runtime, hosts: Lab, site: Run) -> None:
    assert hosts.air_gap.attempts() == {}
    for host in hosts.hosts:
        assert hosts.ssh(host, f"find {runtime.certs} -type f").split() == [f"{runtime.certs}/_default/hosts.toml"]
    assert {name.split("/")[0] for name in image_names(hosts)} <= PUBLISHERS


def test_no_credentials_are_left_or_told(runtime: Runtime, hosts: Lab, watched_site: tuple[Run, Watch]) -> None:
    assert "kubeadm-certs" not in {
        item["metadata"]["name"] for item in hosts.kubectl("get secrets --namespace kube-system")["items"]
    }
    require_secrets_kept(runtime, *watched_site)


def test_a_second_run_changes_and_restarts_nothing(runtime: Runtime, hosts: Lab, site: Run) -> None:
    before = started(runtime, hosts)
    run = hosts.play("site", variables=LABELS)
    assert run.status == 0, run.text
    assert run.unchanged, run.text
    assert started(runtime, hosts) == before


def test_the_first_control_plane_is_lost_and_comes_back(
    runtime: Runtime, hosts: Lab, bare: Inventories, site: Run
) -> None:
    first, second, third = control_planes(hosts)
    ways = [url for url in (API_SERVER, runtime.balancer) if url]
    for url in ways:
        wait_for(partial(reached, hosts, worker(hosts), url), 60)
    with lost(hosts, first, second):
        wait_for(partial(reached, hosts, second), 10)
        for url in ways:
            wait_for(partial(reached, hosts, worker(hosts), url), 10)
        assert hosts.kubectl("get pod mysql-0", second)["status"]["phase"] == "Running"
        run = hosts.play("reset", f"--limit={worker(hosts)}", variables={"sealer_reset": True})
        assert run.status == 0, run.text
        require_bare(hosts, bare, worker(hosts))
        assert worker(hosts) not in hosts.readiness(second)
        run = hosts.play("site", f"--limit={worker(hosts)}")
        assert run.status == 0, run.text
        ready = {second: "True", third: "True", worker(hosts): "True"}
        wait_for(lambda: ready.items() <= hosts.readiness(second).items(), 60)
    wait_for(lambda: hosts.readiness(second) == dict.fromkeys(hosts.hosts, "True"), 90)
    wait_for(lambda: members(runtime, hosts, second) == set(control_planes(hosts)), 10)


def test_one_control_plane_is_reset_and_joins_again(runtime: Runtime, hosts: Lab, bare: Inventories, site: Run) -> None:
    first, second, third = control_planes(hosts)
    run = hosts.play("reset", f"--limit={third}", variables={"sealer_reset": True})
    assert run.status == 0, run.text
    require_bare(hosts, bare, third)
    assert set(hosts.readiness(first)) == set(hosts.hosts) - {third}
    assert members(runtime, hosts, first) == {first, second}
    # What a join leaves in etcd that is cut off at its worst moment: a member that nobody will ever start.
    etcd(runtime, hosts, first, "add", peerURLs=[f"https://{hosts.hosts[third]}:2380"], isLearner=True)
    run = hosts.play("site", f"--limit={third},localhost")
    assert run.status == 0, run.text
    assert set(run.hosts) <= {third, "localhost"}
    assert members(runtime, hosts, first) == set(control_planes(hosts))
    wait_for(lambda: hosts.readiness(first) == dict.fromkeys(hosts.hosts, "True"), 60)
    assert hosts.air_gap.attempts() == {}


def test_reset_leaves_the_hosts_as_they_were(hosts: Lab, bare: Inventories, site: Run) -> None:
    run = hosts.play("reset", variables={"sealer_reset": True})
    assert run.status == 0, run.text
    require_bare(hosts, bare)


def test_check_mode_on_bare_hosts_changes_nothing(pair: Lab, bare: Inventories) -> None:
    run = pair.play("site", "--check", "--diff")
    assert run.status == 0, run.text
    assert all(run.hosts[host].changed > 0 for host in pair.hosts)
    require_bare(pair, bare)


def test_the_same_hosts_are_one_control_plane_and_a_worker(runtime: Runtime, pair: Lab, pair_site: Run) -> None:
    assert pair.readiness() == dict.fromkeys(pair.hosts, "True")
    assert mysql.client(pair, worker(pair), "SELECT 6 * 7") == "42"
    before = started(runtime, pair)
    for arguments in ([], ["--check", "--diff"]):
        run = pair.play("site", *arguments, variables=LABELS)
        assert run.status == 0, run.text
        assert run.unchanged, run.text
    assert started(runtime, pair) == before
    run = pair.play("info")
    assert run.status == 0, run.text
    assert all(host in run.text for host in pair.hosts)
    assert len(re.findall(r'"expires": "20\d\d-', run.text)) > 1


def test_a_changed_setting_restarts_services_and_no_container(runtime: Runtime, pair: Lab, pair_site: Run) -> None:
    services, running, labels = started(runtime, pair), containers(pair), labels_of(pair)
    run = pair.play("site", variables={**OTHER_LABELS, **runtime.change})
    assert run.status == 0, run.text
    restarted = {host for host in pair.hosts if started(runtime, pair)[host] != services[host]}
    assert restarted == (set(pair.hosts) if runtime.change else set())
    assert containers(pair) == running
    for name, kept in labels.items():
        assert (kept.pop("example.com/rack"), kept.pop(ROLE)) == ("r1", "")
        assert labels_of(pair)[name] == {**kept, "example.com/row": "7"}
        assert pair.ssh(name, "getent --service=files hosts db").split() == ["192.0.2.6", "db"]
        assert pair.ssh(name, "getent --service=files hosts db.example.com; true") == ""


def test_a_join_that_was_cut_off_at_its_end_is_made_again(runtime: Runtime, pair: Lab, pair_site: Run) -> None:
    """The host's kubelet runs, and the cluster counts the node as ready."""
    name, record = worker(pair), f"/var/lib/sealer/{runtime.name}.json"
    pair.ssh(name, f"""sed -i 's/"state": "done"/"state": "started"/' {record} && grep -q '"started"' {record}""")
    assert pair.readiness()[name] == "True"
    settings = {**OTHER_LABELS, **runtime.change}
    run = pair.play("site", f"--limit={name}", variables=settings)
    assert run.status == 0, run.text
    wait_for(lambda: pair.readiness().get(name) == "True", 90)
    assert '"done"' in pair.ssh(name, f"cat {record}")
    # Where the node is another one, nobody has labelled it by hand.
    pair.ssh(pair.control_plane, f"{pair.kubectl_command} label --overwrite node {name} mysql-data=here")
    # The control plane has had the settings only where the test before this one was run.
    assert pair.play("site", variables=settings).status == 0
    again = pair.play("site", variables=settings)
    assert again.status == 0 and again.unchanged, again.text


def test_a_second_reset_changes_nothing(pair: Lab, bare: Inventories, pair_site: Run) -> None:
    run = pair.play("reset", variables={"sealer_reset": True})
    assert run.status == 0, run.text
    require_bare(pair, bare)
    again = pair.play("reset", variables={"sealer_reset": True})
    assert again.status == 0, again.text
    assert again.unchanged, again.text
