# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the hosts of a cluster and its API servers say of it, for any runtime."""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import subprocess
import typing as t

from ansible_collections.sealer.cluster.tests.lab.canaries import LASTING_TOKEN, LOUD, Watch, watching
from ansible_collections.sealer.cluster.tests.lab.lab import Lab, Run, wait_for
from ansible_collections.sealer.cluster.tests.lab.runtimes import Runtime

# Where container images are published that a cluster image names.
PUBLISHERS = {"registry.k8s.io", "docker.io", "ghcr.io", "quay.io"}
API_SERVER = "https://apiserver.cluster.local:6443"
_ETCD = "https://127.0.0.1:2379/v3/cluster/member"
_PROBE = "curl --silent --insecure --max-time 2 --output /dev/null --write-out '%{http_code}'"
# k3s says nothing to those that it does not know.
_ANSWERS = ("200", "401")


def control_planes(lab: Lab) -> list[str]:
    return [host for host in lab.hosts if "-cp" in host]


def worker(lab: Lab) -> str:
    return f"{lab.name}-w1"


def reached(lab: Lab, host: str, url: str = API_SERVER) -> bool:
    """Whether this host reaches an API server, by the name that stands for all or by a balancer."""
    return lab.ssh(host, f"{_PROBE} {url}/readyz; true") in _ANSWERS


def etcd(runtime: Runtime, lab: Lab, asked: str, action: str, **given: object) -> t.Any:
    """What etcd on a control plane says about its members."""
    command = f"curl --silent --show-error --fail {runtime.etcd} --data @- {_ETCD}/{action}"
    return json.loads(lab.ssh(asked, command, given=json.dumps(given)))


def members(runtime: Runtime, lab: Lab, asked: str) -> set[str]:
    """The nodes that have a member of etcd."""
    found = etcd(runtime, lab, asked, "list")["members"]
    return {re.sub(f"{runtime.member}$", "", item.get("name", "")) for item in found if not item.get("isLearner")}


def containers(lab: Lab) -> dict[str, str]:
    """The states of each pod's containers, which say when they were started."""
    pods = lab.kubectl("get pods --all-namespaces")["items"]
    return {
        pod["metadata"]["name"]: str([told["state"] for told in pod["status"]["containerStatuses"]]) for pod in pods
    }


def started(runtime: Runtime, lab: Lab) -> dict[str, str]:
    """When the services and the containers were started."""
    show = f"systemctl show --property=Id,MainPID,ActiveEnterTimestamp {runtime.units} sealer-mirror"
    return {**{host: lab.ssh(host, show) for host in lab.hosts}, **containers(lab)}


def image_names(lab: Lab) -> set[str]:
    """The names of container images that pods have."""
    return {
        container["image"]
        for pod in lab.kubectl("get pods --all-namespaces")["items"]
        for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", [])
    }


@contextlib.contextmanager
def lost(lab: Lab, host: str, asked: str) -> t.Iterator[None]:
    """A control plane is gone without a word meanwhile, and is back afterwards. asked: another one.

    A node counts as ready for a while after it has gone, so its own API server and its kubelet are asked.
    """
    subprocess.run(["podman", "kill", host], check=True, capture_output=True)
    gone = datetime.datetime.now(datetime.timezone.utc)
    try:
        yield
    finally:
        subprocess.run(["podman", "start", host], check=True, capture_output=True)
    wait_for(lambda: lab.ssh(host, f"{lab.kubectl_command} get --raw /readyz", check=False) == "ok", 90)
    wait_for(lambda: _last_sign_of_life(lab, host, asked) > gone, 60)


def _last_sign_of_life(lab: Lab, host: str, asked: str) -> datetime.datetime:
    """When a node's kubelet renewed its lease."""
    lease = lab.kubectl(f"get lease {host} --namespace kube-node-lease", asked)
    return datetime.datetime.fromisoformat(lease["spec"]["renewTime"].replace("Z", "+00:00"))


def demo_page(lab: Lab, host: str, asked: t.Optional[str] = None) -> str:
    """The page of the demo, as a host gets it through the Service, whose address a control plane is asked for."""
    services = lab.kubectl("get services --all-namespaces", asked)["items"]
    address = next(item["spec"]["clusterIP"] for item in services if item["metadata"]["name"] == "demo")
    return lab.ssh(host, f"curl --silent --show-error --fail --retry 10 --retry-all-errors http://{address}/")


def watched(runtime: Runtime, lab: Lab, play: t.Callable[..., Run]) -> tuple[Run, Watch]:
    """A run that printed all that it ever would, and succeeded, and what was seen while it went.

    play: runs it, with the arguments that it is given besides its own.
    """
    with watching(lab, runtime.secrets, runtime.places) as watch:
        run = play(*LOUD)
    assert run.status == 0, run.text
    return run, watch


def require_secrets_kept(runtime: Runtime, run: Run, watch: Watch) -> None:
    """Each kind of secret that a cluster's making needs was seen, and is only where it belongs.

    A token that nobody was told may last, and ends by itself.
    """
    made = watch.secrets()
    assert {secret.kind for secret in made} - {LASTING_TOKEN} == runtime.kinds
    assert len({secret for secret in made if secret.kind == LASTING_TOKEN}) <= runtime.tokens
    assert watch.findings(made, run.text) == []
