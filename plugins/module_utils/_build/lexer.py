# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cut the text of a Kubefile into instructions and words, each knowing where it stands.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError

DEFAULT_ESCAPE = "\\"
BLANK = " \t"
_DIRECTIVE = re.compile(r"^\s*#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.*?)\s*$")
_HEREDOC = re.compile(r"(?:^|\s)(<<-?\s*([\"']?)[A-Za-z_][A-Za-z0-9_]*\2)(?=\s|$)")


class HereDocument(BuildError):
    """What follows cannot be told from instructions."""


@dataclass(frozen=True)
class Where:
    """A place in a text file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def error(self, what: str, *, why: str = "", fix: str = "") -> BuildError:
        return BuildError(what, where=str(self), why=why, fix=fix)


@dataclass(frozen=True)
class LogicalLine:
    """One instruction with its continuation lines joined."""

    text: str
    file: str
    escape: str
    pieces: t.Tuple[t.Tuple[int, int, int], ...]
    keyword_end: int
    body_start: int

    @property
    def keyword(self) -> str:
        return self.text[: self.keyword_end].upper()

    @property
    def body(self) -> Word:
        return Word(self.text[self.body_start :], self, self.body_start)

    def where(self, offset: int = 0) -> Where:
        """Place of one character of the joined text in the file."""
        start, line, column = self.pieces[0]
        for piece in self.pieces:
            if piece[0] > offset:
                break
            start, line, column = piece
        return Where(self.file, line, column + offset - start)


@dataclass(frozen=True)
class Word:
    """Part of an instruction as it was written. A literal word comes out of JSON: quotes in it mean themselves."""

    raw: str
    line: LogicalLine
    start: int
    literal: bool = False

    def where(self, offset: int = 0) -> Where:
        return self.line.where(self.start if self.literal else self.start + offset)

    def error(self, what: str, *, why: str = "", fix: str = "") -> BuildError:
        return self.where().error(what, why=why, fix=fix)

    def part(self, start: int, end: t.Optional[int] = None) -> Word:
        return Word(self.raw[start:end], self.line, self.start if self.literal else self.start + start, self.literal)


def logical_lines(text: str, file: str) -> t.Iterator[LogicalLine]:
    """The instructions of a Kubefile in order: comments dropped, continuation lines joined."""
    lines = [line[:-1] if line.endswith("\r") else line for line in text.lstrip("\ufeff").split("\n")]
    escape = _escape_directive(lines, file)
    parts: t.List[t.Tuple[str, int, int]] = []
    for number, line in enumerate(lines, 1):
        stripped = line.lstrip(BLANK)
        if stripped.startswith("#"):
            continue
        if not stripped:
            if parts and number < len(lines):
                raise Where(file, number, 1).error(
                    "empty line inside a continued instruction",
                    fix=f"Remove the {escape} at the end of the line before, or the empty line",
                )
            continue
        kept, column = (line, 1) if parts else (stripped, len(line) - len(stripped) + 1)
        continued = _continuation(kept, escape)
        parts.append((kept if continued is None else kept[:continued], number, column))
        if continued is None:
            yield _join(parts, file, escape)
            parts = []
    if parts:
        raise Where(file, parts[-1][1], parts[-1][2] + len(parts[-1][0])).error(
            "the instruction goes on, but the file ends", fix=f"Remove the {escape} at the end of the line"
        )


def split_words(body: Word) -> t.List[Word]:
    """Words of a text: blanks part them, but not in quotes or ${...}; quotes and escapes stay in."""
    words: t.List[Word] = []
    text, position, start = body.raw, 0, -1
    while position < len(text):
        if text[position] in BLANK:
            if start >= 0:
                words.append(body.part(start, position))
                start = -1
            position += 1
            continue
        if start < 0:
            start = position
        position = _step(body, position)
    if start >= 0:
        words.append(body.part(start, len(text)))
    return words


def refuse_heredoc(body: Word) -> None:
    """Here-documents are not part of the grammar; say so instead of reading their lines as instructions."""
    found = _HEREDOC.search(body.raw)
    if found:
        raise HereDocument(
            "here-documents are not supported",
            where=str(body.where(found.start(1))),
            why=f"found {found.group(1)}",
            fix="Put the text into a file of the build context",
        )


def _escape_directive(lines: t.Sequence[str], file: str) -> str:
    escape: t.Optional[str] = None
    for number, line in enumerate(lines, 1):
        found = _DIRECTIVE.match(line)
        if not found:
            break
        if found.group(1).lower() != "escape":
            continue
        where = Where(file, number, found.start(1) + 1)
        if escape is not None:
            raise where.error("the escape directive stands here a second time", fix="Keep one")
        if found.group(2) not in ("\\", "`"):
            raise where.error(f"{found.group(2)!r} cannot be the escape character", fix="Use \\ or `")
        escape = found.group(2)
    return escape or DEFAULT_ESCAPE


def _continuation(line: str, escape: str) -> t.Optional[int]:
    """Where a line ends in front of its continuation mark; None when it has none."""
    text = line.rstrip(BLANK)
    if not text.endswith(escape) or text.endswith(escape * 2):
        return None
    return len(text) - 1


def _join(parts: t.Sequence[t.Tuple[str, int, int]], file: str, escape: str) -> LogicalLine:
    text = ""
    pieces = []
    for part, line, column in parts:
        pieces.append((len(text), line, column))
        text += part
    text = text.rstrip(BLANK)
    keyword_end = 0
    while keyword_end < len(text) and text[keyword_end] not in BLANK:
        keyword_end += 1
    body_start = keyword_end
    while body_start < len(text) and text[body_start] in BLANK:
        body_start += 1
    return LogicalLine(text, file, escape, tuple(pieces), keyword_end, body_start)


def _step(body: Word, position: int) -> int:
    """Position after the character, escape, quotation or ${...} that begins here."""
    text, character = body.raw, body.raw[position]
    if character == body.line.escape:
        return min(position + 2, len(text))
    if character in "\"'":
        return quotation_end(body, position)
    if text.startswith("${", position):
        return brace_end(body, position)
    return position + 1


def quotation_end(body: Word, position: int) -> int:
    """Position after the quotation that begins here."""
    quote, index = body.raw[position], position + 1
    while index < len(body.raw):
        if body.raw[index] == quote:
            return index + 1
        index += 2 if quote == '"' and body.raw[index] == body.line.escape else 1
    raise body.where(position).error(f"the quotation that {quote} opens has no end", fix=f"Close it with {quote}")


def brace_end(body: Word, position: int) -> int:
    """Position after the ${...} that begins here."""
    index = position + 2
    while index < len(body.raw):
        if body.raw[index] == "}":
            return index + 1
        index = index + 1 if body.literal else _step(body, index)
    raise body.where(position).error("${ has no }", fix="Close it with }")
