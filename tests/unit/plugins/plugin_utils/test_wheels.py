# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The packages that ship with the collection: pinned, fit for every host, the same that the tests run with."""

from __future__ import annotations

import email
import pathlib
from importlib import metadata

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.plugin_utils import _wheels
from ansible_collections.sealer.cluster.plugins.plugin_utils._mirror_bundle import OLDEST_PYTHON, version_text
from ansible_collections.sealer.cluster.plugins.plugin_utils._wheels import Wheel, wheels
from packaging.specifiers import SpecifierSet


def test_each_line_is_a_pin() -> None:
    lines = [line for line in _wheels.REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    assert [f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}" for wheel in wheels()] == lines


@pytest.mark.parametrize("wheel", wheels(), ids=lambda wheel: wheel.name)
def test_each_runs_on_the_oldest_python(wheel: Wheel) -> None:
    files = wheel.files()
    (path,) = [name for name in files if name.endswith(".dist-info/METADATA")]
    told = email.message_from_bytes(files[path])
    assert (told["Name"].replace("-", "_"), told["Version"]) == (wheel.name, wheel.version)
    assert version_text(OLDEST_PYTHON) in SpecifierSet(told["Requires-Python"])
    assert any("LICENSE" in name for name in files)
    assert any(name.endswith("/__init__.py") for name in files)


@pytest.mark.parametrize("wheel", wheels(), ids=lambda wheel: wheel.name)
def test_the_tests_run_with_the_same_version(wheel: Wheel) -> None:
    assert metadata.version(wheel.name) == wheel.version


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is missing: the collection was not installed from its archive"),
        (b"", "is not the wheel that the collection was released with: its SHA-256 is e3b0c442"),
    ],
)
def test_a_wheel_that_is_not_there_or_another_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, content: bytes | None, said: str
) -> None:
    monkeypatch.setattr(_wheels, "DIRECTORY", tmp_path)
    wheel = wheels()[0]
    if content is not None:
        wheel.path.write_bytes(content)
    with pytest.raises(MirrorError) as caught:
        wheel.files()
    assert f"{wheel.path} {said}" in str(caught.value)
    assert f"pip download --require-hashes --no-deps --only-binary :all: --requirement {_wheels.REQUIREMENTS}" in str(
        caught.value
    )
