# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users, their passwords and their rights."""

from __future__ import annotations

import base64
import functools
import json
import logging
import os
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api import access as module
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.access import Access, Hash
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.blocking import WouldBlock
from hypothesis import given
from hypothesis import strategies as st

LOG = logging.getLogger("test")


def cheap(password: str) -> str:
    """A hash that takes no time."""
    weak = Hash(1, 1, 1, b"salt", bytes(32))
    return str(Hash(1, 1, 1, b"salt", weak.derive(password.encode())))


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def write(path: pathlib.Path, value: t.Any) -> None:
    """As operators and roles do: a new file in the old one's place."""
    fresh = path.with_suffix(".new")
    fresh.write_text(value if isinstance(value, str) else json.dumps(value))
    os.replace(fresh, path)


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "users.json"
    write(path, {"ci": {"hash": cheap("push"), "push": True}, "node": {"hash": cheap("pull:\u00e9")}})
    return path


@pytest.fixture
def access(file: pathlib.Path) -> Access:
    return Access(str(file), False, LOG)


def refused(call: t.Callable[[], t.Any]) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        call()
    if caught.value.status == 401:
        assert ("WWW-Authenticate", 'Basic realm="sealer", charset="UTF-8"') in caught.value.headers
    return caught.value.status, caught.value.code


def test_who_may_what(access: Access) -> None:
    ci, node = basic("ci", "push"), basic("node", "pull:\u00e9")
    for _time in range(2):
        pulls = access.pull(node)
        assert pulls is not None
        assert pulls.name == "node"
        assert access.push(ci).name == "ci"
        assert refused(lambda: access.push(node)) == (403, "DENIED")
    assert access.can_push
    assert not access.anonymous


@pytest.mark.parametrize(
    "header",
    [
        basic("ci", "wrong"),
        basic("ci", ""),
        basic("nobody", "push"),
        basic("", "push"),
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"ci").decode(),
        "Basic " + base64.b64encode(b"\xff\xff:push").decode(),
        "Bearer token",
        "",
        "Basic \u00e9",
    ],
)
def test_wrong_credentials(access: Access, header: str) -> None:
    for _time in range(2):
        assert refused(lambda: access.pull(header)) == (401, "UNAUTHORIZED")
        assert refused(lambda: access.push(header)) == (401, "UNAUTHORIZED")


def test_nobody(file: pathlib.Path) -> None:
    closed, open_to_all = Access(str(file), False, LOG), Access(str(file), True, LOG)
    for header in (None, basic("", "")):
        assert refused(functools.partial(closed.pull, header)) == (401, "UNAUTHORIZED")
        assert open_to_all.pull(header) is None
        assert refused(functools.partial(open_to_all.push, header)) == (401, "UNAUTHORIZED")
    assert refused(lambda: open_to_all.pull(basic("ci", "wrong"))) == (401, "UNAUTHORIZED")
    user = open_to_all.pull(basic("ci", "push"))
    assert user is not None
    assert user.push


def test_without_users_everybody_pulls_and_nobody_pushes() -> None:
    access = Access("", False, LOG)
    assert access.pull(None) is None
    assert access.pull("Bearer anything") is None
    assert not access.can_push
    assert refused(lambda: access.push(basic("ci", "push"))) == (401, "UNAUTHORIZED")


def test_scrypt_is_paid_once(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []
    fits = Hash.fits

    def counted(self: Hash, password: bytes) -> bool:
        calls.append(password)
        return fits(self, password)

    monkeypatch.setattr(Hash, "fits", counted)
    for _time in range(5):
        access.push(basic("ci", "push"))
    assert calls == [b"push"]
    for _time in range(2):
        refused(lambda: access.push(basic("ci", "wrong")))
    assert calls == [b"push", b"wrong", b"wrong"]


def test_what_is_remembered_is_bounded(access: Access, file: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    write(file, {f"user{index}": {"hash": cheap("x")} for index in range(9)})
    for index in range(9):
        assert access.pull(basic(f"user{index}", "x"))
    assert len(access._known) == 3


class Thread:
    """A thread that may not hash passwords; notes for whom it should have."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def enter(self, kind: str, key: str) -> None:
        self.asked.append((kind, key))
        raise WouldBlock(kind, key, urgent=False)

    def enter_if_free(self, kind: str, key: str) -> bool:
        raise AssertionError("a login cannot do without")


def test_a_password_is_hashed_only_where_that_may_take_its_time(access: Access) -> None:
    thread = Thread()
    for header in (basic("ci", "push"), basic("ci", "wrong")):
        with pytest.raises(WouldBlock):
            access.pull(header, thread, "192.0.2.1")
        with pytest.raises(WouldBlock):
            access.push(header, thread, "192.0.2.1")
    assert thread.asked == [("login", "192.0.2.1")] * 4
    access.push(basic("ci", "push"))
    assert access.push(basic("ci", "push"), thread).name == "ci"
    assert refused(lambda: access.push(basic("nobody", "push"), thread)) == (401, "UNAUTHORIZED")
    assert len(thread.asked) == 4


def test_changes_show_at_once(access: Access, file: pathlib.Path) -> None:
    assert access.push(basic("ci", "push"))
    write(file, {"ci": {"hash": cheap("new"), "push": True}})
    assert refused(lambda: access.push(basic("ci", "push"))) == (401, "UNAUTHORIZED")
    assert access.push(basic("ci", "new"))
    write(file, {"ci": {"hash": cheap("new"), "push": False}})
    assert refused(lambda: access.push(basic("ci", "new"))) == (403, "DENIED")
    write(file, {})
    assert refused(lambda: access.pull(basic("ci", "new"))) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        "[" * 100000,
        {"a": {}},
        {"a": "x"},
        {"a": {"hash": "x"}},
        {"a": {"hash": cheap("x"), "push": 1}},
        {"a": {"hash": cheap("x"), "more": 1}},
        {"": {"hash": cheap("x")}},
        {"a:b": {"hash": cheap("x")}},
        {"a": {"hash": cheap("x").replace("$1$1$1$", "$30$1$1$")}},
        {"a": {"hash": cheap("x").replace("$1$1$1$", "$a$1$1$")}},
        {"a": {"hash": "scrypt$1$1$1$$"}},
        {"a": {"hash": "md5$1$1$1$YQ==$YQ=="}},
    ],
)
def test_file_that_cannot_be_used(file: pathlib.Path, content: t.Any, caplog: pytest.LogCaptureFixture) -> None:
    access = Access(str(file), False, LOG)
    assert access.push(basic("ci", "push"))
    write(file, content)
    assert access.push(basic("ci", "push"))
    assert str(file) in caplog.text
    with pytest.raises(MirrorError, match="users cannot be read"):
        Access(str(file), True, LOG).pull(basic("ci", "push"))


def test_file_that_is_not_there(tmp_path: pathlib.Path) -> None:
    access = Access(str(tmp_path / "none"), True, LOG)
    assert access.pull(None) is None
    with pytest.raises(MirrorError, match="users cannot be read"):
        access.push(basic("ci", "push"))


def test_hash_of_ours() -> None:
    made = Hash.of("secret")
    assert Hash.parse(str(made)) == made
    assert made.fits(b"secret")
    assert not made.fits(b"Secret")
    assert str(Hash.of("secret")) != str(made)


@given(st.text(max_size=60))
def test_any_text_is_a_hash_or_told(text: str) -> None:
    try:
        Hash.parse("scrypt$" + text)
    except ValueError:
        return
    raise AssertionError("only the right form is a hash")
