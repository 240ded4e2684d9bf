# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Passwords that are made once."""

from __future__ import annotations

import concurrent.futures
import pathlib
import typing as t

import pytest
import yaml
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.access import Hash
from ansible_collections.sealer.cluster.plugins.plugin_utils._credentials_file import (
    NODES,
    PUSH,
    Login,
    hashed,
    logins,
    write_once,
)


def test_many_who_come_at_once_get_the_same(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "new" / "credentials.yml"

    def come(_number: int) -> str:
        write_once(str(path))
        return path.read_text()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(come, range(32)))) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    users = logins(yaml.safe_load(path.read_text()), str(path))
    assert (users[PUSH].push, users[NODES].push) == (True, False)
    assert len({users[PUSH].password, users[NODES].password}) == 2
    assert min(len(user.password) for user in users.values()) >= 32


def test_hashes_are_of_the_password_and_the_same_again() -> None:
    users = [Login("ci", "pa:ss", True), Login("nodes", "pa:ss", False)]
    first, again, elsewhere = hashed(users, "a"), hashed(users, "a"), hashed(users, "b")
    assert first == again
    assert len({user["hash"] for user in (*first.values(), *elsewhere.values())}) == 4
    assert Hash.parse(first["ci"]["hash"]).fits(b"pa:ss")
    assert not Hash.parse(first["ci"]["hash"]).fits(b"pa")
    assert (first["ci"]["push"], first["nodes"]["push"]) == (True, False)


@pytest.mark.parametrize("name", ["", "a:b", "a\nb"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(MirrorError, match="cannot be a user's name"):
        hashed([Login(name, "x", False)], "")


def test_names_are_there_once() -> None:
    with pytest.raises(MirrorError, match="ci is there twice"):
        hashed([Login("ci", "x", False), Login("ci", "y", True)], "")


@pytest.mark.parametrize("values", [None, [], {}, {"sealer_registry_username": "nodes", "sealer_registry_password": 5}])
def test_files_that_lack_something(values: t.Any) -> None:
    with pytest.raises(MirrorError, match="credentials (holds no|lacks)"):
        logins(values, "credentials.yml")
