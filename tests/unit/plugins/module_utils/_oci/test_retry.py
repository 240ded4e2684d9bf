# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import (
    Cancelled,
    RegistryError,
    refusal,
    registry_codes,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import printable, quoted, redact_url
from ansible_collections.sealer.cluster.plugins.module_utils._oci.retry import (
    RetryPolicy,
    retry_after_seconds,
    retrying,
)
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime.datetime(2026, 1, 1, 12, 0, 0, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("9" * 30, None),
        ("Thu, 01 Jan 99999999999999999999 12:00:30 GMT", None),
        ("Thu, 01 Jan 2026 12:00:30 GMT" + " " * 60_000, 30.0),
    ],
)
def test_retry_after(header: t.Optional[str], expected: t.Optional[float]) -> None:
    assert retry_after_seconds(header, NOW) == expected


@given(st.text())
def test_any_retry_after_is_read_without_failing(header: str) -> None:
    found = retry_after_seconds(header, NOW)
    assert found is None or found >= 0


@pytest.mark.parametrize(
    ("attempt", "jitter", "retry_after", "expected"),
    [
        (1, 0.0, None, 0.25),
        (1, 1.0, None, 0.5),
        (4, 1.0, None, 4.0),
        (50, 1.0, None, 20.0),
        (1, 1.0, 10.0, 10.0),
        (1, 1.0, 0.0, 0.5),
        (1, 1.0, 86400.0, 60.0),
    ],
)
def test_waits(attempt: int, jitter: float, retry_after: t.Optional[float], expected: float) -> None:
    assert RetryPolicy(jitter=lambda: jitter).wait_before(attempt, retry_after) == expected


class Script:
    """An action that fails as told, and a policy that only notes its waits."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.waits: t.List[float] = []
        self.calls = 0
        self.policy = RetryPolicy(attempts=3, jitter=lambda: 1.0, sleep=lambda wait, _cancel: self.waits.append(wait))

    def __call__(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "good"


def temporary(retry_after: t.Optional[float] = None) -> RegistryError:
    return RegistryError("x", temporary=True, retry_after=retry_after)


def test_tries_again_after_the_wait_asked_for() -> None:
    script = Script(temporary(), temporary(9.0))
    assert (retrying(script, script.policy), script.waits) == ("good", [0.5, 9.0])


@pytest.mark.parametrize(
    ("failures", "calls"),
    [([temporary()] * 9, 3), ([RegistryError("x", status=404)], 1), ([KeyError("x")], 1)],
)
def test_gives_up(failures: t.List[Exception], calls: int) -> None:
    script = Script(*failures)
    with pytest.raises(type(failures[0])):
        retrying(script, script.policy)
    assert script.calls == calls


def test_attempts_that_brought_something_do_not_count() -> None:
    script = Script(*[temporary()] * 9)
    assert retrying(script, script.policy, progressed=lambda: True) == "good"
    assert script.waits == [0.5] * 9


def test_a_set_event_ends_it() -> None:
    cancel = threading.Event()
    script = Script(temporary(), temporary())
    policy = RetryPolicy(sleep=lambda _wait, _event: cancel.set())
    with pytest.raises(Cancelled):
        retrying(script, policy, cancel=cancel)
    assert script.calls == 1


STATUS = [(status, status in {408, 425, 429, 500, 502, 503, 504}) for status in range(400, 600)]


def test_which_status_is_worth_another_try() -> None:
    assert [
        (status, refusal("w", "", "GET", "https://x/", status, b"").temporary) for status, _retry in STATUS
    ] == STATUS


@pytest.mark.parametrize(("code", "expected"), [("TOOMANYREQUESTS", True), ("UNAVAILABLE", True), ("DENIED", False)])
def test_which_code_is_worth_another_try(code: str, expected: bool) -> None:
    body = f'{{"errors": [{{"code": "{code}", "message": "m"}}]}}'.encode()
    error = refusal("cannot do it", "here", "GET", "https://u:p@x/y?state=1", 403, body, 4.0)
    assert (error.temporary, error.codes, error.retry_after) == (expected, (code,), 4.0)
    assert str(error).startswith(
        f"here: cannot do it: GET https://x/y?state=REDACTED answered 403 ({code}: m). Ask the owner"
    )


@given(st.binary())
def test_any_error_body_is_read_without_failing(body: bytes) -> None:
    registry_codes(body)


@pytest.mark.parametrize("body", [b"[]", b'{"errors": {}}', b'{"errors": [1]}', b"<html>", b"\xff", b"[" * 100000])
def test_other_error_bodies_tell_nothing(body: bytes) -> None:
    assert registry_codes(body) == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://r.example/v2/a?digest=sha256:00&from=b/c", "https://r.example/v2/a?digest=sha256:00&from=b/c"),
        ("https://u:secret@r.example:5000/v2/", "https://r.example:5000/v2/"),
        ("https://s3/x?X-Amz-Signature=secret&n=1#secret", "https://s3/x?X-Amz-Signature=REDACTED&n=1"),
        ("https://r/x?Digest=secret", "https://r/x?Digest=REDACTED"),
        ("https://[::1/secret", "an unreadable URL"),
    ],
)
def test_urls_show_only_what_is_harmless(url: str, expected: str) -> None:
    assert redact_url(url) == expected


@pytest.mark.parametrize("value", ["x" * 1_000_000, ["x" * 1_000_000] * 5, {"x" * 1000: 1}, 10**4000])
def test_a_long_value_is_shown_in_part(value: t.Any) -> None:
    assert 100 < len(quoted(value)) <= 400


@pytest.mark.parametrize("value", ["a'b", "", 5, None, ["a"], "\x1b"])
def test_a_short_value_is_shown_as_python_writes_it(value: t.Any) -> None:
    assert quoted(value) == repr(value)


def test_foreign_text_stays_on_one_short_line() -> None:
    assert printable("a\x1b[31m\nb\r c" + "x" * 500, limit=10) == "a [31m b …"
