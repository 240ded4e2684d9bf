# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what stands behind an instruction: flags, pairs, JSON lists, variables.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._build.lexer import (
    BLANK,
    LogicalLine,
    Word,
    brace_end,
    quotation_end,
    split_words,
)

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FLAG = re.compile(r"--([A-Za-z][A-Za-z0-9-]*)(=)?")
_BRACED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:?[-+?])?")
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Pair:
    """A key and its value as written."""

    key: Word
    value: Word


def take_flags(
    line: LogicalLine, known: t.Collection[str], later: t.Collection[str] = ()
) -> t.Tuple[t.Dict[str, Word], Word]:
    """Flags in front of the arguments, and the rest of the line."""
    flags: t.Dict[str, Word] = {}
    rest = line.body
    while rest.raw.startswith("--"):
        word = split_words(rest)[0]
        found = _FLAG.match(word.raw)
        name = found.group(1) if found else word.raw.lstrip("-")
        if name in later:
            raise word.error(f"{line.keyword} --{name} is not supported yet")
        if not found or name not in known:
            told = ", ".join(f"--{flag}" for flag in sorted(known)) or "none"
            raise word.error(f"unknown flag {word.raw} of {line.keyword}", fix=f"Flags of {line.keyword}: {told}")
        if name in flags:
            raise word.error(f"--{name} stands here a second time", fix="Keep one")
        if not found.group(2) or found.end() == len(word.raw):
            raise word.error(f"--{name} has no value", fix=f"Write --{name}=VALUE, without blanks around =")
        flags[name] = word.part(found.end())
        rest = _skip_blanks(rest.part(len(word.raw)))
    return flags, rest


def pairs(line: LogicalLine, body: Word, example: str, single: bool = False) -> t.List[Pair]:
    """KEY=VALUE pairs; with `single` also the old form: KEY, a blank, and the rest of the line as value."""
    words = split_words(body)
    if not words:
        raise line.where().error(f"{line.keyword} needs KEY=VALUE", fix=f"For example: {example}")
    if single and "=" not in words[0].raw:
        rest = _skip_blanks(body.part(len(words[0].raw)))
        if not rest.raw:
            raise words[0].error(f"{words[0].raw} has no value", fix=f"For example: {example}")
        return [Pair(words[0], rest)]
    result = []
    for word in words:
        key, equals, _value = word.raw.partition("=")
        if not equals:
            raise word.error(
                f"{word.raw} is no KEY=VALUE", fix=f"Put a value with blanks into quotes. For example: {example}"
            )
        if not key:
            raise word.error("a pair has no key in front of =", fix=f"For example: {example}")
        result.append(Pair(word.part(0, len(key)), word.part(len(key) + 1)))
    return result


def json_strings(line: LogicalLine, body: Word, example: str) -> t.List[Word]:
    """The strings of a JSON list, none of them empty, at least one."""
    try:
        value = json.loads(body.raw)
    except json.JSONDecodeError as error:
        raise body.where(error.pos).error(
            f"{line.keyword} needs a JSON list of strings", why=error.msg, fix=f"For example: {example}"
        ) from error
    except (RecursionError, ValueError) as error:
        raise body.error(f"{line.keyword} needs a JSON list of strings, no deep nest and no long number") from error
    if not isinstance(value, list) or not value:
        raise body.error(f"{line.keyword} needs a JSON list with at least one string", fix=f"For example: {example}")
    words = []
    decoder, position = json.JSONDecoder(), 1
    for element in value:
        while body.raw[position] in " \t\r\n,":
            position += 1
        if not isinstance(element, str) or not element.strip() or _UNWRITABLE.search(element):
            raise body.where(position).error(
                f"{line.keyword}: {json.dumps(element)} is no text with something in it", fix=f"For example: {example}"
            )
        words.append(Word(element, line, body.start + position, literal=True))
        position = decoder.raw_decode(body.raw, position)[1]
    return words


def expand(word: Word, variables: t.Mapping[str, str]) -> str:
    """The text a word means: variables put in, quotes and escapes taken away."""
    return _expand(word, 0, len(word.raw), variables, quoted=False)


def _skip_blanks(word: Word) -> Word:
    return word.part(len(word.raw) - len(word.raw.lstrip(BLANK)))


def _expand(word: Word, position: int, end: int, variables: t.Mapping[str, str], quoted: bool) -> str:
    out: t.List[str] = []
    while position < end:
        character = word.raw[position]
        if character == "$":
            text, position = _variable(word, position, variables, quoted)
        elif word.literal:
            text, position = character, position + 1
        elif character == word.line.escape:
            text, position = _escaped(word, position, end, quoted)
        elif character == "'" and not quoted:
            after = quotation_end(word, position)
            text, position = word.raw[position + 1 : after - 1], after
        elif character == '"' and not quoted:
            after = quotation_end(word, position)
            text, position = _expand(word, position + 1, after - 1, variables, quoted=True), after
        else:
            text, position = character, position + 1
        out.append(text)
    return "".join(out)


def _escaped(word: Word, position: int, end: int, quoted: bool) -> t.Tuple[str, int]:
    if position + 1 >= end:
        return word.line.escape, position + 1
    following = word.raw[position + 1]
    if quoted and following not in ('"', "$", word.line.escape):
        return word.line.escape, position + 1
    return following, position + 2


def _variable(word: Word, position: int, variables: t.Mapping[str, str], quoted: bool) -> t.Tuple[str, int]:
    if not word.raw.startswith("${", position):
        found = NAME.match(word.raw, position + 1)
        if not found:
            return "$", position + 1
        return _value(word, position, found.group(), variables), found.end()
    after = brace_end(word, position)
    braced = _BRACED.match(word.raw, position, after)
    if not braced or (not braced.group(2) and braced.end() != after - 1):
        raise word.where(position).error(
            f"{word.raw[position:after]} is no variable", fix="Use ${NAME}, ${NAME:-default}, ${NAME:+instead}"
        )
    name, operator = braced.group(1), braced.group(2)
    if not operator:
        return _value(word, position, name, variables), after
    there = bool(variables.get(name)) if operator.startswith(":") else name in variables
    if operator.endswith("?") and not there:
        told = _expand(word, braced.end(), after - 1, variables, quoted)
        raise word.where(position).error(f"variable {name} is not set", why=told, fix=f"Set it: build_args: {name}=…")
    if operator.endswith("+"):
        return (_expand(word, braced.end(), after - 1, variables, quoted) if there else ""), after
    return (variables[name] if there else _expand(word, braced.end(), after - 1, variables, quoted)), after


def _value(word: Word, position: int, name: str, variables: t.Mapping[str, str]) -> str:
    if name not in variables:
        raise word.where(position).error(
            f"variable {name} is not set here",
            fix=f"Declare it before with ARG or ENV, pass a value in build_args, or write ${{{name}:-}} for nothing",
        )
    return variables[name]
