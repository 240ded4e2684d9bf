# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's side of sealer.cluster.registry_credentials, which has no other."""

from __future__ import annotations

import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.plugin_utils._credentials_file import (
    NODES,
    Login,
    hashed,
    logins,
    write_once,
)

Result = dict[str, t.Any]

_USER = {
    "name": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "push": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """Makes and reads passwords."""

    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = False

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[Result] = None) -> Result:
        """Make what is missing, and tell."""
        super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(
            {
                "path": {"type": "path"},
                "users": {"type": "list", "elements": "dict", "default": [], "options": _USER},
                "for_nodes": {"type": "bool", "default": True},
                "scope": {"type": "str", "default": ""},
            }
        )
        try:
            return self._result(arguments)
        except (MirrorError, OSError) as error:
            raise AnsibleActionFail(f"The registry's users are not known: {error}") from error

    def _result(self, arguments: Result) -> Result:
        path = arguments["path"] and self._loader.path_dwim(arguments["path"])
        is_there = bool(path) and os.path.exists(path)
        if path and not is_there and not self._task.check_mode:
            write_once(path)
        generated = logins(self._loader.load_from_file(path, cache="none"), path) if self._can_read(path) else {}
        given = [Login(user["name"], user["password"], user["push"]) for user in arguments["users"]]
        nodes = generated.get(NODES) if arguments["for_nodes"] else None
        after = {"path": path, "state": "present"} if path else {}
        return {
            "changed": bool(path) and not is_there,
            "diff": {"before": after if is_there else {}, "after": after},
            "users": hashed([*generated.values(), *given], arguments["scope"]),
            "username": nodes.name if nodes else "",
            "password": nodes.password if nodes else "",
        }

    @staticmethod
    def _can_read(path: t.Optional[str]) -> bool:
        return bool(path) and os.path.exists(str(path))
