# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's archive, and the packages that it requires."""

from __future__ import annotations

import pathlib
import re
import subprocess
import tarfile

import pytest
import yaml
from ansible_collections.sealer.cluster.plugins.plugin_utils._wheels import wheels
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = pathlib.Path(__file__).resolve().parents[3]
REQUIREMENTS = [
    Requirement(line)
    for line in (ROOT / "meta/ee-requirements.txt").read_text().splitlines()
    if not line.startswith("#")
]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The archive."""
    directory = tmp_path_factory.mktemp("archive")
    subprocess.run([ROOT / "tests/tools/collection.sh", directory], check=True, capture_output=True)
    (path,) = directory.glob("*.tar.gz")
    return path


@pytest.fixture(scope="module")
def archive(packed: pathlib.Path) -> dict[str, int]:
    """Names in the archive, with their sizes."""
    with tarfile.open(packed) as opened:
        return {member.name: member.size for member in opened}


def test_it_holds_what_users_need_and_nothing_of_the_tests(archive: dict[str, int]) -> None:
    assert {name.split("/")[0] for name in archive} == {
        *("FILES.json", "MANIFEST.json", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "requirements.txt"),
        *("changelogs", "docs", "images", "meta", "playbooks", "plugins", "roles", "wheels"),
    }
    assert {f"wheels/{wheel.path.name}" for wheel in wheels()} == {
        name for name in archive if name.startswith("wheels/")
    } - {"wheels/"}
    assert archive["plugins/modules/image_build.py"] > 0


def test_nothing_of_the_archive_names_the_tests(archive: dict[str, int]) -> None:
    names = [
        name for name in archive if name.startswith(("plugins/", "roles/", "playbooks/", "images/")) and archive[name]
    ]
    assert [name for name in names if b"cluster.tests" in (ROOT / name).read_bytes()] == []


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_each_requirement_is_bounded_and_the_tested_version_is_within(requirement: Requirement) -> None:
    assert {specifier.operator for specifier in requirement.specifier} == {">=", "<"}
    tested = re.search(rf"^{requirement.name}==(.+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert tested and tested[1] in requirement.specifier


def test_modules_and_filters_say_the_same_versions() -> None:
    wanted = {requirement.name.lower(): requirement.specifier for requirement in REQUIREMENTS}
    told = set()
    for path in sorted((ROOT / "plugins").glob("*/*.py")):
        found = re.search(r'^DOCUMENTATION = r"""\n(.*?)^"""', path.read_text(), re.MULTILINE | re.DOTALL)
        for line in yaml.safe_load(found[1]).get("requirements", []) if found else []:
            name, _space, rest = line.partition(" ")
            if name.lower() in wanted:
                assert (path.name, SpecifierSet(rest.partition(" (")[0])) == (path.name, wanted[name.lower()])
                told.add(name.lower())
    assert told == set(wanted)


def test_execution_environments_get_the_same_packages(packed: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """PyYAML is left out by ansible-builder, because ansible-core brings it."""
    collection = tmp_path / "ansible_collections/sealer/cluster"
    collection.mkdir(parents=True)
    with tarfile.open(packed) as opened:
        opened.extractall(collection, filter="data")
    done = subprocess.run(["ansible-builder", "introspect", tmp_path], check=True, capture_output=True, text=True)
    found = [Requirement(line.partition("#")[0]) for line in yaml.safe_load(done.stdout)["python"]]
    assert sorted(map(str, found)) == sorted(str(one) for one in REQUIREMENTS if one.name != "PyYAML")
