# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests with variables, as sealer's images have them: files that end in .tmpl, with {{ .NAME }} in the text.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError

SUFFIX = ".tmpl"
MANIFESTS = (".yaml", ".yml", ".json")

_ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_VARIABLE = re.compile(r"\s*\.([A-Za-z_][A-Za-z0-9_]*)\s*")


class TemplateError(SealerError):
    """A template that cannot be filled in."""


def plain_name(path: str) -> str:
    """What a file is called once it is filled in: the path itself for a file that is no template of a manifest."""
    plain = path[: -len(SUFFIX)]
    return plain if path.endswith(SUFFIX) and plain.endswith(MANIFESTS) else path


def fill(text: str, value_of: t.Callable[[str], t.Optional[str]], path: str) -> str:
    """The text with a value in the place of each variable.

    value_of: tells the value of a variable, or None where there is none; path: of the file, for errors.
    Raises TemplateError for a variable without a value, and for anything else in double braces.
    """

    def value(found: t.Match[str]) -> str:
        where = f"{path}:{text.count(chr(10), 0, found.start()) + 1}"
        variable = _VARIABLE.fullmatch(found.group(1))
        if variable is None:
            raise TemplateError(
                f"{found.group()!r} cannot be filled in",
                where=where,
                why="templates of manifests may have variables, as {{ .NAME }}, and nothing else",
                fix="Write it with variables alone, or let a command of the application make the file",
            )
        told = value_of(variable.group(1))
        if told is None:
            raise TemplateError(
                f"the variable {variable.group(1)} has no value",
                where=where,
                fix=f"Set it with ENV or APPENV in the Kubefile, or in apps_env: {{{variable.group(1)}: VALUE}}",
            )
        return told

    return _ACTION.sub(value, text)
