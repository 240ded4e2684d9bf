# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's side of cluster_apps: what it brings in check mode, how it waits, what it tells."""

from __future__ import annotations

import pathlib
import tarfile
import typing as t
from unittest import mock

import pytest
from ansible_collections.sealer.cluster.plugins.action.cluster_apps import ActionModule
from ansible_collections.sealer.cluster.plugins.plugin_utils import _apps_wait
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._cluster.test_image_files import (
    ABOVE,
    BASE,
    Store,
)

Result = dict[str, t.Any]
APPLICATION = {"name": "web", "path": "application/apps/web", "env": {}, "cmds": ["kubectl apply -f a.yaml"]}
DESCRIPTION = {"applications": [APPLICATION], "launch": ["web"], "cmds": [], "env": {}}
WORD = "correct horse"


def look(state: str, why: str = "") -> Result:
    item: Result = {
        "api_version": "apps/v1",
        "kind": "Deployment",
        "namespace": "shop",
        "name": "web",
        "source": "application/apps/web/a.yaml",
        "state": state,
        "why": why,
        "pods": [],
        "events": [],
        "restarts": 0,
    }
    entry = {"name": "web", "image": "sha256:1", "stays": "", "objects": [item], "left": []}
    return {"applications": [entry], "nodes": [], "system": []}


class Action(ActionModule):
    """The plugin on a host in memory. host: path to where it leads; answers: results of the modules, in order."""

    def __init__(self, args: Result, *answers: Result, check: bool = False, host: t.Optional[Result] = None) -> None:
        given = {"description": DESCRIPTION, "image_digest": "sha256:1", **args}
        task = mock.Mock(action="sealer.cluster.cluster_apps", async_val=0, check_mode=check, args=given, diff=False)
        connection = mock.Mock(transport="ssh", has_native_async=False, become=None)
        connection._shell.tmpdir = None
        connection._shell.join_path = lambda *parts: "/".join(parts)
        templar = mock.Mock()
        templar.template = lambda value, **_options: value
        super().__init__(task, connection, mock.Mock(), mock.Mock(), templar, mock.Mock())
        self.answers = list(answers)
        self.host = host or {}
        self.calls: list[tuple[str, Result]] = []
        self.sent: dict[str, list[str]] = {}

    def _execute_module(self, *positional: t.Any, **named: t.Any) -> Result:
        self.calls.append((named.get("module_name", "cluster_apps").rpartition(".")[2], named["module_args"]))
        return dict(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])

    def _execute_remote_stat(self, path: str, *positional: t.Any, **named: t.Any) -> Result:
        goal = self.host.get(path)
        return {"exists": goal is not None, **({"lnk_source": goal} if goal not in (None, path) else {})}

    def _make_tmp_path(self, *positional: t.Any) -> str:
        self._connection._shell.tmpdir = "/remote/tmp"
        return "/remote/tmp"

    def _transfer_file(self, local_path: str, remote_path: str) -> str:
        with tarfile.open(local_path) as archive:
            self.sent[remote_path] = sorted(member.name for member in archive if member.isfile())
        return remote_path

    def _fixup_perms2(self, *positional: t.Any, **named: t.Any) -> t.Any:
        return None

    def _remove_tmp_path(self, *positional: t.Any, **named: t.Any) -> None:
        return None


@pytest.fixture(autouse=True)
def fixture_no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_apps_wait, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(_apps_wait, "STEADY_SECONDS", 0)


LAUNCHED = {"changed": True, "launched": ["web: kubectl apply -f a.yaml"]}


def test_what_is_ready_at_once_is_asked_no_more() -> None:
    action = Action({}, {**LAUNCHED, **look("current")})
    result = action.run(None, {})
    assert (result["changed"], result["launched"]) == (True, LAUNCHED["launched"])
    assert [name for name, _args in action.calls] == ["cluster_apps"]


def test_it_waits_for_its_nodes_and_applications() -> None:
    action = Action(
        {"nodes": ["w1"]}, {**LAUNCHED, **look("in progress", "0 of 1")}, look("in progress"), look("current")
    )
    result = action.run(None, {})
    assert not result.get("failed")
    assert result["applications"][0]["objects"][0]["state"] == "current"
    assert [name for name, _args in action.calls] == ["cluster_apps", "cluster_apps_info", "cluster_apps_info"]
    assert action.calls[1][1] == {
        "applications": ["web"],
        "nodes": ["w1"],
        "kubeconfig": "/etc/kubernetes/admin.conf",
        "diagnosis": False,
        "restarts": True,
    }


def test_what_does_not_come_up_fails_the_task_and_keeps_what_was_launched() -> None:
    action = Action({"wait_timeout": 0}, {**LAUNCHED, **look("in progress")}, look("in progress", f"says {WORD}"))
    result = action.run(None, {})
    assert result["failed"] is True
    assert result["launched"] == LAUNCHED["launched"] and result["changed"] is True
    assert result["msg"].startswith("not ready after 0 seconds:\nDeployment shop/web (application/apps/web/a.yaml)")
    assert action.calls[-1][1]["diagnosis"] is True


def test_what_pods_say_of_secrets_is_not_told() -> None:
    given = {"wait_timeout": 0, "secret_env": {"PASSWORD": WORD, "DIGIT": "1", "PORT": 12345}}
    seen = look("in progress", f"1 of 2, {WORD}, 12345")
    result = Action(given, {**LAUNCHED, **look("in progress")}, seen).run(None, {})
    assert WORD not in str(result) and "12345" not in str(result)
    assert "1 of 2" in result["msg"]


@pytest.mark.parametrize("answer", [{"failed": True, "msg": "no"}, {"unreachable": True, "msg": "away"}])
def test_a_launch_that_fails_is_not_waited_for(answer: Result) -> None:
    action = Action({}, answer)
    assert answer.items() <= action.run(None, {}).items()
    assert len(action.calls) == 1


def test_a_host_that_goes_away_ends_the_waiting() -> None:
    gone = {"unreachable": True, "msg": "away"}
    assert gone.items() <= Action({}, {**LAUNCHED, **look("in progress")}, gone).run(None, {}).items()


def test_without_wait_nobody_waits() -> None:
    action = Action({"wait": False}, {**LAUNCHED, **look("in progress")})
    assert not action.run(None, {}).get("failed")
    assert len(action.calls) == 1


def test_what_nobody_waits_for_is_a_warning() -> None:
    result = Action({}, {**LAUNCHED, **look("current", "is paused"), "warnings": ["first"]}).run(None, {})
    assert result["warnings"] == ["first", "Not waited for: Deployment shop/web is paused"]


CONFIG = "/etc/kubernetes/admin.conf"
CURRENT = "/var/lib/sealer/rootfs/current"


@pytest.fixture(name="store")
def fixture_store(tmp_path: pathlib.Path) -> Store:
    return Store(tmp_path / "store")


def in_check_mode(store: Store, manifest: object, host: Result) -> Action:
    args = {"manifest": str(manifest), "store": str(store.path)}
    action = Action(args, {"changed": True, "launched": []}, check=True, host=host)
    action.run(None, {})
    assert [name for name, _args in action.calls] == ["cluster_apps"]
    return action


def test_check_mode_brings_the_files_of_the_new_image(store: Store) -> None:
    action = in_check_mode(store, store.image(BASE, ABOVE), {CONFIG: CONFIG, CURRENT: "/var/lib/sealer/rootfs/0123"})
    remote = action.calls[0][1]["files"]
    assert action.sent == {
        remote: ["application/apps/web/a.yaml", "application/apps/web/sub/b.yaml", "manifests/d.yaml"],
    }


def test_check_mode_brings_nothing_that_the_host_has(store: Store) -> None:
    digest = store.image(BASE)
    action = in_check_mode(store, digest, {CONFIG: CONFIG, CURRENT: f"/var/lib/sealer/rootfs/{digest.hex}"})
    assert (action.sent, action.calls[0][1].get("files")) == ({}, None)


def test_check_mode_brings_nothing_to_a_host_without_cluster(store: Store) -> None:
    assert in_check_mode(store, store.image(BASE), {}).sent == {}


def test_check_mode_leaves_it_to_the_host_where_the_controller_has_no_image(store: Store) -> None:
    absent = "sha256:" + "0" * 64
    action = in_check_mode(store, absent, {CONFIG: CONFIG, CURRENT: "/var/lib/sealer/rootfs/0123"})
    assert action.sent == {}
