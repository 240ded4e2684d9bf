# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the documents say, held beside what it is said of, and beside each other."""

from __future__ import annotations

import collections
import pathlib
import re
import typing as t

import pytest
import yaml
from ansible_collections.sealer.cluster.tests.unit.docs.blocks import FENCE, GUIDES, ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_COMMAND = re.compile(r"`make ([a-z][a-z-]*)")
_HELP = re.compile(r"^([a-z][a-z -]*):.*?## (.*)$", re.MULTILINE)
_NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "ten": 10}
_SECONDS = {"s": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
_TIME = re.compile(rf"\b(\d+|{'|'.join(_NUMBERS)}) ({'|'.join(_SECONDS)})s?\b")
Times = t.FrozenSet[int]


def names(paths: t.Iterable[pathlib.Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def anchors(document: pathlib.Path) -> set[str]:
    """What a link into a document may name: its headings in the form that GitHub gives them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def readable(text: str) -> str:
    """The text with each line of a listing as a paragraph, and what it makes marked as in running text."""
    return FENCE.sub(
        lambda listing: re.sub(r"^(make [a-z-]+)", r"`\1`", listing[0], flags=re.M).replace("\n", "\n\n"), text
    )


@pytest.mark.parametrize("guide", GUIDES, ids=names(GUIDES))
def test_links_lead_somewhere(guide: pathlib.Path) -> None:
    broken = []
    for link in _LINK.findall(FENCE.sub("", guide.read_text())):
        path, _hash, anchor = link.partition("#")
        target = guide.parent / path if path else guide
        if ":" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("guide", GUIDES, ids=names(GUIDES))
def test_what_can_be_made_is_in_the_makefile(guide: pathlib.Path) -> None:
    targets = {target for line in re.findall(r"^([a-z][a-z -]*):", MAKEFILE, re.MULTILINE) for target in line.split()}
    assert set(_COMMAND.findall(readable(guide.read_text()))) <= targets


def sentences(text: str) -> t.Iterator[str]:
    """Sentences of running text; a line of a table or of a listing is one for itself."""
    for paragraph in re.split(r"\n\s*\n", readable(text)):
        rows = [line for line in paragraph.split("\n") if line.startswith("|")]
        running = " ".join(line.strip() for line in paragraph.split("\n") if line not in rows)
        yield from rows + re.split(r"(?<=[.;:!?]) ", running)


def times(sentence: str) -> Times:
    """The seconds that a sentence tells."""
    return frozenset(int(_NUMBERS.get(number, number)) * _SECONDS[unit] for number, unit in _TIME.findall(sentence))


def test_times_are_read_as_people_write_them() -> None:
    text = """In front. `make demo` takes about 15 minutes
the first time (with 2 cores), and 90 s after that; `make
demo-down` less.

| `make test` | a minute |
| b | 1 h |

```console
make check   # 5 hours
```
"""
    told = [(_COMMAND.findall(one), set(times(one))) for one in sentences(text) if _COMMAND.search(one) or times(one)]
    assert told == [(["demo"], {900, 90}), (["demo-down"], set()), (["test"], {60}), ([], {3600}), (["check"], {18000})]


def test_a_command_takes_as_long_wherever_that_is_told() -> None:
    """One place, a row of a table or a sentence, tells all times of a command. Others tell some of these."""
    told: dict[str, dict[str, Times]] = collections.defaultdict(dict)
    for targets, text in _HELP.findall(MAKEFILE):
        for target in targets.split():
            told[target][f"Makefile: {text}"] = times(text)
    for guide in GUIDES:
        for sentence in sentences(guide.read_text()):
            commands = set(_COMMAND.findall(sentence))
            if len(commands) == 1:
                told[commands.pop()][f"{guide.relative_to(ROOT)}: {sentence}"] = times(sentence)
    differing = []
    for command, places in told.items():
        _many, source = max((len(found), place) for place, found in places.items())
        others = [place for place, found in places.items() if not found <= places[source]]
        differing += [f"{command}: {place}, but {source}" for place in others]
    assert differing == []


def test_the_demo_prints_what_its_guide_shows() -> None:
    script = (ROOT / "tests/demo/demo.sh").read_text()
    steps = [re.sub(r"\\\$\w+", ".+", re.escape(step)) for step in re.findall(r'^ *step "(.*)"$', script, re.MULTILINE)]
    shown = re.findall(r"^==> (.*)$", (ROOT / "docs/demo.md").read_text(), re.MULTILINE)
    assert shown
    assert [line for line in shown if not any(re.fullmatch(step, line) for step in steps)] == []


def test_benchmarks_tell_of_each_play_of_site_or_that_it_was_not_measured() -> None:
    plays = [play["name"] for play in yaml.safe_load((ROOT / "playbooks/site.yml").read_text())]
    section = (
        (ROOT / "docs/benchmarks.md").read_text().partition("\n## site beside bare kubeadm\n")[2].partition("\n## ")[0]
    )
    told = " ".join(section.split())
    assert [play for play in plays if f"| {play} |" not in told and f'"{play}"' not in told] == []


def test_each_tool_that_is_said_to_carry_images_is_tried() -> None:
    (said,) = re.findall(
        r"any registry stores it, ([^.]*?) carry it", " ".join((ROOT / "README.md").read_text().split())
    )
    (share,) = (ROOT / "tests/lab").rglob("test_share.py")
    assert [
        tool for tool in re.findall(r"`(\w+)`", said) if f"def test_{tool}_carries_it" not in share.read_text()
    ] == []
