# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Knowing Helm charts, unpacked and packed."""

from __future__ import annotations

import io
import tarfile

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.charts import Charts, is_packed_chart
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build.building import packed
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["db/Chart.yaml", "db/templates/p.yaml"], True),
        (["./db/values.yaml", "./db/Chart.yaml"], True),
        (["bridge", "host-local"], False),
        (["Chart.yaml"], False),
        (["src/charts/db/Chart.yaml"], False),
        ([], False),
    ],
)
def test_a_packed_chart_is_known_by_what_is_in_it(names: list[str], expected: bool) -> None:
    assert is_packed_chart(packed(*names)) is expected


def test_the_rest_of_a_packed_chart_need_not_be_sound() -> None:
    whole = packed("db/Chart.yaml", *(f"db/templates/{number}.yaml" for number in range(3000)))
    assert is_packed_chart(whole[: len(whole) // 2])


def test_a_large_archive_is_not_unpacked_to_its_end() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=1) as archive:
        large = tarfile.TarInfo("program")
        large.size = 20 << 20
        archive.addfile(large, io.BytesIO(bytes(large.size)))
        archive.addfile(tarfile.TarInfo("db/Chart.yaml"))
    assert not is_packed_chart(raw.getvalue())


@given(st.binary(max_size=600), st.integers(0, 200))
def test_any_bytes_are_a_packed_chart_or_none(data: bytes, kept: int) -> None:
    assert is_packed_chart(packed("db/Chart.yaml")[:kept] + data) in (True, False)


def test_a_chart_hides_its_templates_and_what_is_packed_into_it() -> None:
    charts = Charts(["a/chart/Chart.yaml", "a/chart/charts/sub/Chart.yaml"])
    assert charts.outermost(["a/other", "a/chart/charts/sub/values.yaml"]) == ["a/chart"]
    assert charts.outermost(["a/other", "a/chart"]) == []
    hidden = [
        "a/chart/templates/deep/p.yaml",
        "a/chart/charts/sub/templates/p.json",
        "a/chart/x.tpl",
        "a/chart/charts/o.tgz",
    ]
    shown = ["a/chart/crds/p.yaml", "a/charts/templates/p.yaml", "a/templates/p.yaml", "a/p.tpl", "a/o.tgz"]
    assert [charts.hides(path) for path in hidden + shown] == [True] * len(hidden) + [False] * len(shown)
