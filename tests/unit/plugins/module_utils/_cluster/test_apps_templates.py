# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of applications with their templates filled in."""

from __future__ import annotations

import os
import pathlib

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_plan import environs_of, plan, tree_digest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_templates import filled_in
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.plugins.module_utils._template import TemplateError

NET, WEB = "application/apps/net", "application/apps/web"
ENVIRONS = {NET: {"PodCIDR": "10.1.0.0/16"}, WEB: {}}


@pytest.fixture
def rootfs(tmp_path: pathlib.Path) -> pathlib.Path:
    root = tmp_path / "rootfs"
    for path, text in {
        "bin/tool": "tool",
        f"{NET}/a.yaml": "plain: {{ kept }}",
        f"{NET}/sub/b.yaml.tmpl": "network: {{ .PodCIDR }}",
        f"{NET}/run.sh": "true",
        f"{WEB}/c.yaml": "web",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / NET / "run.sh").chmod(0o755)
    (root / NET / "link.yaml").symlink_to("a.yaml")
    return root


@pytest.fixture
def scratch(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def test_templates_are_filled_in_and_all_else_is_as_it_was(rootfs: pathlib.Path, scratch: pathlib.Path) -> None:
    before = tree_digest(str(rootfs))
    tree = pathlib.Path(filled_in(str(rootfs), ENVIRONS, str(scratch)))
    assert (tree / NET / "sub/b.yaml").read_text() == "network: 10.1.0.0/16"
    assert sorted(os.listdir(tree / NET / "sub")) == ["b.yaml"]
    for path in (f"{NET}/a.yaml", f"{NET}/link.yaml", f"{NET}/run.sh"):
        assert (tree / path).read_text() == (rootfs / path).read_text()
    assert os.access(tree / NET / "run.sh", os.X_OK)
    assert not (tree / WEB).exists() and not (tree / "bin").exists()
    assert tree_digest(str(rootfs)) == before


def test_applications_with_templates_are_launched_where_these_are_filled_in(
    rootfs: pathlib.Path, scratch: pathlib.Path
) -> None:
    """All others, and the commands of the image, run in the image's own directories."""
    applications = [{"name": path[-3:], "path": path, "cmds": ["true"], "env": env} for path, env in ENVIRONS.items()]
    description = {"applications": applications, "launch": ["net", "web"], "env": {}, "cmds": ["true"]}
    assert environs_of(description, {"A": "1"}, []) == {NET: {**ENVIRONS[NET], "A": "1"}, WEB: {"A": "1"}}
    tree = filled_in(str(rootfs), ENVIRONS, str(scratch))
    steps = plan(description, rootfs=str(rootfs), image_digest="", env={}, launch=[], filled=tree)
    assert [step.directory for step in steps] == [f"{tree}/{NET}", f"{rootfs}/{WEB}", str(rootfs)]


def test_the_same_content_has_the_same_digest_wherever_it_is(rootfs: pathlib.Path, scratch: pathlib.Path) -> None:
    """Commands are run again when what they read has changed, and not because it lies elsewhere."""
    first = filled_in(str(rootfs), ENVIRONS, str(scratch))
    moved = rootfs.rename(rootfs.with_name("other"))
    second = filled_in(str(moved), ENVIRONS, str(scratch))
    assert first != second
    assert tree_digest(f"{first}/{NET}") == tree_digest(f"{second}/{NET}")
    changed = filled_in(str(moved), {**ENVIRONS, NET: {"PodCIDR": "10.2.0.0/16"}}, str(scratch))
    assert tree_digest(f"{changed}/{NET}") != tree_digest(f"{second}/{NET}")


def test_without_templates_the_image_is_read_where_it_is(rootfs: pathlib.Path, scratch: pathlib.Path) -> None:
    assert filled_in(str(rootfs), {WEB: {}}, str(scratch)) == ""
    assert filled_in(str(rootfs / "absent"), ENVIRONS, str(scratch)) == ""
    assert list(scratch.iterdir()) == []


def test_a_template_that_cannot_be_filled_in_is_told(rootfs: pathlib.Path, scratch: pathlib.Path) -> None:
    with pytest.raises(TemplateError, match=f"{NET}/sub/b.yaml.tmpl:1: the variable PodCIDR has no value"):
        filled_in(str(rootfs), {NET: {}}, str(scratch))
    (rootfs / NET / "sub/b.yaml.tmpl").write_bytes(b"\xff")
    with pytest.raises(ClusterError, match=f"{NET}/sub/b.yaml.tmpl: a template cannot be read"):
        filled_in(str(rootfs), ENVIRONS, str(scratch))


def test_two_files_of_one_name_are_refused(rootfs: pathlib.Path, scratch: pathlib.Path) -> None:
    (rootfs / NET / "sub/b.yaml").write_text("network: none")
    with pytest.raises(ClusterError, match=f"{NET}/sub/b.yaml.tmpl: there is a file b.yaml beside the template"):
        filled_in(str(rootfs), ENVIRONS, str(scratch))
