# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an action plugin runs its module and shows the progress that it writes."""

from __future__ import annotations

import json
import os
import typing as t
from unittest import mock

import pytest
from ansible.utils.display import Display
from ansible_collections.sealer.cluster.plugins.action.image_pull import ActionModule
from ansible_collections.sealer.cluster.plugins.plugin_utils import _progress

Result = t.Dict[str, t.Any]
SECRET = {"EXISTING": "kept"}


class Action(ActionModule):
    """The plugin with a module that is a function of the test."""

    def __init__(self, module: t.Callable[[str], Result], **options: t.Any) -> None:
        task = mock.Mock(
            action="sealer.cluster.image_pull",
            async_val=options.get("async_val", 0),
            check_mode=False,
            environment=options.get("environment", [SECRET]),
        )
        connection = mock.Mock(transport=options.get("transport", "local"), has_native_async=False, become=None)
        connection._shell.tmpdir = None
        super().__init__(task, connection, mock.Mock(), mock.Mock(), mock.Mock())
        self.module = module
        self.environments: t.List[t.Any] = []
        self.wrapped: t.List[bool] = []

    def _execute_module(self, *positional: t.Any, wrap_async: bool = False, **named: t.Any) -> Result:
        self.environments.append(self._task.environment)
        self.wrapped.append(wrap_async)
        merged: t.Dict[str, str] = {}
        for layer in self._task.environment or []:
            merged.update(layer)
        return self.module(merged.get("SEALER_PROGRESS", ""))


def tell(path: str) -> Result:
    with open(path, "ab") as stream:
        for done in (1, 2):
            stream.write(json.dumps({"phase": "pulling", "done": done, "total": 2}).encode() + b"\n")
    return {"changed": True}


@pytest.fixture(name="lines")
def fixture_lines(monkeypatch: pytest.MonkeyPatch) -> t.List[str]:
    shown: t.List[str] = []
    monkeypatch.setattr(_progress, "TERMINAL_SECONDS", -1.0)
    monkeypatch.setattr(Display, "display", lambda _display, line: shown.append(line))
    return shown


@pytest.mark.parametrize("environment", [[SECRET], SECRET, None])
def test_progress_is_shown_and_the_task_left_as_it_was(lines: t.List[str], environment: t.Any) -> None:
    paths: t.List[str] = []

    def module(path: str) -> Result:
        paths.append(path)
        return tell(path)

    action = Action(module, environment=environment)
    assert action.run(None, {"inventory_hostname": "site"}) == {"changed": True}
    assert [line.partition(" (")[0] for line in lines] == [
        "[site] image_pull pulling: 1 B of 2 B",
        "[site] image_pull pulling: 2 B of 2 B",
    ]
    assert action.environments[0][0] == (environment[0] if isinstance(environment, list) else environment or {})
    assert action._task.environment is environment
    assert not os.path.exists(paths[0])


def test_a_failing_module_leaves_nothing_behind(lines: t.List[str]) -> None:
    paths: t.List[str] = []

    def module(path: str) -> Result:
        paths.append(path)
        raise RuntimeError("the connection broke")

    action = Action(module)
    with pytest.raises(RuntimeError, match="the connection broke"):
        action.run(None, {})
    assert action._task.environment == [SECRET]
    assert not os.path.exists(paths[0])
    assert lines == []


@pytest.mark.parametrize("options", [{"transport": "ssh"}, {"async_val": 60}])
def test_what_cannot_be_followed_runs_without(lines: t.List[str], options: t.Dict[str, t.Any]) -> None:
    action = Action(lambda path: {"path": path}, **options)
    assert action.run(None, {}) == {"path": ""}
    assert action.environments == [[SECRET]]
    assert action.wrapped == [bool(options.get("async_val"))]
    assert lines == []


def test_another_user_cannot_write_the_file(lines: t.List[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Action, "_is_become_unprivileged", lambda _action: True)
    assert Action(lambda path: {"path": path}).run(None, {}) == {"path": ""}
    assert lines == []
