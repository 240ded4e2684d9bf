# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carry out a Kubefile's instructions for one platform, as far as files and settings go: nothing is packed yet.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.sealer.cluster.plugins.module_utils._build import application, kubefile
from ansible_collections.sealer.cluster.plugins.module_utils._build.arguments import NAME, Pair, expand
from ansible_collections.sealer.cluster.plugins.module_utils._build.context import FILE, Context
from ansible_collections.sealer.cluster.plugins.module_utils._build.copy_instruction import copy_files
from ansible_collections.sealer.cluster.plugins.module_utils._build.description import (
    LABEL,
    Application,
    Description,
)
from ansible_collections.sealer.cluster.plugins.module_utils._build.kubefile import Instruction
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Entry
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer_draft import LayerDraft
from ansible_collections.sealer.cluster.plugins.module_utils._build.lexer import Where, Word
from ansible_collections.sealer.cluster.plugins.module_utils._build.tree import Tree
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError, OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

SCRATCH = "scratch"
_LABEL_KEY = re.compile(r"[^\s=]+")


@dataclass(frozen=True)
class Step:
    """What an instruction does; one that brings files makes a layer of them."""

    text: str
    entries: t.Optional[t.List[Entry]] = None


@dataclass(frozen=True)
class Inherited:
    """What comes from the base image."""

    env: t.Mapping[str, str] = field(default_factory=dict)
    labels: t.Mapping[str, str] = field(default_factory=dict)
    description: Description = field(default_factory=Description)


@dataclass(frozen=True)
class Plan:
    """All that a platform's rootfs will be. `replaced` are the base's files that are there no more."""

    steps: t.List[Step]
    tree: Tree
    env: t.Dict[str, str]
    labels: t.Dict[str, str]
    description: Description
    replaced: t.FrozenSet[str] = frozenset()
    warnings: t.Sequence[str] = ()

    def all_labels(self) -> t.Dict[str, str]:
        """With the one that holds the description."""
        text = json.dumps(self.description.to_json(), sort_keys=True, separators=(",", ":"))
        return {**self.labels, LABEL: text}


def builtin_variables(platform: Platform) -> t.Dict[str, str]:
    """Variables that the build sets, always there."""
    return {
        "ARCH": platform.architecture,
        "TARGETARCH": platform.architecture,
        "TARGETOS": platform.os,
        "TARGETVARIANT": platform.variant,
        "TARGETPLATFORM": str(platform),
    }


def check_build_args(instructions: t.Sequence[Instruction], build_args: t.Mapping[str, str]) -> None:
    """Refuse values for names that no ARG declares."""
    declared = {
        name.raw
        for one in instructions
        if isinstance(one.arguments, kubefile.Arg)
        for name, _default in one.arguments.names
    }
    builtin = set(builtin_variables(Platform("", "")))
    for name in sorted(build_args):
        if name in builtin:
            raise BuildError(f"build_args: {name} is set by the build from the platform", fix="Use platforms")
        if name not in declared:
            told = ", ".join(sorted(declared - builtin)) or "no variable"
            raise BuildError(
                f"build_args: no ARG declares {name}", where=instructions[0].file, why=f"the Kubefile declares {told}"
            )


class Evaluation:
    """One run over the instructions."""

    def __init__(
        self, instructions: t.Sequence[Instruction], platform: Platform, build_args: t.Mapping[str, str]
    ) -> None:
        self._platform = platform
        self._builtin = builtin_variables(platform)
        self._build_args = build_args
        self._env: t.Dict[str, str] = {}
        self._args: t.Dict[str, str] = {}
        self._labels: t.Dict[str, str] = {}
        self._steps: t.List[Step] = []
        self._warnings: t.List[str] = []
        self._applications: t.Dict[str, Application] = {}
        self._declared: t.Dict[str, Where] = {}
        self._commanded: t.Dict[str, Where] = {}
        self._untyped: t.Dict[str, str] = {}
        self._launch: t.List[Word] = []
        self._commands: t.List[str] = []
        first = next(index for index, one in enumerate(instructions) if one.keyword == "FROM")
        for one in instructions[:first]:
            self._arg(one.arguments, {})
        self._global_args, self._args = self._args, {}
        self._from = instructions[first]
        self._rest = instructions[first + 1 :]

    def base(self) -> t.Optional[Reference]:
        """The base image's name; None for scratch."""
        arguments = t.cast(kubefile.From, self._from.arguments)
        variables = {**self._builtin, **self._global_args}
        if arguments.platform:
            self._check_platform(arguments.platform, expand(arguments.platform, variables))
        name = expand(arguments.image, variables)
        if name == SCRATCH:
            return None
        try:
            return Reference.parse(name)
        except OciError as error:
            raise arguments.image.error(
                f"{name!r} is no name of an image", why=error.why, fix="Name a cluster image or scratch"
            ) from error

    @property
    def brings_files(self) -> bool:
        """Whether an instruction puts files into the rootfs, so that it matters what the base has there."""
        return any(one.keyword in ("APP", "COPY") for one in self._rest)

    def run(self, inherited: Inherited, context: Context, tree: Tree) -> Plan:
        """Carry out what stands behind FROM. `tree` has the base's files, and gets ours."""
        self._env = dict(inherited.env)
        self._inherited = inherited
        self._context = context
        self._tree = tree
        self._applications = {one.name: one for one in inherited.description.applications}
        before = dict(self._env)
        base_files = [entry.path for entry in tree.entries() if entry.kind == FILE]
        self._carry_out()
        self._check_applications()
        own = {key: value for key, value in self._env.items() if before.get(key) != value}
        ours = Description(
            tuple(self._applications.values()), tuple(word.raw for word in self._launch), tuple(self._commands), own
        )
        labels = {key: value for key, value in inherited.labels.items() if key != LABEL}
        labels.update(self._labels)
        return Plan(
            steps=self._steps,
            tree=tree,
            env=self._env,
            labels=labels,
            description=ours.on_top_of(inherited.description),
            replaced=frozenset(path for path in base_files if not _is_of_base(tree.get(path))),
            warnings=self._warnings,
        )

    def _carry_out(self) -> None:
        handlers: t.Dict[str, t.Callable[[Instruction], t.Optional[LayerDraft]]] = {
            "ARG": self._run_arg,
            "COPY": self._run_copy,
            "ENV": self._run_env,
            "LABEL": self._run_label,
            "APP": self._run_app,
            "APPENV": self._run_app_env,
            "APPCMDS": self._run_app_commands,
            "LAUNCH": self._run_launch,
            "CMDS": self._run_commands,
            "CMD": self._run_commands,
        }
        for one in self._rest:
            draft = handlers[one.keyword](one)
            self._steps.append(Step(one.text, draft.entries() if draft else None))
            self._warnings.extend(draft.warnings if draft else ())

    @property
    def _variables(self) -> t.Dict[str, str]:
        return {**self._builtin, **self._args, **self._env}

    def _check_platform(self, word: Word, text: str) -> None:
        try:
            same = Platform.parse(text).matches(self._platform)
        except OciError as error:
            raise word.error(f"{text!r} is no platform", why=error.why, fix="For example: linux/amd64") from error
        if not same:
            raise word.error(
                f"FROM takes the base for {text}, but {self._platform} is being built",
                fix="Leave --platform out, or build that platform only",
            )

    def _run_arg(self, one: Instruction) -> None:
        self._arg(one.arguments, self._global_args)

    def _arg(self, arguments: kubefile.Arguments, outer: t.Mapping[str, str]) -> None:
        for name, default in t.cast(kubefile.Arg, arguments).names:
            if name.raw in self._builtin:
                if default is not None:
                    raise name.error(f"ARG {name.raw} takes no default", why="the build sets it from the platform")
            elif name.raw in self._build_args:
                self._args[name.raw] = self._build_args[name.raw]
            elif default is not None:
                self._args[name.raw] = expand(default, self._variables)
            elif name.raw in outer:
                self._args[name.raw] = outer[name.raw]

    def _pairs(self, pairs: t.Iterable[Pair], form: t.Pattern[str], what: str) -> t.Dict[str, str]:
        variables, result = self._variables, {}
        for pair in pairs:
            key = expand(pair.key, variables)
            if not form.fullmatch(key):
                raise pair.key.error(f"{key!r} is no name of {what}")
            result[key] = expand(pair.value, variables)
        return result

    def _run_env(self, one: Instruction) -> None:
        self._env.update(self._pairs(t.cast(kubefile.Pairs, one.arguments).pairs, NAME, "a variable"))

    def _run_label(self, one: Instruction) -> None:
        labels = self._pairs(t.cast(kubefile.Pairs, one.arguments).pairs, _LABEL_KEY, "a label")
        if LABEL in labels:
            raise one.where.error(f"the label {LABEL} is written by the build", fix="Use another name")
        self._labels.update(labels)

    def _run_copy(self, one: Instruction) -> LayerDraft:
        return copy_files(t.cast(kubefile.Copy, one.arguments), self._variables, self._context, self._tree)

    def _run_app(self, one: Instruction) -> LayerDraft:
        arguments, variables = t.cast(kubefile.App, one.arguments), self._variables
        name = arguments.name.raw
        if name in self._declared:
            raise arguments.name.error(
                f"application {name} is declared already", why=f"in line {self._declared[name].line}"
            )
        replaces = name in self._applications
        self._declared[name] = arguments.name.where()
        sources = [(expand(word, variables), word.where()) for word in arguments.sources]
        draft, files = application.collect(self._context, self._tree, name, sources, arguments.name.where(), replaces)
        self._applications[name], untyped = application.describe(name, files)
        if untyped:
            self._untyped[name] = untyped
        return draft

    def _application(self, word: Word) -> Application:
        if word.raw not in self._applications:
            told = ", ".join(sorted(self._applications)) or "none"
            raise word.error(
                f"unknown application {word.raw}", why=f"known here: {told}", fix="Declare it before with APP"
            )
        return self._applications[word.raw]

    def _run_app_env(self, one: Instruction) -> None:
        arguments = t.cast(kubefile.AppEnv, one.arguments)
        known = self._application(arguments.name)
        env = {**known.env, **self._pairs(arguments.pairs, NAME, "a variable")}
        self._applications[known.name] = replace(known, env=env)

    def _run_app_commands(self, one: Instruction) -> None:
        arguments = t.cast(kubefile.AppCommands, one.arguments)
        known = self._application(arguments.name)
        if known.name in self._commanded:
            raise arguments.name.error(
                f"{known.name} has its commands already", why=f"in line {self._commanded[known.name].line}"
            )
        self._commanded[known.name] = arguments.name.where()
        commands = tuple(word.raw for word in arguments.commands)
        self._applications[known.name] = replace(known, cmds=commands)

    def _run_launch(self, one: Instruction) -> None:
        self._launch = list(t.cast(kubefile.Launch, one.arguments).names)

    def _run_commands(self, one: Instruction) -> None:
        self._commands.extend(word.raw for word in t.cast(kubefile.Commands, one.arguments).commands)

    def _check_applications(self) -> None:
        for name, why in self._untyped.items():
            if name not in self._commanded:
                raise self._declared[name].error(
                    f"it is not known how to start application {name}", why=why, fix=f'Say it: APPCMDS {name} ["…"]'
                )
        names: t.Set[str] = set()
        for word in self._launch:
            self._application(word)
            if word.raw in names:
                raise word.error(f"LAUNCH names {word.raw} twice")
            names.add(word.raw)


def _is_of_base(entry: t.Optional[Entry]) -> bool:
    return entry is not None and entry.kind == FILE and not entry.source
