# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Launching applications on a cluster in memory: what is run, shown and recorded, and what is left over."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import apps, apps_plan
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_left import warnings_of
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_look import Look
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_record import (
    NOT_IN_IMAGE,
    NOT_IN_MANIFESTS,
    NOT_LAUNCHED,
    AppsRecord,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.tests.unit.fake_cluster import FakeCluster, Json

SECRET = ("Secret", "kube-system", "sealer-applications")


def config_map(name: str, namespace: str = "default", **data: str) -> Json:
    metadata = {"name": name} if namespace == "default" else {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def deployment(name: str, image: str = "web:1", namespace: str = "default") -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "web", "image": image}]}}},
    }


NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {"group": "example.com", "names": {"kind": "Widget"}},
}
WIDGET = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "default"}}
ESTABLISHED = {"conditions": [{"type": "Established", "status": "True"}]}


class Image:
    """A root file system with applications; each file is a JSON manifest, or a script."""

    def __init__(self, rootfs: pathlib.Path, digest: str = "sha256:1") -> None:
        self.rootfs = rootfs
        self.digest = digest
        self.applications: list[Json] = []
        self.cmds: list[str] = []
        self.launch: list[str] = []

    def app(self, name: str, *cmds: str, **files: t.Any) -> Image:
        """An application. files: name without ending to the objects in it."""
        directory = self.rootfs / "application/apps" / name
        directory.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (directory / f"{file}.json").write_text(json.dumps(content))
        applied = [f"kubectl apply -f {file}.json" for file in files]
        item = {"name": name, "path": f"application/apps/{name}", "env": {}, "cmds": [*applied, *cmds]}
        self.applications.append(item)
        self.launch.append(name)
        return self

    @property
    def description(self) -> Json:
        return {"applications": self.applications, "launch": self.launch, "cmds": self.cmds, "env": {}}


class Site:
    """Runs images on one cluster, as the module does."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.seen: Json = {}

    def run(self, image: Image, *, check: bool = False, launch: t.Sequence[str] = ()) -> apps.Outcome:
        kubectl = self.cluster.kubectl()
        record = AppsRecord.load(kubectl)
        steps = apps_plan.plan(
            image.description, rootfs=str(image.rootfs), image_digest=image.digest, env={}, launch=launch
        )
        launcher = apps.Launcher(
            self.cluster,
            kubectl,
            record,
            roots=[str(image.rootfs)],
            programs="/programs",
            image_digest=image.digest,
            timeout=600,
            check=check,
        )
        outcome = launcher.launch(steps)
        record.finish(image.description, image.digest, steps, chosen=bool(launch))
        self.seen = Look(kubectl, record).at({step.owner for step in steps}, [])
        if not check:
            record.save(kubectl)
        return outcome

    def left(self) -> dict[str, tuple[str, list[str]]]:
        """Name of an application to why it stays, and what is left of it."""
        return {
            item["name"]: (item["stays"], [f"{found['kind']} {found['name']}" for found in item["left"]])
            for item in self.seen["applications"]
            if item["stays"] or item["left"]
        }

    def sources(self, name: str) -> dict[str, str]:
        item = next(item for item in self.seen["applications"] if item["name"] == name)
        return {f"{found['kind']} {found['name']}": found["source"] for found in item["objects"]}


@pytest.fixture(name="site")
def fixture_site() -> Site:
    return Site(FakeCluster())


def test_what_differs_is_applied_and_recorded_with_its_file(site: Site, tmp_path: pathlib.Path) -> None:
    image = Image(tmp_path).app("web", a=config_map("page"), b={"kind": "List", "items": [deployment("web")]})
    done = site.run(image)
    assert done.launched == ["web: kubectl apply -f a.json", "web: kubectl apply -f b.json"]
    assert site.cluster.applied == ["kubectl apply -f a.json", "kubectl apply -f b.json"]
    assert "web:1" in "".join(done.after) and "".join(done.before).strip().startswith("#")
    assert site.sources("web") == {
        "ConfigMap page": "application/apps/web/a.json",
        "Deployment web": "application/apps/web/b.json",
    }


def test_a_second_run_changes_nothing_and_asks_little(site: Site, tmp_path: pathlib.Path) -> None:
    files = {f"f{number}": config_map(f"c{number}") for number in range(10)}
    image = Image(tmp_path).app("web", **files)
    site.run(image)
    before = site.cluster.objects[SECRET]
    site.cluster.commands.clear()
    assert site.run(image) == apps.Outcome([], [], [])
    verbs = [command.split()[1] for command in site.cluster.commands]
    assert verbs.count("diff") == 10
    # The record; all objects at once; nodes and system.
    assert verbs.count("get") == 3
    assert len(verbs) == 13
    assert site.cluster.objects[SECRET] == before


def test_the_files_of_a_directory_are_told_apart(site: Site, tmp_path: pathlib.Path) -> None:
    image = Image(tmp_path)
    (tmp_path / "mysql").mkdir()
    (tmp_path / "mysql/one.json").write_text(json.dumps(config_map("one")))
    (tmp_path / "mysql/two.json").write_text(json.dumps(deployment("two")))
    image.cmds = ["kubectl apply -f mysql"]
    site.run(image)
    assert site.sources("cluster image") == {
        "ConfigMap one": "mysql/one.json",
        "Deployment two": "mysql/two.json",
    }


def test_namespaces_that_a_manifest_need_not_or_must_not_say(site: Site, tmp_path: pathlib.Path) -> None:
    scoped = {**NAMESPACE, "metadata": {"name": "shop", "namespace": "shop"}}
    site.run(Image(tmp_path).app("web", one=scoped, two=config_map("page")))
    assert site.sources("web") == {
        "Namespace shop": "application/apps/web/one.json",
        "ConfigMap page": "application/apps/web/two.json",
    }


def test_check_mode_shows_the_same_and_writes_nothing(site: Site, tmp_path: pathlib.Path) -> None:
    site.run(Image(tmp_path / "1").app("web", a=config_map("page", text="old")))
    before = dict(site.cluster.objects)
    site.cluster.applied.clear()
    image = Image(tmp_path / "2", "sha256:2").app("web", a=config_map("page", text="new"), b=config_map("more"))
    predicted = site.run(image, check=True)
    assert site.cluster.applied == []
    assert site.cluster.objects == before
    assert '"text": "old"' in "".join(predicted.before) and '"text": "new"' in "".join(predicted.after)
    assert site.run(image) == predicted


def test_a_file_that_brings_its_namespace_is_shown_whole(site: Site, tmp_path: pathlib.Path) -> None:
    objects = [NAMESPACE, deployment("web", namespace="shop"), config_map("page", "shop", text="hello")]
    image = Image(tmp_path).app("web", all={"kind": "List", "items": objects})
    predicted = site.run(image, check=True)
    assert "namespaces" in predicted.after[0] and '"text": "hello"' in predicted.after[0]
    assert site.run(image) == predicted
    assert ("Deployment", "shop", "web") in site.cluster.objects


def test_of_a_file_with_a_new_namespace_what_is_there_is_compared(site: Site, tmp_path: pathlib.Path) -> None:
    first = [config_map("same"), config_map("page", text="old")]
    site.run(Image(tmp_path / "1").app("web", all={"kind": "List", "items": first}))
    second = [config_map("same"), config_map("page", text="new"), NAMESPACE, config_map("more", "shop", text="hello")]
    image = Image(tmp_path / "2", "sha256:2").app("web", all={"kind": "List", "items": second})
    predicted = site.run(image, check=True)
    assert '"text": "old"' in predicted.before[0] and '"text": "hello"' not in predicted.before[0]
    assert '"text": "new"' in predicted.after[0] and '"text": "hello"' in predicted.after[0]
    assert "same" not in predicted.before[0] + predicted.after[0]
    assert site.run(image) == predicted


@pytest.mark.parametrize("check", [True, False])
def test_an_invalid_manifest_is_told_before_it_is_applied(site: Site, tmp_path: pathlib.Path, check: bool) -> None:
    image = Image(tmp_path).app("web", a=config_map("page"))
    (tmp_path / "application/apps/web/a.json").write_text("{")
    with pytest.raises(ClusterError, match="application/apps/web/a.json: this manifest cannot be read: error"):
        site.run(image, check=check)
    assert site.cluster.applied == []


def test_a_file_that_an_earlier_command_makes(site: Site, tmp_path: pathlib.Path) -> None:
    image = Image(tmp_path).app("web", "bash make.sh", "kubectl apply -f made.json")
    made = tmp_path / "application/apps/web/made.json"
    expected = ["web: bash make.sh", "web: kubectl apply -f made.json"]
    assert site.run(image, check=True).launched == expected

    def shell(command: str) -> str:
        made.write_text(json.dumps(config_map("page")))
        return ""

    site.cluster.shell = shell
    assert site.run(image).launched == expected
    assert site.sources("web") == {"ConfigMap page": "application/apps/web/made.json"}


def established(cluster: FakeCluster, tries: int) -> None:
    """Each look at the definitions comes nearer to where the API server serves them."""
    whole, looks = cluster._get, []

    def get(command: t.Sequence[str], data: t.Optional[str]) -> t.Any:
        key = ("CustomResourceDefinition", "", "widgets.example.com")
        if key in cluster.objects and "-f" in command:
            looks.append(1)
            if len(looks) > tries:
                cluster.objects[key]["status"] = ESTABLISHED
        return whole(command, data)

    cluster._get = get  # type: ignore[method-assign]


@pytest.mark.parametrize("together", [True, False], ids=["in one file", "in two files"])
def test_custom_resources_come_after_their_definition(site: Site, tmp_path: pathlib.Path, together: bool) -> None:
    established(site.cluster, 2)
    image = Image(tmp_path)
    if together:
        image.app("web", all={"kind": "List", "items": [WIDGETS, WIDGET]})
    else:
        image.app("web", one=WIDGETS, two=WIDGET)
    site.run(image)
    assert set(site.sources("web")) == {"CustomResourceDefinition widgets.example.com", "Widget w"}
    assert site.cluster.applied.count("kubectl apply -f all.json") == (2 if together else 0)


def test_a_definition_whose_names_are_taken_ends_it(site: Site, tmp_path: pathlib.Path) -> None:
    refused = {"conditions": [{"type": "NamesAccepted", "status": "False", "reason": "KindConflict"}]}
    with pytest.raises(ClusterError, match="widgets.example.com: NamesAccepted is False: KindConflict"):
        site.run(Image(tmp_path).app("web", one={**WIDGETS, "status": refused}))


def test_what_was_done_before_a_failure_is_recorded(site: Site, tmp_path: pathlib.Path) -> None:
    def shell(command: str) -> str:
        if command == "false":
            raise RuntimeError("no such thing")
        return ""

    site.cluster.shell = shell
    image = Image(tmp_path).app("one", "bash once.sh").app("two", "false")
    with pytest.raises(ClusterError, match="a launch command failed: false"):
        site.run(image)
    site.cluster.applied.clear()
    site.cluster.shell = lambda _command: ""
    assert site.run(image).launched == ["two: false"]
    assert site.cluster.applied == ["false"]


def test_commands_run_again_when_something_of_theirs_changes(site: Site, tmp_path: pathlib.Path) -> None:
    image = Image(tmp_path).app("web", "bash up.sh")
    image.cmds = ["bash after.sh"]
    script = tmp_path / "application/apps/web/up.sh"
    script.write_text("1")
    assert site.run(image).launched == ["web: bash up.sh", "cluster image: bash after.sh"]
    assert site.run(image).launched == []
    script.write_text("2")
    assert site.run(image).launched == ["web: bash up.sh"]
    image.digest = "sha256:2"
    assert site.run(image).launched == ["cluster image: bash after.sh"]


def made_by_shell(cluster: FakeCluster, *objects: Json) -> t.Callable[[str], str]:
    def shell(command: str) -> str:
        for item in objects:
            cluster.put(item)
        return ""

    return shell


def test_workloads_of_commands_are_looked_at(site: Site, tmp_path: pathlib.Path) -> None:
    owned = deployment("of-an-operator")
    owned["metadata"]["ownerReferences"] = [{"uid": "x"}]
    site.cluster.put(deployment("scaled"))
    changed = deployment("scaled")
    changed["metadata"].update(uid="uid-1", generation=2)
    site.cluster.shell = made_by_shell(site.cluster, deployment("made"), changed, owned)
    image = Image(tmp_path).app("web", "bash up.sh")
    site.run(image)
    assert site.sources("web") == {"Deployment made": "bash up.sh", "Deployment scaled": "bash up.sh"}
    # Somebody else's, which this run has not changed.
    site.run(image)
    assert site.sources("web") == {"Deployment made": "bash up.sh"}
    site.cluster.remove("Deployment", "default", "made")
    site.run(image)
    assert site.sources("web") == {}


def test_an_application_that_is_gone_from_the_image(site: Site, tmp_path: pathlib.Path) -> None:
    first = Image(tmp_path / "1").app("web", a=config_map("page")).app("old", b=deployment("old"), c=config_map("old"))
    site.run(first)
    assert site.left() == {}
    second = Image(tmp_path / "2", "sha256:2").app("web", a=config_map("page"))
    expected = {"old": (NOT_IN_IMAGE, ["Deployment old", "ConfigMap old"])}
    site.run(second, check=True)
    assert {name: (why, sorted(found)) for name, (why, found) in site.left().items()} == {
        name: (why, sorted(found)) for name, (why, found) in expected.items()
    }
    for _again in range(2):
        site.run(second)
        assert sorted(site.left()["old"][1]) == ["ConfigMap old", "Deployment old"]
    site.cluster.remove("Deployment", "default", "old")
    site.run(second)
    assert site.left() == {"old": (NOT_IN_IMAGE, ["ConfigMap old"])}
    site.cluster.remove("ConfigMap", "default", "old")
    site.run(second)
    assert site.left() == {}
    assert "old" not in AppsRecord.load(site.cluster.kubectl()).applications


def test_an_application_that_comes_back(site: Site, tmp_path: pathlib.Path) -> None:
    both = Image(tmp_path / "1").app("web", a=config_map("page")).app("old", b=deployment("old"))
    one = Image(tmp_path / "2", "sha256:2").app("web", a=config_map("page"))
    site.run(both)
    site.run(one)
    assert site.left() == {"old": (NOT_IN_IMAGE, ["Deployment old"])}
    both.digest = "sha256:3"
    assert site.run(both).launched == []
    assert site.left() == {}


def test_objects_that_an_application_has_no_more(site: Site, tmp_path: pathlib.Path) -> None:
    site.run(Image(tmp_path / "1").app("web", a=config_map("page"), b=config_map("second"), c=config_map("third")))
    image = Image(tmp_path / "2", "sha256:2").app("web", a=config_map("page"), c=config_map("third"))
    for check in (True, False, False):
        site.run(image, check=check)
        assert site.left() == {"web": ("", ["ConfigMap second"])}
    left = site.seen["applications"][0]["left"][0]
    assert (left["source"], left["why"]) == ("application/apps/web/b.json", NOT_IN_MANIFESTS)


def test_an_object_that_moves_to_another_file_or_application_is_not_left(site: Site, tmp_path: pathlib.Path) -> None:
    site.run(Image(tmp_path / "1").app("web", a=config_map("one"), b=config_map("two")).app("old", c=config_map("x")))
    moved = Image(tmp_path / "2", "sha256:2").app("web", b=config_map("one")).app("new", a=config_map("two"))
    site.run(moved.app("more", x={"kind": "List", "items": [config_map("x")]}))
    assert site.left() == {}


def test_an_application_that_the_image_launches_no_more(site: Site, tmp_path: pathlib.Path) -> None:
    image = Image(tmp_path).app("web", a=config_map("page")).app("extra", b=config_map("extra"))
    site.run(image)
    site.run(image, launch=["web"])
    assert site.left() == {}
    image.launch = ["web"]
    site.run(image)
    assert site.left() == {"extra": (NOT_LAUNCHED, ["ConfigMap extra"])}


def test_commands_of_the_image_that_are_gone(site: Site, tmp_path: pathlib.Path) -> None:
    image = Image(tmp_path)
    (tmp_path / "page.json").write_text(json.dumps(config_map("page")))
    image.cmds = ["kubectl apply -f page.json"]
    site.run(image)
    image.cmds = []
    site.run(image)
    assert site.left() == {"cluster image": ("", ["ConfigMap page"])}


def test_an_application_of_which_nothing_is_known_is_told_once(site: Site, tmp_path: pathlib.Path) -> None:
    site.run(Image(tmp_path / "1").app("web", a=config_map("page")).app("old", "bash up.sh"))
    image = Image(tmp_path / "2", "sha256:2").app("web", a=config_map("page"))
    site.run(image)
    assert site.left() == {"old": (NOT_IN_IMAGE, [])}
    told = f"The application old stays in the cluster: {NOT_IN_IMAGE}. What its commands made is not known"
    assert warnings_of(site.seen["applications"]) == [told]
    site.run(image)
    assert site.run(image).launched == []
    assert site.left() == {}


def test_workloads_of_commands_that_run_again_are_not_left(site: Site, tmp_path: pathlib.Path) -> None:
    site.cluster.shell = made_by_shell(site.cluster, deployment("made"))
    site.run(Image(tmp_path / "1").app("web", "bash up.sh one"))
    site.cluster.shell = lambda _command: ""
    second = Image(tmp_path / "2", "sha256:2").app("web", "bash up.sh two")
    site.run(second)
    assert site.left() == {}
    site.run(Image(tmp_path / "3", "sha256:3").app("other", a=config_map("x")))
    assert site.left() == {"web": (NOT_IN_IMAGE, ["Deployment made"])}


def test_warnings_name_objects_and_what_removes_them(site: Site, tmp_path: pathlib.Path) -> None:
    site.run(Image(tmp_path / "1").app("old", a=deployment("old")).app("web", b=NAMESPACE, c=config_map("x")))
    site.run(Image(tmp_path / "2", "sha256:2").app("web", c=config_map("x")))
    assert warnings_of(site.seen["applications"]) == [
        "The application old stays in the cluster: the image does not have it any more: Deployment default/old."
        " Nothing is removed. To remove all of it: kubectl delete --namespace=default deployment.apps/old",
        "The application web left objects in the cluster: Namespace shop (application/apps/web/b.json: none of its"
        " manifests has it any more). Nothing is removed. To remove all of it (with all data in it): kubectl delete"
        " namespace/shop",
    ]


def test_a_record_of_a_newer_release_is_refused() -> None:
    with pytest.raises(ClusterError, match="the record of the applications has version 9, this collection reads 1"):
        AppsRecord({"schemaVersion": 9, "applications": {}})


def test_a_record_that_somebody_spoiled_is_told(site: Site, tmp_path: pathlib.Path) -> None:
    site.run(Image(tmp_path).app("web", a=config_map("page")))
    site.cluster.objects[SECRET]["data"] = {"applications.json": "bm90IGpzb24="}
    with pytest.raises(ClusterError, match="kube-system/sealer-applications: the record .* cannot be read"):
        AppsRecord.load(site.cluster.kubectl())
