# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts that pass, fail, skip and need each other."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import re
import signal
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.sealer.cluster.tests.tools.parts.outcome import Counts, Result
from ansible_collections.sealer.cluster.tests.tools.parts.plan import Part
from ansible_collections.sealer.cluster.tests.tools.parts.runner import Runner
from ansible_collections.sealer.cluster.tests.tools.parts.table import table

TESTS = """
import pytest

def test_good() -> None:
    pass

def test_left_out() -> None:
    pytest.skip("there is no such program")
"""


@pytest.fixture
def runner(tmp_path: pathlib.Path) -> Runner:
    return Runner(tmp_path / "logs", shown=False, environment={"PATH": "/usr/bin:/bin"})


def part(name: str, run: str, **given: t.Any) -> Part:
    return Part(name, "test", f"what {name} is for", run, **given)


def test_a_failed_part_stops_only_those_that_need_it(runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = runner.run(
        [
            part("good", "echo '==> one'; echo '==> two'"),
            part("bad", "echo 'E   it is broken'; exit 3"),
            part("needy", "true", needs=("bad",)),
            part("last", "echo '==> one'", needs=("good",)),
        ]
    )
    assert [one.result for one in outcomes] == [Result.PASSED, Result.FAILED, Result.NOT_RUN, Result.PASSED]
    assert outcomes[0].counts == Counts(passed=2)
    assert outcomes[2].why == "it needs bad"
    printed = capsys.readouterr().out
    assert "E   it is broken" in printed
    assert "==> bad: failed after 0:00: exit code 3; the whole log is" in printed


def test_a_command_stops_at_its_first_failure(runner: Runner) -> None:
    assert runner.run([part("bad", "false | cat; echo '==> on'")])[0].result is Result.FAILED


def test_tests_are_counted_with_the_reasons_of_skips(runner: Runner, tmp_path: pathlib.Path) -> None:
    (tmp_path / "test_sample.py").write_text(TESTS)
    command = f"{sys.executable} -m pytest -p no:cacheprovider --rootdir={tmp_path} {tmp_path}/test_sample.py"
    (outcome,) = runner.run([part("unit", command)])
    assert outcome.result is Result.PASSED
    assert outcome.counts == Counts(1, 0, {"there is no such program": 1})
    told = table([outcome], 61)
    assert "unit: 1: there is no such program" in told
    assert told.endswith("tests: 1 passed, 0 failed, 1 skipped")


def test_counts_of_an_earlier_run_are_forgotten(runner: Runner, tmp_path: pathlib.Path) -> None:
    kept = tmp_path / "logs/unit"
    kept.mkdir(parents=True)
    (kept / "pytest.xml").write_text('<testsuites><testsuite><testcase name="old"/></testsuite></testsuites>')
    assert runner.run([part("unit", "true")])[0].counts == Counts()


def test_a_part_without_its_program_is_skipped_and_told(runner: Runner) -> None:
    (outcome,) = runner.run([part("conformance", "exit 1", requires="SEALER_SOME_BINARY")])
    assert outcome.result is Result.SKIPPED
    assert outcome.why == "SEALER_SOME_BINARY names no program"
    assert "conformance: 1: SEALER_SOME_BINARY names no program" in table([outcome], 0)


def test_a_part_with_its_program_runs(tmp_path: pathlib.Path) -> None:
    runner = Runner(tmp_path, shown=False, environment={"PATH": "/usr/bin:/bin", "SEALER_SOME_BINARY": "/bin/true"})
    given = part(
        "conformance", "$SEALER_SOME_BINARY", requires="SEALER_SOME_BINARY", double={"a": "SEALER_SOME_BINARY"}
    )
    (outcome,) = runner.run([given])
    assert (outcome.result, outcome.notes) == (Result.PASSED, ())


def test_a_double_is_noted(runner: Runner) -> None:
    (outcome,) = runner.run([part("lab", "true", double={"k0s": "SEALER_K0S_BINARY"})])
    assert "lab: k0s was its double, since SEALER_K0S_BINARY names no program" in table([outcome], 0)


def test_parts_beside_each_other_run_at_the_same_time(runner: Runner, tmp_path: pathlib.Path) -> None:
    """Each waits for the other."""
    wait = "echo > {mine}; timeout 30 bash -c 'until [ -e {other} ]; do sleep 0.01; done'"
    one, two = tmp_path / "one", tmp_path / "two"
    outcomes = runner.run(
        [part("one", wait.format(mine=one, other=two)), part("two", wait.format(mine=two, other=one), beside="one")]
    )
    assert [outcome.result for outcome in outcomes] == [Result.PASSED] * 2


def test_a_long_part_says_what_it_is_at(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it has been seen to do so, the part goes on."""
    flag = tmp_path / "seen"
    runner = Runner(tmp_path / "logs", shown=False, environment={"PATH": "/usr/bin:/bin"}, sign_of_life=0.01)
    shown: list[str] = []

    def hear(text: str) -> None:
        shown.append(text)
        if text.endswith("test_of_something PASSED"):
            flag.touch()

    monkeypatch.setattr("ansible_collections.sealer.cluster.tests.tools.parts.runner.say", hear)
    wait = f"timeout 30 bash -c 'until [ -e {flag} ]; do sleep 0.01; done'"
    (outcome,) = runner.run([part("lab", f"echo test_of_something PASSED; echo; {wait}")])
    assert outcome.result is Result.PASSED
    assert "lab: 0:00: test_of_something PASSED" in shown


def test_the_program_says_how_it_ended() -> None:
    command = [sys.executable, "-m", "ansible_collections.sealer.cluster.tests.tools.parts", "no-such-part"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no-such-part: no such part. There are test, long, all, check" in done.stderr


INTERRUPTED = """
import pathlib
from ansible_collections.sealer.cluster.tests.tools.parts.plan import Part
from ansible_collections.sealer.cluster.tests.tools.parts.runner import Runner, end_on_signals
from ansible_collections.sealer.cluster.tests.tools.parts.table import table
end_on_signals()
parts = [Part("one", "test", "", {run!r}), Part("two", "test", "", {run!r}, beside="one"), Part("last", "test", "", "")]
print(table(Runner(pathlib.Path({logs!r}), shown=False, sign_of_life=0.01).run(parts), 0))
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_ends_its_parts_and_tells_what_came_of_them(tmp_path: pathlib.Path, sent: int) -> None:
    """The parts are scripts, which wait for a program, and would go on with the next one."""
    script = tmp_path / "script.sh"
    script.write_text(f"trap 'echo cleaned >>{tmp_path}/cleaned' EXIT\nsh -c 'echo ready; exec sleep 60'\nsleep 60\n")
    program = INTERRUPTED.format(run=f"bash {script}", logs=str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    ready: set[str] = set()
    try:
        assert process.stdout is not None
        with process.stdout as printed:
            for line in printed:
                ready |= {line.split(":")[0]} if line.endswith(": ready\n") else set()
                if len(ready) == 2:
                    break
            process.send_signal(sent)
            told = printed.read()
        assert process.wait(30) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert (tmp_path / "cleaned").read_text() == "cleaned\n" * 2
    assert re.search(r"^last +- +0 +-  NOT RUN: the run was interrupted$", told, re.MULTILINE)
    assert told.endswith("tests: 0 passed, 3 failed, 0 skipped\n")


@pytest.mark.parametrize("content", ["", "<testsuites><testsuite><testcase"])
def test_a_part_whose_results_are_cut_off_has_failed(runner: Runner, content: str) -> None:
    outcomes = runner.run([part("unit", f"printf %s '{content}' >$SEALER_JUNIT/pytest.xml"), part("last", "true")])
    assert [one.result for one in outcomes] == [Result.FAILED, Result.PASSED]
    assert "unit/pytest.xml: cannot be read, so it is not known which tests passed" in outcomes[0].why


def test_a_part_that_ends_well_with_a_failed_test_has_failed(runner: Runner) -> None:
    case = '<testsuite><testcase name="a"><failure/></testcase><testcase name="b"/></testsuite>'
    (outcome,) = runner.run([part("unit", f"echo '{case}' >$SEALER_JUNIT/pytest.xml")])
    assert (outcome.result, outcome.counts) == (Result.FAILED, Counts(1, 1))


def test_the_last_step_of_a_failed_part_has_failed(runner: Runner) -> None:
    (outcome,) = runner.run([part("check", "echo '==> ruff'; echo '==> black'; exit 1")])
    assert outcome.counts == Counts(1, 1)


def test_what_needs_a_skipped_part_is_skipped_too(runner: Runner) -> None:
    needy = part("needy", "true", needs=("conformance",))
    outcomes = runner.run([part("conformance", "true", requires="SEALER_SOME_BINARY"), needy])
    assert [one.result for one in outcomes] == [Result.SKIPPED] * 2
    told = table(outcomes, 0)
    assert "needy: 1: it needs conformance" in told
    assert told.endswith("tests: 0 passed, 0 failed, 2 skipped")


def test_a_variable_of_blanks_names_no_program(tmp_path: pathlib.Path) -> None:
    runner = Runner(tmp_path, shown=False, environment={"PATH": "/usr/bin:/bin", "SEALER_SOME_BINARY": " "})
    assert runner.run([part("conformance", "true", requires="SEALER_SOME_BINARY")])[0].result is Result.SKIPPED


def test_what_is_shown_is_in_the_log_too(tmp_path: pathlib.Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    runner = Runner(tmp_path, shown=True, environment={"PATH": "/usr/bin:/bin"})
    (outcome,) = runner.run([part("check", r"echo '==> one'; printf '\377\n'; echo '==> two'")])
    assert outcome.counts == Counts(passed=2)
    assert (tmp_path / "check/log").read_bytes() == b"==> one\n\xff\n==> two\n"
    assert b"==> one\n\xff\n==> two\n" in capfdbinary.readouterr().out


def test_a_part_runs_once_at_a_time(runner: Runner, tmp_path: pathlib.Path) -> None:
    """The second run would take the first one's log away, and its hosts."""
    kept = tmp_path / "logs/lab"
    kept.mkdir(parents=True)
    (kept / "log").write_text("of the first run")
    with (tmp_path / "logs/lab.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (outcome,) = runner.run([part("lab", "true")])
    assert (outcome.result, outcome.why) == (Result.FAILED, "another run of this part is going on; wait for its end")
    assert (kept / "log").read_text() == "of the first run"


def test_a_place_with_a_space_is_a_place(tmp_path: pathlib.Path) -> None:
    runner = Runner(tmp_path / "a b", shown=False, environment={"PATH": "/usr/bin:/bin"})
    (tmp_path / "test_sample.py").write_text(TESTS)
    command = f"{sys.executable} -m pytest -p no:cacheprovider --rootdir={tmp_path} {tmp_path}/test_sample.py"
    assert runner.run([part("unit", command)])[0].counts.passed == 1
