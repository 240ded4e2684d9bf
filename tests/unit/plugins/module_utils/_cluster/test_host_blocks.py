# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of ours in files of others: put in, changed, taken out, and nothing else touched."""

from __future__ import annotations

import errno
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import host_wanted
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_blocks import BlockItem
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import Journal
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_steward import Outcome, Steward
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

NAMES = "/etc/hosts"
BEFORE = "127.0.0.1 localhost\n"


def nothing(command: t.Sequence[str], **_options: t.Any) -> Completed:
    return Completed(0, "", "")


class Machine:
    """A root with an /etc/hosts, and owners on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "etc/hosts"
        self.file.parent.mkdir()
        self.file.write_text(BEFORE)
        self.host = Host(nothing, str(root))

    def steward(self, owner: str, check: bool = False) -> Steward:
        self.host = Host(nothing, str(self.root), check)
        return Steward(self.host, Journal.read(str(self.root / "journal.json")), owner)

    def want(self, owner: str, content: str, check: bool = False) -> Outcome:
        return self.steward(owner, check).present([BlockItem.of(NAMES, owner, content)])


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_lines_come_change_and_go(machine: Machine) -> None:
    told = machine.want("a", "10.0.0.1 api\n", check=True)
    assert machine.file.read_text() == BEFORE
    assert machine.want("a", "10.0.0.1 api\n").diff == told.diff
    assert "10.0.0.1 api" in told.diff["after"] and "localhost" not in told.diff["after"]
    assert not machine.want("a", "10.0.0.1 api\n").changed
    with machine.file.open("a") as stream:
        stream.write("10.9.9.9 other\n")
    assert machine.want("a", "10.0.0.2 api\n").changed
    assert "10.0.0.1" not in machine.file.read_text()
    assert machine.steward("a").absent().changed
    assert machine.file.read_text() == BEFORE + "10.9.9.9 other\n"
    assert not machine.steward("a").absent().changed


def test_what_is_wanted_no_more_goes(machine: Machine) -> None:
    machine.want("a", "10.0.0.1 api\n")
    assert machine.steward("a").present([]).changed
    assert machine.file.read_text() == BEFORE


def test_two_owners_of_one_file(machine: Machine) -> None:
    machine.want("a", "10.0.0.1 a\n")
    machine.want("b", "10.0.0.1 b\n")
    machine.steward("a").absent()
    assert "10.0.0.1 b\n" in machine.file.read_text() and "10.0.0.1 a\n" not in machine.file.read_text()
    machine.steward("b").absent()
    assert machine.file.read_text() == BEFORE


@pytest.mark.parametrize("before", ["", "10.0.0.9 last", None], ids=["empty", "no newline at the end", "no file"])
def test_the_file_is_as_it_was(machine: Machine, before: t.Optional[str]) -> None:
    machine.file.unlink()
    if before is not None:
        machine.file.write_text(before)
        machine.file.chmod(0o640)
    machine.want("a", "10.0.0.1 api\n")
    assert "\n10.0.0.1 api\n" in machine.file.read_text()
    machine.steward("a").absent()
    assert (machine.file.read_text() if machine.file.exists() else None) == before
    assert before is None or machine.file.stat().st_mode & 0o777 == 0o640


def test_lines_that_others_changed_are_left(machine: Machine) -> None:
    machine.want("a", "10.0.0.1 api\n")
    machine.file.write_text(machine.file.read_text().replace("10.0.0.1", "10.0.0.7"))
    assert not machine.steward("a").absent().changed
    assert "10.0.0.7 api" in machine.file.read_text()
    assert "changed by others" in machine.host.warnings[0]


def test_a_file_that_is_mounted_is_written_where_it_stands(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def refuse(source: str, target: str) -> None:
        if target == str(machine.file):
            raise OSError(errno.EBUSY, "Device or resource busy")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    inode = machine.file.stat().st_ino
    machine.want("a", "10.0.0.1 api\n")
    machine.steward("a").absent()
    assert machine.file.read_text() == BEFORE and machine.file.stat().st_ino == inode
    assert [path.name for path in machine.file.parent.iterdir()] == ["hosts"]


@pytest.mark.parametrize("content", ["10.0.0.1 api", "# End of\n", ""])
def test_lines_are_whole_and_no_comments(content: str) -> None:
    names = ("kernel_modules", "directories", "users", "state_directories", "files", "links")
    empty: t.Dict[str, t.Any] = {name: [] for name in names}
    given = {**empty, "secrets": {}, "sysctls": {}, "blocks": [{"path": NAMES, "content": content}]}
    with pytest.raises(ClusterError, match="whole lines"):
        host_wanted.wanted_items("a", given)
