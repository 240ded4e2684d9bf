# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Strict reading of YAML: every value knows its file and line, nothing unknown is passed over.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import traceback
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError

YAML_IMPORT_ERROR: t.Optional[str] = None
try:
    import yaml
except ImportError:
    HAS_YAML = False
    YAML_IMPORT_ERROR = traceback.format_exc()
else:
    HAS_YAML = True

_PLACE = re.compile(r"\{([a-z_]+)\}")
_BOOLEANS = {"true": True, "false": False}


class Value:
    """One value in a YAML file."""

    def __init__(self, node: t.Any, file: str) -> None:
        self._node = node
        self._file = file

    @property
    def where(self) -> str:
        """The file and the line."""
        return f"{self._file}:{self._node.start_mark.line + 1}"

    def error(self, what: str, fix: str = "") -> BuildError:
        """An error at this value."""
        return BuildError(what, where=self.where, fix=fix)

    def items(self) -> t.List[t.Tuple[str, Value]]:
        """The keys of a mapping in their order; a key named twice is refused."""
        if not isinstance(self._node, yaml.MappingNode):
            raise self.error("a mapping is expected here")
        result: t.Dict[str, Value] = {}
        for key_node, value_node in self._node.value:
            key = Value(key_node, self._file)
            name = key.text()
            if name in result:
                raise key.error(f"{name} is named twice")
            result[name] = Value(value_node, self._file)
        return list(result.items())

    def fields(self, required: t.Sequence[str], optional: t.Sequence[str] = ()) -> t.Dict[str, Value]:
        """A mapping with these keys and no others."""
        result = dict(self.items())
        for name, value in result.items():
            if name not in required and name not in optional:
                known = ", ".join([*required, *optional])
                raise value.error(f"{name} is not known here", fix=f"Known are: {known}.")
        for name in required:
            if name not in result:
                raise self.error(f"{name} is missing")
        return result

    def sequence(self) -> t.List[Value]:
        """The items of a list."""
        if not isinstance(self._node, yaml.SequenceNode):
            raise self.error("a list is expected here")
        return [Value(node, self._file) for node in self._node.value]

    def is_empty(self) -> bool:
        """Whether nothing is written here."""
        return isinstance(self._node, yaml.ScalarNode) and self._node.tag == "tag:yaml.org,2002:null"

    def text(self) -> str:
        """A word or number exactly as it is written."""
        if not isinstance(self._node, yaml.ScalarNode) or self.is_empty():
            raise self.error("a text is expected here")
        return str(self._node.value)

    def boolean(self) -> bool:
        """true or false."""
        found = _BOOLEANS.get(self.text())
        if found is None:
            raise self.error(f"{self.text()} is neither true nor false")
        return found

    def filled(self, values: t.Mapping[str, str], later: t.Collection[str] = ()) -> str:
        """The text with its {names} filled in; those in ``later`` stay."""

        def value(match: t.Match[str]) -> str:
            name = match.group(1)
            if name in later:
                return match.group(0)
            if name not in values:
                known = ", ".join(sorted({*values, *later}))
                raise self.error(f"{match.group(0)} is not known here", fix=f"Known are: {known}.")
            return values[name]

        return _PLACE.sub(value, self.text())

    def relative_path(self) -> str:
        """A path that stays below where it begins."""
        text = self.text()
        if text.startswith("/") or any(name in ("", ".", "..") for name in text.split("/")):
            raise self.error(f"{text} is not a plain relative path")
        return text

    def absolute_path(self) -> str:
        """A path in an image, without its leading slash."""
        text = self.text()
        if not text.startswith("/") or any(name in ("", ".", "..") for name in text[1:].split("/")):
            raise self.error(f"{text} is not a plain absolute path")
        return text[1:]


def fill(template: str, values: t.Mapping[str, str]) -> str:
    """The text with its {names} filled in; names without value stay."""
    return _PLACE.sub(lambda match: values.get(match.group(1), match.group(0)), template)


def read_yaml(path: str) -> Value:
    """The one document in a YAML file."""
    try:
        with open(path, encoding="utf-8") as handle:
            node = yaml.compose(handle, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError("cannot read the file", where=path, why=str(error)) from error
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BuildError("the file is not YAML", where=f"{path}{line}", why=error.problem or "") from error
    except yaml.YAMLError as error:
        raise BuildError("the file is not YAML", where=path, why=str(error)) from error
    if node is None:
        raise BuildError("the file is empty", where=path)
    return Value(node, path)
