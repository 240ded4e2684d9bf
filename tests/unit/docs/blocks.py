# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fenced blocks of the guides, and the commands in them."""

from __future__ import annotations

import pathlib
import re
import textwrap
import typing as t
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[3]
GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"] + sorted(
    path for path in (ROOT / "docs").rglob("*.md") if "reference" not in path.parts
)
FENCE = re.compile(r"^([ >]*)(```+|~~~+)(.*)\n((?:.*\n)*?)\1\2$", re.MULTILINE)
SHELLS = ("console", "bash", "sh", "shell")
_FILE = re.compile(r"^# (Kubefile|(?:[\w.-]+/)*[\w.-]+\.yml)\n", re.MULTILINE)
_TOKEN = re.compile(
    r"""\s+|(?<!\S)\#[^\n]*|(?P<word>(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\])+)""", re.DOTALL | re.VERBOSE
)


@dataclass(frozen=True)
class Block:
    """A listing; ``line`` is the number of its first line in the guide."""

    line: int
    language: str
    text: str

    def files(self) -> dict[str, str]:
        """The files that the block shows, each below a comment that is its name."""
        _before, *named = _FILE.split(self.text)
        return dict(zip(named[::2], named[1::2]))


@dataclass(frozen=True)
class Command:
    """A command as it is written, over several lines where it goes on; by its words it is compared."""

    line: int
    text: str

    @property
    def words(self) -> tuple[str, ...]:
        return words(self.text) or ()


def words(text: str) -> t.Optional[tuple[str, ...]]:
    """The words of a command as they are written, without comments; None where it goes on in the next line."""
    text, place, found = text.replace("\\\n", " "), 0, []
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            return None
        place = token.end()
        found += [token["word"]] if token["word"] else []
    return None if found and found[-1] in ("|", "||", "&&") else tuple(found)


def blocks(guide: str) -> list[Block]:
    """All listings in the text of a guide, also those in lists."""
    return [
        Block(guide.count("\n", 0, found.start(4)) + 1, found[3].strip(), textwrap.dedent(found[4]))
        for found in FENCE.finditer(guide)
    ]


def commands(block: Block) -> t.Iterator[Command]:
    """The commands of a shell's block: a whole script, or what stands behind prompts, or each line.

    Between prompts stands output. Raises ValueError for what is not understood.
    """
    if block.text.startswith("#!"):
        yield Command(block.line, block.text)
        return
    prompts, begun = block.text.startswith("$ "), ""
    for number, line in enumerate(block.text.splitlines(), block.line):
        if prompts and not begun and not line.startswith("$ "):
            continue
        begun = f"{begun}\n{line}" if begun else line.removeprefix("$ ")
        found = words(begun)
        if found is None:
            continue
        if any(word.startswith("<<") and not word.startswith("<<<") for word in found):
            raise ValueError(f"line {number}: here-documents are not understood: show the text as a file of its own")
        if found:
            yield Command(number - begun.count("\n"), begun)
        begun = ""
    if begun:
        raise ValueError(f"line {block.line}: a command of this block does not end: {begun}")
