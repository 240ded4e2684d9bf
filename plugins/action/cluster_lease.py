# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of M(sealer.cluster.cluster_lease): says who acquires it, waits for signs of life, and renews it."""

from __future__ import annotations

import os
import time
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.lease import (
    Held,
    Holder,
    release_command,
    renew_command,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.modules.cluster_lease import ARGUMENT_SPEC
from ansible_collections.sealer.cluster.plugins.plugin_utils import _controller_process
from ansible_collections.sealer.cluster.plugins.plugin_utils._keeper import Keeper, on_host

POLL_SECONDS = 2.0

Result = t.Dict[str, t.Any]


class ActionModule(ActionBase):
    """Runs the module of this name until the lease is this run's or is seen to be another's."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[Result] = None) -> Result:
        super().run(tmp, task_vars)
        variables = task_vars if task_vars is not None else {}
        _validation, self._args = self.validate_argument_spec(ARGUMENT_SPEC)
        # A worker's parent is the run itself.
        holder = _controller_process.this_run(os.getppid(), variables)
        try:
            answer = self._acquire(holder, variables)
        except SealerError as error:
            raise AnsibleActionFail(str(error)) from error
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        if not self._task.check_mode and not answer.get("failed") and not answer.get("unreachable"):
            self._keep(holder)
        return answer

    def _acquire(self, holder: Holder, variables: Result) -> Result:
        answer = self._asked(holder, "", variables)
        seen = _held(answer)
        if seen is None or self._task.check_mode:
            return _warned(answer, seen)
        while seen is not None:
            held = seen
            alive = _controller_process.is_seen_alive(held.holder)
            if alive:
                return _refused(answer, held.holder)
            dead = alive is False or held.renewed > self._args["duration"]
            if not dead:
                time.sleep(POLL_SECONDS)
            answer = self._asked(holder, held.holder.identity if dead else "", variables)
            seen = _held(answer)
            if seen is not None and seen.holder == held.holder and seen.renewed < held.renewed:
                return _refused(answer, seen.holder)
        return answer

    def _asked(self, holder: Holder, replaced: str, variables: Result) -> Result:
        arguments = {**self._task.args, "holder": holder.to_json(), "replaced": replaced}
        answer: Result = self._execute_module(module_args=arguments, task_vars=variables)
        return answer

    def _keep(self, holder: Holder) -> None:
        directory = self._args["directory"]
        Keeper(
            holder.process,
            repeat=on_host(self, renew_command(directory, holder.identity)),
            clear_up=on_host(self, release_command(directory, holder.identity)),
        ).start()


def _held(answer: Result) -> t.Optional[Held]:
    if "renewed" not in answer:
        return None
    return Held(Holder.from_json(answer["holder"]), float(answer["renewed"]))


def _warned(answer: Result, held: t.Optional[Held]) -> Result:
    if held is None:
        return answer
    told = f"{held.holder} changes this cluster since {held.holder.acquired}: what is found now may not last"
    return {**answer, "warnings": [*answer.get("warnings", []), told]}


def _refused(answer: Result, holder: Holder) -> Result:
    told = (
        f"another run changes this cluster: {holder}, since {holder.acquired}. It is alive, and two at once would undo"
        " each other's work. Wait until it has ended, or stop it there, and run this again"
    )
    return {**answer, "failed": True, "msg": told}
