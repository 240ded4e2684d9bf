# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the options of host_config ask for, and waiting for what they start."""

from __future__ import annotations

import copy
import socket
import typing as t
from pathlib import Path

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_items import FileItem
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_wait import (
    port_answers,
    socket_answers,
    url_answers,
    wait_until,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_wanted import wanted_items, wanted_units
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

NOTHING: dict[str, t.Any] = {
    "users": [],
    "files": [],
    "blocks": [],
    "links": [],
    "secrets": {},
    "secrets_group": None,
    "directories": [],
    "state_directories": [],
    "sysctls": {},
    "kernel_modules": [],
    "units": [],
}


def params(**given: t.Any) -> dict[str, t.Any]:
    return {**copy.deepcopy(NOTHING), **given}


def file(**given: t.Any) -> dict[str, t.Any]:
    return {"path": "/etc/x", "content": "x", "mode": "0644", "sensitive": False, "group": None, **given}


def unit(name: str, state: str = "started", restart_on: t.Sequence[str] = ()) -> dict[str, t.Any]:
    return {"name": name, "state": state, "enabled": True, "restart_on": restart_on, "reload_on": ["/y"]}


def test_kernel_settings_last_beyond_a_restart() -> None:
    items = {
        item.name: item for item in wanted_items("me", params(sysctls={"b": 1, "a": "4  5"}, kernel_modules=["m"]))
    }
    assert set(items) == {"m", "a", "b", "/etc/sysctl.d/90-sealer-me.conf", "/etc/modules-load.d/sealer-me.conf"}
    content = vars(items["/etc/sysctl.d/90-sealer-me.conf"])["content"].decode()
    assert content.endswith("a = 4 5\nb = 1\n")


@pytest.mark.parametrize(("group", "mode"), [("daemon", 0o640), (None, 0o600)])
def test_secrets(group: str | None, mode: int) -> None:
    (item,) = wanted_items("me", params(secrets={"/etc/x/password": "geheim"}, secrets_group=group))
    assert isinstance(item, FileItem)
    assert (item.content, item.mode, item.group, item.sensitive) == (b"geheim", mode, group or "", True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (params(files=[file(path="etc/x")]), "not a plain absolute path"),
        (params(files=[file(path="/etc/../x")]), "not a plain absolute path"),
        (params(files=[file(path="/etc/x/")]), "not a plain absolute path"),
        (params(files=[file(mode="0999")]), "mode '0999' is not octal"),
        (params(files=[file(mode=420)]), "mode 420 is not octal"),
        (params(files=[file(content="x" * (1024 * 1024 + 1))]), "too big"),
        (params(sysctls={"a": True}), "cannot be True"),
        (params(sysctls={"a": "1\n2"}), "cannot be"),
        (params(kernel_modules=["a b"]), "not the name of a kernel module"),
        (params(secrets={"/etc/x": 5}), "a secret has to be a text"),
        (params(secrets={"x": "y"}), "not a plain absolute path"),
        (params(users=["root:0"]), "not the name of a user"),
        (params(users=["-x"]), "not the name of a user"),
        (params(files=[file(group="a b")]), "not the name of a user or group"),
        (params(state_directories=[{"path": "/x", "mode": "0755", "user": "X"}]), "not the name of a user"),
        (params(kernel_modules=["../x"]), "not the name of a kernel module"),
    ],
)
def test_nonsense_is_refused(given: dict[str, t.Any], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        wanted_items("me", given)


@pytest.mark.parametrize("owner", ["", "A", "a/b", "../x", "a b"])
def test_owners_are_names(owner: str) -> None:
    with pytest.raises(ClusterError, match="is not a name"):
        wanted_items(owner, params())


def test_units() -> None:
    (found,) = wanted_units(params(units=[unit("a@b.service", "stopped", ["/x"])]))
    assert (found.name, found.running, found.restart_on, found.reload_on) == ("a@b.service", False, ["/x"], ["/y"])
    with pytest.raises(ClusterError, match="not the name of a unit"):
        wanted_units(params(units=[unit("containerd")]))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def wait(answers: list[str | None], lost: str | None = None) -> int:
    """How often it was looked."""
    looks = []

    def probe() -> str | None:
        looks.append(1)
        return answers.pop(0) if answers else "never"

    clock = Clock()
    wait_until(probe, "it", 10, lambda: lost, lambda: "; last words", clock, clock.pause)
    return len(looks)


def test_waiting_ends_with_the_first_good_answer() -> None:
    assert wait(["no", "no", None]) == 3


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        (None, "it does not answer within 10 seconds: never; last words"),
        ("x.service has failed", "x.service has failed"),
    ],
)
def test_waiting_in_vain(lost: str | None, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        wait([], lost)


def test_probes(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    assert socket_answers(path)() is not None
    with socket.socket(socket.AF_UNIX) as server, socket.create_server(("127.0.0.1", 0)) as port:
        server.bind(path)
        server.listen()
        assert socket_answers(path)() is None
        number = port.getsockname()[1]
        assert port_answers(number)() is None
        assert port_answers(number, "127.0.0.2")() is not None
    assert port_answers(number)() is not None
    assert url_answers(f"http://127.0.0.1:{number}/", None)() is not None
