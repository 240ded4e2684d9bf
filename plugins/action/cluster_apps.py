# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of M(sealer.cluster.cluster_apps): brings what check mode reads, and waits until all is ready."""

from __future__ import annotations

import os
import tempfile
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import apps_plan, image_files
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.rootfs_source import Source
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import default_store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.modules.cluster_apps import ARGUMENT_SPEC
from ansible_collections.sealer.cluster.plugins.plugin_utils._apps_wait import AppsWait, NotReady, notes_in
from ansible_collections.sealer.cluster.plugins.plugin_utils._keeper import Keeper, removal_of_files
from ansible_collections.sealer.cluster.plugins.plugin_utils._progress import Announcer, line_prefix, local_tmp

Result = t.Dict[str, t.Any]
LOOK = ("applications", "nodes", "system")
MIN_SECRET = 4


class Unreachable(Exception):
    """The host did not answer any more while its applications were waited for."""

    def __init__(self, result: Result) -> None:
        super().__init__(str(result.get("msg")))
        self.result = result


class ActionModule(ActionBase):
    """Runs the module of this name once, and M(sealer.cluster.cluster_apps_info) until all is ready."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        self._vars: t.Dict[str, t.Any] = task_vars if task_vars is not None else {}
        _validation, self._args = self.validate_argument_spec(ARGUMENT_SPEC)
        try:
            result.update(self._launch())
        except SealerError as error:
            raise AnsibleActionFail(str(error)) from error
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _launch(self) -> Result:
        brought = self._bring_files() if self._task.check_mode else {}
        result: Result = self._execute_module(module_args={**self._task.args, **brought}, task_vars=self._vars)
        if result.get("failed") or result.get("unreachable") or self._task.check_mode or not self._args["wait"]:
            return result
        return {**result, **self._wait(result)}

    def _bring_files(self) -> Result:
        """Send the files of an image that the host does not have yet, where the controller has it."""
        if not self._args["manifest"] or self._path_of(self._args["kubeconfig"]) is None:
            return {}
        manifest = Digest.parse(self._args["manifest"])
        store = self._args["store"] or default_store()
        tree = self._path_of(self._args["rootfs"])
        here = os.path.exists(os.path.join(store, "blobs", manifest.algorithm, manifest.hex))
        if not here or (tree is not None and os.path.basename(tree) == manifest.hex):
            return {}
        source = Source(Reference.parse(self._args["reference"] or "unnamed"), store=store)
        paths = apps_plan.files_of(self._args["description"], self._args["launch"])
        with tempfile.TemporaryDirectory(prefix="sealer-apps-", dir=local_tmp()) as place:
            archive = image_files.pack(image_files.unpack(source, manifest, paths, place), place)
            return {"files": self._sent(archive)}

    def _path_of(self, path: str) -> t.Optional[str]:
        """Where a path on the host leads; None where it leads nowhere."""
        found = self._execute_remote_stat(path, all_vars=self._vars, follow=False, checksum=False)
        if not found["exists"]:
            return None
        return str(found.get("lnk_source") or path)

    def _sent(self, path: str) -> str:
        if self._connection._shell.tmpdir is None:
            self._make_tmp_path()
        Keeper(os.getpid(), clear_up=removal_of_files(self)).start()
        remote = str(self._connection._shell.join_path(self._connection._shell.tmpdir, os.path.basename(path)))
        self._transfer_file(path, remote)
        self._fixup_perms2([self._connection._shell.tmpdir, remote])
        return remote

    def _wait(self, launched: Result) -> Result:
        """What the waiting adds to the result of the launch."""
        look = {name: launched[name] for name in LOOK}
        names = [item["name"] for item in look["applications"] if item["objects"]]
        announcer = Announcer(Display().display, line_prefix(self._task.action, self._vars))
        waiting = AppsWait(lambda diagnosis: self._look(names, diagnosis), announcer, self._args["wait_timeout"])
        try:
            look = waiting.until_ready(look, launched=bool(launched["launched"]))
        except NotReady as error:
            seen = {name: error.look[name] for name in LOOK if name in error.look}
            return self._hidden({**seen, "failed": True, "msg": str(error)})
        except Unreachable as error:
            return error.result
        warnings = [*launched.get("warnings", []), *notes_in(look)]
        return self._hidden({**{name: look[name] for name in LOOK}, **({"warnings": warnings} if warnings else {})})

    def _look(self, names: t.Sequence[str], diagnosis: bool) -> Result:
        arguments = {
            "applications": list(names),
            "nodes": self._args["nodes"],
            "kubeconfig": self._args["kubeconfig"],
            "diagnosis": diagnosis,
            "restarts": True,
        }
        answer: Result = self._execute_module(
            module_name="sealer.cluster.cluster_apps_info", module_args=arguments, task_vars=self._vars
        )
        if answer.get("unreachable"):
            raise Unreachable(answer)
        return answer

    def _hidden(self, value: Result) -> Result:
        """The same without the secrets that the commands were given: pods may have logged them."""
        # One that is shorter would be in any number, and hides nothing.
        secrets = {str(text) for text in self._args["secret_env"].values() if len(str(text)) >= MIN_SECRET}
        return t.cast(Result, remove_values(value, secrets))
