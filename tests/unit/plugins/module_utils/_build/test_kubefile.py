# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The grammar of Kubefiles: every good and every bad file of fixtures/kubefiles, and any text at all."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.arguments import expand
from ansible_collections.sealer.cluster.plugins.module_utils._build.kubefile import parse
from ansible_collections.sealer.cluster.plugins.module_utils._build.lexer import logical_lines, split_words
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from hypothesis import given
from hypothesis import strategies as st

FILES = pathlib.Path(__file__).parent / "fixtures" / "kubefiles"
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0"))
KEYWORDS = ("FROM", "ARG", "COPY", "ENV", "LABEL", "APP", "APPENV", "APPCMDS", "LAUNCH", "CMDS", "CMD", "RUN", "X")
PIECES = st.sampled_from(
    [*KEYWORDS, "scratch", "a=b", '"', "'", "\\", "`", "$", "${", "}", ":-", "[", "]", ",", "#", "<<E", "--", "="]
    + ["\n", "\\\n", " ", "\t", "é", "# escape=`\n", "local://", "--chown=1", "\r\n", "\x0c"]
)


@pytest.mark.parametrize("path", sorted(FILES.glob("good/*.kubefile")), ids=lambda path: path.stem)
def test_good_files_are_read(path: pathlib.Path) -> None:
    instructions = parse(path.read_bytes().decode(), "Kubefile")
    told = [f"{one.keyword} {one.line}:{one.column}" for one in instructions]
    assert told == path.with_suffix(".instructions").read_text().splitlines()


@pytest.mark.parametrize("path", sorted(FILES.glob("good/*.kubefile")), ids=lambda path: path.stem)
def test_files_saved_on_windows_are_read_alike(path: pathlib.Path) -> None:
    text = path.read_text()
    saved = ("\ufeff" + text.replace("\n", "\r\n")).encode()
    assert parse(saved.decode(), "Kubefile") == parse(text, "Kubefile")


@pytest.mark.parametrize("path", sorted(FILES.glob("bad/*.kubefile")), ids=lambda path: path.stem)
def test_bad_files_are_refused_with_place_and_reason(path: pathlib.Path) -> None:
    with pytest.raises(BuildError) as caught:
        parse(path.read_text(), "Kubefile")
    expected = path.with_suffix(".error").read_text().rstrip("\n")
    assert str(caught.value).startswith("Kubefile" + (expected if expected.startswith(":") else f": {expected}"))


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(BuildError) as caught:
        parse((FILES / "bad" / "several.kubefile").read_text(), "Kubefile")
    assert [line.split(": ")[0].strip() for line in str(caught.value).splitlines()[1:]] == [
        "Kubefile:2:1",
        "Kubefile:3:5",
        "Kubefile:4:6",
    ]


@given(st.one_of(st.lists(PIECES, max_size=40).map("".join), st.text()))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse("FROM scratch\n" + text, "Kubefile")
    except BuildError as error:
        assert str(error).startswith("Kubefile")


def quoted_double(text: str) -> str:
    return '"' + "".join("\\" + one if one in '\\"$' else one for one in text) + '"'


def quoted_single(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def escaped(text: str) -> str:
    return "".join("\\" + one for one in text)


@given(st.lists(st.tuples(TEXT, st.sampled_from([quoted_double, quoted_single, escaped])), min_size=1))
def test_quoting_survives(values: t.List[t.Tuple[str, t.Callable[[str], str]]]) -> None:
    written = [quote(text) or '""' for text, quote in values]
    line = next(logical_lines("ENV " + " ".join(written) + " end", "Kubefile"))
    assert [expand(word, {}) for word in split_words(line.body)] == [text for text, _quote in values] + ["end"]


VARIABLES = {"A": "one", "EMPTY": "", "SPACED": "a b"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("$A", "one"),
        ("${A}s", "ones"),
        ("$A$A", "oneone"),
        ('"$A b"', "one b"),
        ("'$A'", "$A"),
        ("\\$A", "$A"),
        ('"\\$A"', "$A"),
        ('"\\A"', "\\A"),
        ("${MISSING:-x}", "x"),
        ("${MISSING-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${EMPTY:-x}", "x"),
        ("${A:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${MISSING:+x}", ""),
        ("${MISSING:-${A}}", "one"),
        ('${MISSING:-"a b"}', "a b"),
        ("${SPACED}", "a b"),
        ("${A:?needed}", "one"),
        ("cost$", "cost$"),
        ("$1", "$1"),
        ("a\\", "a\\"),
    ],
)
def test_variables(raw: str, expected: str) -> None:
    line = next(logical_lines(f"ENV X={raw}x" if raw.endswith("\\") else f"ENV X={raw}", "Kubefile"))
    word = split_words(line.body)[0]
    value = expand(word.part(2, len(word.raw) - 1 if raw.endswith("\\") else None), VARIABLES)
    assert value == expected


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("a$MISSING", "Kubefile:1:8: variable MISSING is not set here"),
        ("${MISSING}", "Kubefile:1:7: variable MISSING is not set here"),
        ("${MISSING:?say $A}", "Kubefile:1:7: variable MISSING is not set: say one"),
        ("${A#x}", "Kubefile:1:7: ${A#x} is no variable"),
        ("${}", "Kubefile:1:7: ${} is no variable"),
    ],
)
def test_wrong_variables_are_refused(raw: str, told: str) -> None:
    line = next(logical_lines(f"ENV X={raw}", "Kubefile"))
    word = split_words(line.body)[-1] if " " not in raw else line.body
    with pytest.raises(BuildError) as caught:
        expand(word, VARIABLES)
    assert str(caught.value).startswith(told)
