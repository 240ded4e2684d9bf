# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The grammar of a Kubefile: text in, instructions out, every mistake with its place.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import difflib
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._build.arguments import (
    NAME,
    Pair,
    json_strings,
    pairs,
    take_flags,
)
from ansible_collections.sealer.cluster.plugins.module_utils._build.lexer import (
    HereDocument,
    LogicalLine,
    Where,
    Word,
    logical_lines,
    refuse_heredoc,
    split_words,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError

NOT_YET = frozenset(("ADD", "RUN", "MAINTAINER", "CNI", "CSI", "KUBEVERSION"))
FOR_CONTAINERS = frozenset(
    ("ENTRYPOINT", "EXPOSE", "HEALTHCHECK", "ONBUILD", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")
)
_APP_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LIMIT = 1 << 20


@dataclass(frozen=True)
class From:
    image: Word
    platform: t.Optional[Word]


@dataclass(frozen=True)
class Arg:
    """Names declared, each with its default when it has one."""

    names: t.Tuple[t.Tuple[Word, t.Optional[Word]], ...]


@dataclass(frozen=True)
class Pairs:
    """Of ENV and LABEL."""

    pairs: t.Tuple[Pair, ...]


@dataclass(frozen=True)
class Copy:
    sources: t.Tuple[Word, ...]
    destination: Word
    chown: t.Optional[Word]
    chmod: t.Optional[Word]


@dataclass(frozen=True)
class App:
    name: Word
    sources: t.Tuple[Word, ...]


@dataclass(frozen=True)
class AppEnv:
    name: Word
    pairs: t.Tuple[Pair, ...]


@dataclass(frozen=True)
class AppCommands:
    name: Word
    commands: t.Tuple[Word, ...]


@dataclass(frozen=True)
class Launch:
    names: t.Tuple[Word, ...]


@dataclass(frozen=True)
class Commands:
    """Of CMDS and CMD: shell lines."""

    commands: t.Tuple[Word, ...]


Arguments = t.Union[From, Arg, Pairs, Copy, App, AppEnv, AppCommands, Launch, Commands]


@dataclass(frozen=True)
class Instruction:
    keyword: str
    arguments: Arguments
    file: str
    line: int
    column: int
    text: str

    @property
    def where(self) -> Where:
        return Where(self.file, self.line, self.column)


def parse(text: str, file: str) -> t.List[Instruction]:
    """All instructions of a Kubefile. What is wrong is told all at once, one mistake an instruction."""
    if len(text) > _LIMIT or "\0" in text:
        raise BuildError("this is no Kubefile", where=file, why="it is too long or holds binary data")
    instructions: t.List[Instruction] = []
    errors: t.List[BuildError] = []
    lines = logical_lines(text, file)
    while True:
        try:
            line = next(lines)
            instructions.append(_instruction(line))
        except StopIteration:
            break
        except BuildError as error:
            errors.append(error)
            if isinstance(error, HereDocument):
                break
    if not errors:
        errors = _order_errors(instructions, file)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        told = "\n".join(f"  {error}" for error in errors)
        raise BuildError(f"{len(errors)} mistakes\n{told}", where=file) from errors[0]
    return instructions


def _instruction(line: LogicalLine) -> Instruction:
    where = line.where()
    reader = _READERS.get(line.keyword)
    if reader is None:
        raise _unknown(line)
    if not line.body.raw:
        raise where.error(f"{line.keyword} needs arguments", fix=f"For example: {_EXAMPLES[line.keyword]}")
    if not line.body.raw.startswith("["):
        refuse_heredoc(line.body)
    return Instruction(line.keyword, reader(line), where.file, where.line, where.column, line.text)


def _unknown(line: LogicalLine) -> BuildError:
    keyword, where = line.keyword, line.where()
    if keyword in NOT_YET:
        return where.error(f"{keyword} is not supported yet", fix=f"Supported are {', '.join(sorted(_READERS))}")
    if keyword in FOR_CONTAINERS:
        return where.error(
            f"{keyword} is not supported", why="it describes a container, and a cluster image is not run as one"
        )
    near = difflib.get_close_matches(keyword, sorted(set(_READERS) | NOT_YET), n=1)
    hint = f"Did you mean {near[0]}" if near else f"Supported are {', '.join(sorted(_READERS))}"
    return where.error(f"unknown instruction {line.text[: line.keyword_end]}", fix=hint)


def _order_errors(instructions: t.Sequence[Instruction], file: str) -> t.List[BuildError]:
    """FROM once and first but for ARG; LAUNCH and CMDS once."""
    if not instructions:
        return [BuildError("the Kubefile is empty", where=file, fix="Begin with FROM, for example: FROM scratch")]
    errors = []
    first = next((one for one in instructions if one.keyword != "ARG"), None)
    if first is None or first.keyword != "FROM":
        where = (first or instructions[0]).where
        errors.append(where.error("FROM must come first", why="only ARG may stand in front of it"))
    seen: t.Dict[str, Instruction] = {}
    for one in instructions:
        if one.keyword not in ("FROM", "LAUNCH", "CMDS"):
            continue
        if one.keyword in seen:
            fix = "Build stages are not supported yet" if one.keyword == "FROM" else "Put all of them into one"
            why = f"it is in line {seen[one.keyword].line}"
            errors.append(one.where.error(f"{one.keyword} may stand only once", why=why, fix=fix))
        seen.setdefault(one.keyword, one)
    return errors


def _read_from(line: LogicalLine) -> From:
    flags, rest = take_flags(line, ("platform",))
    words = split_words(rest)
    if len(words) > 1 and words[1].raw.upper() == "AS":
        raise words[1].error("build stages (FROM … AS …) are not supported yet")
    if len(words) != 1:
        raise (words[1] if words else rest).error("FROM needs one image", fix=f"For example: {_EXAMPLES['FROM']}")
    return From(words[0], flags.get("platform"))


def _read_arg(line: LogicalLine) -> Arg:
    names = []
    for word in split_words(line.body):
        name, equals, _default = word.raw.partition("=")
        if not NAME.fullmatch(name):
            raise word.error(f"{name!r} is no name of a variable", fix=f"For example: {_EXAMPLES['ARG']}")
        names.append((word.part(0, len(name)), word.part(len(name) + 1) if equals else None))
    return Arg(tuple(names))


def _read_pairs(line: LogicalLine) -> Pairs:
    return Pairs(tuple(pairs(line, line.body, _EXAMPLES[line.keyword], single=True)))


def _read_copy(line: LogicalLine) -> Copy:
    flags, rest = take_flags(line, ("chown", "chmod"), later=("from", "link", "exclude", "parents"))
    is_list = rest.raw.startswith("[")
    words = json_strings(line, rest, _EXAMPLES["COPY"]) if is_list else split_words(rest)
    if len(words) < 2:
        raise rest.error("COPY needs a source and a destination", fix=f"For example: {_EXAMPLES['COPY']}")
    return Copy(tuple(words[:-1]), words[-1], flags.get("chown"), flags.get("chmod"))


def _read_app(line: LogicalLine) -> App:
    words = split_words(line.body)
    if len(words) < 2:
        raise line.body.error("APP needs a name and at least one path", fix=f"For example: {_EXAMPLES['APP']}")
    sources = []
    for word in words[1:]:
        scheme = _SCHEME.match(word.raw)
        if scheme and scheme.group(1).lower() != "local":
            raise word.error(f"{scheme.group()} is not supported yet", fix="Use a path in the build context")
        sources.append(word.part(scheme.end()) if scheme else word)
        if not sources[-1].raw:
            raise word.error("a path is missing behind local://")
    return App(_app_name(words[0]), tuple(sources))


def _read_app_env(line: LogicalLine) -> AppEnv:
    name, rest = _name_and_rest(line)
    return AppEnv(name, tuple(pairs(line, rest, _EXAMPLES["APPENV"])))


def _read_app_commands(line: LogicalLine) -> AppCommands:
    name, rest = _name_and_rest(line)
    return AppCommands(name, tuple(json_strings(line, rest, _EXAMPLES["APPCMDS"])))


def _read_launch(line: LogicalLine) -> Launch:
    is_list = line.body.raw.startswith("[")
    words = json_strings(line, line.body, _EXAMPLES["LAUNCH"]) if is_list else split_words(line.body)
    return Launch(tuple(_app_name(word) for word in words))


def _read_commands(line: LogicalLine) -> Commands:
    return Commands(tuple(json_strings(line, line.body, _EXAMPLES["CMDS"])))


def _read_command(line: LogicalLine) -> Commands:
    if line.body.raw.startswith("["):
        raise line.body.error("CMD takes one shell line, no list", fix=f"For several: {_EXAMPLES['CMDS']}")
    return Commands((line.body,))


def _name_and_rest(line: LogicalLine) -> t.Tuple[Word, Word]:
    words = line.body.raw.split(None, 1)
    if len(words) < 2:
        raise line.body.error(
            f"{line.keyword} needs an application and more", fix=f"For example: {_EXAMPLES[line.keyword]}"
        )
    return _app_name(line.body.part(0, len(words[0]))), line.body.part(len(line.body.raw) - len(words[1]))


def _app_name(word: Word) -> Word:
    if not _APP_NAME.fullmatch(word.raw):
        raise word.error(
            f"{word.raw!r} cannot be the name of an application",
            why="allowed are letters, digits and, between them, . _ -",
        )
    return word


_READERS: t.Dict[str, t.Callable[[LogicalLine], Arguments]] = {
    "FROM": _read_from,
    "ARG": _read_arg,
    "COPY": _read_copy,
    "ENV": _read_pairs,
    "LABEL": _read_pairs,
    "APP": _read_app,
    "APPENV": _read_app_env,
    "APPCMDS": _read_app_commands,
    "LAUNCH": _read_launch,
    "CMDS": _read_commands,
    "CMD": _read_command,
}
_EXAMPLES = {
    "FROM": "FROM registry.example.com/kubernetes:1.35.4",
    "ARG": "ARG VERSION=1.0",
    "COPY": "COPY manifests/ manifests/",
    "ENV": "ENV GREETING=hello",
    "LABEL": 'LABEL org.opencontainers.image.title="My cluster"',
    "APP": "APP web local://web/",
    "APPENV": "APPENV web GREETING=hello",
    "APPCMDS": 'APPCMDS web ["kubectl apply -f web.yaml"]',
    "LAUNCH": 'LAUNCH ["web"]',
    "CMDS": 'CMDS ["kubectl get nodes"]',
    "CMD": "CMD kubectl get nodes",
}
