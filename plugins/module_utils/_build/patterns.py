# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Path patterns: globs of COPY and the grammar of .dockerignore, which .sealignore has.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import posixpath
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError

_SPECIAL = re.compile(r"[*?\[\\]")


def is_glob(text: str) -> bool:
    return bool(_SPECIAL.search(text))


def compile_glob(pattern: str) -> t.Pattern[str]:
    """A regular expression for a whole path: * and ? stay within a directory, ** does not. ValueError when broken."""
    out, position = [], 0
    while position < len(pattern):
        character = pattern[position]
        if pattern.startswith("**", position):
            position += 2
            if pattern.startswith("/", position):
                position += 1
                out.append("(?:.*/)?")
            else:
                out.append(".*")
        elif character == "[":
            text, position = _character_class(pattern, position)
            out.append(text)
        else:
            if character == "\\":
                position += 1
                if position == len(pattern):
                    raise ValueError("\\ at the end")
            out.append({"*": "[^/]*", "?": "[^/]"}.get(character, re.escape(pattern[position])))
            position += 1
    return re.compile("".join(out), re.DOTALL)


def _character_class(pattern: str, start: int) -> t.Tuple[str, int]:
    position = start + 1
    negative = pattern.startswith("^", position)
    position += negative
    members: t.List[str] = []
    while position < len(pattern) and (pattern[position] != "]" or not members):
        if pattern[position] == "\\":
            position += 1
        low = pattern[position : position + 1]
        high = low
        position += 1
        if pattern.startswith("-", position) and pattern[position + 1 : position + 2] not in ("", "]"):
            high = pattern[position + 1]
            position += 2
        if not low or low > high:
            raise ValueError("broken [...]")
        members.append(re.escape(low) if low == high else f"{re.escape(low)}-{re.escape(high)}")
    if position >= len(pattern):
        raise ValueError("[ has no ]")
    return f"(?!/)[{'^' if negative else ''}{''.join(members)}]", position + 1


@dataclass(frozen=True)
class IgnoreRule:
    expression: t.Pattern[str]
    negative: bool
    line: int


@dataclass(frozen=True)
class IgnoreRules:
    """Of an ignore file; the last rule that matches a path or a directory above it decides."""

    rules: t.Tuple[IgnoreRule, ...] = ()

    @classmethod
    def parse(cls, text: str, file: str) -> IgnoreRules:
        rules = []
        for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), 1):
            line = raw.strip()
            if raw.startswith("#") or not line:
                continue
            negative = line.startswith("!")
            pattern = line[1:].strip() if negative else line
            if not pattern:
                raise BuildError("! without a pattern", where=f"{file}:{number}:1")
            pattern = posixpath.normpath(pattern).lstrip("/")
            if pattern in ("", "."):
                continue
            try:
                rules.append(IgnoreRule(compile_glob(pattern), negative, number))
            except (ValueError, re.error) as error:
                raise BuildError(f"{line!r} is no pattern", where=f"{file}:{number}:1", why=str(error)) from error
        return cls(tuple(rules))

    @property
    def has_exceptions(self) -> bool:
        return any(rule.negative for rule in self.rules)

    def ignored_by(self, path: str) -> t.Optional[IgnoreRule]:
        """The rule that leaves a path out; None when the path is in."""
        names = path.split("/")
        above = ["/".join(names[: count + 1]) for count in range(len(names))]
        for rule in reversed(self.rules):
            if any(rule.expression.fullmatch(one) for one in above):
                return None if rule.negative else rule
        return None
