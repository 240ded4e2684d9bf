# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every command of the guides is run, as by somebody who follows the guide.

A guide becomes a script that writes the files which the guide shows and runs its commands, both in its order.
guides.yml lists the commands that need more than one machine without internet, and tells what is done about them.
"""

from __future__ import annotations

import ast
import pathlib
import re
import socket
import typing as t

import pytest
import yaml
from ansible_collections.sealer.cluster.tests.unit.docs.blocks import (
    FENCE,
    GUIDES,
    ROOT,
    SHELLS,
    Command,
    blocks,
    commands,
    words,
)
from ansible_collections.sealer.cluster.tests.unit.docs.machine import Machine

TABLE = pathlib.Path(__file__).with_name("guides.yml")
Entry = t.Dict[str, t.Any]
LISTED: dict[str, Entry] = yaml.safe_load(TABLE.read_text())
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in GUIDES}
COMMANDS = {
    name: [command for block in blocks(text) if block.language in SHELLS for command in commands(block)]
    for name, text in TEXTS.items()
}
ENTRIES = [(name, entry) for name, guide in LISTED.items() for entry in guide.get("commands", ())]
TESTS = sorted({test for _name, entry in ENTRIES for test in entry.get("tests", ())})
SHOWN = ("diff", "dockerfile", "json", "text", "yaml")
_UNREACHABLE = re.compile(r"^fatal: \[([^\] ]+)\]: UNREACHABLE!.*: Network is unreachable", re.MULTILINE)
_NO_HOSTS = "skipping: no hosts matched"
# That a host does not answer is what is wanted, in the playbooks' words as well.
_SILENT = "cannot be asked: |is not reset: .*: Network is unreachable"
_FAILED = re.compile(rf"^fatal: \[.*\]: FAILED!(?!.*({_SILENT}))", re.MULTILINE)


def entry_of(name: str, command: Command) -> Entry:
    """What the table says of this command; nothing, where it is run as it is."""
    for entry in LISTED.get(name, {}).get("commands", ()):
        if command.words in [words(text) for text in entry["commands"]]:
            return t.cast(Entry, entry)
    return {}


def is_run(entry: Entry) -> bool:
    return not entry or "with" in entry or "unreachable" in entry


def typed(command: Command, entry: Entry) -> str:
    """What is typed at the place of a command: another one with ``with``, a script as a file."""
    if command.text.startswith("#!"):
        return f"cat >script <<'END OF SCRIPT'\n{command.text}END OF SCRIPT\nchmod +x script && ./script"
    return f"{' '.join(command.words)} {entry['with']}" if "with" in entry else command.text


def script(name: str) -> str:
    """The guide as a script, which keeps what each command printed, and how it ended, in files named after its line."""
    lines = []
    for block in blocks(TEXTS[name]):
        for path, text in block.files().items():
            lines.append(f"mkdir -p $(dirname {path})\ncat >{path} <<'END OF FILE'\n{text}END OF FILE")
        for command in commands(block) if block.language in SHELLS else ():
            entry = entry_of(name, command)
            if is_run(entry):
                kept = f"/mnt/session/{command.line}"
                lines.append(f"{{\n{typed(command, entry)}\n}} >{kept}.out 2>&1\necho $? >{kept}.status")
    return "\n".join(lines)


def complaint(entry: Entry, status: str, printed: str) -> str:
    """Why what a command did is not what was wanted of it; nothing, if it is."""
    if "unreachable" not in entry:
        return f"it ended with {status}" if status != "0" else "it has no hosts" if _NO_HOSTS in printed else ""
    tried = sorted(set(_UNREACHABLE.findall(printed)))
    if tried != sorted(entry["unreachable"]):
        return f"it tried to reach {', '.join(tried) or 'no host'}, and not {', '.join(entry['unreachable'])}"
    return "a task failed on a host" if _FAILED.search(printed) else ""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine.make(tmp_path_factory.mktemp("machine"))


@pytest.mark.parametrize(
    "name", [name for name, found in COMMANDS.items() if any(is_run(entry_of(name, command)) for command in found)]
)
def test_commands_of_a_guide_do_what_it_says(name: str, machine: Machine, tmp_path: pathlib.Path) -> None:
    guide = LISTED.get(name, {})
    directory = str(ROOT) if guide.get("checkout") else "/mnt/me/work"
    machine.run(tmp_path, script(name), directory, user=guide.get("user", "me"), prepare=guide.get("given", ""))
    for command in COMMANDS[name]:
        entry = entry_of(name, command)
        if is_run(entry):
            status, printed = ((tmp_path / f"{command.line}.{kind}").read_text() for kind in ("status", "out"))
            why = complaint(entry, status.strip(), printed)
            assert not why, f"{name}:{command.line}: {typed(command, entry)}\n{why}:\n{printed}"


def test_a_guide_touches_nothing_outside_of_its_machine(machine: Machine, tmp_path: pathlib.Path) -> None:
    places = ["/etc/made", "/usr/lib/made", "/opt/made", f"{ROOT}/made", "/run/made", "/var/lib/made"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"/dev/tcp/127.0.0.1/{server.getsockname()[1]}"
        tries = [*(f"touch {place}" for place in places), f": <>{address}"]
        machine.run(tmp_path, "; ".join(tries) + "; true", "/", user="root")
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert [place for place in places if pathlib.Path(place).exists()] == []


@pytest.mark.parametrize("name", TEXTS)
def test_a_block_says_what_it_is(name: str) -> None:
    found = blocks(TEXTS[name])
    odd = [f"line {block.line}: {block.language}" for block in found if block.language not in (*SHELLS, *SHOWN)]
    assert odd == [], f"Mark commands with console, output with text. {SHOWN} are known besides."
    assert [
        line for line in FENCE.sub("", TEXTS[name]).splitlines() if line.lstrip(" >").startswith(("```", "~~~"))
    ] == []


def test_no_command_stands_in_a_block_of_output() -> None:
    programs = {command.words[0] for found in COMMANDS.values() for command in found}
    assert [
        f"{name}:{block.line}: {line}"
        for name, text in TEXTS.items()
        for block in blocks(text)
        if block.language == "text"
        for line in block.text.splitlines()
        if (words(line.lstrip("$# ")) or ("",))[0] in programs
    ] == []


@pytest.mark.parametrize("name", LISTED)
def test_what_is_said_of_a_guide_is_understood(name: str) -> None:
    assert name in TEXTS and set(LISTED[name]) <= {"checkout", "commands", "foreign", "given", "user"}


@pytest.mark.parametrize(("name", "entry"), ENTRIES)
def test_an_entry_is_of_commands_that_there_are(name: str, entry: Entry) -> None:
    known = [command.words for command in COMMANDS.get(name, ())]
    assert [text for text in entry["commands"] if words(text) not in known] == [], f"{name} has no such command."
    assert entry["reason"] and set(entry) - {"with", "unreachable"} <= {"commands", "reason", "tests"}
    assert not {"with", "unreachable"} <= set(entry)


@pytest.mark.parametrize("test", TESTS)
def test_a_test_that_an_entry_names_exists(test: str) -> None:
    path, _separator, function = test.partition("::")
    place = ROOT / "tests" / path
    assert place.exists(), f"There is no tests/{path}."
    if function:
        assert function in {
            node.name for node in ast.parse(place.read_text()).body if isinstance(node, ast.FunctionDef)
        }
