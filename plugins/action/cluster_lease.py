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
from ansible.utils.display import Display
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.lease import (
    REPLACED,
    Held,
    Holder,
    release_command,
    renew_command,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.modules.cluster_lease import ARGUMENT_SPEC
from ansible_collections.sealer.cluster.plugins.plugin_utils import _controller_process
from ansible_collections.sealer.cluster.plugins.plugin_utils._keeper import CommandResult, Keeper, on_host
from ansible_collections.sealer.cluster.plugins.plugin_utils._progress import line_prefix

POLL_SECONDS = 2.0
# A run may replace a lease and be refused by the next one of the same cluster: within less, it has gone again.
RENEWALS_UNTIL_LOST = 4
LOST = (
    "another run changes this cluster, as this one has not renewed its lease for too long: this machine slept, or had"
    " no connection. This run ends. Wait until the other one has ended, and run this again"
)

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
        answer = self._asked(holder, variables)
        seen = _held(answer)
        if seen is None or self._task.check_mode:
            return self._warned(answer, seen)
        self._tell_of_waiting(seen, str(self._task.delegate_to or variables.get("inventory_hostname", "localhost")))
        while seen is not None:
            held = seen
            alive = _controller_process.is_seen_alive(held.holder)
            if alive:
                return _refused(answer, held.holder)
            if alive is None and not self._has_expired(held):
                time.sleep(POLL_SECONDS)
            answer = self._asked(holder, variables, held.holder, 0 if alive is False else self._args["duration"])
            seen = _held(answer)
            if seen is not None and seen.holder == held.holder and seen.renewed < held.renewed:
                return _refused(answer, seen.holder)
        return answer

    def _asked(
        self, holder: Holder, variables: Result, replaced: t.Optional[Holder] = None, duration: float = 0
    ) -> Result:
        arguments = {
            **self._task.args,
            "duration": duration,
            "holder": holder.to_json(),
            "replaced": replaced.identity if replaced else "",
        }
        answer: Result = self._execute_module(module_args=arguments, task_vars=variables)
        return answer

    def _has_expired(self, held: Held) -> bool:
        return held.renewed >= float(self._args["duration"])

    def _tell_of_waiting(self, held: Held, host: str) -> None:
        if _controller_process.is_seen_alive(held.holder) is None and not self._has_expired(held):
            seconds = self._args["duration"] - held.renewed
            Display().display(
                f"{line_prefix(self._task.action, {'inventory_hostname': host})}: {held.holder} has the lease since"
                f" {held.holder.acquired}; waiting up to {seconds:.0f} s for a sign of life"
            )

    def _warned(self, answer: Result, held: t.Optional[Held]) -> Result:
        if held is None or _controller_process.is_seen_alive(held.holder) is False or self._has_expired(held):
            return answer
        told = f"{held.holder} changes this cluster since {held.holder.acquired}: what is found now may not last"
        return {**answer, "warnings": [*answer.get("warnings", []), told]}

    def _keep(self, holder: Holder) -> None:
        directory = self._args["directory"]
        Keeper(
            holder.process,
            repeat=_Renewal(on_host(self, renew_command(directory, holder.identity)), holder),
            clear_up=on_host(self, release_command(directory, holder.identity)),
        ).start()


class _Renewal:
    """Renews a lease, and interrupts the run that has lost it, since another one is at work by then."""

    def __init__(self, renew: t.Callable[[], CommandResult], holder: Holder) -> None:
        self._renew = renew
        self._holder = holder
        self._lost = 0

    def __call__(self) -> None:
        self._lost = self._lost + 1 if self._renew().get("rc") == REPLACED else 0
        if self._lost >= RENEWALS_UNTIL_LOST:
            _controller_process.stop(self._holder.process, LOST)


def _held(answer: Result) -> t.Optional[Held]:
    if "renewed" not in answer:
        return None
    return Held(Holder.from_json(answer["holder"]), float(answer["renewed"]))


def _refused(answer: Result, holder: Holder) -> Result:
    told = (
        f"another run changes this cluster: {holder}, since {holder.acquired}. It is alive, and two at once would undo"
        " each other's work. Wait until it has ended, or stop it there, and run this again"
    )
    return {**answer, "failed": True, "msg": told}
