# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's side of sealer.cluster.mirror_program, which has no other: made here, sent when it differs."""

from __future__ import annotations

import os
import shlex
import tempfile
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.plugin_utils._mirror_bundle import (
    OLDEST_PYTHON,
    Bundle,
    build,
    version_text,
)

MODE = "0755"

_TELL_VERSION = "import sys; print(sys.version_info[0], sys.version_info[1])"

Result = dict[str, t.Any]


class ActionModule(ActionBase):
    """Sends the mirror's program."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[Result] = None) -> Result:
        """Compare, and send when needed."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _spec, arguments = self.validate_argument_spec(
            {"dest": {"type": "path", "required": True}, "python": {"type": "path"}}
        )
        dest = arguments["dest"]
        try:
            bundle = build()
        except MirrorError as error:
            raise AnsibleActionFail(f"The mirror's program cannot be made: {error}") from error
        if arguments["python"]:
            self._require_python(arguments["python"])
        before = self._state(dest, variables)
        after = {"path": dest, "sha256": bundle.sha256, "mode": MODE}
        if before != after and not self._task.check_mode:
            self._send(bundle, dest, variables)
        return {
            "changed": before != after,
            "path": dest,
            "sha256": bundle.sha256,
            "size": len(bundle.data),
            "packages": bundle.packages,
            "diff": {"before": before, "after": after},
        }

    def _require_python(self, path: str) -> None:
        told = self._low_level_execute_command(f"{shlex.quote(path)} -c {shlex.quote(_TELL_VERSION)}")
        numbers = told["stdout"].split()
        if told["rc"] != 0 or len(numbers) != 2:
            why = told["stderr"].strip() or "it does not tell its version"
            raise AnsibleActionFail(f"{path} is no Python that the mirror can run with: {why}")
        found = (int(numbers[0]), int(numbers[1]))
        if found < OLDEST_PYTHON:
            raise AnsibleActionFail(
                f"{path} is Python {version_text(found)}, the mirror's program needs {version_text(OLDEST_PYTHON)} or "
                "later. Install a newer Python on the host and name it: registry_python."
            )

    def _state(self, dest: str, variables: Result) -> Result:
        found = self._call(
            "ansible.builtin.stat", {"path": dest, "follow": False, "checksum_algorithm": "sha256"}, variables
        )["stat"]
        if not found["exists"]:
            return {}
        if not found.get("isreg"):
            raise AnsibleActionFail(f"{dest} is not a file. Remove it, or name another 'dest'.")
        return {"path": dest, "sha256": found["checksum"], "mode": found["mode"]}

    def _send(self, bundle: Bundle, dest: str, variables: Result) -> None:
        directory = {"path": os.path.dirname(dest), "state": "directory", "mode": "0755"}
        is_there = self._call("ansible.builtin.stat", {"path": directory["path"]}, variables)["stat"]["exists"]
        if not is_there:
            self._call("ansible.builtin.file", directory, variables)
        handle, source = tempfile.mkstemp(prefix="sealer-mirror-")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(bundle.data)
            self._copy(source, dest, variables)
        finally:
            os.unlink(source)

    def _copy(self, source: str, dest: str, variables: Result) -> None:
        task = self._task.copy()
        task.args = {"src": source, "dest": dest, "mode": MODE}
        task.diff = False
        action = self._shared_loader_obj.action_loader.get(
            "ansible.builtin.copy",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        _checked(action.run(task_vars=variables))

    def _call(self, module: str, arguments: Result, variables: Result) -> Result:
        return _checked(self._execute_module(module_name=module, module_args=arguments, task_vars=variables))


def _checked(result: Result) -> Result:
    if result.get("failed"):
        raise AnsibleActionFail("The mirror's program cannot be sent", result=result)
    return result
