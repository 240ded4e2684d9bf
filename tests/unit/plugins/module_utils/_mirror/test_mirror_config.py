# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration file."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config

GOOD: dict[str, t.Any] = {"store": "/s", "listen": ["0.0.0.0:5000"]}


def load(directory: pathlib.Path, value: t.Any) -> Config:
    path = directory / "mirror.json"
    path.write_text(json.dumps(value))
    return Config.load(str(path))


def test_defaults(tmp_path: pathlib.Path) -> None:
    config = load(tmp_path, GOOD)
    assert config == Config(store="/s", listen=["0.0.0.0:5000"])
    assert 1 <= config.worker_count <= 4


def test_environment_in_paths(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    pair = {"certificate": "$CREDENTIALS_DIRECTORY/a.crt", "key": "$CREDENTIALS_DIRECTORY/a.key"}
    config = load(tmp_path, {**GOOD, **pair, "workers": 3})
    assert (config.certificate, config.key) == ("/run/credentials/x/a.crt", "/run/credentials/x/a.key")
    assert config.worker_count == 3


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], "not a JSON object"),
        ({}, "'store' is missing"),
        ({"store": "/s", "listen": []}, "'listen' is missing"),
        ({**GOOD, "store": 1}, "'store' has to be"),
        ({**GOOD, "listen": "0.0.0.0:5000"}, "'listen' has to be"),
        ({**GOOD, "listen": ["5000"]}, "'listen' has to be"),
        ({**GOOD, "listen": ["x:65536"]}, "'listen' has to be"),
        ({**GOOD, "workers": -1}, "'workers' has to be"),
        ({**GOOD, "workers": True}, "'workers' has to be"),
        ({**GOOD, "threads": 0}, "'threads' has to be"),
        ({**GOOD, "access_log": "yes"}, "'access_log' has to be"),
        ({**GOOD, "certificate": "/c"}, "go together"),
        ({**GOOD, "key": "/k"}, "go together"),
        ({**GOOD, "thread": 3, "a": 1}, "unknown settings: a, thread"),
    ],
)
def test_wrong_settings(tmp_path: pathlib.Path, value: t.Any, told: str) -> None:
    with pytest.raises(MirrorError, match=told) as caught:
        load(tmp_path, value)
    assert caught.value.where == str(tmp_path / "mirror.json")


def test_no_file(tmp_path: pathlib.Path) -> None:
    with pytest.raises(MirrorError, match="cannot be read"):
        Config.load(str(tmp_path / "none"))
