# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the module as the builder gets them."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.options import request_from
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform

PARAMS: t.Dict[str, t.Any] = {
    "name": "shop",
    "path": "/context",
    "file": None,
    "platforms": [],
    "build_args": {"A": 1, "B": True, "C": "x"},
    "labels": {},
    "images": [],
    "images_files": [],
    "ignore_images": [],
    "pull": "missing",
    "frozen": False,
    "parallel": 8,
}


def test_defaults() -> None:
    request = request_from(PARAMS, {})
    assert str(request.name) == "docker.io/library/shop:latest"
    assert request.file == "/context/Kubefile"
    assert request.lock_file == "/context/Kubefile.lock"
    assert request.platforms == [Platform.host()]
    assert request.build_args == {"A": "1", "B": "true", "C": "x"}
    assert request.epoch == 0


def test_what_is_given() -> None:
    params = {**PARAMS, "file": "deep/Other", "platforms": ["linux/arm64"]}
    request = request_from(params, {"SOURCE_DATE_EPOCH": "86400"})
    assert request.lock_file == "/context/deep/Other.lock"
    assert request.platforms == [Platform.parse("linux/arm64")]
    assert request.epoch == 86400


@pytest.mark.parametrize(
    ("change", "epoch", "told"),
    [
        ({"name": "Upper"}, "", "Upper"),
        ({"platforms": ["arm64"]}, "", "invalid platform 'arm64'"),
        ({"platforms": ["linux/arm64", "linux/arm64/v8"]}, "", "platforms: linux/arm64/v8 stands there twice"),
        ({"platforms": ["linux/amd64", "linux/x86_64"]}, "", "platforms: linux/amd64 stands there twice"),
        ({"build_args": {"A": None}}, "", "build_args: A is no text"),
        ({"labels": {"A": []}}, "", "labels: A is no text"),
        ({"parallel": 0}, "", "parallel: must be at least 1"),
        ({}, "yesterday", "SOURCE_DATE_EPOCH is no time: it is 'yesterday'"),
        ({}, "-1", "SOURCE_DATE_EPOCH is no time"),
        ({}, "9" * 20, "SOURCE_DATE_EPOCH is no time"),
    ],
)
def test_wrong_options(change: t.Dict[str, t.Any], epoch: str, told: str) -> None:
    with pytest.raises(SealerError) as caught:
        request_from({**PARAMS, **change}, {"SOURCE_DATE_EPOCH": epoch})
    assert told in str(caught.value)
