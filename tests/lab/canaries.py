# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The secrets of a run, and where one of them is that it should not be.

Secrets that are made in a run, and live for seconds, are read while it goes out of the files that they are for
(Source); those that are given come from the caller. All are searched in what the run printed, in command lines and
environments of processes while it went, in files, in journals and in the cluster's objects. What is found where it
belongs (Place) is no finding. No secret is in a finding.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import dataclasses
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time
import typing as t
import urllib.parse
import uuid
from functools import partial

from ansible_collections.sealer.cluster.tests.lab import host_search, process_sampler
from ansible_collections.sealer.cluster.tests.lab.lab import HERE, Lab

# What is shorter is found where it is not.
SHORTEST = 12
# No run takes longer. A sampler whose test has been killed ends by that.
SECONDS = 1800
CONTROLLER = "the controller"
JOIN_TOKEN = "join token"
LASTING_TOKEN = "bootstrap token that was not removed"
CERTIFICATE_KEY = "certificate key"
PRIVATE_KEY = "private key"
BOOTSTRAP_TYPE = "bootstrap.kubernetes.io/token"
GIVEN = "variables that the lab gives to playbooks"
# How a run is asked to print all that it ever would.
LOUD = ("-vvv", "--diff")
_SHOWN = 160


@dataclasses.dataclass(frozen=True)
class Secret:
    """A value that few may know. kind: what it is called in findings."""

    kind: str
    value: str = dataclasses.field(repr=False)

    def __post_init__(self) -> None:
        if len(self.value) < SHORTEST:
            raise ValueError(f"{self.kind}: a secret of {len(self.value)} characters would be found by accident")

    @property
    def forms(self) -> tuple[str, ...]:
        """How it looks in texts: as it is, quoted for URLs and JSON, and within a longer text in base64."""
        plain = self.value.encode()
        found = [self.value, urllib.parse.quote(self.value, safe=""), json.dumps(self.value)[1:-1]]
        for before, skipped in ((0, 0), (1, 2), (2, 3)):
            encoded = base64.b64encode(bytes(before) + plain)[skipped : (before + len(plain)) * 8 // 6].decode()
            found += [encoded, encoded.translate(str.maketrans("+/", "-_"))]
        return tuple(dict.fromkeys(found))


@dataclasses.dataclass(frozen=True)
class Finding:
    """A secret where it does not belong."""

    kind: str
    place: str

    def __str__(self) -> str:
        return f"{self.kind} in {self.place}"


@dataclasses.dataclass(frozen=True)
class Source:
    """Where secrets of a kind can be read on hosts.

    paths: shell patterns of files; expression: its group is the secret; decode: makes a text of what the file holds.
    """

    kind: str
    paths: tuple[str, ...]
    expression: str
    decode: t.Callable[[str], str] = str

    def secrets(self, files: t.Mapping[str, t.Sequence[str]]) -> t.Iterator[Secret]:
        """Those in the contents of files, by path."""
        for path, contents in files.items():
            if any(pathlib.PurePath(path).match(pattern) for pattern in self.paths):
                for content in contents:
                    yield from (Secret(self.kind, value) for value in re.findall(self.expression, self.decode(content)))


@dataclasses.dataclass(frozen=True)
class Place:
    """Files, by an expression for the whole path, that are for secrets of some kinds.

    why: the reason; service: a system user may read them as well as root.
    """

    path: str
    kinds: frozenset[str]
    why: str
    service: bool = False

    def holds(self, kind: str, path: str, reader: str) -> bool:
        readers = {host_search.ROOT, host_search.SERVICE} if self.service else {host_search.ROOT}
        return kind in self.kinds and reader in readers and re.fullmatch(self.path, path) is not None


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a sampler saw on a machine: command lines, variables with a command line that had them, files' contents."""

    commands: t.Sequence[str]
    variables: t.Sequence[tuple[str, str]]
    files: t.Mapping[str, t.Sequence[str]]

    @classmethod
    def parse(cls, told: str) -> Seen:
        def text(encoded: str) -> str:
            return base64.b64decode(encoded).decode(errors="replace").rstrip("\0").replace("\0", " ")

        read = json.loads(told)
        return cls(
            commands=[text(command) for command in read["commands"]],
            variables=[(text(variable), text(command)) for variable, command in read["variables"]],
            files={path: [text(content) for content in contents] for path, contents in read["files"].items()},
        )


class Sampler:
    """process_sampler.py on a machine, run by a command; within the context it looks."""

    def __init__(self, machine: str, command: t.Sequence[str]) -> None:
        self._machine = machine
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Sampler:
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != process_sampler.READY:
            self.__exit__()
            raise RuntimeError(f"the sampler on {self._machine} did not start")
        return self

    def __exit__(self, *_caught: object) -> None:
        self._process.kill()
        self._process.communicate()

    def seen(self) -> Seen:
        """All it saw; it ends with that."""
        return Seen.parse(self._process.communicate("\n", timeout=60)[0])


class Redaction:
    """Takes secrets out of texts that are shown."""

    def __init__(self, secrets: t.Iterable[Secret]) -> None:
        forms = sorted({form for secret in secrets for form in secret.forms}, key=len, reverse=True)
        self._expression = re.compile("|".join(map(re.escape, forms)) or "(?!)")

    def __call__(self, text: str) -> str:
        return " ".join(self._expression.sub("<secret>", text).split())[:_SHOWN]


def in_output(secrets: t.Iterable[Secret], text: str) -> t.Iterator[Finding]:
    """Secrets in what ansible-playbook printed, with the tasks."""
    for secret in secrets:
        for start in {text.find(form) for form in secret.forms} - {-1}:
            task = re.match(r"[^\]\n]*", text[text.rfind("TASK [", 0, start) + len("TASK [") :])
            yield Finding(secret.kind, f"the output of ansible-playbook, task {task.group() if task else ''!r}")


def in_processes(secrets: t.Sequence[Secret], seen: Seen, machine: str) -> t.Iterator[Finding]:
    """Secrets in command lines and environments."""
    show = Redaction(secrets)
    for secret in secrets:
        for command in seen.commands:
            if any(form in command for form in secret.forms):
                yield Finding(secret.kind, f"the command line of {show(command)!r} on {machine}")
        for variable, command in seen.variables:
            if any(form in variable for form in secret.forms):
                name = show(variable.partition("=")[0])
                yield Finding(secret.kind, f"the variable {name} of the environment of {show(command)!r} on {machine}")


def in_host(
    secrets: t.Sequence[Secret], machine: str, places: t.Sequence[Place], search: t.Callable[[t.Sequence[str]], str]
) -> t.Iterator[Finding]:
    """Secrets in files and in the journal. search: asks host_search.py for strings."""
    forms = [(secret, form) for secret in secrets for form in secret.forms]
    for number, who, where in json.loads(search([form for _secret, form in forms])):
        kind = forms[number][0].kind
        if who == "journal":
            yield Finding(kind, f"the journal of {machine}, said by {where}")
        elif not any(place.holds(kind, where, who) for place in places):
            yield Finding(kind, f"the file {where} on {machine}, which {who} can read")


def in_objects(secrets: t.Sequence[Secret], objects: t.Iterable[t.Any]) -> t.Iterator[Finding]:
    """Secrets in the objects of a cluster; a bootstrap token may be in the Secret that it is made of."""
    for item in objects:
        text, metadata = json.dumps(item), item["metadata"]
        name = f"{item['kind']} {metadata.get('namespace', '')}/{metadata['name']} of the cluster"
        if item.get("type") == BOOTSTRAP_TYPE:
            continue
        yield from (Finding(secret.kind, name) for secret in secrets if any(form in text for form in secret.forms))


class Watch:
    """What was seen of a run, on the hosts of a lab and on this machine."""

    def __init__(self, lab: Lab, sources: t.Sequence[Source], places: t.Sequence[Place]) -> None:
        self._lab = lab
        self._sources = sources
        self._places = places
        self._since = time.time()
        self.seen: dict[str, Seen] = {}

    def secrets(self) -> list[Secret]:
        """Secrets that were made: those in files while they were there, and bootstrap tokens that still are."""
        files = [seen.files for machine, seen in self.seen.items() if machine != CONTROLLER]
        found = [secret for source in self._sources for one in files for secret in source.secrets(one)]
        return list(dict.fromkeys([*found, *self._bootstrap_tokens()]))

    def findings(self, secrets: t.Sequence[Secret], output: str, *, cluster: bool = True) -> list[str]:
        """Where these secrets are that they should not be. cluster: whether there is one, whose objects are read."""
        found = list(in_output(secrets, output))
        for machine, seen in self.seen.items():
            found += in_processes(secrets, seen, machine)
        for host in self._lab.hosts:
            found += in_host(secrets, host, self._places, partial(self._search, host))
        given = Place(
            f"{re.escape(str(self._lab.directory))}/.*", frozenset({secret.kind for secret in secrets}), GIVEN
        )
        found += in_host(secrets, CONTROLLER, [given], self._search_here)
        if cluster:
            found += in_objects(secrets, self._objects())
        return sorted({str(finding) for finding in found})

    def _bootstrap_tokens(self) -> t.Iterator[Secret]:
        selected = f"--namespace kube-system --field-selector type={BOOTSTRAP_TYPE}"
        for item in self._lab.kubectl(f"get secrets {selected}")["items"]:
            yield Secret(LASTING_TOKEN, base64.b64decode(item["data"]["token-secret"]).decode())

    def _objects(self) -> t.Iterator[t.Any]:
        kinds = f"{self._lab.kubectl_command} api-resources --verbs=list --output=name"
        yield from self._lab.kubectl(f"get $({kinds} | paste -sd ,) --all-namespaces")["items"]

    def _question(self, strings: t.Sequence[str], roots: t.Sequence[str], *, journal: bool) -> str:
        return json.dumps({"strings": strings, "since": self._since, "roots": roots, "journal": journal})

    def _search(self, host: str, strings: t.Sequence[str]) -> str:
        command = shlex.join(["python3", "-c", _program("host_search")])
        return self._lab.ssh(host, command, given=self._question(strings, ["/"], journal=True))

    def _search_here(self, strings: t.Sequence[str]) -> str:
        named = [tempfile.gettempdir(), "/tmp", "/var/tmp", str(pathlib.Path.home() / ".ansible")]
        roots = [root for root in dict.fromkeys(named) if not any(_is_below(root, other) for other in named)]
        question = self._question(strings, roots, journal=False)
        command = [sys.executable, "-c", _program("host_search")]
        return subprocess.run(command, input=question, stdout=subprocess.PIPE, text=True, check=True).stdout


@contextlib.contextmanager
def watching(lab: Lab, sources: t.Sequence[Source] = (), places: t.Sequence[Place] = ()) -> t.Iterator[Watch]:
    """Look at all processes, and at the files that secrets are read from, while what is within goes on.

    At the end a command with a made-up secret runs on every host. Raises RuntimeError where that was not seen.
    """
    watch = Watch(lab, sources, places)
    program = ["-c", _program("process_sampler"), f"--seconds={SECONDS}"]
    patterns = [pattern for source in sources for pattern in source.paths]
    commands = {host: lab.ssh_command(host, shlex.join(["python3", *program, *patterns])) for host in lab.hosts}
    commands[CONTROLLER] = [sys.executable, *program, "--own-namespace"]
    with contextlib.ExitStack() as stack:
        samplers = {machine: stack.enter_context(Sampler(machine, command)) for machine, command in commands.items()}
        yield watch
        planted = [Secret("planted secret", uuid.uuid4().hex), Secret("planted variable", uuid.uuid4().hex)]
        # Long enough for a sampler on a busy machine: it looks at every process at least once a second.
        command = f"PLANTED={planted[1].value} sh -c 'sleep 2; true' {planted[0].value}"
        with concurrent.futures.ThreadPoolExecutor(len(lab.hosts)) as pool:
            list(pool.map(partial(lab.ssh, command=command), lab.hosts))
        watch.seen = {machine: sampler.seen() for machine, sampler in samplers.items()}
    for machine, seen in watch.seen.items():
        missed = {secret.kind for secret in planted} - {found.kind for found in in_processes(planted, seen, machine)}
        if missed:
            raise RuntimeError(f"the sampler on {machine} is blind: it did not see the {' and the '.join(missed)}")


def _is_below(path: str, other: str) -> bool:
    return path != other and pathlib.PurePath(path).is_relative_to(other)


def _program(name: str) -> str:
    return (HERE / f"{name}.py").read_text()
