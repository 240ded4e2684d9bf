# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An application that is updated on a cluster of kubeadm: well, badly, and with less in it than before."""

from __future__ import annotations

import json
import pathlib
import subprocess
import typing as t

import pytest
from ansible_collections.sealer.cluster.tests.lab.lab import DEMO_IMAGE, STORE, Lab, Run, playbook

NAME = "lab-shop"
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
NGINX = "docker.io/library/nginx:1.22-debian"
# The page that its readiness probe asks for comes with the volume.
GOOD = ["/usr/sbin/nginx", "-e", "stderr", "-g", "daemon off;"]
BROKEN = ["/usr/sbin/nginx", "-e", "stderr", "-c", "/nowhere.conf"]


def config_map(name: str, **data: str) -> dict[str, t.Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": data}


def deployment(version: str, command: list[str], *, probed: bool = True, **spec: t.Any) -> dict[str, t.Any]:
    labels = {"app": "shop", "version": version}
    container = {
        "name": "web",
        "image": NGINX,
        "command": command,
        **({"readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}} if probed else {}),
        "volumeMounts": [
            {"name": "page", "mountPath": "/srv/www"},
            {"name": "scratch", "mountPath": "/tmp"},
        ],
    }
    volumes = [{"name": "page", "configMap": {"name": "page"}}, {"name": "scratch", "emptyDir": {}}]
    pod = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 1}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
            **spec,
        },
    }


def build(path: pathlib.Path, version: int, **applications: dict[str, t.Any]) -> str:
    """An image on top of the demo's, with an application for each name: file without ending to its object."""
    for name, files in applications.items():
        (path / name).mkdir(parents=True)
        for file, content in files.items():
            (path / name / f"{file}.yaml").write_text(json.dumps(content, indent=1))
    lines = [f"FROM {DEMO_IMAGE}", *(f"APP {name} ./{name}" for name in applications)]
    (path / "Kubefile").write_text("\n".join([*lines, f"LAUNCH {json.dumps(list(applications))}"]) + "\n")
    image = f"{NAME}:{version}"
    given = {"sealer_store": str(STORE), "sealer_build_path": str(path), "sealer_build_name": image}
    run = playbook("sealer.cluster.build", f"--extra-vars={json.dumps(given)}")
    assert run.status == 0, run.text
    return image


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The first version, an update that takes a while and has less in it, and two whose pods die at once.

    The last has no readiness probe, so that its pods count as available while they run.
    """
    page = {"index.html": "<h1>shop</h1>"}
    top = tmp_path_factory.mktemp("shop")
    first = {"a-namespace": NAMESPACE, "b-page": config_map("page", **page), "c-old": config_map("old")}
    slow: dict[str, t.Any] = {"minReadySeconds": 6, "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}
    later = {"a-namespace": NAMESPACE, "b-page": config_map("page", **page)}
    return [
        build(top / "1", 1, shop={**first, "d-shop": deployment("1", GOOD)}, extra={"extra": config_map("extra")}),
        build(top / "2", 2, shop={**later, "d-shop": deployment("2", GOOD, replicas=2, **slow)}),
        build(top / "3", 3, shop={**later, "d-shop": deployment("3", BROKEN, replicas=2, progressDeadlineSeconds=15)}),
        build(top / "4", 4, shop={**later, "d-shop": deployment("4", BROKEN, probed=False)}),
    ]


def play(lab: Lab, image: str, *arguments: str, name: str = "site") -> Run:
    """On the first control plane alone, which launches the applications: programs are the same for all."""
    limit = f"--limit={lab.control_plane},localhost"
    return lab.play(name, limit, *arguments, variables={"sealer_image": image})


def words(run: Run) -> str:
    """What a run printed, on one line: warnings are wrapped."""
    return " ".join(run.text.split())


def shop(lab: Lab) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", lab.kubectl("get deployment shop --namespace=shop"))


def state(lab: Lab) -> list[str]:
    """What must not change in check mode: the tree on the host, the application, what is recorded of it."""
    tree = lab.ssh(lab.control_plane, "readlink /var/lib/sealer/rootfs/current; ls -A /var/lib/sealer/rootfs")
    record = lab.kubectl("get secret sealer-applications --namespace=kube-system")
    return [tree, str(shop(lab)["metadata"]["generation"]), record["metadata"]["resourceVersion"]]


def pods(lab: Lab) -> list[str]:
    """The versions of the pods that are not on their way out."""
    items = lab.kubectl("get pods --namespace=shop --selector=app=shop")["items"]
    return sorted(
        item["metadata"]["labels"]["version"] for item in items if "deletionTimestamp" not in item["metadata"]
    )


@pytest.fixture(scope="module")
def first(lab: Lab, site: Run, images: list[str]) -> t.Iterator[Run]:
    """The first version; in the end, the cluster has the image that it had before."""
    run = play(lab, images[0])
    assert run.status == 0, run.text
    yield run
    lab.ssh(lab.control_plane, f"{lab.kubectl_command} delete namespace shop --wait --timeout=100s")
    again = lab.play("site")
    assert again.status == 0, again.text
    assert "stays in the cluster" not in words(lab.play("info"))
    for image in images:
        options = json.dumps({"name": image, "store": str(STORE)})
        command = ["ansible", "localhost", "--module-name", "sealer.cluster.image_remove", "--args", options]
        subprocess.run(command, check=True, capture_output=True)


def test_check_mode_shows_what_a_new_image_would_change(lab: Lab, first: Run, images: list[str]) -> None:
    before = state(lab)
    run = play(lab, images[1], "--check", "--diff")
    assert run.status == 0, run.text
    for line in (
        '-        version: "1"',
        '+        version: "2"',
        "+  minReadySeconds: 6",
        "-  replicas: 1",
        "+  replicas: 2",
    ):
        assert line in run.text, run.text
    assert "The application extra stays in the cluster: the image does not have it any more" in words(run)
    assert state(lab) == before


def test_a_healthy_update_is_waited_for_until_its_end(lab: Lab, first: Run, images: list[str]) -> None:
    run = play(lab, images[1])
    assert run.status == 0, run.text
    found = shop(lab)
    status = found["status"]
    assert status["observedGeneration"] == found["metadata"]["generation"]
    assert (status["replicas"], status["updatedReplicas"], status["availableReplicas"]) == (2, 2, 2)
    assert pods(lab) == ["2", "2"]
    again = play(lab, images[1])
    assert again.status == 0 and again.unchanged, again.text


def test_what_the_image_does_not_have_any_more_is_told_until_it_is_gone(
    lab: Lab, first: Run, images: list[str]
) -> None:
    application = (
        "The application extra stays in the cluster: the image does not have it any more: ConfigMap shop/extra"
    )
    manifest = "The application shop left objects in the cluster: ConfigMap shop/old (application/apps/shop/c-old.yaml"
    for run in (play(lab, images[1]), lab.play("info")):
        assert run.status == 0, run.text
        assert application in words(run) and manifest in words(run), run.text
    lab.ssh(lab.control_plane, f"{lab.kubectl_command} delete configmap old extra --namespace=shop")
    for run in (play(lab, images[1]), lab.play("info")):
        assert application not in words(run) and manifest not in words(run), run.text


def test_an_update_whose_pods_die_fails_and_says_why(lab: Lab, first: Run, images: list[str]) -> None:
    run = play(lab, images[2])
    assert run.status != 0, run.text
    text = words(run).replace("\\n", " ").replace('\\"', '"')
    for told in (
        "the applications will not become ready",
        "Deployment shop/shop (application/apps/shop/d-shop.yaml): no progress within 15 seconds",
        "container web: ",
        "last exit code 1",
        "/nowhere.conf",
        "event: BackOff: Back-off restarting failed container web in pod shop-",
    ):
        assert told in text, run.text
    # The version before it goes on serving.
    assert "2" in pods(lab) and shop(lab)["status"]["availableReplicas"] >= 1


def test_the_image_before_it_brings_its_version_back(lab: Lab, first: Run, images: list[str]) -> None:
    run = play(lab, images[1])
    assert run.status == 0, run.text
    assert pods(lab) == ["2", "2"]


def test_an_update_that_dies_after_it_was_ready_fails(lab: Lab, first: Run, images: list[str]) -> None:
    run = play(lab, images[3], "--extra-vars=apps_wait_timeout=30")
    assert run.status != 0, run.text
    text = words(run).replace("\\n", " ")
    assert "not ready after 30 seconds" in text
    assert "Deployment shop/shop (application/apps/shop/d-shop.yaml)" in text
    assert "container web: " in text and "last exit code 1" in text and "/nowhere.conf" in text


def test_no_packet_left_the_network(lab: Lab, first: Run) -> None:
    assert lab.air_gap.attempts() == {}
