# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which commands launch applications, and what they are made from."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import apps_plan
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

DESCRIPTION: t.Dict[str, t.Any] = {
    "env": {"WHO": "image", "ONLY": "image"},
    "launch": ["net", "web"],
    "cmds": ["echo done"],
    "applications": [
        {"name": "web", "path": "apps/web", "env": {"WHO": "web"}, "cmds": ["helm install web .", "bash after.sh"]},
        {"name": "net", "path": "apps/net", "env": {}, "cmds": ["kubectl apply -f net.yaml"]},
    ],
}


def steps(rootfs: pathlib.Path, **changes: t.Any) -> t.List[apps_plan.Step]:
    given: t.Dict[str, t.Any] = {"image_digest": "sha256:1", "env": {}, "launch": [], **changes}
    return apps_plan.plan(given.pop("description", DESCRIPTION), rootfs=str(rootfs), **given)


def test_order_directories_and_environment(tmp_path: pathlib.Path) -> None:
    found = steps(tmp_path, env={"WHO": "site"})
    assert [str(step) for step in found] == [
        "net: kubectl apply -f net.yaml",
        "web: helm install web .",
        "web: bash after.sh",
        "cluster image: echo done",
    ]
    assert [step.directory for step in found][1:] == [f"{tmp_path}/apps/web", f"{tmp_path}/apps/web", str(tmp_path)]
    assert found[1].environ == {"WHO": "site", "ONLY": "image"}
    assert steps(tmp_path)[1].environ == {"WHO": "web", "ONLY": "image"}
    assert steps(tmp_path)[3].environ == {"WHO": "image", "ONLY": "image"}


def test_an_application_may_have_any_name(tmp_path: pathlib.Path) -> None:
    applications = [{"name": "cluster", "path": "apps/cluster", "env": {}, "cmds": ["bash up.sh"]}]
    found = steps(tmp_path, description={**DESCRIPTION, "applications": applications, "launch": ["cluster"]})
    assert len({(step.owner, step.number) for step in found}) == len(found) == 2


def test_values_of_variables() -> None:
    given = {"TEXT": "a b", "NUMBER": 3, "YES": True, "NO": False, "NONE": ""}
    assert apps_plan.environment("env", given) == {
        "TEXT": "a b",
        "NUMBER": "3",
        "YES": "true",
        "NO": "false",
        "NONE": "",
    }
    with pytest.raises(ClusterError, match="env: LIST is no text: it is of type list. Give a text or a number"):
        apps_plan.environment("env", {"LIST": ["a"]})


def test_the_digest_of_a_tree_knows_files_and_links(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one/file").write_text("a")
    (tmp_path / "way").symlink_to("one")
    seen = [apps_plan.tree_digest(str(tmp_path))]
    (tmp_path / "way").unlink()
    (tmp_path / "way").symlink_to("two")
    seen.append(apps_plan.tree_digest(str(tmp_path)))
    (tmp_path / "one/file").write_text("b")
    seen.append(apps_plan.tree_digest(str(tmp_path)))
    assert len(set(seen)) == 3


def test_an_unknown_application_is_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ClusterError, match="no application shop.*net, web"):
        steps(tmp_path, launch=["shop"])


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("kubectl apply -f a.yaml", "/d/a.yaml"),
        ("kubectl apply -f 'a b.yaml'", "/d/a b.yaml"),
        ("kubectl apply -f a.yaml -n x", ""),
        ("kubectl apply -f $FILE", ""),
        ("kubectl apply -f -", ""),
        ("kubectl apply -f https://x/y.yaml", ""),
        ("kubectl apply -f 'a", ""),
        ("kubectl create -f a.yaml", ""),
    ],
)
def test_plain_applies_are_known(command: str, found: str) -> None:
    assert apps_plan.manifest_of(command, "/d") == found


def test_what_a_launch_is_made_from(tmp_path: pathlib.Path) -> None:
    description = {**DESCRIPTION, "cmds": ["bash prepare.sh", "kubectl apply -f mysql", "kubectl apply -f ./a/b.yaml"]}
    assert apps_plan.files_of(description, []) == [
        "apps/net",
        "apps/web",
        "apps/net/net.yaml",
        "mysql",
        "a/b.yaml",
    ]
    assert apps_plan.files_of(description, ["web"])[0] == "apps/web"
    outside = {**DESCRIPTION["applications"][1], "cmds": ["kubectl apply -f ../common/x.yaml"]}
    assert "apps/common/x.yaml" in apps_plan.files_of({**DESCRIPTION, "applications": [outside]}, ["net"])


def test_the_files_of_a_manifest(tmp_path: pathlib.Path) -> None:
    for name in ("b.yml", "a.yaml", "c.json", "README.md", "x.sh"):
        (tmp_path / name).write_text("")
    assert apps_plan.manifest_files(str(tmp_path)) == [f"{tmp_path}/{name}" for name in ("a.yaml", "b.yml", "c.json")]
    assert apps_plan.manifest_files(f"{tmp_path}/a.yaml") == [f"{tmp_path}/a.yaml"]
