# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users and hashes of their passwords: the same each time, checked by bcrypt, and none that would not hold."""

from __future__ import annotations

import typing as t

import bcrypt
import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.filter import htpasswd as module
from ansible_collections.sealer.cluster.plugins.filter.htpasswd import htpasswd

CI, EVE = {"name": "ci", "password": "s3cret"}, {"name": "eve", "password": "s3cret"}


def parsed(text: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in text.splitlines())


@pytest.mark.parametrize("password", ["s3cret", "p:w $ord", "pässwörd", "x" * 72])
def test_the_password_and_no_other_is_right(password: str) -> None:
    made = parsed(htpasswd([{"name": "ci", "password": password}], cost=4))["ci"].encode()
    assert bcrypt.checkpw(password.encode(), made)
    assert not bcrypt.checkpw((password[:-1] + "?").encode(), made)


def test_the_same_users_give_the_same_file() -> None:
    assert htpasswd([CI, EVE], "shop") == htpasswd([CI, EVE], "shop")


def test_nobody_sees_that_two_have_the_same_password() -> None:
    made = parsed(htpasswd([CI, EVE], "shop", 4))
    assert list(made) == ["ci", "eve"]
    assert made["ci"] != made["eve"]
    assert made["ci"] != parsed(htpasswd([CI], "other", 4))["ci"]


@pytest.mark.parametrize("cost", [4, 6])
def test_the_cost_stands_in_the_hash(cost: int) -> None:
    assert f":$2b${cost:02d}$" in htpasswd([CI], cost=cost)


def test_nobody() -> None:
    assert htpasswd([]) == ""


@pytest.mark.parametrize(
    ("users", "told"),
    [
        ("ci", "a list"),
        ({"ci": "s3cret"}, "a list"),
        (["ci"], "each user"),
        ([{"name": "ci"}], "each user"),
        ([{"name": "ci", "password": 1234}], "each user"),
        ([{"name": "ci", "password": ""}], "each user"),
        ([{"name": "", "password": "x"}], "cannot be a user's name"),
        ([{"name": "a:b", "password": "x"}], "cannot be a user's name"),
        ([{"name": "a\nb", "password": "x"}], "cannot be a user's name"),
        ([{"name": "#a", "password": "x"}], "cannot be a user's name"),
        ([{"name": " a", "password": "x"}], "cannot be a user's name"),
        ([CI, CI], "there twice"),
        ([{"name": "ci", "password": "x" * 73}], "at most 72 bytes"),
        ([{"name": "ci", "password": "ä" * 37}], "at most 72 bytes"),
        ([{"name": "ci", "password": "a\0b"}], "no NUL"),
    ],
)
def test_what_would_not_hold_is_refused(users: t.Any, told: str) -> None:
    with pytest.raises(AnsibleFilterError, match=told) as caught:
        htpasswd(users, cost=4)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("cost", [3, 32])
def test_a_cost_that_cannot_be(cost: int) -> None:
    with pytest.raises(AnsibleFilterError, match="from 4 to 31"):
        htpasswd([CI], cost=cost)


def test_a_controller_without_bcrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BCRYPT_IMPORT_ERROR", ImportError("no bcrypt"))
    with pytest.raises(AnsibleFilterError, match="Python package bcrypt"):
        htpasswd([CI])
