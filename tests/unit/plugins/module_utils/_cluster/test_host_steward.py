# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a host what an owner wants, and exactly undoing it, also after a kill at every step."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import typing as t
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import links
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_items import (
    DirectoryItem,
    FileItem,
    Item,
    LinkItem,
    ModuleItem,
    OwnedItem,
    StateItem,
    SysctlItem,
    UserItem,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import Journal
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_steward import Outcome, Steward
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_units import Unit
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.tests.unit.deep_directory import make_deep
from ansible_collections.sealer.cluster.tests.unit.namespaces import in_own_namespaces, mount
from hypothesis import given, settings
from hypothesis import strategies as st

UNIT_FILE = "/etc/systemd/system/x.service"
DROP_IN = "/etc/systemd/system/x.service.d/10.conf"
MUTATORS = ("replace", "mkdir", "rmdir", "unlink", "symlink", "chmod", "lchown")


MIRROR = 63_000


class Systemd:
    """A host's programs: a systemd that knows the unit files below a root, and what was started and enabled (kept in
    files there), and the users, who are files too.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[list[str]] = []

    def flag(self, name: str, state: str) -> Path:
        return self.root / "fake" / f"{name}.{state}"

    def __call__(self, command: t.Sequence[str], **_options: t.Any) -> Completed:
        self.calls.append(list(command))
        if command[0] in ("modprobe", "journalctl"):
            return Completed(1, "", "not here")
        if command[0] in ("getent", "useradd", "userdel"):
            return self._account(command[0], command[-1], self.root / "etc" / f"account-{command[-1]}")
        verb, name = command[1], command[-1]
        if verb == "show":
            return Completed(0, self._shown(name), "")
        if verb not in ("daemon-reload", "reset-failed"):
            self._set(verb, name)
        return Completed(0, "", "")

    def _shown(self, name: str) -> str:
        found = (self.root / "etc/systemd/system" / name).exists()
        active = "active" if self.flag(name, "active").exists() else "inactive"
        enabled = "enabled" if self.flag(name, "enabled").exists() else "disabled"
        load = "loaded" if found else "not-found"
        return f"LoadState={load}\nActiveState={active}\nUnitFileState={enabled}\nNeedDaemonReload=no\n"

    def _account(self, program: str, name: str, account: Path) -> Completed:
        if program != "getent" and (self.root / "fake/keeps-copies").exists():
            account.with_name("passwd-").write_text(f"before {program}\n")
        if program == "useradd":
            account.touch()
        elif program == "userdel":
            account.unlink()
        elif not account.exists():
            return Completed(2, "", "")
        return Completed(0, f"{name}:x:{MIRROR}:{MIRROR}::/:/x\n", "")

    def _set(self, verb: str, name: str) -> None:
        state = "enabled" if verb in ("enable", "disable") else "active"
        path = self.flag(name, state)
        if verb == "reload":
            (self.root / "fake/reloaded").touch()
        elif verb in ("enable", "start", "restart"):
            path.parent.mkdir(exist_ok=True)
            path.touch()
        else:
            path.unlink(missing_ok=True)

    def verbs(self) -> list[str]:
        return [call[1] for call in self.calls if call[0] == "systemctl" and call[1] != "show"]


@pytest.fixture(name="root")
def fixture_root(tmp_path: Path) -> Path:
    return make_root(tmp_path)


def make_root(path: Path) -> Path:
    """A host with a few things on it."""
    root = path / "root"
    (root / "etc/systemd/system").mkdir(parents=True)
    (root / "proc/sys/net/ipv4").mkdir(parents=True)
    (root / "proc/sys/net/ipv4/ip_forward").write_text("0\n")
    (root / "proc/sys/net/ipv4/other").write_text("1\t2\n")
    (root / "proc/filesystems").write_text("nodev\toverlay\n")
    (root / "etc/motd").write_text("hello\n")
    (root / "etc/motd").chmod(0o640)
    (root / "etc/link").symlink_to("motd")
    (root / "data/mine").mkdir(parents=True)
    (root / "data/mine/file").write_text("precious")
    (root / "data/empty").mkdir()
    (root / "fake").mkdir()
    return root


def steward(root: Path, owner: str = "x", check: bool = False) -> tuple[Steward, Host, Systemd]:
    systemd = Systemd(root)
    host = Host(systemd, root=str(root), check=check)
    return Steward(host, Journal.read(str(root / "var/lib/sealer/host.json")), owner), host, systemd


def snapshot(root: Path) -> dict[str, tuple[t.Any, ...]]:
    """Everything below a directory, but for the times of directories."""
    found: dict[str, tuple[t.Any, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content: t.Any = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        mode = None if path.is_symlink() else stat.S_IMODE(status.st_mode)
        when = status.st_mtime_ns if path.is_file() and not path.is_symlink() and "/proc/" not in str(path) else None
        owner = (status.st_uid, status.st_gid)
        found[str(path.relative_to(root))] = (stat.S_IFMT(status.st_mode), mode, content, when, owner)
    return found


def items(text: str = "one") -> list[Item]:
    return [
        FileItem(UNIT_FILE, b"[Service]\n"),
        FileItem(DROP_IN, text.encode()),
        FileItem("/etc/motd", text.encode(), 0o600),
        FileItem("/etc/deep/er/conf", text.encode(), 0o600, sensitive=True),
        LinkItem("/etc/link", "deep/er/conf"),
        LinkItem("/opt/bin/tool", "/nowhere"),
        DirectoryItem("/etc/closed", 0o700),
        StateItem("/data/mine"),
        StateItem("/data/empty"),
        StateItem("/data/new"),
        SysctlItem("net.ipv4.ip_forward", "1"),
        SysctlItem("net.ipv4.other", "1 2"),
        ModuleItem("overlay"),
        UserItem("mirror"),
        FileItem("/etc/shared", b"a secret", 0o640, sensitive=True, group="mirror"),
        OwnedItem("/data/mine", "mirror"),
        OwnedItem("/data/new", "mirror"),
    ]


UNITS = [Unit("x.service", restart_on=[DROP_IN])]


def apply(root: Path, text: str = "one", check: bool = False) -> tuple[Outcome, Systemd]:
    who, _host, systemd = steward(root, check=check)
    return who.present(items(text), UNITS), systemd


def take_back(root: Path, owner: str = "x", check: bool = False) -> tuple[Outcome, Host]:
    who, host, _systemd = steward(root, owner, check)
    return who.absent(), host


def test_apply_again_change_and_undo(root: Path) -> None:
    before = snapshot(root)
    predicted, _systemd = apply(root, check=True)
    assert snapshot(root) == before
    done, systemd = apply(root)
    assert (predicted.changed, predicted.diff) == (done.changed, done.diff)
    assert systemd.verbs() == ["daemon-reload", "enable", "start"]
    assert (root / "etc/motd").read_text() == "one"
    assert stat.S_IMODE((root / "var/lib/sealer/host.json").stat().st_mode) == 0o600

    again, systemd = apply(root)
    assert not again.changed and systemd.verbs() == [] and again.diff == {"before": "", "after": ""}

    predicted, _systemd = apply(root, "two", check=True)
    changed, systemd = apply(root, "two")
    assert predicted.diff == changed.diff
    assert changed.restarted == ["x.service"]
    assert systemd.verbs() == ["daemon-reload", "restart"]

    (root / "data/new/state").mkdir()
    (root / "data/empty/blob").write_text("x")
    (root / "data/empty").chmod(0o711)
    predicted, _host = take_back(root, check=True)
    gone, host = take_back(root)
    assert (predicted.changed, predicted.diff) == (True, gone.diff)
    assert host.warnings == []
    assert snapshot(root) == {**before, **{k: v for k, v in snapshot(root).items() if k.startswith("var")}}
    assert not (root / "var/lib/sealer").exists()
    assert not take_back(root)[0].changed


def test_sensitive_content_is_in_no_diff(root: Path) -> None:
    done, _systemd = apply(root, "a secret")
    told = str(done.diff)
    assert told.count("a secret") == 2  # the drop-in and motd are not secret
    changed, _systemd = apply(root, "new secret")
    part = changed.diff["after"].split("/etc/deep/er/conf")[1].splitlines()[1]
    assert "secret" not in part


def test_what_is_wanted_no_more_is_undone(root: Path) -> None:
    before = snapshot(root)
    apply(root)
    who, _host, systemd = steward(root)
    fewer = [item for item in items() if item.name not in (DROP_IN, "/etc/motd", "net.ipv4.ip_forward")]
    outcome = who.present(fewer, UNITS)
    assert outcome.changed and outcome.restarted == ["x.service"]
    now = snapshot(root)
    assert now["etc/motd"] == before["etc/motd"]
    assert (root / "proc/sys/net/ipv4/ip_forward").read_text().strip() == "0"
    assert not (root / DROP_IN[1:]).parent.exists()


def test_a_file_becomes_a_link_and_the_other_way_round(root: Path) -> None:
    before = snapshot(root)
    in_turn: list[Item] = [FileItem("/etc/n", b"1"), LinkItem("/etc/n", "motd"), FileItem("/etc/n", b"2")]
    for item in in_turn:
        assert steward(root)[0].present([item]).changed
        assert not steward(root)[0].present([item]).changed
    _outcome, host = take_back(root)
    assert host.warnings == []
    assert {k: v for k, v in snapshot(root).items() if not k.startswith("var")} == before


def test_what_others_changed_since_is_left(root: Path) -> None:
    apply(root)
    (root / "etc/motd").write_text("theirs")
    (root / "etc/deep/er/more").write_text("theirs")
    (root / "etc/link").unlink()
    (root / "proc/sys/net/ipv4/ip_forward").write_text("2\n")
    _outcome, host = take_back(root)
    assert (root / "etc/motd").read_text() == "theirs"
    assert (root / "proc/sys/net/ipv4/ip_forward").read_text() == "2\n"
    assert (root / "etc/deep/er/more").exists() and not (root / "etc/deep/er/conf").exists()
    told = "\n".join(host.warnings)
    for name in ("/etc/motd was changed", "/etc/link was removed", "ip_forward was set to '2'", "/etc/deep/er is left"):
        assert name in told


def owners(root: Path, *names: str) -> set[tuple[int, int]]:
    return {(found.st_uid, found.st_gid) for found in ((root / name).lstat() for name in names)}


def test_users_and_what_is_theirs(root: Path) -> None:
    (root / "data/mine/link").symlink_to("/etc")
    done, _systemd = apply(root)
    assert "a secret" not in str(done.diff)
    assert owners(root, "data/mine", "data/mine/file", "data/mine/link", "data/new") == {(MIRROR, MIRROR)}
    assert owners(root, "etc/shared") == {(os.geteuid(), MIRROR)}
    (root / "data/mine/theirs").write_text("")
    assert not apply(root)[0].changed
    _outcome, host = take_back(root, check=True)
    assert "a secret" not in str(_outcome.diff)
    os.chown(root / "data/mine", 1, 1)
    _outcome, host = take_back(root)
    assert host.warnings == ["/data/mine was given to another user since, and is left so"]
    assert not (root / "etc/account-mirror").exists()


@pytest.mark.parametrize("there", [True, False])
def test_copies_of_the_files_of_users_stay_as_they_were(root: Path, there: bool) -> None:
    (root / "fake/keeps-copies").touch()
    copy = root / "etc/passwd-"
    if there:
        copy.write_text("long ago\n")
        copy.chmod(0o600)
        os.utime(copy, (1, 1))
    before = snapshot(root)
    steward(root)[0].present([UserItem("mirror")])
    assert copy.exists() is there
    take_back(root)
    assert {k: v for k, v in snapshot(root).items() if k.split("/")[0] != "var"} == before


def test_a_user_that_was_there_stays(root: Path) -> None:
    (root / "etc/account-mirror").touch()
    apply(root)
    take_back(root)
    assert (root / "etc/account-mirror").exists()


@pytest.mark.parametrize("item", [FileItem("/etc/n", b"", group="nobody-here"), OwnedItem("/data", "nobody-here")])
def test_users_that_are_not_there_are_named(root: Path, item: Item) -> None:
    with pytest.raises(ClusterError, match="there is no (group|user) nobody-here"):
        steward(root)[0].present([item])


@pytest.mark.parametrize(
    ("changed", "steps"),
    [
        ("/etc/reload", ["reload"]),
        ("/etc/restart", ["restart"]),
        ("/etc/reload /etc/restart", ["restart"]),
        ("/etc/other", []),
    ],
)
def test_reload_or_restart(root: Path, changed: str, steps: list[str]) -> None:
    units = [Unit("x.service", restart_on=["/etc/restart"], reload_on=["/etc/reload"])]
    names = ["/etc/reload", "/etc/restart", "/etc/other"]
    steward(root)[0].present([FileItem(UNIT_FILE, b""), *(FileItem(name, b"1") for name in names)], units)
    wanted = [FileItem(UNIT_FILE, b""), *(FileItem(name, b"2" if name in changed else b"1") for name in names)]
    who, _host, systemd = steward(root)
    outcome = who.present(wanted, units)
    assert [verb for verb in systemd.verbs() if verb != "daemon-reload"] == steps
    assert (outcome.reloaded, outcome.restarted) == tuple(
        ["x.service"] if step in steps else [] for step in ("reload", "restart")
    )
    assert [f"({step}ed)" in outcome.diff["after"] for step in steps] == [True] * len(steps)


def test_a_reload_that_was_not_come_to_is_made_up_for(root: Path) -> None:
    units = [Unit("x.service", reload_on=["/etc/n"])]

    def wanted(text: bytes) -> list[Item]:
        return [FileItem(UNIT_FILE, b""), FileItem("/etc/n", text)]

    steward(root)[0].present(wanted(b"1"), units)
    changes, killed = 0, True
    while killed:
        killed = _kill_at(changes, root, lambda: steward(root)[0].present(wanted(b"2"), units))
        who, _host, systemd = steward(root)
        who.present(wanted(b"2"), units)
        assert not killed or "reload" in systemd.verbs() or (root / "fake/reloaded").exists()
        (root / "fake/reloaded").unlink(missing_ok=True)
        steward(root)[0].present(wanted(b"1"), units)
        (root / "fake/reloaded").unlink(missing_ok=True)
        changes += 1
    assert changes > 3


def test_keep_state(root: Path) -> None:
    apply(root)
    (root / "data/new/blob").write_text("x")
    who, host, _systemd = steward(root)
    who.absent(keep_state=True)
    assert (root / "data/new/blob").exists()
    assert any("/data/new is left" in warning for warning in host.warnings)


def run_for_real(command: t.Sequence[str], **_options: t.Any) -> Completed:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Completed(done.returncode, done.stdout, done.stderr)


def use(root: Path, *paths: str) -> None:
    """An owner has directories for data, in which its programs keep some."""
    who, _host, _systemd = steward(root)
    who.present([StateItem(path) for path in ("/data/new", "/data/empty")])
    for path in paths:
        (root / path).mkdir(parents=True, exist_ok=True)
        (root / path / "file").write_text("theirs")


def left_in(root: Path, name: str) -> list[str]:
    return sorted(str(path.relative_to(root / name)) for path in (root / name).rglob("*"))


@in_own_namespaces
def test_what_others_mount_in_a_directory_for_data_stays(root: Path) -> None:
    use(root, "data/new/a/b", "data/new/nas", "data/empty/nas", "data/new/tmpmounts/containerd-mount12")
    for number, path in enumerate(("data/new/nas", "data/empty/nas", "data/new/tmpmounts/containerd-mount12")):
        mount(str(root / "data/mine") if number == 1 else "tmpfs", root / path)
        (root / path / "file").write_text("precious")
    predicted, told = take_back(root, check=True)
    host = Host(run_for_real, root=str(root))
    gone = Steward(host, Journal.read(str(root / "var/lib/sealer/host.json")), "x").absent()
    assert (gone.diff, host.warnings) == (predicted.diff, told.warnings)
    assert (left_in(root, "data/new"), left_in(root, "data/empty")) == (["nas", "nas/file"], ["nas", "nas/file"])
    kept = sorted(text.partition(" is left: ")[0] for text in host.warnings)
    assert kept == [f"{root}/data/empty/nas", f"{root}/data/new/nas"]
    assert (root / "data/mine/file").read_text() == "precious"
    assert take_back(root)[0].diff == {"before": "", "after": ""}


@in_own_namespaces
def test_what_is_mounted_over_a_directory_for_data_stays(root: Path) -> None:
    mount("tmpfs", root / "data/empty")
    use(root, "data/new", "data/empty")
    mount("tmpfs", root / "data/new")
    (root / "data/new/file").write_text("precious")
    _gone, host = take_back(root)
    # A disk that was there before is emptied, and nothing else.
    assert (left_in(root, "data/new"), left_in(root, "data/empty")) == (["file"], [])
    assert host.warnings == ["directory /data/new is left: something was mounted there since"]


@pytest.mark.parametrize("check", [True, False])
@in_own_namespaces
def test_a_directory_in_which_others_listen_stays_whole(root: Path, check: bool) -> None:
    use(root, "data/new/task/moby", "data/empty/task")
    with socket.socket(socket.AF_UNIX) as docker:
        docker.bind(str(root / "data/new/containerd.sock"))
        docker.listen()
        _gone, host = take_back(root, check=check)
        assert left_in(root, "data/new") == ["containerd.sock", "task", "task/moby", "task/moby/file"]
    why = f"others use it, too: {root}/data/new/containerd.sock: "
    assert [why in text and "listens there" in text for text in host.warnings] == [True]
    assert left_in(root, "data/empty") == (["task", "task/file"] if check else [])


def test_a_directory_for_data_may_be_deep(root: Path) -> None:
    use(root)
    make_deep(root / "data/new")
    take_back(root)
    assert not (root / "data/new").exists()


@pytest.mark.parametrize("later", [True, False])
def test_a_host_by_which_others_forward_goes_on_forwarding(
    root: Path, later: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ["virbr0"]
    monkeypatch.setattr(links, "forwarders", lambda _run: list(there))
    who, _host, _systemd = steward(root)
    who.present([SysctlItem("net.ipv4.ip_forward", "1"), SysctlItem("net.ipv4.other", "2")])
    there += ["docker0"] if later else []
    _gone, host = take_back(root)
    assert (root / "proc/sys/net/ipv4/ip_forward").read_text().strip() == ("1" if later else "0")
    assert (root / "proc/sys/net/ipv4/other").read_text().split() == ["1", "2"]
    told = ["kernel parameter net.ipv4.ip_forward stays 1: docker0 came later, and needs it"]
    assert host.warnings == (told if later else [])


def test_units_of_before_come_back(root: Path) -> None:
    (root / UNIT_FILE[1:]).write_text("old")
    for state in ("active", "enabled"):
        Systemd(root).flag("x.service", state).touch()
    before = snapshot(root)
    apply(root)
    who, _host, systemd = steward(root)
    who.absent()
    assert systemd.verbs() == ["daemon-reload", "restart"]
    after = snapshot(root)
    assert after[UNIT_FILE[1:]] == before[UNIT_FILE[1:]]


def test_two_owners_share_what_is_equal(root: Path) -> None:
    before = snapshot(root)
    mine = [FileItem("/etc/pki/ca", b"ca"), SysctlItem("net.ipv4.ip_forward", "1")]
    for owner in ("a", "b"):
        steward(root, owner)[0].present(mine)
    with pytest.raises(ClusterError, match="was made by '[ab]', and 'c' wants another"):
        steward(root, "c")[0].present([FileItem("/etc/pki/ca", b"other")])
    for owner, left in (("a", True), ("b", False)):
        take_back(root, owner)
        assert (root / "etc/pki/ca").exists() is left
        assert (root / "proc/sys/net/ipv4/ip_forward").read_text().strip() == ("1" if left else "0")
    after = snapshot(root)
    assert {k: v for k, v in after.items() if not k.startswith("var")} == before


def test_a_directory_is_handed_to_who_still_uses_it(root: Path) -> None:
    steward(root, "a")[0].present([FileItem("/etc/own/a", b"")])
    steward(root, "b")[0].present([FileItem("/etc/own/b", b"")])
    _outcome, host = take_back(root, "a")
    assert host.warnings == [] and (root / "etc/own").exists()
    take_back(root, "b")
    assert not (root / "etc/own").exists()


@pytest.mark.parametrize("data_first", [True, False])
@pytest.mark.parametrize("data_goes_first", [True, False])
def test_a_directory_for_data_that_holds_files_of_another_owner(
    root: Path, data_first: bool, data_goes_first: bool
) -> None:
    """As the mirror's keys beside the CA that nodes trust: each takes what is its own, and the last one all."""
    before = snapshot(root)
    wanted: dict[str, list[Item]] = {"data": [StateItem("/etc/own/pki")], "node": [FileItem("/etc/own/pki/ca", b"ca")]}
    for owner in ("data", "node") if data_first else ("node", "data"):
        steward(root, owner)[0].present(wanted[owner])
    (root / "etc/own/pki/key").write_text("secret")
    first, second = ("data", "node") if data_goes_first else ("node", "data")
    _outcome, host = take_back(root, first)
    assert host.warnings == []
    assert left_in(root, "etc/own/pki") == (["ca"] if data_goes_first else ["key"])
    _outcome, host = take_back(root, second)
    assert host.warnings == []
    after = snapshot(root)
    assert {path: found for path, found in after.items() if not path.startswith("var")} == before


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (FileItem("/data/mine", b"x"), "a directory is in the way"),
        (DirectoryItem("/etc/motd", 0o755), "something else is in the way"),
        (LinkItem("/etc/motd", "x", replace=False), "not ours is in the way"),
        (FileItem("/etc/big", b"x"), "too big to be kept"),
        (FileItem("/etc/motd/below", b"x"), "something else is in the way"),
    ],
)
def test_obstacles_are_named_before_anything_changes(root: Path, item: Item, message: str) -> None:
    (root / "etc/big").write_bytes(b"x" * (1024 * 1024 + 1))
    before = snapshot(root)
    with pytest.raises(ClusterError, match=message):
        steward(root)[0].present([FileItem("/etc/first", b"x"), item])
    assert snapshot(root) == before


def _kill_at(count: int, root: Path, action: t.Callable[[], object]) -> bool:
    """Run an action in a child that is killed before its so-manieth change of the file system; whether it was."""
    child = os.fork()
    if child == 0:
        left = [count]
        for name in MUTATORS:
            real = getattr(os, name)

            def counted(*args: t.Any, _real: t.Any = real, **options: t.Any) -> t.Any:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                return _real(*args, **options)

            setattr(os, name, counted)
        with contextlib.suppress(BaseException):
            action()
            os._exit(0)
        os._exit(1)
    _pid, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_killed_at_every_step(tmp_path: Path) -> None:
    """Apply, killed at each change in turn; then either undo, or apply again and undo, killed once as well."""
    count, killed = 0, True
    while killed:
        root = make_root(tmp_path / str(count))
        before = snapshot(root)
        killed = _kill_at(count, root, partial(apply, root))
        if count % 2:
            done, _systemd = apply(root)
            assert apply(root)[0].changed is False
            _kill_at(count // 2, root, partial(take_back, root))
        _outcome, host = take_back(root)
        assert host.warnings == [], count
        after = snapshot(root)
        assert {k: v for k, v in after.items() if k.split("/")[0] != "var"} == before, count
        assert not (root / "var/lib/sealer/host.json").exists()
        count += 1
    assert count > 20


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: "/t/" + "/".join(parts))
NODES = st.one_of(st.none(), st.binary(max_size=4), st.sampled_from(["x", "../y", "/z"]))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([FileItem("/a", b""), LinkItem("/a", "x")], "/a is wanted twice"),
        ([SysctlItem("net.ipv4.other", "1"), SysctlItem("net.ipv4.other", "2")], "net.ipv4.other is wanted twice"),
        ([FileItem("/a", b""), DirectoryItem("/a/b")], "/a/b cannot be below /a"),
    ],
)
def test_contradictions_are_refused(root: Path, wanted: list[Item], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        steward(root)[0].present(wanted)


def item_of(path: str, node: bytes | str | None) -> Item:
    if node is None:
        return DirectoryItem(path, 0o711)
    return FileItem(path, node) if isinstance(node, bytes) else LinkItem(path, node)


@settings(max_examples=200)
@given(there=st.dictionaries(PATHS, NODES), wanted=st.lists(st.dictionaries(PATHS, NODES), min_size=1, max_size=3))
def test_any_tree_comes_back(
    tmp_path_factory: pytest.TempPathFactory, there: dict[str, t.Any], wanted: list[dict[str, t.Any]]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for path, node in there.items():
        with contextlib.suppress(FileExistsError, NotADirectoryError, FileNotFoundError):
            place = root / path[1:]
            place.parent.mkdir(parents=True, exist_ok=True)
            if node is None:
                place.mkdir()
            elif isinstance(node, bytes):
                with place.open("xb") as stream:
                    stream.write(node)
            else:
                place.symlink_to(node)
    before = snapshot(root)
    for step in wanted:
        with contextlib.suppress(ClusterError):
            steward(root)[0].present([item_of(path, node) for path, node in step.items()])
    _outcome, host = take_back(root)
    assert host.warnings == []
    assert {k: v for k, v in snapshot(root).items() if k.split("/")[0] != "var"} == before
